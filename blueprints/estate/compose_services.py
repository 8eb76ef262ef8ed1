"""One service of a people's Compose file as `ServiceArgs`: both syntaxes of everything that has two, variables, dangers, gaps. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.compose import Attached, Healthcheck, Mount, Mounted, Port, ServiceArgs
from blueprints.estate.compose_yaml import Document, Lines
from blueprints.estate.model import Item, Origin, Remark
from blueprints.estate.reading import Reading, as_text
from blueprints.estate.rules import remark
from blueprints.estate.secrecy import without_secrets
from orgs.grammar import shown

_READ = frozenset(
    "image command entrypoint environment env_file networks network_mode secrets configs volumes ports healthcheck stop_grace_period stop_signal "
    "logging init user deploy hostname labels working_dir read_only cap_add privileged profiles depends_on build extends restart tmpfs "
    "container_name".split()
)
_VARIABLE = re.compile(r"\$(?:\$|\{(?P<braced>\w+)(?:(?P<how>:?[-?+])(?P<default>[^}]*))?\}|(?P<plain>[A-Za-z_]\w*))")
_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock", "/var/run/podman/podman.sock", "/run/containerd/containerd.sock")
_SIZES = {"": 1, "b": 1, "k": 1024, "kb": 1024, "m": 1024**2, "mb": 1024**2, "g": 1024**3, "gb": 1024**3}
_RESTARTS = {"always": "any", "unless-stopped": "any", "on-failure": "on-failure", "no": "none"}


@dataclass(frozen=True, slots=True)
class Source:
    """The file around a service.

    Attributes:
        reported: lines whose secret is remarked already; the reader adds its own.
    """

    name: str
    layer: str
    key: bytes
    document: Document
    reported: set[int]

    def where(self, path: tuple[str, ...]) -> str:
        """File and line of a path, or of what is around it."""
        return f"{self.name}:{line_of(self.document.lines, path)}"


def line_of(lines: Lines, path: tuple[str, ...]) -> int:
    """The line of a path, or of the nearest thing around it."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


