"""A control plane on a played world, as people have one: a data folder, a database, a broker, workers; asked through short programs."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provisioning import processes

ROOT = Path(__file__).resolve().parents[2]
BEGIN = """
import json, time
from tests.provisioning.played_app import app
from django.contrib.auth import get_user_model
from orgs.models import Membership, Organization
from provisioning import actions, leases
from provisioning.models import Plan, Run, RunEvent, StackLease, StackState
from tests.provisioning.conftest import stored_blueprint
org = Organization.objects.filter(slug="demo").first()
alice = get_user_model().objects.filter(username="alice").first()
def say(value): print(json.dumps(value, default=str))
def brief(run): return {"id": run.pk, **{name: getattr(run, name) for name in ("state", "error", "deliveries", "pid", "mark", "kind")}}
"""
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


class PlayedPlane:
    """One organization, `demo`, with Alice as its owner."""

    def __init__(self, folder: Path, *, database: str = "", broker: str = "", is_quick: bool = True) -> None:
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
            **({"PLAYED_QUICK": "1"} if is_quick else {}),
        }
        self.workers: list[subprocess.Popen[bytes]] = []

    def set_up(self) -> None:
        """Database, organization, owner."""
        self.migrate()
        self.ask(MAKE)

    def migrate(self) -> None:
        """The database alone."""
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], env=self.environment, cwd=ROOT, check=True, timeout=120)

    def ask(self, code: str, *, limit_s: float = 120.0, env: dict[str, str] | None = None, **values: Any) -> Any:
        """Run a few lines in the control plane; the last line it prints is the answer."""
        head = "\n".join(f"{name} = {value!r}" for name, value in values.items())
        command = [sys.executable, "-c", f"{head}\n{BEGIN}\n{code}"]
        environment = {**self.environment, **(env or {})}
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None

    def start_worker(self, *, concurrency: int = 1, env: dict[str, str] | None = None) -> subprocess.Popen[bytes]:
        """A Celery worker in a session of its own."""
        command = [sys.executable, "-m", "celery", "-A", "tests.provisioning.played_app", "worker", "--loglevel", "INFO"]
        more = ["-c", str(concurrency), "--without-gossip", "--without-mingle", "-Q", "runs", "-n", f"w{len(self.workers)}@%h"]
        environment = {**self.environment, **(env or {})}
        with (self.folder / "worker.log").open("ab") as log:
            worker = subprocess.Popen([*command, *more], env=environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        self.workers.append(worker)
        return worker

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
        left = "say([is_alive for is_alive in [leases.is_alive(org.pk)] if is_alive] + list(Run.objects.exclude(state__in=['succeeded', 'failed', 'cancelled']).values_list('pk', 'state')))"
        assert self.ask(left) == []
        assert not done["pid"] or processes.members_of(done["pid"], done["mark"]) == []
        again = self.planned(*services)
        assert (again["steps"], again["state"]) == ([], "approved"), again

    def clean_up(self) -> None:
        """End every worker with its pool."""
        for worker in self.workers:
            if worker.poll() is None:
                os.killpg(worker.pid, signal.SIGCONT)
                os.killpg(worker.pid, signal.SIGTERM)
        for worker in self.workers:
            try:
                worker.wait(timeout=15)
            except subprocess.TimeoutExpired:
                os.killpg(worker.pid, signal.SIGKILL)
                worker.wait(timeout=10)


@contextlib.contextmanager
def played_plane(folder: Path, *, database: str = "", broker: str = "", is_quick: bool = True) -> Iterator[PlayedPlane]:
    """A control plane that leaves no process behind."""
    plane = PlayedPlane(folder, database=database, broker=broker, is_quick=is_quick)
    try:
        plane.set_up()
        yield plane
    finally:
        plane.clean_up()
