"""Processes killed for real in the middle of an apply: the run goes on by itself, nothing is lost, nothing is made twice."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from provisioning import processes
from tests.engine.between import Snag
from tests.engine.fault_notes import PROCESSES, note
from tests.engine.fault_plane import SERVICES, FaultPlane, League, fault_plane

pytestmark = pytest.mark.engine
CREATE_SERVICE, LISTING = r"/services/create", r"/services\?"
IN_CI = "after a create whose answer is lost"


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultPlane]:
    with fault_plane(tmp_path_factory.mktemp("kills")) as plane:
        yield plane


def _after_the_last(then: tuple[str, str]) -> tuple[Snag, ...]:
    last = Snag("POST", CREATE_SERVICE, "watch", skip=1)
    return last, Snag(*then, after=last)


# The worker's own calls and the engine's are different ones, so the first and the last moment differ.
MOMENTS: dict[str, Callable[[bool], tuple[Snag, ...]]] = {
    "after the claim": lambda in_engine: (Snag("GET", r"/networks/ingress" if in_engine else LISTING),),
    "before the first create": lambda _: (Snag("POST", r"/networks/create"),),
    IN_CI: lambda _: (Snag("POST", CREATE_SERVICE, "lose"),),
    "between steps": lambda _: (Snag("POST", CREATE_SERVICE, skip=1),),
    "after the last step before the commit": lambda in_engine: _after_the_last(("GET", r"/tasks\?") if in_engine else ("GET", LISTING)),
}


def _pool_child(league: League, run: int) -> list[int]:
    return [league.worker_pid(run)]


def _engines_child(league: League, run: int) -> list[int]:
    return [int(league.now(run)["pid"])]


@dataclass(frozen=True)
class Victim:
    """Whose end it is."""

    in_engine: bool
    pids: Callable[[League, int], list[int]]
    held: str


VICTIMS = {
    "pool child": Victim(False, _pool_child, "taken back when its lease ends; another pool process goes on"),
    "whole worker": Victim(False, lambda *_: [], "taken back by the next worker, which goes on"),
    "engine's child": Victim(True, _engines_child, "the worker goes on at once"),
    "engine's command line": Victim(True, lambda league, _: league.engines("pulumi"), "the worker ends its provider and goes on at once"),
    "provider": Victim(True, lambda league, _: league.engines("plugin")[:1], "the worker goes on at once"),
}


CASES = [pytest.param(victim, moment, marks=[] if moment == IN_CI else [pytest.mark.soak]) for victim in VICTIMS for moment in MOMENTS]


@pytest.mark.parametrize(("victim", "moment"), CASES)
def test_a_killed_process_costs_time_and_nothing_else(faults: FaultPlane, victim: str, moment: str) -> None:
    seconds = kill_in_an_apply(faults, victim, moment)
    note(PROCESSES, f"SIGKILL of the {victim} {moment}", VICTIMS[victim].held, seconds)


def kill_in_an_apply(faults: FaultPlane, name: str, moment: str, *, limit_s: float = 60.0) -> float:
    """Seconds from the kill to the end of the run, after looking at all that has to hold."""
    league, victim = faults.league(), VICTIMS[name]
    plan = league.planned()  # before the snags: a plan looks at the same things
    snags = MOMENTS[moment](victim.in_engine)
    with faults.docker.snag(*snags):
        run = league.asked_to_apply(plan)
        snags[-1].wait()
        began = time.monotonic()
        mark, pid = league.now(run)["mark"], league.now(run)["pid"]
        if name == "whole worker":
            faults.plane.stop_worker(signal.SIGKILL)
            faults.worker = faults.plane.start_worker()
        else:
            faults.kill(victim.pids(league, run))
    done = league.ended(run, limit_s=limit_s)
    seconds = time.monotonic() - began
    assert not pid or processes.members_of(pid, mark) == []
    is_whole(league, run)
    assert done["deliveries"] >= 2
    return seconds


def is_whole(league: League, run: int) -> dict[str, Any]:
    """Assert what every fault has to leave: one of each, no lock, nothing pending, no process, no lease, and nothing to do."""
    done = league.afterwards(run)
    assert done["state"] == "succeeded", done
    assert league.services() == sorted(SERVICES)
    assert league.objects() == ["network"]
    assert not league.state().get("pending_operations")
    assert league.locks() == []
    assert league.engines() == []
    assert (done["left"], done["held"]) == ([], False)
    return done