class ServiceReader:
    """One service while it is read: both syntaxes of everything that has two."""

    def __init__(self, source: Source, word: str, row: Mapping[str, Any], origin: Origin) -> None:
        self._source, self._word, self._origin = source, word, origin
        self._reading = Reading()
        self._remarks: list[Remark] = []
        self._is_partial = False
        self._row = {key: self._filled(value, (key,)) for key, value in row.items()}

    def item(self) -> Item:
        """The row, without a secret in it."""
        args, why = without_secrets(self._args(), self._source.key)
        for name, reason in why.items():
            path = ("services", self._word, *name.split(".", 1))
            self._source.reported.add(line_of(self._source.document.lines, path))
            reference = next((text for text in _texts_of(args, name) if "withheld:" in text), "")
            self._note(
                "secret.in-clear", f"{name}: {reason}; kept as {reference[reference.find('withheld:') :]}", tuple(name.split(".", 1))
            )
        self._dangers()
        self._gaps()
        row = self._row
        facts = {"key": self._word, "depends_on": sorted(_names(row.get("depends_on")))}
        if row.get("profiles"):
            facts["profiles"] = list(self._reading.words(row["profiles"], "profiles"))
        is_partial = self._is_partial or bool(self._reading.wrong)
        return Item(
            "service", args.name, self._origin, self._source.layer, service=args, facts=facts,
            completeness="partial" if is_partial else "full", withheld=why, remarks=tuple(self._remarks),
        )  # fmt: skip

    def _note(self, rule: str, message: str, path: tuple[str, ...] = ()) -> None:
        self._remarks.append(remark(rule, message, self._source.where(("services", self._word, *path))))

    def _filled(self, value: Any, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - YAML
        """The value with variables replaced by their defaults; a variable without one stays, and is remarked."""
        if isinstance(value, dict):
            return {key: self._filled(item, (*path, key)) for key, item in value.items()}
        if isinstance(value, list):
            return [self._filled(item, (*path, str(index))) for index, item in enumerate(value)]
        if not isinstance(value, str) or "$" not in value:
            return value

        def fill(match: re.Match[str]) -> str:
            name = match["braced"] or match["plain"]
            if name is None:
                return "$"
            if match["how"] and "-" in match["how"]:
                return str(match["default"])
            self._is_partial = True
            self._note("compose.interpolation", f"{'.'.join(path)}: the variable {shown(name)} has no value here", path)
            return match[0]

        return _VARIABLE.sub(fill, value)

    def _dangers(self) -> None:
        row = self._row
        if row.get("network_mode") == "host":
            self._note("compose.host-network", "it is in the host's own network", ("network_mode",))
        if row.get("privileged") is True:
            self._note("compose.privileged", "it is privileged", ("privileged",))
        for mount in self._mounts():
            if mount.type == "bind" and mount.source.rstrip("/") in _SOCKETS:
                self._note("compose.engine-socket", f"it has the engine's socket {mount.source}", ("volumes",))

    def _gaps(self) -> None:
        row = self._row
        if row.get("env_file"):
            self._is_partial = True
            self._note(
                "compose.env-file",
                f"its environment is also in {', '.join(map(shown, _names(row['env_file'])))}, which is not here",
                ("env_file",),
            )
        if not row.get("image"):
            self._is_partial = True
            self._note("compose.build", "it is built here and has no image's name" if row.get("build") else "it has no image", ("build",))
        if row.get("profiles"):
            self._note("compose.profile", f"it starts only with profile {' or '.join(map(shown, _names(row['profiles'])))}", ("profiles",))
        unread = sorted(key for key in row if key not in _READ and not key.startswith("x-"))
        if unread:
            self._note("compose.unread", f"not taken over: {', '.join(map(shown, unread[:12]))}", (unread[0],))
        if self._reading.wrong:
            wrong = ", ".join(map(shown, sorted(set(self._reading.wrong))[:12]))
            self._note("compose.unread", f"not as a service's should be, left out: {wrong}")

    def _args(self) -> ServiceArgs:
        row, reading = self._row, self._reading
        deploy = reading.mapping(row.get("deploy"), "deploy")
        update, restart = (
            reading.mapping(deploy.get("update_config"), "update_config"),
            reading.mapping(deploy.get("restart_policy"), "restart_policy"),
        )
        resources, placement = reading.mapping(deploy.get("resources"), "resources"), reading.mapping(deploy.get("placement"), "placement")
        limits, reserved = (
            reading.mapping(resources.get("limits"), "limits"),
            reading.mapping(resources.get("reservations"), "reservations"),
        )
        logging = reading.mapping(row.get("logging"), "logging")
        is_global = deploy.get("mode") == "global"
        return ServiceArgs(
            name=self._word,
            labels=reading.texts(deploy.get("labels"), "deploy.labels"),
            image=reading.text(row.get("image"), "image"),
            image_id="",
            entrypoint=self._command("entrypoint"),
            command=self._command("command"),
            environment=self._environment(),
            user=reading.text(row.get("user"), "user"),
            healthcheck=self._healthcheck(),
            mounts=self._mounts(),
            secrets=self._mounted("secrets", "/run/secrets/"),
            configs=self._mounted("configs", "/"),
            networks=self._networks(),
            ports=tuple(self._ports()),
            replicas=0 if is_global else reading.number(deploy.get("replicas", 1), "replicas"),
            nano_cpus=self._cpus(limits.get("cpus"), "cpus"),
            memory_bytes=self._size(limits.get("memory"), "memory"),
            init=row.get("init") is True,
            stop_grace_s=reading.seconds(row.get("stop_grace_period"), "stop_grace_period"),
            restart=reading.text(restart.get("condition"), "restart") or _RESTARTS.get(as_text(row.get("restart")).partition(":")[0], ""),
            restart_delay_s=reading.seconds(restart.get("delay"), "restart.delay"),
            order=reading.text(update.get("order"), "update.order"),
            monitor_s=reading.seconds(update.get("monitor"), "update.monitor"),
            log_driver=reading.text(logging.get("driver"), "logging.driver"),
            log_options=reading.texts(logging.get("options"), "logging.options"),
            mode="global" if is_global else "replicated",
            endpoint_mode=reading.text(deploy.get("endpoint_mode"), "endpoint_mode") or "vip",
            hostname=reading.text(row.get("hostname"), "hostname"),
            working_dir=reading.text(row.get("working_dir"), "working_dir"),
            stop_signal=reading.text(row.get("stop_signal"), "stop_signal"),
            read_only=row.get("read_only") is True,
            capabilities=reading.words(row.get("cap_add"), "cap_add"),
            container_labels=reading.texts(row.get("labels"), "labels"),
            constraints=reading.words(placement.get("constraints"), "constraints"),
            max_per_node=reading.number(placement.get("max_replicas_per_node"), "max_replicas_per_node"),
            reserved_memory_bytes=self._size(reserved.get("memory"), "reservations.memory"),
            reserved_nano_cpus=self._cpus(reserved.get("cpus"), "reservations.cpus"),
            restart_attempts=reading.number(restart.get("max_attempts"), "max_attempts"),
            restart_window_s=reading.seconds(restart.get("window"), "restart.window"),
            update_parallelism=reading.number(update.get("parallelism", 1), "update.parallelism"),
            failure_action=reading.text(update.get("failure_action"), "update.failure_action"),
        )

    def _command(self, name: str) -> tuple[str, ...]:
        value = self._row.get(name)
        if not isinstance(value, str):
            return self._reading.words(value, name)
        try:
            return tuple(shlex.split(value))
        except ValueError:
            self._reading.wrong.append(name)
            return ()

    def _environment(self) -> dict[str, str]:
        given = self._row.get("environment")
        for name in [item for item in given if isinstance(item, str) and "=" not in item] if isinstance(given, list) else ():
            self._is_partial = True
            self._note("compose.interpolation", f"environment.{name}: its value comes from the shell that starts it", ("environment",))
        if isinstance(given, dict):
            for name in [key for key, value in given.items() if value is None]:
                self._is_partial = True
                self._note(
                    "compose.interpolation", f"environment.{name}: its value comes from the shell that starts it", ("environment", name)
                )
        return self._reading.texts(given, "environment")

    def _healthcheck(self) -> Healthcheck | None:
        given = self._reading.mapping(self._row.get("healthcheck"), "healthcheck")
        if not given or given.get("disable") is True:
            return None
        test = given.get("test")
        words = ("CMD-SHELL", test) if isinstance(test, str) else self._reading.words(test, "healthcheck.test")
        seconds, default = self._reading.seconds, {"interval": "30s", "timeout": "30s", "start_period": "0s"}
        times = {name: seconds(given.get(name, usual), f"healthcheck.{name}") for name, usual in default.items()}
        retries = self._reading.number(given.get("retries", 3), "healthcheck.retries")
        return Healthcheck(words, times["interval"], times["timeout"], retries, times["start_period"]) if words else None

    def _mounts(self) -> tuple[Mount, ...]:
        found = [Mount("tmpfs", "", path.partition(":")[0]) for path in _names(self._row.get("tmpfs"))]
        volumes = self._source.document.data.get("volumes")
        named = volumes if isinstance(volumes, dict) else {}
        for index, item in enumerate(self._reading.items(self._row.get("volumes"), "volumes")):
            if isinstance(item, str):
                found.append(_short_mount(item, named))
            else:
                given, text = self._reading.mapping(item, f"volumes.{index}"), self._reading.text
                source = text(given.get("source"), "volumes.source")
                source = _part_name(named, source) if given.get("type", "volume") == "volume" else source
                found.append(
                    Mount(
                        text(given.get("type"), "volumes.type") or "volume",
                        source,
                        text(given.get("target"), "volumes.target"),
                        read_only=given.get("read_only") is True,
                    )
                )
        return tuple(found)

    def _mounted(self, section: str, folder: str) -> tuple[Mounted, ...]:
        parts = self._source.document.data.get(section)
        named = parts if isinstance(parts, dict) else {}
        found = []
        for index, item in enumerate(self._reading.items(self._row.get(section), section)):
            given = {"source": item} if isinstance(item, str) else self._reading.mapping(item, f"{section}.{index}")
            source, text = self._reading.text(given.get("source"), section), self._reading.text
            target = text(given.get("target"), section) or source
            mode = self._reading.number(given.get("mode", 0o444), f"{section}.mode")
            owner = text(given.get("uid"), section) or "0", text(given.get("gid"), section) or "0"
            found.append(Mounted(_part_name(named, source), target if target.startswith("/") else folder + target, mode, *owner))
        return tuple(found)

    def _networks(self) -> tuple[Attached, ...]:
        given = self._row.get("networks")
        networks = self._source.document.data.get("networks")
        named = networks if isinstance(networks, dict) else {}
        if isinstance(given, list):
            return tuple(Attached(_part_name(named, name), ()) for name in sorted(self._reading.words(given, "networks")))
        found = []
        for name, item in sorted(self._reading.mapping(given, "networks").items()):
            aliases = self._reading.words(self._reading.mapping(item, f"networks.{name}").get("aliases"), f"networks.{name}.aliases")
            found.append(Attached(_part_name(named, name), tuple(sorted(aliases))))
        return tuple(found)

    def _ports(self) -> Iterator[Port]:
        for index, item in enumerate(self._reading.items(self._row.get("ports"), "ports")):
            if isinstance(item, dict):
                number, text = self._reading.number, self._reading.text
                target, published = number(item.get("target"), "ports.target"), number(item.get("published"), "ports.published")
                yield Port(
                    target,
                    published,
                    text(item.get("protocol"), "ports.protocol") or "tcp",
                    text(item.get("mode"), "ports.mode") or "ingress",
                )
                continue
            ports = _short_ports(as_text(item))
            if not ports:
                self._reading.wrong.append(f"ports.{index}")
            yield from ports

    def _cpus(self, value: Any, name: str) -> int:  # noqa: ANN401 - YAML
        text = as_text(value)
        if text and not re.fullmatch(r"\d{1,4}(\.\d{1,9})?|\.\d{1,9}", text):
            self._reading.wrong.append(name)
            return 0
        return round(float(text or 0) * 1e9)

    def _size(self, value: Any, name: str) -> int:  # noqa: ANN401 - YAML
        found = re.fullmatch(r"(\d{1,15})\s*([a-z]{0,2})", as_text(value).lower())
        if value is not None and (not found or found[2] not in _SIZES):
            self._reading.wrong.append(name)
            return 0
        return int(found[1]) * _SIZES[found[2]] if found else 0


def _part_name(named: Mapping[str, Any], key: str) -> str:
    """The Docker name of a part that a service names by its key in the file."""
    row = named.get(key)
    name = row.get("name") if isinstance(row, dict) else None
    return name if isinstance(name, str) and name else key


def _names(value: Any) -> list[str]:  # noqa: ANN401 - YAML
    """One name, a list of names, a list of {path}, or the keys of a mapping."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [str(key) for key in value]
    found = [item.get("path") if isinstance(item, dict) else item for item in value] if isinstance(value, list) else []
    return [item for item in found if isinstance(item, str)]


def _short_mount(text: str, named: Mapping[str, Any]) -> Mount:
    parts = text.split(":")
    if len(parts) == 1:
        return Mount("volume", "", parts[0])
    source, target, options = parts[0], parts[1], parts[2] if len(parts) > 2 else ""
    is_path = source.startswith(("/", ".", "~", "$"))
    return Mount(
        "bind" if is_path else "volume", source if is_path else _part_name(named, source), target, read_only="ro" in options.split(",")
    )


def _short_ports(text: str) -> list[Port]:
    """`80`, `8080:80`, `127.0.0.1:8080:80/udp`, `3000-3002:3000-3002`."""
    found = re.fullmatch(
        r"(?:(?:\[[0-9a-f:]+\]|\d+(?:\.\d+){3}):)?(?:(\d{1,5})(?:-(\d{1,5}))?:)?(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", text
    )
    if not found:
        return []
    first, last, target, target_last = (int(n) if n else 0 for n in found.groups()[:4])
    count = (target_last or target) - target + 1
    if not 0 < count <= 1000 or max(last, target_last, first, target) > 65535 or (last and last - first + 1 != count):
        return []
    return [Port(target + n, first + n if first else 0, found[5] or "tcp", "ingress") for n in range(count)]


def _texts_of(args: ServiceArgs, field_name: str) -> list[str]:
    """What stands in a field such as `environment.TOKEN` or `command.3`."""
    part, _, inside = field_name.partition(".")
    value: Any = args.healthcheck.test if part == "healthcheck" and args.healthcheck else getattr(args, part)
    return [value[inside]] if isinstance(value, Mapping) else [value[int(inside)]]
