"""How a service stands, decided from what Docker says."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provisioning.providers.swarm.convergence import Steady, Unplaced, standing
from provisioning.providers.swarm.service_spec import spec_for
from tests.provisioning.providers.stack import demo_stack

WEB, JOB = demo_stack().services["web"], demo_stack().services["api_migrate"]


def _service(args: Any, status: str = "") -> dict[str, Any]:
    return {"Spec": spec_for(args, lambda _kind, name: name), "UpdateStatus": {"State": status} if status else {}}


def _task(args: Any, state: str, desired: str = "running", error: str = "", force: int = 0) -> dict[str, Any]:
    return {
        "Spec": spec_for(args, lambda _kind, name: name, force)["TaskTemplate"],
        "DesiredState": desired,
        "Status": {"State": state, "Err": error},
    }


@pytest.mark.parametrize(
    ("args", "status", "tasks", "is_update", "done", "failure"),
    [
        (WEB, "", [], False, False, ""),
        (WEB, "", [_task(WEB, "starting")], False, False, ""),
        (WEB, "", [_task(WEB, "running")], False, True, ""),
        (WEB, "updating", [_task(WEB, "running")], True, False, ""),
        (WEB, "completed", [_task(WEB, "running")], True, True, ""),
        (WEB, "completed", [_task(WEB, "running", force=1)], True, False, ""),
        (WEB, "completed", [_task(WEB, "running"), _task(WEB, "running", force=1)], True, False, ""),
        (WEB, "", [_task(WEB, "failed", error="exit 1")] * 2, False, False, ""),
        (WEB, "", [_task(WEB, "failed", error="exit 1")] * 3, False, False, "exit 1"),
        (WEB, "", [_task(WEB, "rejected", error="No such image")], False, False, "No such image"),
        (WEB, "rollback_started", [_task(WEB, "failed", error="exit 1")], True, False, ""),
        (WEB, "rollback_completed", [_task(WEB, "failed", error="exit 1")], True, False, "exit 1; rolled back to the previous version"),
        (WEB, "rollback_paused", [], True, False, "a task failed; the rollback did not work either"),
        (JOB, "", [_task(JOB, "running")], False, False, ""),
        (JOB, "", [_task(JOB, "complete")], False, True, ""),
        (JOB, "", [_task(JOB, "failed", error="exit 3")], False, False, "exit 3"),
        (JOB, "completed", [_task(JOB, "complete", force=1)], True, False, ""),
    ],
)
def test_a_service_stands_as_its_tasks_do(args: Any, status: str, tasks: list[Any], is_update: bool, done: bool, failure: str) -> None:
    found = standing(args, _service(args, status), tasks, is_update=is_update)
    assert (found.done, found.failure) == (done, failure)


THEIRS = replace(WEB, name="core-service-a1b2c3d", healthcheck=None)


def _seen(args: Any, *tasks: tuple[float, str]) -> list[str]:
    """What a task that is `state` at each moment is called then."""
    clock = iter(moment for moment, _ in tasks)
    steady = Steady(args, lambda: next(clock))
    return [steady.those_that_last([{"ID": "t", **_task(args, state)}])[0]["Status"]["State"] for _, state in tasks]


def test_a_service_of_an_estate_has_to_run_for_a_moment_where_nobody_asks_about_its_health() -> None:
    assert _seen(THEIRS, (0, "running"), (1.9, "running"), (2, "running")) == ["starting", "starting", "running"]


def test_the_moment_begins_anew_when_it_stopped_in_between() -> None:
    states = ["running", "failed", "running", "running"]
    assert _seen(THEIRS, *zip((0, 1, 2, 3), states, strict=True)) == ["starting", "failed", "starting", "starting"]


@pytest.mark.parametrize("args", [WEB, replace(WEB, healthcheck=None), JOB, replace(THEIRS, healthcheck=WEB.healthcheck)])
def test_our_own_services_and_those_with_a_health_check_do_not_wait(args: Any) -> None:
    clock_is_never_asked = Steady(args, lambda: pytest.fail("asked"))
    assert clock_is_never_asked.those_that_last([_task(args, "running")])[0]["Status"]["State"] == "running"


def test_a_service_no_node_takes_is_told_once_that_has_lasted() -> None:
    now = [0.0]
    unplaced = Unplaced(lambda: now[0])
    pending = [{"Status": {"State": "pending", "Err": "no suitable node (1 node not available for new tasks)"}}]
    said = []
    for moment, tasks in (
        (0, pending),
        (14, pending),
        (15, [{"Status": {"State": "starting"}}]),
        (16, pending),
        (30, pending),
        (31, pending),
    ):
        now[0] = moment
        said.append(unplaced.reason_that_lasts(tasks))
    assert said == ["", "", "", "", "", "no suitable node (1 node not available for new tasks)"]
