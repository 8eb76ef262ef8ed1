"""The only importer of the Docker SDK: a Protocol of what we ask of Swarm, and the real client. Every call has a limit."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import docker
import requests
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.types import IPAMConfig, IPAMPool
from docker.utils.socket import frames_iter

from blueprints.compose import NAMESPACE
from provisioning.live import NONE_ADOPTED, Adopted, LiveObject, LiveService, LiveTask
from provisioning.providers.swarm import tar_stream
from sprocket_v2.errors import ApplyError

TIMEOUT_S = 30
_LETS_GO_S = (0.0, 0.5, 1.0, 1.5)
ORG = "sprocket.org"
Data = Mapping[str, Any]


class Swarm(Protocol):
    """What the provider asks of Docker. Objects are Docker's own JSON; None stands for "not there"."""

    def find(self, kind: str, name: str) -> Data | None:
        """A network, volume, config, secret or service by name, or by the engine's id."""
        ...

    def create(self, kind: str, spec: Data) -> str:
        """Make an object from the engine's own specification; its id."""
        ...

    def update_service(self, service_id: str, version: int, spec: Data) -> None:
        """Give a service another specification."""
        ...

    def remove(self, kind: str, name: str) -> None:
        """Remove an object; one that is gone is no error."""
        ...

    def tasks(self, service: str) -> Sequence[Data]:
        """All tasks of a service, newest first."""
        ...

    def last_lines(self, service: str, count: int = 200) -> list[str]:
        """The last log lines of a service, oldest first."""
        ...

    def container_lines(self, container: str, count: int) -> list[str]:
        """The last log lines of one container, oldest first; none when it is gone."""
        ...

    def local_image_id(self, reference: str) -> str:
        """The id of an image on this machine; empty when it is not here."""
        ...

    def container_image_id(self, container: str) -> str:
        """The id of the image a container runs; empty when it is gone."""
        ...

    def network_name(self, network_id: str) -> str:
        """A network's name by its id."""
        ...

    def publishers(self, port: int) -> list[str]:
        """Names of services that publish a port on the machine."""
        ...

    def is_port_free(self, port: int) -> bool:
        """Whether nothing on this machine listens there; True where it cannot be known."""
        ...


def connect(docker_host: str = "") -> DockerSwarm:
    """The process's client.

    Args:
        docker_host: as DOCKER_HOST; empty for that variable, else the local socket.
    Raises:
        ApplyError: Docker cannot be reached; three messages for three reasons.
    """
    address = docker_host or os.environ.get("DOCKER_HOST") or "unix:///var/run/docker.sock"
    if address.startswith("ssh://"):
        target = address.removeprefix("ssh://")
        raise ApplyError(
            f"{address}: an engine is spoken to through a socket",
            hint=f"`ssh -nNT -L estate.sock:/var/run/docker.sock {target}` in another window brings its socket here; then unix://$PWD/estate.sock",
            where=address,
        )
    try:
        api: Any = docker.APIClient(base_url=address, version="auto", timeout=TIMEOUT_S, max_pool_size=32)
    except DockerException as error:
        raise _unreachable(address, error) from None
    return DockerSwarm(api, address)


def _unreachable(address: str, error: Exception) -> ApplyError:
    path = address.removeprefix("unix://")
    if "Permission denied" in str(error):
        return ApplyError("permission denied on Docker's socket", hint="add your user to the group docker, then sign in anew", where=path)
    if address.startswith("unix://") and not os.path.exists(path):  # noqa: PTH110 - one look
        return ApplyError(
            "no Docker on this machine, or it is not started", hint="`sprocket doctor` says how to install or start it", where=path
        )
    return ApplyError(
        "Docker is not started", hint="start it (`systemctl start docker`); `sprocket doctor` says more", where=path, transient=True
    )


