"""Versions with what became of them, and the way back. Engine and Docker are scripted."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from blueprints.models import Blueprint
from blueprints.rendering import Rendering
from orgs.models import Organization
from provisioning import actions
from provisioning.models import Plan, Run, StackState
from provisioning.review.history import ask_rollback, history_of
from provisioning.review.rolling_back import data_left
from provisioning.states import PlanState, RunState
from sprocket_v2.errors import ApplyError, DeniedError
from tests.provisioning.conftest import Engine

Make = Callable[..., Blueprint]
pytestmark = pytest.mark.usefixtures("token")


def _deploy(blueprint: Blueprint, actor: Any, reason: str = "") -> Run:
    plan = actions.propose(org=blueprint.organization, blueprint=blueprint, actor=actor)
    plan = actions.approve(plan=plan, actor=actor, reason=reason)
    return actions.run_here(actions.apply(plan=plan, actor=actor, ring=False))


def test_every_version_has_its_author_plans_yeses_runs_and_verdict(make_blueprint: Make, demo: Organization, alice: Any) -> None:
    first = make_blueprint()
    Blueprint.objects.filter(pk=first.pk).update(author=alice)
    _deploy(first, alice, "first of all")
    make_blueprint()
    newest, oldest = history_of(demo)
    assert (newest.number, newest.is_deployed, newest.plans, newest.author) == (2, False, (), "")
    assert (oldest.number, oldest.is_deployed, oldest.author, oldest.needs, oldest.release) == (1, True, "alice", 1, "1")
    [plan] = oldest.plans
    assert (plan.state, plan.approvals, plan.run_state) == ("applied", ("alice: first of all",), "succeeded")
    assert plan.verdict == "runs ok, usable skipped"
    assert plan.digest.startswith("sha256:")


def test_another_organizations_versions_are_not_in_it(make_blueprint: Make, demo: Organization, other: Organization) -> None:
    make_blueprint()
    assert history_of(other) == ()


def test_a_rollback_deploys_exactly_the_files_of_then(make_blueprint: Make, engine: Engine, demo: Organization, alice: Any) -> None:
    first = make_blueprint()
    _deploy(first, alice)
    second = make_blueprint()
    _deploy(second, alice)
    plan = actions.plan_from(ask_rollback(org=demo, number=1, actor=alice, ring=False))
    assert (plan.blueprint, plan.rendering_digest, plan.state) == (first, first.digest, PlanState.PROPOSED)
    assert plan.review["rollback"]["to"] == 1
    assert plan.review["from"] == 2
    assert (
        actions.run_here(actions.apply(plan=actions.approve(plan=plan, actor=alice), actor=alice, ring=False)).state == RunState.SUCCEEDED
    )
    assert StackState.objects.for_org(demo).get().applied_digest == first.digest


def test_a_rollback_is_refused_where_it_would_be_none(make_blueprint: Make, demo: Organization, alice: Any, bob: Any, charlie: Any) -> None:
    make_blueprint()
    with pytest.raises(ApplyError, match="nothing is deployed"):
        ask_rollback(org=demo, number=1, actor=alice)
    _deploy(Blueprint.objects.get(), alice)
    with pytest.raises(ApplyError, match="version 1 is what runs"):
        ask_rollback(org=demo, number=1, actor=alice)
    with pytest.raises(ApplyError, match="no version 9"):
        ask_rollback(org=demo, number=9, actor=alice)
    make_blueprint()
    with pytest.raises(DeniedError):
        ask_rollback(org=demo, number=2, actor=charlie)
    assert not Plan.objects.filter(blueprint__number=2).exists()


def _rendering(volumes: list[str], jobs: dict[str, str]) -> Rendering:
    services = {
        key: {"image": image, "deploy": {"labels": {"sprocket.kind": "job", "sprocket.component": "api"}}} for key, image in jobs.items()
    }
    stack = {"volumes": {name: {"name": f"demo_{name}"} for name in volumes}, "services": services}
    return Rendering({"blueprint.json": "{}", "stack.yml": json.dumps(stack)})


def test_data_in_volumes_of_both_versions_stays_as_it_is_now() -> None:
    [said] = data_left(_rendering(["pg", "redis"], {}), _rendering(["pg", "redis"], {}))
    assert said == "What was written into demo_pg and demo_redis since then stays: files and images go back, data does not."


def test_a_volume_that_did_not_exist_then_is_left_alone() -> None:
    [said] = data_left(_rendering(["pg"], {}), _rendering([], {}))
    assert said == "demo_pg did not exist then: the data stays, and no service uses it any more."


def test_a_migration_of_any_version_in_between_is_said() -> None:
    now, then = _rendering([], {"api_migrate": "api:1"}), _rendering([], {"api_migrate": "api:1"})
    assert data_left(now, then) == ()
    [said] = data_left(now, then, [_rendering([], {"api_migrate": "api:2"})])
    assert said.startswith("api_migrate ran with another image since then")
