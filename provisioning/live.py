"""What runs, as plain values, and the reader they come from. Pure; the reader itself is the Docker client of providers/swarm."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Protocol

from blueprints.estate.adoption import FILE as ADOPTION
from blueprints.estate.adoption import read_adoption


@dataclass(frozen=True, slots=True)
class LiveTask:
    """One task of a service.

    Attributes:
        state: Docker's word: running, complete, failed, rejected, starting, ...
        container: id of its container; empty before there is one.
        image_id: id of the image the container runs; empty when there is no container.
        health: healthy, unhealthy, starting, or empty for a container without a healthcheck.
        exit_code: of a container that ended; None otherwise.
    """

    id: str
    state: str
    desired: str
    error: str = ""
    container: str = ""
    image_id: str = ""
    health: str = ""
    exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class LiveService:
    """One service with its tasks, newest first."""

    name: str
    id: str
    version: int
    image: str
    wanted: int
    is_job: bool
    tasks: tuple[LiveTask, ...] = ()
    published_ports: tuple[int, ...] = ()
    networks: tuple[str, ...] = ()

    @property
    def running(self) -> tuple[LiveTask, ...]:
        """Tasks that run now."""
        return tuple(task for task in self.tasks if task.state == "running" and task.desired == "running")


@dataclass(frozen=True, slots=True)
class LiveObject:
    """A network, volume, config or secret."""

    kind: str
    name: str
    id: str
    version: int = 0


Adopted = frozenset[tuple[str, str]]
"""(kind, Docker name) of objects that somebody else made and the organization looks after: they carry no label of ours."""
NONE_ADOPTED: Adopted = frozenset()


class LiveReader(Protocol):
    """Reads an organization's Docker objects and looks into its containers; changes nothing."""

    def live_services(self, org: str, adopted: Adopted = NONE_ADOPTED) -> Sequence[LiveService]:
        """All services that carry the organization's label or were adopted by it, with their tasks."""
        ...

    def live_objects(self, org: str, adopted: Adopted = NONE_ADOPTED) -> Sequence[LiveObject]:
        """All networks, volumes, configs and secrets that carry the organization's label or were adopted by it."""
        ...

    def local_image_id(self, reference: str) -> str:
        """The id of an image on this machine; empty when it is not here."""
        ...

    def run_in(self, container: str, command: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        """Exit code and output of a command inside a container."""
        ...

    def last_lines(self, service: str, count: int = 200) -> list[str]:
        """The last log lines of a service, oldest first."""
        ...


def adopted_of(files: Mapping[str, str]) -> Adopted:
    """What a bundle's adoption.json names; nothing where it has none."""
    text = files.get(ADOPTION)
    record = read_adoption(text) if text else {}
    return frozenset((resource.partition("/")[0], item.name) for resource, item in record.items())


def live_fingerprint(reader: LiveReader, org: str, adopted: Adopted = NONE_ADOPTED, *, with_tasks: bool = False) -> str:
    """`sha256:<hex>` over names, ids and versions: equal when nothing was changed since.

    Args:
        with_tasks: also over the tasks and their states, so that a restarted or failed container shows.
    """
    services = [(s.name, s.id, s.version, _tasks(s) if with_tasks else []) for s in reader.live_services(org, adopted)]
    objects = [astuple(item) for item in reader.live_objects(org, adopted)]
    text = json.dumps([sorted(services), sorted(objects)], separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def _tasks(service: LiveService) -> list[tuple[str, str]]:
    return sorted((task.id, task.state) for task in service.tasks if task.desired == "running" or service.is_job)