@contextmanager
def _words(what: str) -> Iterator[None]:
    """Docker's errors as ours."""
    try:
        yield
    except APIError as error:
        text = str(error.explanation or error)
        if "not a swarm manager" in text:
            raise ApplyError("swarm is not active", hint="docker swarm init --advertise-addr 127.0.0.1", where="Docker") from None
        raise ApplyError(f"{what}: Docker says {text}", hint="`sprocket doctor` checks the engine", where="Docker") from None
    except requests.exceptions.Timeout:
        raise ApplyError(
            f"{what}: no answer within {TIMEOUT_S} s", hint="is the machine overloaded?", where="Docker", transient=True
        ) from None
    except (requests.exceptions.ConnectionError, DockerException) as error:
        raise ApplyError(f"{what}: {type(error).__name__}", hint="is Docker still running?", where="Docker", transient=True) from None


def _binds(port: int, wait_s: float) -> bool:
    """Whether a port can be taken after a moment: Docker lets go of a stopped service's only after its last task has ended, and a high one
    may be an outgoing connection's for as long as that lasts."""
    time.sleep(wait_s)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - Swarm publishes on every address
        except OSError:
            return False
    return True


def _ports(spec: Data) -> Sequence[Data]:
    return (spec.get("EndpointSpec") or {}).get("Ports") or ()


def _holds(spec: Data, port: Data) -> bool:
    """Whether a service holds a port it names: a port of the machine is its tasks', one of the ingress network the service's itself."""
    return port.get("PublishMode") != "host" or (spec["Mode"].get("Replicated") or {}).get("Replicas", 1) > 0


