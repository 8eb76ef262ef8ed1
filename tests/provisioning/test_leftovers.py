"""Leftovers: live services nobody applied become steps of a plan, and the apply of that plan removes them and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from blueprints.models import Blueprint
from provisioning import actions, leftovers
from provisioning.live import LiveService, LiveTask
from tests.provisioning.conftest import FakeDocker

Make = Callable[..., Blueprint]
STRANGER = LiveService("demo_stranger", "id-s", 1, "redis:7", 1, is_job=False, tasks=(LiveTask("t-s", "running", "running"),))


def test_a_live_service_that_no_version_has_is_a_stranger() -> None:
    assert leftovers.strangers(["demo_web", "demo_b", "demo_a"], frozenset({"demo_web"})) == ("demo_a", "demo_b")
    assert leftovers.strangers(["demo_web"], frozenset()) == (), "a version that does not say what it has, has no strangers"


def test_what_the_engine_deletes_itself_is_no_leftover() -> None:
    steps = [{"resource": "service/old", "op": "delete"}, {"resource": "service/new", "op": "create"}]
    [step] = leftovers.leftover_steps("demo", ["demo_old", "demo_new"], steps)
    assert (step["resource"], step["op"], step["type"]) == ("service/demo_new", "delete", leftovers.LEFTOVER)
    assert leftovers.names_in([*steps, step]) == ("demo_new",)


@pytest.mark.usefixtures("token")
def test_a_plan_names_the_leftover_and_its_apply_removes_that_alone(
    make_blueprint: Make, docker: FakeDocker, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    says = {"components": [{"name": "web", "services": ["demo_web"]}]}
    row = make_blueprint(preview={"steps": [], "changes": {"same": 4}, "state_digest": "sha256:before"}, says=says)
    docker.services.append(STRANGER)
    plan = actions.propose(org=row.organization, blueprint=row, actor=alice)
    assert [(step["op"], step["resource"]) for step in plan.steps] == [("delete", "service/demo_stranger")]
    assert (plan.changes, plan.state) == ({"same": 4, "delete": 1}, "proposed")

    removed: list[str] = []

    def delete_named(_swarm: object, name: str, **_more: object) -> None:
        removed.append(name)
        docker.remove("service", name)

    monkeypatch.setattr("provisioning.providers.swarm.service.delete_named", delete_named)
    run = actions.run_here(actions.apply(plan=actions.approve(plan=plan, actor=alice), actor=alice, ring=False))
    assert (run.state, run.error, removed) == ("succeeded", None, ["demo_stranger"])
    assert run.changes["delete"] == 1


@pytest.mark.usefixtures("token")
def test_a_leftover_that_came_after_the_plan_is_not_touched(make_blueprint: Make, docker: FakeDocker, alice: Any) -> None:
    row = make_blueprint(says={"components": [{"name": "web", "services": ["demo_web"]}]})
    plan = actions.approve(plan=actions.propose(org=row.organization, blueprint=row, actor=alice), actor=alice)
    docker.services.append(replace(STRANGER, name="demo_later"))
    run = actions.run_here(actions.apply(plan=plan, actor=alice, ring=False))
    assert run.error is not None
    assert run.error["message"] == "plan is stale: the running objects moved"
    assert [service.name for service in docker.services] == ["demo_web", "demo_later"]
