"""A small legacy estate for real: services of a swarm, a PostgreSQL and an S3 server beside it, with data; and the control plane that moves it."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import minio
import moto.settings
from moto.server import ThreadedMotoServer

from provisioning.providers.swarm.client import connect
from tests.engine.deployed import ROOT, SECRETS, ControlPlane
from tests.engine.ports import free_port, gateway
from tests.engine.removal import remove_everything

PASSWORD = "canary:database\\password"
CACHE_PASSWORD = "canary cache password"
KEYS = ("CanaryAccessKey1", "CanarySecretKey0123456789")
ROWS = """
create schema "odd ""name";
create table "odd ""name"."it's; drop table x" (a_row int, said text, at timestamptz, figure double precision, raw bytea);
insert into "odd ""name"."it's; drop table x"
  select i, 'row ' || i, timestamptz '2024-02-29 12:00+02' + i * interval '1 hour', i / 3.0, decode(md5(i::text), 'hex') from generate_series(1, 4000) i;
create table sprocket.no_rows (a int);
"""
STARTED = {"tool": 1, "web": 1, "api": 2, "bot": 1, "submission": 1, "traefik": 1, "broker": 1, "cache": 1}
_ROLES = {"bot": "discord-bot", "broker": "rabbitmq", "cache": "redis"}
_SLEEP = ("sh", "-c", "exec sleep 3600")


class LegacyEstate(ControlPlane):
    """The estate `self.old`, and v2 `self.slug` on the same machine and entry port."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "data")
        self.folder, self.old = folder, "l" + secrets.token_hex(4)
        self.host, self.db_port, self.s3_port = gateway(), free_port(), free_port()
        self.name = f"Old League of {self.old}"
        self._s3 = ThreadedMotoServer(ip_address="0.0.0.0", port=self.s3_port, verbose=False)

    # --- making it

    def make(self) -> None:
        """Everything, with data in it."""
        docker("run", "-d", "--name", self.of("db"), "-p", f"{self.db_port}:5432", "-e", f"POSTGRES_PASSWORD={PASSWORD}", "-e",
               "POSTGRES_USER=sprocket_main", "-e", "POSTGRES_DB=sprocket_main", "postgres:15-bookworm")  # fmt: skip
        docker("network", "create", "--driver", "overlay", "--label", "made=by hand", self.of("net"))
        docker("volume", "create", self.of("cache-data"))
        self._services()
        moto.settings.S3_IGNORE_SUBDOMAIN_BUCKETNAME = True  # our name for this machine looks to it like a bucket's
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self._s3.start()
        for bucket in ("old-replays", "old-images", "new-replays", "new-images"):
            self.s3.make_bucket(bucket)
        for number in range(40):
            self.put("old-replays", f"2024/match {number}.replay", secrets.token_bytes(700 + number))
        self.put("old-images", "card.png", b"a picture")
        self._fill_database()
        self._wait(lambda: self.running() == STARTED)
        self._set_up()

    def _services(self) -> None:
        stand_ins = {"web": "web", "api": "core", "bot": "discord-bot", "submission": "submission-service"}
        for key, image in stand_ins.items():
            self._service(key, f"ghcr.io/sprocketbot/{image}:standin", "--replicas", str(STARTED[key]), command=_SLEEP, entrypoint=True)
        self._service("traefik", "traefik:v3.7", "--publish", f"mode=host,published={self.port},target={self.port}",
                      command=("traefik", f"--entrypoints.web.address=:{self.port}", "--ping"))  # fmt: skip
        self._service("tool", "sprocket/base:bookworm", command=_SLEEP)
        self._service("broker", "rabbitmq:3.10-bookworm")
        self._service("cache", "redis:7.0-bookworm", "--mount", f"type=volume,source={self.of('cache-data')},target=/data",
                      command=("redis-server", "--requirepass", CACHE_PASSWORD))  # fmt: skip

    def _service(self, key: str, image: str, *more: str, command: tuple[str, ...] = (), entrypoint: bool = False) -> None:
        words = ["service", "create", "--quiet", "--detach", "--no-resolve-image", "--name", self.of(key), *self._label(key), "--network", self.of("net"),
                 "--endpoint-mode", "dnsrr", "--stop-grace-period", "2s", *more]  # fmt: skip
        words += ["--entrypoint", command[0]] if entrypoint else []
        docker(*words, image, *(command[1:] if entrypoint else command))

    def _label(self, key: str) -> tuple[str, ...]:
        """By which the import knows it; the tool is nobody's."""
        return () if key == "tool" else ("--label", f"sprocket.component=legacy-{_ROLES.get(key, key)}")

    def decide(self, key: str, fate: str) -> None:
        """A decision in the ledger."""
        self.ask(
            "from blueprints.estate_actions import decide, ledger_of\nold = Organization.objects.get(slug=OLD)\n"
            "key = next(row.key for row in ledger_of(old).rows if row.name == NAME)\n"
            "decide(org=old, keys=[key], fate=FATE, reason='in use by staff', owner='alice', actor=alice)",
            OLD=self.old,
            NAME=self.of(key),
            FATE=fate,
        )

    def _fill_database(self) -> None:
        self._wait(lambda: docker("exec", self.of("db"), "pg_isready", "-q", "-h", "127.0.0.1", fails=True)[0] == 0)
        schema = (ROOT / "orgs" / "demo-schema.sql").read_text()
        subprocess.run(["docker", "exec", "-i", self.of("db"), "psql", "-qX", "-v", "ON_ERROR_STOP=1", "-U", "sprocket_main"],
                       input=schema + ROWS, text=True, check=True, timeout=60, capture_output=True)  # fmt: skip

    def _set_up(self) -> None:
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], env=self.environment, cwd=ROOT, check=True, timeout=60)
        self.ask(
            "from orgs.people import create_user\nalice = create_user(username='alice', admin=True)\n"
            "org = org_actions.create_organization(slug=OLD, name=NAME, actor=alice)\n"
            "from blueprints.estate_actions import keep_import\nfrom provisioning.importing.live import read_live\n"
            "from provisioning.providers.swarm.client import connect\n"
            "estate = read_live(connect(), secret_store.sealer().withhold_key(OLD), only=OLD + '-.*').estate\n"
            "keep_import(org=org, estate=estate, sources=[{'name': 'live', 'kind': 'live', 'bytes': 0}], actor=alice)",
            OLD=self.old,
            NAME=self.name,
        )

    # --- what it is

    def of(self, key: str) -> str:
        """A Docker name of the estate's."""
        return f"{self.old}-{key}"

    @property
    def s3(self) -> minio.Minio:
        """A client of the S3 server."""
        return minio.Minio(f"127.0.0.1:{self.s3_port}", *KEYS, secure=False, region="us-east-1")

    def put(self, bucket: str, name: str, data: bytes) -> None:
        """An object."""
        self.s3.put_object(bucket, name, io.BytesIO(data), len(data))

    def objects(self, bucket: str) -> dict[str, tuple[int, str]]:
        """All objects, with their sizes and tags."""
        return {str(o.object_name): (int(o.size or 0), str(o.etag)) for o in self.s3.list_objects(bucket, recursive=True)}

    def running(self) -> dict[str, int]:
        """How many tasks of each service run."""
        found = {}
        for key in STARTED:
            if connect().find("service", self.of(key)) is not None:
                tasks = connect().tasks(self.of(key))
                found[key] = sum(t["Status"]["State"] == "running" and t["DesiredState"] == "running" for t in tasks)
        return found

    def versions(self) -> dict[str, int]:
        """The engine's version of each service's specification."""
        return {key: int((connect().find("service", self.of(key)) or {})["Version"]["Index"]) for key in STARTED}

    def specs(self) -> dict[str, Any]:
        """Each service's specification."""
        return {key: (connect().find("service", self.of(key)) or {})["Spec"] for key in STARTED}

    def inside(self, key: str, *command: str, said: str = "") -> str:
        """What a command in a service's container says."""
        [container] = [
            t["Status"]["ContainerStatus"]["ContainerID"] for t in connect().tasks(self.of(key)) if t["Status"]["State"] == "running"
        ]
        code, text = connect().run_with(container, command, said.encode(), timeout_s=60)
        assert code == 0, text
        return text

    def redis(self, words: str) -> str:
        """A command to the estate's Redis."""
        return self.inside("cache", "redis-cli", said=f'AUTH "{CACHE_PASSWORD}"\n{words}\n')

    def v2_sql(self, text: str) -> str:
        """What v2's database answers."""
        [container] = [t.container for s in connect().live_services(self.slug) if s.name == f"{self.slug}_postgres" for t in s.running]
        code, said = connect().run_in(container, ["psql", "-XqAt", "-U", "sprocket", "-d", "sprocket", "-c", text])
        assert code == 0, said
        return said.strip()

    # --- moving it

    def needs_file(self) -> Path:
        """v2's needs: the demo's, without starting data, with buckets of its own."""
        text = self.needs().replace("  starting_data:\n    kind: schema-file\n    file: demo-schema.sql\n", "")
        host = self.host.rpartition(".")  # written so that it passes as a name, since no name server knows this machine
        storage = (
            f"storage:\n  where: existing\n  existing:\n    host: {host[0]}.{int(host[2]):#x}\n    port: {self.s3_port}\n    tls: false\n"
        )
        file = self.folder / "v2.yaml"
        file.write_text(f"{text}{storage}    replays_bucket: new-replays\n    images_bucket: new-images\n")
        return file

    def source_file(self) -> Path:
        """Where the estate's data is."""
        host = self.host.rpartition(".")
        file = self.folder / "source.yaml"
        file.write_text(
            f"database:\n  host: {self.host}\n  port: {self.db_port}\n  name: sprocket_main\n  user: sprocket_main\n  sslmode: prefer\n"
            f"storage:\n  host: {host[0]}.{int(host[2]):#x}\n  port: {self.s3_port}\n  tls: false\n"
            "  replays_bucket: old-replays\n  images_bucket: old-images\ncache_has_password: true\n"
        )
        return file

    def bring_secrets(self) -> None:
        """All that only people have."""
        self.cli("migrate", "secret", self.old, "migration-database-password", "--fd", "0", said=PASSWORD)
        self.cli("secret", "set", self.slug, "bot-token", "--fd", "0", said=SECRETS["bot-token"])
        rest = {"storage-access-key": KEYS[0], "storage-secret-key": KEYS[1]}
        self.ask(
            "from provisioning.migration.actions import set_copy_secret\nold = Organization.objects.get(slug=OLD)\n"
            "for name, value in COPY.items(): set_copy_secret(org=old, name=f'migration-{name}', value=value, actor=alice)\n"
            "set_secrets(REST)",
            OLD=self.old,
            COPY={**rest, "cache-password": CACHE_PASSWORD},
            REST={**SECRETS, **rest},
        )

    def cli(self, *words: str, code: int = 0, said: str = "") -> Any:
        """What a command answers as JSON."""
        command = [sys.executable, "-m", "sprocket_v2.cli.main", *words, "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, input=said, capture_output=True, text=True, timeout=280, check=False)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr, done.stderr
        return json.loads(done.stdout)

    def migrate(self, *words: str, code: int = 0) -> Any:
        """A command of `migrate` on the estate."""
        return self.cli("migrate", words[0], self.old, *words[1:], code=code)

    def killed_while(self, step: str, *words: str, limit_s: float = 60) -> None:
        """Begin a command of `migrate`, and kill it while it is at a step that has something to tell; its lease is aged by hand."""
        command = [sys.executable, "-m", "sprocket_v2.cli.main", "migrate", words[0], self.old, *words[1:]]
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment, start_new_session=True, **quiet)
        code = (
            "from provisioning.migration.rows import MigrationStep\nlimit = time.monotonic() + LIMIT\n"
            "while not MigrationStep.objects.filter(key=STEP, state='running').exclude(evidence={}) and time.monotonic() < limit: time.sleep(0.1)\n"
            "say(MigrationStep.objects.filter(key=STEP, state='running').count())"
        )
        found = self.ask(code, STEP=step, LIMIT=limit_s)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)
        assert found == 1
        self.ask(
            "from django.db.models.functions import Now\nfrom provisioning.migration.rows import Migration\nMigration.objects.update(expires=Now())"
        )

    def _wait(self, is_so: Any, limit_s: float = 90) -> None:
        limit = time.monotonic() + limit_s
        while not is_so():
            assert time.monotonic() < limit, self.running()
            time.sleep(0.3)

    def clean_up(self) -> None:
        """Remove every object of both, and of migrations."""
        for number in range(1, 9):
            docker("service", "rm", f"{self.old}-migration-{number}", fails=True)
        super().clean_up()
        for key in STARTED:
            docker("service", "rm", self.of(key), fails=True)
        docker("rm", "-fv", self.of("db"), fails=True)
        with contextlib.suppress(Exception):
            self._s3.stop()
        limit = time.monotonic() + 60
        left = [("network", self.of("net")), ("volume", self.of("cache-data"))]
        left += [(kind, f"{self.old}-migration-{n}{end}") for n in range(1, 9) for kind, end in (("network", ""), ("volume", "_work"))]
        for kind, name in left:
            while connect().find(kind, name) is not None and time.monotonic() < limit:
                docker(kind, "rm", name, fails=True)
                time.sleep(0.2)
        remove_everything(self.slug)


def docker(*words: str, fails: bool = False) -> tuple[int, str]:
    """The command line's answer."""
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=90, check=False)
    assert fails or done.returncode == 0, done.stderr
    return done.returncode, done.stdout + done.stderr


@contextlib.contextmanager
def legacy_estate(folder: Path) -> Iterator[LegacyEstate]:
    """An estate with data; gone afterwards."""
    estate = LegacyEstate(folder)
    try:
        estate.make()
        yield estate
    finally:
        estate.clean_up()
