"""A whole deployment made as people make one: a control plane in a data folder of its own, a Celery worker, the demo's needs."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.engine.ports import free_port
from tests.engine.removal import remove_everything

ROOT = Path(__file__).resolve().parents[2]
SECRETS = {
    "discord-client-id": "123456789012345678",
    "discord-client-secret": "canary-discord-client-secret",
    "bot-token": "canary-bot-token-0123456789",
}
BEGIN = """
import json, sys, time
import django; django.setup()
from django.contrib.auth import get_user_model
from blueprints import actions as blueprint_actions
from orgs import actions as org_actions
from orgs.models import Organization
from provisioning import actions, secret_store
from provisioning.models import Plan, Run, RunEvent, SecretVersion, StackLease, StackState
org = Organization.objects.filter(slug=SLUG).first()
alice = get_user_model().objects.filter(username="alice").first()
def newest(): return blueprint_actions.make_blueprint(org=org, actor=alice)
def set_secrets(values):
    wanted = blueprint_actions.draw_newest(org=org).secrets
    for name, value in values.items(): secret_store.set_secret(org=org, name=name, value=value, actor=alice, pattern=wanted[name]["pattern"])
def say(value): print(json.dumps(value, default=str))
def brief(run):
    names = ("state", "error", "verdict", "changes", "deliveries", "pid", "mark")
    return {"id": run.pk, "plan": run.plan_id, **{name: getattr(run, name) for name in names}}
"""
MAKE = """
from orgs.people import create_user
alice = create_user(username="alice", admin=True)
org = org_actions.create_organization(slug=SLUG, name="Engine League", actor=alice)
org_actions.attach(org=org, name="demo-schema.sql", content=open("orgs/demo-schema.sql", "rb").read(), actor=alice)
org_actions.set_needs(org=org, actor=alice, text=NEEDS, message="first")
set_secrets(SECRETS)
"""


class ControlPlane:
    """The control plane of the test, asked through short programs, as a page or command would."""

    def __init__(self, data: Path, *, access: str = "", secrets_too: Mapping[str, str] | None = None) -> None:
        """With `access`, that part of the needs as YAML, and the secrets it calls for."""
        self.data = data
        self.access = access
        self.secrets = {**SECRETS, **(secrets_too or {})}
        self.slug = "t" + secrets.token_hex(5)
        self.port = free_port()
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPROCKET_", "DJANGO_"))}
        cache = {name: os.environ[name] for name in ("SPROCKET_CACHE_DIR", "SPROCKET_PULUMI") if name in os.environ}
        own = {"SPROCKET_DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "sprocket_v2.settings", "PYTHONPATH": str(ROOT)}
        self.environment = {**kept, **cache, **own}
        self._worker: subprocess.Popen[bytes] | None = None

    def set_up(self) -> None:
        """Database, organization, needs, secrets."""
        self.migrate()
        self.ask(MAKE)

    def migrate(self) -> None:
        """The database alone."""
        subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], env=self.environment, cwd=ROOT, check=True, timeout=60)

    def needs(self, **changes: str) -> str:
        """The demo's needs under this slug and port."""
        text = (ROOT / "orgs" / "demo.yaml").read_text()
        for old, new in {
            "slug: demo": f"slug: {self.slug}",
            "demo.localhost": f"{self.slug}.localhost",
            "port: 8080": f"port: {self.port}",
            **changes,
        }.items():
            assert old in text, old
            text = text.replace(old, new)
        return text[: text.index("access:")] + self.access if self.access else text

    def ask(self, code: str, *, limit_s: float = 120.0, **values: Any) -> Any:
        """Run a few lines in the control plane; the last line it prints is the answer."""
        given = {"SLUG": self.slug, "NEEDS": self.needs(), "SECRETS": self.secrets, **values}
        head = "\n".join(f"{name} = {value!r}" for name, value in given.items())
        command = [sys.executable, "-c", f"{head}\n{BEGIN}\n{code}"]
        done = subprocess.run(command, env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=limit_s, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None

    def start_worker(self) -> subprocess.Popen[bytes]:
        """A Celery worker in a session of its own; one that was started before is the caller's to end."""
        command = [sys.executable, "-m", "celery", "-A", "sprocket_v2", "worker", "-c", "1", "--without-gossip", "--without-mingle"]
        with (self.data.parent / "worker.log").open("ab") as log:
            self._worker = subprocess.Popen(command, env=self.environment, cwd=ROOT, stdout=log, stderr=log, start_new_session=True)
        return self._worker

    def stop_worker(self, sign: signal.Signals = signal.SIGTERM) -> None:
        """End the worker, its pool included."""
        if self._worker and self._worker.poll() is None:
            os.killpg(self._worker.pid, sign)
            self._worker.wait(timeout=30)

    def wait(self, run_id: int, *, limit_s: float = 150.0) -> dict[str, Any]:
        """A run's end, through the database."""
        code = (
            f"limit = time.monotonic() + {limit_s}\n"
            "while not Run.objects.get(pk=ID).is_finished and time.monotonic() < limit: time.sleep(0.1)\n"
            "say(brief(Run.objects.get(pk=ID)))"
        )
        found: dict[str, Any] = self.ask(code, ID=run_id)
        return found

    def planned(self) -> int:
        """A plan of the newest needs, made by the worker and approved; its id."""
        run = self.ask("say(brief(actions.request_run(org=org, kind='preview', actor=alice, blueprint=newest())))")
        done = self.wait(run["id"])
        assert done["state"] == "succeeded", done
        self.ask("actions.approve(plan=Plan.objects.get(pk=ID), actor=alice, reason='stand-ins are fine here')", ID=done["plan"])
        return int(done["plan"])

    def asked_to_apply(self, plan: int) -> int:
        """The run of an apply, not waited for."""
        return int(self.ask("say(brief(actions.apply(plan=Plan.objects.get(pk=ID), actor=alice)))", ID=plan)["id"])

    def clean_up(self) -> None:
        """End the worker; remove every Docker object of the slug."""
        with contextlib.suppress(Exception):
            self.stop_worker()
        remove_everything(self.slug)


@contextlib.contextmanager
def deployed_plane(folder: Path, *, access: str = "", secrets_too: Mapping[str, str] | None = None) -> Iterator[ControlPlane]:
    """A control plane whose organization is deployed; see ControlPlane for the rest."""
    plane = ControlPlane(folder / "data", access=access, secrets_too=secrets_too)
    try:
        plane.set_up()
        plane.start_worker()
        done = plane.wait(plane.asked_to_apply(plane.planned()))
        assert done["state"] == "succeeded", done
        yield plane
    finally:
        plane.clean_up()
