"""Answers that never come, messages that come twice, locks that were left, clicks that come twenty times: one result, made once."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blueprints.layers import stack_name
from tests.engine.between import Snag
from tests.engine.fault_notes import PROCESSES, note
from tests.engine.fault_plane import LAYER, FaultPlane, League, fault_plane
from tests.engine.test_faults_kills import is_whole
from tests.layered import SERVE

pytestmark = pytest.mark.engine
SOON_S = 60
OTHERWISE = [*SERVE[:2], f"{SERVE[2]} --loglevel warning"]
DESTROY = "say(actions.destroy(org=org, actor=alice).pk)"
CLICKS = """
import threading
from django.db import connection
ready, made, errors = threading.Barrier(20), [], []
def click():
    try:
        plan = Plan.objects.get(pk=ID)
        ready.wait()
        made.append(actions.apply(plan=plan, actor=alice).pk)
    except Exception as error: errors.append(repr(error))
    finally: connection.close()
threads = [threading.Thread(target=click) for _ in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
say({"made": made, "errors": errors, "rows": Run.objects.for_org(org).filter(kind="apply").count()})
"""
DELIVERED_TWICE = """
from provisioning.tasks import execute
run = actions.apply(plan=Plan.objects.get(pk=ID), actor=alice)
for _ in range(4): execute.delay(run.pk)
say(run.pk)
"""


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultPlane]:
    with fault_plane(tmp_path_factory.mktemp("answers"), SPROCKET_LEASE_S="45") as plane:  # no worker is lost here
        yield plane


@pytest.fixture(scope="module")
def settled(faults: FaultPlane) -> League:
    """One that is deployed; its tests go on from each other's end, in any order."""
    return faults.league()


@pytest.fixture
def running(settled: League) -> League:
    """The same, deployed, and its bundle changed: an update of `vault` is to be done."""
    if not settled.state().get("resources"):
        settled.applied()
    settled.bundle.commands["vault"] = SERVE if settled.bundle.commands.get("vault", SERVE) == OTHERWISE else OTHERWISE
    return settled


def test_a_create_whose_answer_is_lost_is_found_and_not_made_again(faults: FaultPlane) -> None:
    seconds = _lost(faults, faults.league(), Snag("POST", r"/services/create", "lose"))
    note(PROCESSES, "answer of a create lost", "asked again by the provider: found by name and label, made once", seconds)


def test_an_update_whose_answer_is_lost_is_done_once(faults: FaultPlane, running: League) -> None:
    seconds = _lost(faults, running, Snag("POST", r"/services/[^/]+/update", "lose"))
    note(PROCESSES, "answer of an update lost", "asked again by the provider: already as wanted, changed once", seconds)


def _lost(faults: FaultPlane, league: League, lost: Snag) -> float:
    with faults.docker.snag(lost):
        run = league.asked_for()
        lost.wait()
        began = time.monotonic()
        lost.cut()
        done = league.ended(run)
    seconds = time.monotonic() - began
    is_whole(league, run)
    assert done["deliveries"] == 1
    assert seconds < SOON_S
    return seconds


def test_one_message_delivered_five_times_is_one_apply(faults: FaultPlane) -> None:
    league = faults.league()
    run = int(league.ask(DELIVERED_TWICE, ID=league.planned()))
    began = time.monotonic()
    done = league.ended(run)
    seconds = time.monotonic() - began
    time.sleep(2)  # for the other four
    said = is_whole(league, run)["said"]
    assert (done["deliveries"], league.now(run)["deliveries"]) == (1, 1)
    assert said.count("applying") == 1
    note(PROCESSES, "one message delivered five times", "the first takes the lease, the others find nothing to do", seconds)


def test_twenty_clicks_at_once_start_one_run(faults: FaultPlane) -> None:
    league = faults.league()
    found = league.ask(CLICKS, ID=league.planned())
    assert (found["errors"], len(found["made"]), len(set(found["made"])), found["rows"]) == ([], 20, 1, 1)
    began = time.monotonic()
    league.ended(found["made"][0])
    is_whole(league, found["made"][0])
    note(PROCESSES, "double click by 20 threads", "each gets the same run, which is carried out once", time.monotonic() - began)


def test_a_lock_whose_owner_is_dead_is_removed(running: League) -> None:
    league = running
    gone = subprocess.Popen(["true"])
    gone.wait()
    lock = _locked(league, gone.pid)
    run = league.asked_for()
    began = time.monotonic()
    league.ended(run)
    said = is_whole(league, run)["said"]
    assert not lock.exists()
    assert "removing the lock of a run that was ended" in said
    note(PROCESSES, "stale lock, its owner dead", "removed under the lease, then applied", time.monotonic() - began)


def test_a_lock_whose_owner_lives_is_respected_and_the_owner_is_named(running: League, tmp_path: Path) -> None:
    """Somebody runs the engine by hand: a process of that name, which lives."""
    league = running
    plan = league.planned()
    engine = shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / "pulumi")
    owner = subprocess.Popen([engine, "300"])
    try:
        lock = _locked(league, owner.pid)
        began = time.monotonic()
        done = league.ended(league.asked_to_apply(plan))
        seconds = time.monotonic() - began
        assert done["state"] == "failed"
        assert f"locked by process {owner.pid} of somebody, which is still at work" in done["error"]["message"]
        assert "wait until it has ended" in done["error"]["hint"]
        assert lock.exists()
    finally:
        owner.kill()
        owner.wait()
    run = league.asked_to_apply(plan)  # as the hint says
    league.ended(run)
    is_whole(league, run)
    note(PROCESSES, "stale lock, its owner alive", "refused, nothing changed, process and user named; goes on once it has ended", seconds)


def test_a_delete_whose_answer_is_lost_leaves_nothing(faults: FaultPlane, running: League) -> None:
    league, lost = running, Snag("DELETE", r"/services/", "lose")
    with faults.docker.snag(lost):
        run = int(league.ask(DESTROY))
        lost.wait()
        began = time.monotonic()
        lost.cut()
        done = league.ended(run)
    assert (done["state"], done["deliveries"]) == ("succeeded", 1), done
    assert (league.services(), league.objects(), league.locks()) == ([], [], [])
    assert not league.state().get("resources")
    note(PROCESSES, "answer of a delete lost", "asked again by the provider: gone is as wanted", time.monotonic() - began)


def _locked(league: League, pid: int) -> Path:
    """A lock as the engine writes it."""
    folder = league.engine_folder / "locks" / "organization" / "sprocket" / stack_name(league.slug, LAYER)
    folder.mkdir(parents=True, exist_ok=True)
    lock = folder / "5f7bd2d4-6a0e-4a5e-9a53-4d3c5d7e8f90.json"
    owner = {"pid": pid, "username": "somebody", "hostname": socket.gethostname(), "timestamp": "2026-01-01T00:00:00Z"}
    lock.write_text(json.dumps(owner))
    assert os.access(lock, os.R_OK)
    return lock
