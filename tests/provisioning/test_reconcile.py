"""What was not sent is sent, what was lost is taken back, and the old process group is proved dead first."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from orgs.models import Organization
from provisioning import leases, processes, tasks
from provisioning.models import Run, StackLease
from provisioning.reconcile import Reconciler, reconcile
from provisioning.states import RunState


@pytest.fixture(autouse=True)
def bell(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sent: list[int] = []
    monkeypatch.setattr(tasks.execute, "delay", sent.append)
    return sent


def _run(org: Organization, state: str = RunState.QUEUED, **values: Any) -> Run:
    number = Run.objects.for_org(org).count() + 1
    return Run.objects.create(organization=org, number=number, kind="apply", state=state, **values)


def _lost(org: Organization, **values: Any) -> Run:
    """A run whose worker is gone: its lease has run out."""
    lease = leases.acquire(org, "gone")
    assert lease
    StackLease.objects.for_org(org).update(expires=timezone.now() - timedelta(seconds=1))
    return _run(org, **{"state": RunState.RUNNING, "fencing": lease.fencing, "deliveries": 1, "sent_at": timezone.now(), **values})


def test_what_was_not_sent_is_sent_once(demo: Organization, bell: list[int]) -> None:
    run = _run(demo)
    assert reconcile()["sent"] == 1
    assert reconcile()["sent"] == 0
    assert bell == [run.pk]


def test_a_message_that_was_lost_is_sent_again_after_a_minute(demo: Organization, bell: list[int]) -> None:
    run = _run(demo, sent_at=timezone.now() - timedelta(seconds=61))
    _run(demo, sent_at=timezone.now() - timedelta(seconds=5))
    reconcile()
    assert bell == [run.pk]


def test_a_run_waits_while_another_works_on_its_stack(demo: Organization, other: Organization, bell: list[int]) -> None:
    lease = leases.acquire(demo, "worker")
    assert lease
    _run(demo, RunState.RUNNING, fencing=lease.fencing)
    _run(demo)
    elsewhere = _run(other)
    reconcile()
    assert bell == [elsewhere.pk]


def test_a_run_whose_worker_lives_is_left_alone(demo: Organization) -> None:
    lease = leases.acquire(demo, "worker")
    assert lease
    run = _run(demo, RunState.RUNNING, fencing=lease.fencing)
    assert reconcile() == {"taken_back": 0, "given_up": 0, "sent": 0}
    run.refresh_from_db()
    assert run.state == RunState.RUNNING


def test_a_lost_run_is_taken_back_and_sent_again(demo: Organization, bell: list[int]) -> None:
    run = _lost(demo, worker="elsewhere:7 9f3a")
    assert reconcile() == {"taken_back": 1, "given_up": 0, "sent": 1}
    run.refresh_from_db()
    assert run.state == RunState.QUEUED
    assert [event.message for event in run.events.all()] == ["its worker (elsewhere:7) was lost: another one goes on, try 2 of 3"]
    assert bell == [run.pk]
    assert not leases.is_alive(demo.pk)


def test_its_late_worker_can_write_nothing_afterwards(demo: Organization) -> None:
    run = _lost(demo)
    late = Run.objects.get(pk=run.pk)
    reconcile()
    assert not late.move(RunState.SUCCEEDED, under=late.fencing)
    assert Run.objects.get(pk=run.pk).state == RunState.QUEUED


def test_the_third_loss_needs_recovery(demo: Organization, bell: list[int]) -> None:
    run = _lost(demo, deliveries=3)
    assert reconcile() == {"taken_back": 0, "given_up": 1, "sent": 0}
    run.refresh_from_db()
    assert run.state == RunState.NEEDS_RECOVERY
    assert run.error is not None
    assert "lost 3 times" in run.error["message"]
    assert bell == []


def test_a_lost_run_that_was_being_cancelled_is_cancelled(demo: Organization, bell: list[int]) -> None:
    run = _lost(demo, state=RunState.CANCELLING, cancel_requested=True)
    reconcile()
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert bell == []


def test_the_old_process_group_is_ended_before_the_run_is_taken_back(demo: Organization) -> None:
    environment = {**os.environ, processes.MARK: "its-mark"}
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], env=environment, start_new_session=True)
    limit = time.monotonic() + 10
    while not processes.members_of(child.pid, "its-mark") and time.monotonic() < limit:
        time.sleep(0.05)  # on a loaded machine the new program may not be in place yet
    run = _lost(demo, pid=child.pid, mark="its-mark", pid_started=processes.start_time_of(child.pid))
    reconcile()
    run.refresh_from_db()
    assert (run.state, run.pid) == (RunState.QUEUED, None)
    assert child.wait(timeout=5) != 0


def test_a_run_whose_group_does_not_end_is_not_taken_back(demo: Organization, monkeypatch: pytest.MonkeyPatch, bell: list[int]) -> None:
    monkeypatch.setattr(processes, "end_group", lambda *_args, **_more: False)
    run = _lost(demo, pid=4_000_000, mark="x")
    reconcile()
    run.refresh_from_db()
    assert run.state == RunState.RUNNING
    assert bell == []


def test_two_reconcilers_take_a_run_back_once(demo: Organization) -> None:
    _lost(demo)
    assert [reconcile()["taken_back"], reconcile()["taken_back"]] == [1, 0]


def test_the_embedded_thread_goes_on_after_a_pass_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[int] = []
    enough = threading.Event()

    def fail() -> None:
        passes.append(1)
        if len(passes) == 3:
            enough.set()
        raise RuntimeError("database is away")

    monkeypatch.setattr("provisioning.reconcile.reconcile", fail)
    monkeypatch.setattr("provisioning.reconcile.close_old_connections", lambda: None)
    thread = Reconciler()
    thread.start(0.01)
    assert enough.wait(5)
    thread.stop()
    count = len(passes)
    assert count >= 3
    threading.Event().wait(0.1)
    assert len(passes) == count
