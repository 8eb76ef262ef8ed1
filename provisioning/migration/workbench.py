"""A container of our own beside the estate: it dumps the estate's database over the network and has a scratch server that nobody can reach.

Its objects carry their own label and no organization's, so that neither an estate's nor v2's plan sees them. Made or found by name,
removed by name: a crash in between leaves nothing that the next try would not take over.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from provisioning.migration.database import Connection, Place
from sprocket_v2.errors import ApplyError

if TYPE_CHECKING:
    from provisioning.providers.swarm.client import DockerSwarm

LABEL = "sprocket.migration"
WORK = "/work"
DUMP = f"{WORK}/dump"
SCRATCH = Connection("scratch", "sprocket")
_START_S, _GONE_S = 120.0, 60.0
_SERVE = """set -eu
mkdir -p /work/pgdata /var/run/postgresql
chown postgres: /work/pgdata /var/run/postgresql
chmod 0700 /work/pgdata
as() { setpriv --reuid=postgres --regid=postgres --init-groups "$@"; }
[ -s /work/pgdata/PG_VERSION ] || as initdb -D /work/pgdata -U sprocket --auth-local=trust --auth-host=reject --encoding=UTF8 --locale=C.UTF-8 > /dev/null
exec setpriv --reuid=postgres --regid=postgres --init-groups postgres -D /work/pgdata -c listen_addresses= -c fsync=off"""


@dataclass(frozen=True)
class Workbench:
    """What it is made of.

    Attributes:
        name: its Docker name; also its network's and, with `_work`, its volume's.
        image: PostgreSQL's, of the version v2 will run.
        networks: of the estate, where its database can be reached in them only.
        memory_mib: where the copy is to be kept in memory, and how much of it at most; 0 for a volume on disk.
    """

    swarm: DockerSwarm
    name: str
    image: str
    networks: tuple[str, ...] = ()
    memory_mib: int = 0

    @property
    def volume(self) -> str:
        """Its volume's Docker name."""
        return f"{self.name}_work"

    def make(self, beat: Callable[[], None] = lambda: None) -> Place:
        """Make it, or find it, and wait until it answers."""
        self._make_part(
            "network", {"Name": self.name, "Labels": self._labels, "Internal": False, "Attachable": False, "Subnet": ""}, self.name
        )
        if not self.memory_mib:
            self._make_part("volume", {"Name": self.volume, "Labels": self._labels}, self.volume)
        self._make_part("service", self._spec(), self.name)
        limit = time.monotonic() + _START_S
        while True:
            container = running_container(self.swarm, self.name)
            if container and self.swarm.run_in(container, ["pg_isready", "-q", "-U", SCRATCH.user])[0] == 0:
                place = Place(self.swarm, container, self.name)
                place.arrive()
                return place
            if time.monotonic() > limit:
                last = (self.swarm.last_lines(self.name, 1) or ["it said nothing"])[0]
                raise ApplyError(
                    f"the container for the copy does not start: {last}", hint=f"docker service ps {self.name}", where=self.name
                )
            beat()
            time.sleep(0.3)

    def remove(self) -> None:
        """Remove all of it; gone already is fine."""
        self.swarm.remove("service", self.name)
        limit = time.monotonic() + _GONE_S
        for kind, name in (("volume", self.volume), ("network", self.name)):
            while self.swarm.find(kind, name) is not None:
                try:
                    self.swarm.remove(kind, name)
                except ApplyError:  # in use until its last task is gone
                    if time.monotonic() > limit:
                        raise
                    time.sleep(0.3)

    @property
    def _labels(self) -> dict[str, str]:
        return {LABEL: self.name}

    def _make_part(self, kind: str, spec: dict[str, Any], name: str) -> None:
        found = self.swarm.find(kind, name)
        if found is None:
            self.swarm.create(kind, spec)
            return
        labels = found.get("Labels") or (found.get("Spec") or {}).get("Labels") or {}
        if labels.get(LABEL) != self.name:
            raise ApplyError(f"{kind} {name} is there and is not the migration's", hint="rename or remove it", where=name)

    def _spec(self) -> dict[str, Any]:
        tmpfs = {"Type": "tmpfs", "Target": WORK, "TmpfsOptions": {"SizeBytes": self.memory_mib * 2**20, "Mode": 0o755}}
        return {
            "Name": self.name,
            "Labels": self._labels,
            "TaskTemplate": {
                "ContainerSpec": {
                    "Image": self.image,
                    "Command": ["sh", "-c", _SERVE],
                    "Init": True,
                    "Mounts": [tmpfs if self.memory_mib else {"Type": "volume", "Source": self.volume, "Target": WORK}],
                },
                "RestartPolicy": {"Condition": "any", "Delay": 1_000_000_000},
                "LogDriver": {"Name": "json-file", "Options": {"max-size": "5m", "max-file": "2"}},
                "Networks": [
                    {"Target": str((self.swarm.find("network", name) or self._lacks(name))["Id"])} for name in (self.name, *self.networks)
                ],
            },
            "Mode": {"Replicated": {"Replicas": 1}},
            "UpdateConfig": None,
            "RollbackConfig": None,
            "EndpointSpec": {"Mode": "dnsrr"},
        }

    def _lacks(self, network: str) -> dict[str, Any]:
        raise ApplyError(f"there is no network {network}", hint="correct database.networks in the source file", where=self.name)


def running_container(swarm: DockerSwarm, service: str) -> str:
    """The container of a service's running task; empty when none runs."""
    if swarm.find("service", service) is None:
        return ""
    for task in swarm.tasks(service):
        if task["Status"]["State"] == "running" and task["DesiredState"] == "running":
            return str((task["Status"].get("ContainerStatus") or {}).get("ContainerID", ""))
    return ""