class DockerSwarm:
    """The real client. Thread safe: the provider makes many objects at once."""

    def __init__(self, api: Any, address: str) -> None:  # noqa: ANN401 - the SDK is half typed
        self._api = api
        self._is_local = address.startswith("unix://")
        self._network_names: dict[str, str] = {}

    # --- objects

    def find(self, kind: str, name: str) -> Data | None:
        """A network, volume, config, secret or service by name, or by the engine's id."""
        calls: dict[str, Callable[[str], Data]] = {
            "network": self._api.inspect_network,
            "volume": self._api.inspect_volume,
            "service": self._api.inspect_service,
            "config": self._api.inspect_config,
            "secret": self._api.inspect_secret,
        }
        with _words(f"reading {kind} {name}"):
            if kind in ("config", "secret"):  # inspecting takes an id only
                listed = self._api.configs if kind == "config" else self._api.secrets
                found = [item for item in listed(filters={"name": name}) if item["Spec"]["Name"] == name]
                if found:
                    return found[0]
            try:
                return calls[kind](name)
            except NotFound:
                return None

    def create(self, kind: str, spec: Data) -> str:
        """Make an object from the engine's own specification; its id."""
        with _words(f"creating {kind} {spec['Name']}"):
            if kind == "network":
                answer = self._api.create_network(
                    spec["Name"],
                    driver="overlay",
                    labels=spec["Labels"],
                    internal=spec["Internal"],
                    attachable=spec["Attachable"],
                    scope="swarm",
                    ipam=IPAMConfig(pool_configs=[IPAMPool(subnet=spec["Subnet"])]) if spec["Subnet"] else None,
                )
                return str(answer["Id"])
            if kind == "volume":
                made = self._api.create_volume(spec["Name"], labels=spec["Labels"], driver_opts=spec.get("DriverOpts") or None)
                return str(made["Name"])
            if kind == "config":
                return str(self._api.create_config(spec["Name"], spec["Data"], labels=spec["Labels"])["ID"])
            if kind == "secret":
                return str(self._api.create_secret(spec["Name"], spec["Data"], labels=spec["Labels"])["ID"])
            return str(self._api.create_service(**self._service_arguments(spec))["ID"])

    def update_service(self, service_id: str, version: int, spec: Data) -> None:
        """Give a service another specification."""
        with _words(f"updating service {spec['Name']}"):
            self._api.update_service(service_id, version, fetch_current_spec=False, **self._service_arguments(spec))

    def remove(self, kind: str, name: str) -> None:
        """Remove an object; one that is gone is no error."""
        calls: dict[str, Callable[[str], Any]] = {
            "network": self._api.remove_network,
            "volume": self._api.remove_volume,
            "config": self._api.remove_config,
            "secret": self._api.remove_secret,
            "service": self._api.remove_service,
        }
        with _words(f"removing {kind} {name}"):
            try:
                calls[kind](name)
            except NotFound:
                return

    def _service_arguments(self, spec: Data) -> dict[str, Any]:
        return {
            "task_template": spec["TaskTemplate"],
            "name": spec["Name"],
            "labels": spec["Labels"],
            "mode": spec["Mode"],
            "update_config": spec.get("UpdateConfig"),
            "rollback_config": spec.get("RollbackConfig"),
            "endpoint_spec": spec.get("EndpointSpec"),
        }

    # --- what runs

    def tasks(self, service: str) -> Sequence[Data]:
        """All tasks of a service, newest first."""
        with _words(f"reading the tasks of {service}"):
            found: list[Data] = self._api.tasks(filters={"service": service})
        return sorted(found, key=lambda task: str(task["CreatedAt"]), reverse=True)

    def last_lines(self, service: str, count: int = 200) -> list[str]:
        """The last log lines of a service, oldest first; none when they cannot be read."""
        try:
            stream = self._api.service_logs(service, stdout=True, stderr=True, tail=count, follow=False)
            text = b"".join(stream) if not isinstance(stream, bytes) else stream
        except (APIError, requests.exceptions.RequestException):
            return []
        return [line.rstrip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()][-count:]

    def container_lines(self, container: str, count: int) -> list[str]:
        """The last log lines of one container, oldest first; none when it is gone."""
        try:
            text: bytes = self._api.logs(container, stdout=True, stderr=True, tail=count)
        except (APIError, requests.exceptions.RequestException):
            return []
        return [line.rstrip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]

    def local_image_id(self, reference: str) -> str:
        """The id of an image on this machine; empty when it is not here."""
        with _words(f"reading image {reference}"):
            try:
                return str(self._api.inspect_image(reference)["Id"])
            except ImageNotFound:
                return ""

    def registry_digest(self, reference: str) -> tuple[str, list[str]]:
        """The registry's digest and architectures of an image; empty when no registry answers."""
        try:
            found = self._api.inspect_distribution(reference)
        except (APIError, DockerException, requests.exceptions.RequestException):
            return "", []
        platforms = [f"{p.get('os', '')}/{p.get('architecture', '')}" for p in found.get("Platforms") or ()]
        return str(found["Descriptor"]["digest"]), sorted({p for p in platforms if "unknown" not in p})

    def container_image_id(self, container: str) -> str:
        """The id of the image a container runs; empty when it is gone."""
        if not container:
            return ""
        with _words("reading a container"):
            try:
                return str(self._api.inspect_container(container)["Image"])
            except NotFound:
                return ""

    def network_name(self, network_id: str) -> str:
        """A network's name by its id."""
        if network_id not in self._network_names:
            found = self.find("network", network_id)
            if found is None:
                return network_id
            self._network_names[network_id] = str(found["Name"])
        return self._network_names[network_id]

    def about(self) -> tuple[str, int, str]:
        """Docker's version, its machine's memory in bytes, and the folder of its data; that is empty for an engine elsewhere."""
        with _words("reading the engine"):
            info: Data = self._api.info()
        return (
            str(info.get("ServerVersion", "")),
            int(info.get("MemTotal") or 0),
            str(info.get("DockerRootDir", "")) if self._is_local else "",
        )

    def publishers(self, port: int) -> list[str]:
        """Names of services that publish a port on the machine."""
        with _words("reading services"):
            services = self._api.services()
        return [
            str(service["Spec"]["Name"])
            for service in services
            if any(item.get("PublishedPort") == port and _holds(service["Spec"], item) for item in _ports(service["Spec"]))
        ]

    def is_port_free(self, port: int) -> bool:
        """Whether nothing on this machine listens there; True where it cannot be known (another machine's engine)."""
        return not self._is_local or any(_binds(port, wait_s) for wait_s in _LETS_GO_S)

    def machine(self) -> dict[str, Any]:
        """Docker's own words on where it runs: `info`, `nodes`, `swarm`, and whether its paths are this process's (`is_local`)."""
        with _words("reading the machine"):
            return {
                "info": self._api.info(),
                "nodes": self._api.nodes(),
                "swarm": self._api.inspect_swarm(),
                "is_local": self._is_local,
            }

    def everything(self, kind: str) -> list[Data]:
        """All objects of a kind on the engine, whoever made them."""
        calls: dict[str, Callable[[], Any]] = {
            "service": self._api.services,
            "network": self._api.networks,
            "volume": lambda: self._api.volumes()["Volumes"] or [],
            "config": self._api.configs,
            "secret": self._api.secrets,
        }
        with _words(f"reading every {kind}"):
            return list(calls[kind]())

    # --- reading for verify, plans and pages (provisioning.live.LiveReader)

    def live_services(self, org: str, adopted: Adopted = NONE_ADOPTED) -> list[LiveService]:
        """All services that carry the organization's label or were adopted by it, with their tasks."""
        names = {name for kind, name in adopted if kind == "service"}
        with _words("reading services"):
            services = self._api.services(filters={"label": f"{ORG}={org}"})
            if names:
                mine = {str(service["ID"]) for service in services}
                services += [s for s in self._api.services() if s["Spec"]["Name"] in names and str(s["ID"]) not in mine]
            tasks: list[Data] = self._api.tasks(filters={"label": f"{NAMESPACE}={org}"}) if services and not names else []
            if {str(service["ID"]) for service in services} - {str(task["ServiceID"]) for task in tasks}:
                tasks = self._api.tasks()  # not all of them carry the label: an estate's do not
        by_service: dict[str, list[Data]] = {}
        for task in sorted(tasks, key=lambda item: str(item["CreatedAt"]), reverse=True):
            by_service.setdefault(str(task["ServiceID"]), []).append(task)
        return [self._live_service(service, by_service.get(str(service["ID"]), [])) for service in services]

    def _live_service(self, service: Data, tasks: list[Data]) -> LiveService:
        spec = service["Spec"]
        return LiveService(
            name=str(spec["Name"]),
            id=str(service["ID"]),
            version=int(service["Version"]["Index"]),
            image=str(spec["TaskTemplate"]["ContainerSpec"]["Image"]),
            wanted=int(spec["Mode"].get("Replicated", {}).get("Replicas", 0)),
            is_job=spec["Labels"].get("sprocket.kind") == "job",
            tasks=tuple(self._live_task(task) for task in tasks),
            published_ports=tuple(int(p["PublishedPort"]) for p in (spec.get("EndpointSpec") or {}).get("Ports") or ()),
            networks=tuple(self.network_name(str(n["Target"])) for n in spec["TaskTemplate"].get("Networks") or ()),
        )

    def _live_task(self, task: Data) -> LiveTask:
        status = task["Status"]
        container = status.get("ContainerStatus") or {}
        details = self._container(str(container.get("ContainerID", ""))) if status["State"] == "running" else {}
        ended = status["State"] in ("complete", "failed", "shutdown")
        return LiveTask(
            id=str(task["ID"]),
            state=str(status["State"]),
            desired=str(task["DesiredState"]),
            error=str(status.get("Err", "")),
            container=str(container.get("ContainerID", "")),
            image_id=str(details.get("Image", "")),
            health=str(((details.get("State") or {}).get("Health") or {}).get("Status", "")),
            exit_code=int(container.get("ExitCode", 0)) if ended and container.get("ContainerID") else None,
        )

    def _container(self, container: str) -> Data:
        try:
            found: Data = self._api.inspect_container(container) if container else {}
        except (APIError, requests.exceptions.RequestException):
            return {}
        return found

    def live_objects(self, org: str, adopted: Adopted = NONE_ADOPTED) -> list[LiveObject]:
        """All networks, volumes, configs and secrets that carry the organization's label or were adopted by it."""
        found = self._objects({"label": f"{ORG}={org}"})
        if adopted:
            found += [item for item in self._objects({}) if (item.kind, item.name) in adopted and item not in found]
        return found

    def _objects(self, mine: Mapping[str, str]) -> list[LiveObject]:
        with _words("reading objects"):
            found = [LiveObject("network", str(n["Name"]), str(n["Id"])) for n in self._api.networks(filters=mine)]
            volumes = self._api.volumes(filters=mine)["Volumes"] or ()
            # A volume's name is its id. What Docker calls CreatedAt is when its top folder last changed: data moves it (measured, 20.10).
            found += [LiveObject("volume", str(v["Name"]), str(v["Name"])) for v in volumes]
            for kind, listed in (("config", self._api.configs), ("secret", self._api.secrets)):
                found += [LiveObject(kind, str(o["Spec"]["Name"]), str(o["ID"]), int(o["Version"]["Index"])) for o in listed(filters=mine)]
        return found

    def run_in(self, container: str, command: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        """Exit code and output of a command inside a container."""
        with _words(f"running {command[0]} in a container"):
            made = self._api.exec_create(container, list(command), stdout=True, stderr=True)
            old, self._api.timeout = self._api.timeout, timeout_s
            try:
                output: bytes = self._api.exec_start(made["Id"], detach=False)
            finally:
                self._api.timeout = old
            return int(self._api.exec_inspect(made["Id"])["ExitCode"] or 0), output.decode("utf-8", "replace")

    def run_with(self, container: str, command: Sequence[str], said: bytes, *, timeout_s: float = 30.0) -> tuple[int, str]:
        """As `run_in`, for a command that is told something on its standard input: the way for passwords, which no process list shows."""
        with _words(f"running {command[0]} in a container"):
            made = self._api.exec_create(container, list(command), stdin=True, stdout=True, stderr=True)
            stream = self._api.exec_start(made["Id"], socket=True)
            line = getattr(stream, "_sock", stream)
            try:
                line.settimeout(timeout_s)
                line.sendall(said)
                line.shutdown(socket.SHUT_WR)
                output = b"".join(piece for _, piece in frames_iter(line, tty=False))  # type: ignore[no-untyped-call]
            except TimeoutError:
                raise ApplyError(
                    f"{command[0]} did not end within {timeout_s:.0f} s", hint="look into the container", where=container[:12]
                ) from None
            finally:
                stream.close()
            return int(self._api.exec_inspect(made["Id"])["ExitCode"] or 0), output.decode("utf-8", "replace")

    # --- for backups: copies out of and into a container, and services that stop and start for a restore

    def read_folder(self, container: str, path: str) -> Iterator[tuple[str, Iterator[bytes]]]:
        """The plain files of a folder in a container, each as a stream, to be used in order."""
        with _words(f"copying {path} out of a container"):
            pieces, _ = self._api.get_archive(container, path, chunk_size=tar_stream.PIECE)
            yield from tar_stream.unpack(pieces)

    def write_folder(self, container: str, path: str, files: Mapping[str, Path]) -> None:
        """Make a folder in a container that holds these files, by name."""
        parent, _, name = path.rpartition("/")
        with _words(f"copying into {path} of a container"):
            self._api.put_archive(container, parent, tar_stream.pack(name, files))

    def scale(self, service: str, replicas: int) -> int:
        """Set how many tasks a service wants; how many it wanted before."""
        before = 0

        def change(spec: dict[str, Any]) -> None:
            nonlocal before
            before = int(spec["Mode"]["Replicated"].get("Replicas", 0))
            spec["Mode"] = {"Replicated": {"Replicas": replicas}}

        self._change(service, change)
        return before

    def run_again(self, service: str) -> None:
        """Give a service new tasks, though nothing else differs: a job runs once more."""

        def change(spec: dict[str, Any]) -> None:
            spec["TaskTemplate"]["ForceUpdate"] = int(spec["TaskTemplate"].get("ForceUpdate", 0)) + 1

        self._change(service, change)

    def _change(self, service: str, change: Callable[[dict[str, Any]], None]) -> None:
        found = self.find("service", service)
        if found is None:
            raise ApplyError(f"there is no service {service}", hint="apply the blueprint again", where=service)
        # What a specification does not say stays unsaid: an estate's services come back exactly as they were.
        spec = {"UpdateConfig": None, "RollbackConfig": None, "EndpointSpec": None, **found["Spec"]}
        change(spec)
        self.update_service(str(found["ID"]), int(found["Version"]["Index"]), spec)
