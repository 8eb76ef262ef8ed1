"""A real Celery worker on the embedded broker: a run asked for here is carried out there, and it repairs by itself."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

pytestmark = pytest.mark.engine

ASK = """
import django; django.setup()
from django.contrib.auth import get_user_model
from orgs.models import Membership, Organization
from provisioning import actions
from provisioning.models import Run
org, _ = Organization.objects.get_or_create(slug="demo", defaults={"name": "Demo"})
alice, _ = get_user_model().objects.get_or_create(username="alice")
Membership.objects.get_or_create(organization=org, user=alice, defaults={"roles": ["owner"]})
"""
RING = "actions.request_run(org=org, kind='verify', actor=alice)"
DO_NOT_RING = (
    "run = actions.request_run(org=org, kind='verify', actor=alice, ring=False); Run.objects.filter(pk=run.pk).update(sent_at=None)"
)
SHOW = "for run in Run.objects.order_by('pk'): print(run.state, (run.error or {}).get('message', ''))"


def _python(environment: dict[str, str], code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def _states(environment: dict[str, str], count: int) -> list[str]:
    limit = time.monotonic() + 30
    while time.monotonic() < limit:
        lines = _python(environment, f"{ASK}\n{SHOW}").splitlines()
        if len(lines) == count and not any(line.startswith(("queued", "running")) for line in lines):
            return lines
        time.sleep(0.3)
    raise AssertionError(f"not finished: {lines}")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    root = str(Path(__file__).resolve().parents[2])
    own = {
        "SPROCKET_DATA_DIR": str(tmp_path / "data"),
        "DJANGO_SETTINGS_MODULE": "sprocket_v2.settings",
        "PYTHONPATH": root,
        "SPROCKET_SPARE_CHILD": "0",
    }
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPROCKET_", "DJANGO_"))}
    made = {**kept, **own}
    subprocess.run([sys.executable, "-m", "django", "migrate", "-v0"], env=made, check=True, timeout=60)
    return made


@contextmanager
def _worker(environment: dict[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "celery", "-A", "sprocket_v2", "worker", "-c", "1", "--without-gossip", "--without-mingle"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=20)


def test_a_run_asked_for_here_is_carried_out_there(environment: dict[str, str]) -> None:
    _python(environment, f"{ASK}\n{DO_NOT_RING}")
    with _worker(environment) as worker:
        _python(environment, f"{ASK}\n{RING}")
        assert _states(environment, 2) == ["failed nothing is deployed", "failed nothing is deployed"]
        assert worker.poll() is None


def test_a_message_lost_with_its_worker_is_sent_again(environment: dict[str, str], tmp_path: Path) -> None:
    """The whole worker is killed; the run is a row, so the next worker's reconciler finds it."""
    with _worker(environment) as worker:
        time.sleep(2)
        os.killpg(worker.pid, signal.SIGKILL)
        worker.wait(timeout=10)
    _python(environment, f"{ASK}\n{RING}\nRun.objects.update(sent_at='2000-01-01T00:00:00Z')")
    for message in (tmp_path / "data" / "broker" / "in").glob("*.msg"):
        message.unlink()
    with _worker(environment):
        assert _states(environment, 1) == ["failed nothing is deployed"]
