"""The Docker objects of the host's edge: made or adopted, converged, removed. Every step looks first, so that each may be repeated.

The only service that may be on other organizations' networks, and only on their entry networks. Imports the Docker client: import late.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from blueprints.catalog import TEMPLATES, load_catalog
from blueprints.compose import ServiceArgs, StackSpec, read_stack
from blueprints.host_edge import KEY, OUT, Member, draw_edge
from blueprints.lock import LockedImage, read_lock
from blueprints.names import docker_name
from blueprints.shared import NETWORK
from provisioning.docker_door import local_image_ids
from provisioning.providers.swarm import config, network, service
from provisioning.providers.swarm.client import ORG, DockerSwarm, connect
from provisioning.providers.swarm.owner import RESOURCE
from sprocket_v2.errors import ApplyError

_GONE_WITHIN_S = 30.0
Sleep = Callable[[float], None]


class EdgeObjects:
    """One edge, by its name."""

    def __init__(self, name: str, swarm: DockerSwarm | None = None, sleep: Sleep = time.sleep) -> None:
        self.name = name
        self.swarm = swarm or connect()
        self._sleep = sleep

    @property
    def service(self) -> str:
        """Docker name of its Traefik."""
        return docker_name(self.name, KEY)

    def files(self, members: Iterable[Member]) -> dict[str, str]:
        """Its files, for these members."""
        return draw_edge(self.name, members, _image().reference, TEMPLATES)

    def is_as_wanted(self, members: Sequence[Member]) -> bool | None:
        """Whether its service is what these members ask for; None when there is no edge."""
        return service.is_as_wanted(self.swarm, self._args(self.files(members)))

    def is_running(self) -> bool:
        """Whether it answers its health check now."""
        return any(len(found.running) == found.wanted for found in self.swarm.live_services(self.name))

    def reachable(self, members: Iterable[Member]) -> list[Member]:
        """Those whose entry network is there and theirs: one that was removed by hand takes nobody else down."""
        return [member for member in members if self._has_network(member)]

    def refuse_taken_ports(self, ports: Iterable[int], slug: str) -> None:
        """Refuse an entry port that something else than the edge, or the organization itself, holds.

        Raises:
            ApplyError: which port; not whose it is.
        """
        for port in sorted(set(ports)):
            publishers = self.swarm.publishers(port)
            others = [name for name in publishers if name != self.service and not name.startswith(f"{slug}_")]
            if others:
                raise ApplyError(
                    f"entry port {port} is published on this host by a deployment that does not share it",
                    hint="choose another entry port, or let that organization share too",
                    where="access",
                )
            if not publishers and not self.swarm.is_port_free(port):
                raise ApplyError(
                    f"entry port {port} is taken by another program on this machine",
                    hint=f"stop it (`ss -ltnp 'sport = :{port}'` names it), or choose another entry port",
                    where="access",
                )

    def make(self, members: Sequence[Member]) -> None:
        """Make it, or bring it to what these members ask for, and wait until it is healthy; Swarm rolls a bad update back."""
        files = self.files(members)
        stack = self._stack(files)
        for part in stack.networks:
            if not part.external:
                network.create(self.swarm, network.NetworkArgs(part.name, part.labels, part.internal))
        for part in stack.configs:
            text = files[part.file.removeprefix("./")]
            config.create(self.swarm, config.ConfigArgs(part.name, part.labels, text))
        service.create(self.swarm, stack.services[KEY], str, owners=self._owner, sleep=self._sleep)
        self._remove_configs(keep={part.name for part in stack.configs})

    def remove(self) -> None:
        """Remove all of it; gone already is fine."""
        found = self.swarm.find("service", self.service)
        if found is not None:
            service.delete(self.swarm, service.read_args(self.swarm, found), self._sleep)
        self._remove_configs(keep=set())
        limit = time.monotonic() + _GONE_WITHIN_S
        while self.swarm.find("network", docker_name(self.name, OUT)) is not None:
            try:
                self.swarm.remove("network", docker_name(self.name, OUT))
            except ApplyError:  # in use until its last task is forgotten
                if time.monotonic() > limit:
                    raise
            self._sleep(0.2)

    def _stack(self, files: Mapping[str, str]) -> StackSpec:
        image = _image()
        ids = {KEY: image.local_id} if image.local_id else {}
        return read_stack(files["stack.yml"], self.name, ids, is_host_edge=True)

    def _args(self, files: Mapping[str, str]) -> ServiceArgs:
        return self._stack(files).services[KEY]

    def _has_network(self, member: Member) -> bool:
        labels = (self.swarm.find("network", member.network) or {}).get("Labels") or {}
        return labels.get(ORG) == member.slug and labels.get(RESOURCE) == f"network/{NETWORK}"

    def _owner(self, kind: str, name: str) -> str:
        """Whose an object is, for the last look before a specification is sent: entry networks count as the edge's own."""
        found = self.swarm.find(kind, name) or {}
        labels = found.get("Labels") or (found.get("Spec") or {}).get("Labels") or {}
        is_entry = (
            kind == "network" and labels.get(RESOURCE) == f"network/{NETWORK}" and found.get("Name") == f"{labels.get(ORG)}_{NETWORK}"
        )
        return self.name if is_entry else str(labels.get(ORG, ""))

    def _remove_configs(self, keep: set[str]) -> None:
        for item in self.swarm.live_objects(self.name):
            if item.kind == "config" and item.name not in keep:
                self.swarm.remove("config", item.name)


def _image() -> LockedImage:
    """Traefik's image, as the release and this machine know it."""
    manifest = load_catalog().components["traefik"].image
    locked = read_lock(TEMPLATES / "images.lock.yaml").images.get("traefik")
    if locked is not None and (locked.name, locked.tag) == (manifest.name, manifest.tag):
        return locked
    plain = LockedImage(manifest.name, manifest.tag)
    return LockedImage(plain.name, plain.tag, local_id=local_image_ids([plain.reference]).get(plain.reference, ""))
