"""The estate of 22 services for real, on this machine's swarm, with what it expects beside it: a node with its label, a folder for Vault's
keys, and a Postgres that somebody else runs. Names of the estate are fixed, so there is one at a time.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provisioning.asking import Answer, request
from provisioning.providers.swarm.client import connect
from tests.engine.deployed import ControlPlane
from tests.engine.docker_cli import docker
from tests.engine.layered_plane import APPLY, PROPOSE, RUN
from tests.engine.ports import free_port

KEYS = "/var/lib/sprocket-legacy"
LABEL = ("role", "storage")
DATABASE_IMAGE, DATABASE_NETWORK = "postgres:15-bookworm", "prod-net"
VALUES = {"legacy-db-password": "canary-database-password", "legacy-postgres-admin-password": "canary-admin-password"}
APPLY_LIMIT_S = 400.0
_NEEDS = """
name: Legacy League
slug: {slug}
owner: {{name: Alice, contact: alice}}
games: [rocket-league]
profile: legacy-22
applications: stand-in
login: [discord]
database:
  where: managed
  managed: {{host: {database}, port: 5432, name: sprocket_main, user: sprocket_main}}
storage:
  where: existing
  existing: {{host: objects.example.org, replays_bucket: replays, images_bucket: pictures}}
access:
  canonical: localhost
  localhost: {{host: sprocket.localhost}}
options:
  legacy-traefik: {{virtual_ips: false, port_80: {http}, port_443: {https}}}
  legacy-vault: {{storage: file, keys_folder: {keys}}}
"""
_MAKE = """
from orgs.people import create_user
alice = create_user(username="alice", admin=True)
org = org_actions.create_organization(slug=SLUG, name="Legacy League", actor=alice)
org_actions.set_needs(org=org, actor=alice, text=NEEDS, message="first")
set_secrets(SECRETS)
"""
_PURGE = "from provisioning.purge import purge; say(purge(org=org, actor=alice))"
_RENDERING = "from provisioning.materials import rendering_of; say(dict(rendering_of(newest()).files))"


class Estate22(ControlPlane):
    """The control plane that deploys it, and what stands beside it.

    Attributes:
        http: the entry port without TLS.
        https: the one with it.
        keys: the folder of this machine where Vault's keys lie.
        database: the managed database's name, as the needs have it.
        database_port: where it is on this machine, once it is started.
    """

    def __init__(self, data: Path) -> None:
        super().__init__(data)
        self.secrets = dict(VALUES)
        self.http, self.https, self.database_port = free_port(), free_port(), free_port()
        self.keys = f"{KEYS}/{self.slug}/unseal-tokens"
        self.database = f"database.{self.slug}.internal"

    def needs(self, **changes: str) -> str:
        """An estate of this slug, at these ports."""
        return _NEEDS.format(
            slug=self.slug, database=self.database, http=self.http, https=self.https, keys=self.keys, **changes
        )  # fmt: skip

    def set_up(self) -> None:
        """Database of the control plane, organization, needs, secrets, folder of keys."""
        docker("run", "--rm", "-v", f"{self.keys}:/keys", "vault:1.10-standin", "true")  # Docker makes the folder, as whoever it runs as
        self.migrate()
        self.ask(_MAKE)

    def rendering(self) -> dict[str, str]:
        """The newest blueprint's files."""
        found: dict[str, str] = self.ask(_RENDERING)
        return found

    def proposed(self) -> dict[str, Any]:
        """A plan of the newest needs."""
        found: dict[str, Any] = self.ask(f"row = newest()\n{PROPOSE}", limit_s=APPLY_LIMIT_S)
        return found

    def applied(self, plan: dict[str, Any]) -> dict[str, Any]:
        """A plan approved and applied, with the verdict."""
        found: dict[str, Any] = self.ask(APPLY, ID=plan["id"], limit_s=APPLY_LIMIT_S)
        return found

    def run(self, kind: str) -> dict[str, Any]:
        """A run without a plan, such as a destroy."""
        found: dict[str, Any] = self.ask(RUN, KIND=kind, limit_s=APPLY_LIMIT_S)
        return found

    def purged(self) -> list[str]:
        """The volumes that were left, removed."""
        found: list[str] = self.ask(_PURGE)
        return found

    def asked(self, host: str, path: str = "/", *, tls: bool = False) -> Answer:
        """What Traefik answers for a name."""
        port = self.https if tls else self.http
        return request("127.0.0.1", port, "GET", host, path, body=None, headers={}, tls=tls)

    def inside(self, service: str, *command: str) -> tuple[int, str]:
        """Exit code and output of a command in a service's container, by its Docker name."""
        live = next(item for item in connect().live_services(self.slug) if item.name == service)
        return connect().run_in(live.running[0].container, list(command), timeout_s=30.0)

    def log(self, service: str) -> str:
        """What a service has said."""
        return docker("service", "logs", "--raw", service)

    # Beside it

    def start_database(self) -> None:
        """The managed database: reached from the applications by its name, and from here at a port. Its data is in a volume."""
        volume = f"type=volume,source={self.slug}-managed,target=/var/lib/postgresql/data"
        docker(
            "service", "create", "--detach", "--name", f"{self.slug}-managed", "--endpoint-mode", "dnsrr",
            "--network", f"name={DATABASE_NETWORK},alias={self.database}", "--mount", volume,
            "--publish", f"mode=host,published={self.database_port},target=5432",
            "--env", "POSTGRES_USER=sprocket_main", "--env", f"POSTGRES_PASSWORD={VALUES['legacy-db-password']}", DATABASE_IMAGE,
        )  # fmt: skip

    def stop_database(self) -> None:
        """Take it away, with the network it holds; its data stays until the estate is gone."""
        subprocess.run(["docker", "service", "rm", f"{self.slug}-managed"], capture_output=True, timeout=60, check=False)

    def query(self, sql: str) -> str:
        """What the managed database answers, a row a line."""
        container = docker("ps", "-q", "--filter", f"label=com.docker.swarm.service.name={self.slug}-managed").split()
        assert container, "the managed database does not run"
        return docker("exec", container[0], "psql", "-U", "sprocket_main", "-tAc", sql)

    def clean_up(self) -> None:
        """Remove every Docker object of the slug, the database and the folder of keys."""
        self.stop_database()
        super().clean_up()
        for _ in range(60):  # until the last task has let go of it
            done = subprocess.run(["docker", "volume", "rm", "-f", f"{self.slug}-managed"], capture_output=True, timeout=60, check=False)
            if done.returncode == 0:
                break
        docker("run", "--rm", "-v", f"{KEYS}:/all", "vault:1.10-standin", "rm", "-rf", f"/all/{self.slug}")


@contextlib.contextmanager
def storage_node() -> Iterator[None]:
    """This node has the label that the estate's data services ask for; a label that was there stays."""
    node = docker("info", "--format", "{{.Swarm.NodeID}}")
    name, value = LABEL
    before = docker("node", "inspect", node, "--format", f'{{{{index .Spec.Labels "{name}"}}}}')
    docker("node", "update", "--label-add", f"{name}={value}", node)
    try:
        yield
    finally:
        change = ("--label-add", f"{name}={before}") if before else ("--label-rm", name)
        docker("node", "update", *change, node)


@contextlib.contextmanager
def legacy_estate(folder: Path) -> Iterator[Estate22]:
    """An organization of the older layout, set up and not yet applied; leaves nothing behind."""
    estate = Estate22(folder / "data")
    try:
        with storage_node():
            estate.set_up()
            yield estate
    finally:
        estate.clean_up()
