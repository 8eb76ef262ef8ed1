"""A control plane on a played world, as people have one: a data folder, a database, a broker, workers; asked through one long-lived process."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import selectors
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from provisioning import processes

ROOT = Path(__file__).resolve().parents[2]
MAKE = """
org = Organization.objects.create(slug="demo", name="Demo League")
alice = get_user_model().objects.create(username="alice")
Membership.objects.create(organization=org, user=alice, roles=["owner"])
"""
PLAN = """
blueprint = stored_blueprint(org, alice, PLAY, secrets={})
plan = actions.propose(org=org, blueprint=blueprint, actor=alice)
if plan.state == "proposed": plan = actions.approve(plan=plan, actor=alice, reason="a test")
say({"id": plan.pk, "steps": plan.steps, "state": plan.state})
"""
WAIT = """
limit = time.monotonic() + LIMIT
while not Run.objects.get(pk=ID).is_finished and time.monotonic() < limit: time.sleep(0.05)
say(brief(Run.objects.get(pk=ID)))
"""


LEFT = """
limit = time.monotonic() + 10
while leases.is_alive(org.pk) and time.monotonic() < limit: time.sleep(0.05)  # let go of right after the run's end
unfinished = Run.objects.exclude(state__in=["succeeded", "failed", "cancelled"])
say([*unfinished.values_list("pk", "state"), *(["a lease"] if leases.is_alive(org.pk) else [])])
"""


class PlayedPlane:
    """One organization, `demo`, with Alice as its owner."""

    def __init__(self, folder: Path, *, database: str = "", broker: str = "") -> None:
        self.folder, self.data = folder, folder / "data"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPROCKET_", "DJANGO_", "PLAYED_"))}
        self.environment = {
            **kept,
            "SPROCKET_DATA_DIR": str(self.data),
            "DJANGO_SETTINGS_MODULE": "sprocket_v2.settings",
            "PYTHONPATH": str(ROOT),
            "SPROCKET_PULUMI": "/bin/true",
            "SPROCKET_SPARE_CHILD": "0",
            **({"SPROCKET_DATABASE_URL": database} if database else {}),
            **({"SPROCKET_BROKER_URL": broker} if broker else {}),
            "SPROCKET_LEASE_S": "3",
            "SPROCKET_RECONCILE_EVERY_S": "1",
            "SPROCKET_DRIFT_EVERY_HOURS": "0",
        }
        self.workers: list[subprocess.Popen[bytes]] = []
        self._console: subprocess.Popen[str] | None = None

    def set_up(self) -> None:
        """Database, organization, owner."""
        self.migrate()
        self.ask(MAKE)

    def migrate(self) -> None:
        """The database alone; a file that was migrated before is copied, for that is quicker."""
        if "SPROCKET_DATABASE_URL" in self.environment:
            self.django("migrate", "-v0")
            return
        self.data.mkdir(mode=0o700, exist_ok=True)
        shutil.copyfile(_migrated(), self.data / "db.sqlite3")

    def django(self, *words: str) -> None:
        """One of Django's own commands."""
        subprocess.run([sys.executable, "-m", "django", *words], env=self.environment, cwd=ROOT, check=True, timeout=240)

    def ask(self, code: str, *, limit_s: float = 120.0, **values: Any) -> Any:
        """Run a few lines in the control plane's long-lived process; what they `say` last is the answer."""
        if self._console is None or self._console.poll() is not None:
            command = [sys.executable, "-m", "tests.provisioning.played_console"]
            self._console = subprocess.Popen(
                command, env=self.environment, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
            )
        console = self._console
        assert console.stdin
        assert console.stdout
        print(json.dumps({"code": code, "values": values}), file=console.stdin, flush=True)
        with selectors.DefaultSelector() as ready:
            ready.register(console.stdout, selectors.EVENT_READ)
            assert ready.select(limit_s), f"no answer within {limit_s} s: {code}"
        answer = json.loads(console.stdout.readline())
        assert "error" not in answer, answer["error"]
        return answer["said"]

    def start_worker(self, *, concurrency: int = 1, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A Celery worker in a session of its own."""
        command = [sys.executable, "-m", "celery", "-A", "tests.provisioning.played_app", "worker", "--loglevel", "INFO"]
        more = ["-c", str(concurrency), "--without-gossip", "--without-mingle", "-Q", "runs", "-n", f"w{len(self.workers)}@%h"]
        environment = {**self.environment, **(env or {})}
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen([*command, *more], env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        self.workers.append(worker)
        return worker

    def stop_worker(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End the newest worker with its pool."""
        worker = self.workers.pop()
        os.killpg(worker.pid, sign)
        try:
            worker.wait(timeout=20)
        except subprocess.TimeoutExpired:
            os.killpg(worker.pid, signal.SIGKILL)
            worker.wait(timeout=10)

    def log(self) -> str:
        """What the workers said."""
        return (self.folder / "worker.log").read_text(errors="replace")

    def play(self, *services: str, step_s: float = 0.3) -> dict[str, Any]:
        """What the remembering child is told: which things to make, and how long each takes."""
        return {"services": list(services), "step_s": step_s, "world": str(self.folder / "world"), "asked": str(self.folder / "asked")}

    def planned(self, *services: str, step_s: float = 0.3) -> dict[str, Any]:
        """A plan, previewed by the program itself and approved."""
        plan: dict[str, Any] = self.ask(PLAN, PLAY=self.play(*services, step_s=step_s))
        return plan

    def asked_to_apply(self, plan: int) -> int:
        """The run of an apply, sent to the broker and not waited for."""
        return int(self.ask("say(brief(actions.apply(plan=Plan.objects.get(pk=ID), actor=alice)))", ID=plan)["id"])

    def wait(self, run_id: int, *, limit_s: float = 60.0) -> dict[str, Any]:
        """A run's end, through the database."""
        found: dict[str, Any] = self.ask(WAIT, ID=run_id, LIMIT=limit_s)
        return found

    def brief(self, run_id: int) -> dict[str, Any]:
        """A run as it is now."""
        found: dict[str, Any] = self.ask("say(brief(Run.objects.get(pk=ID)))", ID=run_id)
        return found

    def made(self) -> list[str]:
        """What there is in the world."""
        world = self.folder / "world"
        return sorted(path.name for path in world.iterdir()) if world.is_dir() else []

    def operations(self) -> list[str]:
        """The verbs the engine was asked for, in order."""
        file = self.folder / "asked"
        return file.read_text().split() if file.is_file() else []

    def wait_for(self, thing: str, *, limit_s: float = 30.0) -> None:
        """Until the engine begins with it."""
        limit = time.monotonic() + limit_s
        while thing not in self.made():
            assert time.monotonic() < limit, f"{thing} was not made within {limit_s} s: {self.log()[-3000:]}"
            time.sleep(0.02)

    def assert_all_well(self, run_id: int, *services: str, deliveries: int = 1, limit_s: float = 60.0) -> None:
        """The run ended well, made each thing once, left no lock and no process; a repeat preview shows no change."""
        done = self.wait(run_id, limit_s=limit_s)
        assert (done["state"], done["deliveries"]) == ("succeeded", deliveries), (done, self.log()[-3000:])
        assert self.made() == sorted(services)
        assert self.ask(LEFT) == []
        assert not done["pid"] or processes.members_of(done["pid"], done["mark"]) == []
        again = self.planned(*services)
        assert (again["steps"], again["state"]) == ([], "approved"), again

    def clean_up(self) -> None:
        """End every worker with its pool, and the process that was asked."""
        if self._console and self._console.poll() is None:
            assert self._console.stdin
            self._console.stdin.close()
            self._console.wait(timeout=15)
        while self.workers:
            self.stop_worker(signal.SIGKILL)


@contextlib.contextmanager
def played_plane(folder: Path, *, database: str = "", broker: str = "") -> Iterator[PlayedPlane]:
    """A control plane that leaves no process behind."""
    plane = PlayedPlane(folder, database=database, broker=broker)
    try:
        plane.set_up()
        yield plane
    finally:
        plane.clean_up()


@lru_cache(maxsize=1)
def _migrated() -> Path:
    """An empty SQLite database with all migrations, made once for all tests of a process."""
    folder = Path(tempfile.mkdtemp(prefix="sprocket-migrated-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    plane = PlayedPlane(folder)
    plane.django("migrate", "-v0")
    with sqlite3.connect(plane.data / "db.sqlite3") as database:
        database.execute("pragma wal_checkpoint(truncate)")
    database.close()
    return plane.data / "db.sqlite3"
