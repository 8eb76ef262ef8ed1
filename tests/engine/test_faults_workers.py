"""Workers that are stopped, ended and overtaken: whoever has lost the lease writes nothing, and what was begun is finished."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.between import Snag
from tests.engine.fault_notes import PROCESSES, note
from tests.engine.fault_plane import FaultPlane, League, fault_plane
from tests.engine.test_faults_kills import CREATE_SERVICE, LISTING, is_whole, kill_in_an_apply

pytestmark = pytest.mark.engine
GOAL_S = 90.0


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultPlane]:
    with fault_plane(tmp_path_factory.mktemp("workers")) as plane:
        yield plane


def test_a_worker_that_slept_past_its_lease_writes_nothing_when_it_wakes(faults: FaultPlane) -> None:
    """It sleeps with a question on its lips; when it hears the answer another one is in the middle of the same apply."""
    league = faults.league()
    plan = league.planned()
    asking, half_way = Snag("GET", LISTING), Snag("POST", CREATE_SERVICE, skip=1)
    with faults.docker.snag(asking, half_way), _asleep(faults, league, plan, asking) as (run, old):
        half_way.wait()
        time.sleep(1)  # until its last words are written
        before = _rows(faults, run)
        asking.let_through()
        os.killpg(old.pid, signal.SIGCONT)
        time.sleep(3)
        after = _rows(faults, run)
        assert after == before
        woken = time.monotonic()
        half_way.let_through()
        league.ended(run)
        seconds = time.monotonic() - woken
    assert is_whole(league, run)["deliveries"] > 1
    held = "the lease's number is checked with every write: the old one changes no row and no object, the new one finishes"
    note(PROCESSES, "two workers on one run: the old one stopped past its lease, then continued, before the engine", held, seconds)


def test_a_worker_that_slept_while_its_engine_worked_writes_nothing_when_it_wakes(faults: FaultPlane) -> None:
    league = faults.league()
    plan = league.planned()
    creating = Snag("POST", CREATE_SERVICE, "lose")
    with faults.docker.snag(creating), _asleep(faults, league, plan, creating) as (run, old):
        creating.cut()  # the old engine's provider hears nothing, asks again, and is ended politely by the next worker
        league.until(run, lambda row: row["deliveries"] > 1 and row["pid"] is not None)
        os.killpg(old.pid, signal.SIGCONT)
        woken = time.monotonic()
        league.ended(run)
        seconds = time.monotonic() - woken
        before = _rows(faults, run)
        time.sleep(3)
        assert _rows(faults, run) == before
    assert is_whole(league, run)["deliveries"] > 1
    held = "its engine is ended first; it wakes, sees that the lease is gone, and writes nothing"
    note(PROCESSES, "two workers on one run: the old one stopped past its lease, then continued, while its engine worked", held, seconds)


@contextlib.contextmanager
def _asleep(faults: FaultPlane, league: League, plan: int, asking: Snag) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """A run whose first worker was stopped at a call, and is gone afterwards; a second worker is there."""
    old = faults.worker
    run = league.asked_to_apply(plan)
    asking.wait()
    os.killpg(old.pid, signal.SIGSTOP)
    faults.worker = faults.plane.start_worker()
    try:
        yield run, old
    finally:
        os.killpg(old.pid, signal.SIGKILL)
        old.wait(timeout=10)


def _rows(faults: FaultPlane, run: int) -> dict[str, Any]:
    """All that a late worker could have written: the run without its heartbeat, its plan, what is known of the stack, how many events."""
    with contextlib.closing(sqlite3.connect(f"file:{faults.plane.data / 'db.sqlite3'}?mode=ro", uri=True, timeout=20)) as database:
        database.row_factory = sqlite3.Row
        row = dict(database.execute("select * from provisioning_run where id = ?", (run,)).fetchone())
        del row["heartbeat"]
        plan = database.execute("select state, reason from provisioning_plan where id = ?", (row["plan_id"],)).fetchone()
        stack = database.execute(
            "select state_digest, applied_digest, live_fingerprint from provisioning_stackstate where organization_id = ?",
            (row["organization_id"],),
        ).fetchone()
        events = database.execute("select count(*) from provisioning_runevent where run_id = ?", (run,)).fetchone()
        plans = database.execute("select count(*) from provisioning_plan").fetchone()
        return {"run": row, "plan": tuple(plan), "stack": tuple(stack), "events": tuple(events), "plans": tuple(plans)}


def test_a_worker_told_to_end_and_then_killed_costs_time_and_nothing_else(faults: FaultPlane) -> None:
    """As a service manager does it: TERM, some patience, KILL. With TERM alone a worker finishes what it has in hand."""
    league = faults.league()
    held = Snag("POST", CREATE_SERVICE, skip=1)
    with faults.docker.snag(held):
        run = league.asked_for()
        held.wait()
        faults.worker.terminate()
        time.sleep(1.5)
        assert league.now(run)["state"] == "running"
        began = time.monotonic()
        faults.plane.stop_worker(signal.SIGKILL)
        faults.worker = faults.plane.start_worker()
    league.ended(run)
    seconds = time.monotonic() - began
    assert is_whole(league, run)["deliveries"] > 1
    note(PROCESSES, "TERM, then KILL of a worker", "TERM lets it finish; killed all the same, the next worker goes on", seconds)


@pytest.mark.soak
def test_a_worker_told_to_end_finishes_the_run_it_has(faults: FaultPlane) -> None:
    league = faults.league()
    held = Snag("POST", CREATE_SERVICE, skip=1)
    with faults.docker.snag(held):
        run = league.asked_for()
        held.wait()
        began = time.monotonic()
        faults.worker.terminate()
        held.let_through()
        done = league.ended(run)
        faults.worker.wait(timeout=60)
    faults.worker = faults.plane.start_worker()
    is_whole(league, run)
    assert done["deliveries"] == 1
    note(PROCESSES, "TERM of a worker", "finishes the run in hand, then ends", time.monotonic() - began)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_nineteen_of_twenty_killed_workers_are_made_good_within_the_goal(faults: FaultPlane) -> None:
    took = sorted(kill_in_an_apply(faults, "whole worker", "between steps") for _ in range(20))
    assert took[18] < GOAL_S
    for seconds in took:
        note(PROCESSES, "SIGKILL of the whole worker, again and again", "made good each time; the goal is 90 s for 95 of 100", seconds)


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_with_the_times_as_they_are_delivered_a_killed_worker_is_made_good_within_the_goal(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    defaults = {"SPROCKET_LEASE_S": "45", "SPROCKET_RECONCILE_EVERY_S": "15"}
    with fault_plane(tmp_path_factory.mktemp("defaults"), **defaults) as plane:
        for _ in range(3):
            seconds = kill_in_an_apply(plane, "whole worker", "between steps", limit_s=GOAL_S)
            note(PROCESSES, "SIGKILL of the whole worker, with the times as delivered (45 s and 15 s)", "taken back, and finished", seconds)
