"""A control plane with a worker behind a Docker socket of the test's own, and small organizations on it, one for each fault."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from blueprints.layers import stack_name
from provisioning.providers.swarm.client import connect
from tests.engine.between import Between
from tests.engine.deployed import ControlPlane
from tests.engine.layered_plane import STORE
from tests.engine.removal import remove_everything
from tests.layered import LayeredBundle

LAYER = "layer_1"
SERVICES = ("edge", "vault")
LEASE_S, RECONCILE_S = 3.0, 1.0
MAKE = """
from orgs.people import create_user
alice = alice or create_user(username="alice", admin=True)
org = org or org_actions.create_organization(slug=SLUG, name="Faults League", actor=alice)
"""
PLAN = """
plan = actions.propose(org=org, blueprint=row, actor=alice)
if plan.state == "proposed": actions.approve(plan=plan, actor=alice, reason="a test of faults")
say(plan.pk)
"""
AT_ONCE = "say(actions.apply(plan=plan, actor=alice).pk)"
APPLY = "say(actions.apply(plan=Plan.objects.get(pk=ID), actor=alice).pk)"
AFTERWARDS = """
from provisioning import leases
from provisioning.materials import rendering_of
run = Run.objects.get(pk=ID)
seen = actions.preview_now(org=org, rendering=rendering_of(run.blueprint))
say({**brief(run), "left": list(seen.steps), "held": leases.is_alive(org.pk), "said": [e.message for e in run.events.all()]})
"""


class League:
    """One organization: a network, a service `vault`, and after it a service `edge`."""

    def __init__(self, faults: FaultPlane) -> None:
        self.faults, self.plane = faults, faults.plane
        self.slug = "f" + secrets.token_hex(5)
        self.bundle = LayeredBundle(self.slug, stacks=[{"name": LAYER, "file": f"{LAYER}/stack.yml"}])

    def ask(self, code: str, **values: Any) -> Any:
        """As ControlPlane.ask, about this organization."""
        return self.plane.ask(code, SLUG=self.slug, **values)

    def planned(self) -> int:
        """An approved plan of the bundle as it is now; its id."""
        return int(self.ask(MAKE + STORE + PLAN, FILES=dict(self.bundle.rendering().files)))

    def asked_for(self) -> int:
        """Plan, approval and run of the bundle as it is now, not waited for: one program instead of two."""
        return int(self.ask(MAKE + STORE + PLAN + AT_ONCE, FILES=dict(self.bundle.rendering().files)))

    def asked_to_apply(self, plan: int) -> int:
        """Its run, not waited for."""
        return int(self.ask(APPLY, ID=plan))

    def applied(self) -> dict[str, Any]:
        """The bundle as it is now, deployed without a fault."""
        done = self.ended(self.asked_for())
        assert done["state"] == "succeeded", done
        return done

    def now(self, run: int) -> dict[str, Any]:
        """A run's row, read past Django: quick enough to ask often."""
        with contextlib.closing(sqlite3.connect(f"file:{self.plane.data / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)) as database:
            database.row_factory = sqlite3.Row
            row = dict(database.execute("select * from provisioning_run where id = ?", (run,)).fetchone())
            row["error"] = json.loads(row["error"] or "null")
            return row

    def until(self, run: int, is_so: Callable[[dict[str, Any]], bool], *, limit_s: float = 90.0) -> dict[str, Any]:
        """The run's row once it is as wanted."""
        limit = time.monotonic() + limit_s
        while not is_so(row := self.now(run)):
            assert time.monotonic() < limit, row
            time.sleep(0.05)
        return row

    def ended(self, run: int, *, limit_s: float = 120.0) -> dict[str, Any]:
        """The run's row once nothing more happens by itself."""
        return self.until(run, lambda row: row["state"] in ("succeeded", "failed", "cancelled", "needs-recovery"), limit_s=limit_s)

    def afterwards(self, run: int) -> dict[str, Any]:
        """How it ended, what it said, and what a preview of the same bundle would still do."""
        found: dict[str, Any] = self.ask(AFTERWARDS, ID=run)
        return found

    # The world

    def services(self) -> list[str]:
        """Names of its Swarm services, without its slug, each as often as there is one."""
        return sorted(service.name.removesuffix(f"-{self.slug}") for service in connect().live_services(self.slug))

    def objects(self) -> list[str]:
        """Kinds of its other Docker objects."""
        return sorted(item.kind for item in connect().live_objects(self.slug))

    def state(self) -> dict[str, Any]:
        """The engine's state, from its file."""
        file = self.engine_folder / "stacks" / "sprocket" / f"{stack_name(self.slug, LAYER)}.json"
        found: dict[str, Any] = json.loads(file.read_text())["checkpoint"]["latest"] if file.is_file() else {}
        return found

    def locks(self) -> list[Path]:
        """The engine's lock files."""
        return [path for path in (self.engine_folder / "locks").rglob("*") if path.is_file()]

    @property
    def engine_folder(self) -> Path:
        """The engine's own folder of a local state."""
        return self.plane.data / "state" / self.slug / ".pulumi"

    def engines(self, word: str = "") -> list[int]:
        """Living processes of the engine that work for it: its command line (`pulumi`), its provider (`plugin`), or both."""
        found = []
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                if entry.name.isdecimal() and f"SPROCKET_ORG={self.slug}".encode() in (entry / "environ").read_bytes().split(b"\0"):
                    command = (entry / "cmdline").read_bytes().split(b"\0")
                    kind = "plugin" if b"plugin" in b" ".join(command) or b"pulumi-resource" in b" ".join(command) else "pulumi"
                    found += [int(entry.name)] if word in ("", kind) else []
        return found

    def worker_pid(self, run: int) -> int:
        """The pool's process that has the run, by its lease."""
        return int(self.now(run)["worker"].partition(":")[2].split()[0])


class FaultPlane:
    """The control plane of all leagues of a test module."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.docker = Between(folder)
        self.plane = ControlPlane(folder / "data")
        self.leagues: list[League] = []
        self.worker: subprocess.Popen[bytes]
        times = {"SPROCKET_LEASE_S": str(LEASE_S), "SPROCKET_RECONCILE_EVERY_S": str(RECONCILE_S), "SPROCKET_DRIFT_EVERY_HOURS": "0"}
        self.plane.environment |= {"DOCKER_HOST": f"unix://{self.docker.path}", **times, **settings}

    def league(self) -> League:
        """A new organization with nothing deployed; its row is made with its first plan."""
        league = League(self)
        self.leagues.append(league)
        return league

    def kill(self, pids: list[int]) -> None:
        """SIGKILL to each, all of which have to be there."""
        assert pids
        for pid in pids:
            os.kill(pid, signal.SIGKILL)

    def clean_up(self) -> None:
        """Nothing of it stays."""
        self.plane.stop_worker(signal.SIGKILL)
        for league in self.leagues:
            remove_everything(league.slug)
        self.docker.close()


@contextlib.contextmanager
def fault_plane(folder: Path, **settings: str) -> Iterator[FaultPlane]:
    """A control plane with its worker at work; leaves nothing behind."""
    faults = FaultPlane(folder, **settings)
    try:
        faults.plane.migrate()
        faults.worker = faults.plane.start_worker()
        yield faults
    finally:
        faults.clean_up()
