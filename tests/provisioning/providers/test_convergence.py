"""How a service stands, decided from what Docker says."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.providers.swarm.convergence import standing
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
