"""An apply is refused when any part of what was approved has moved; it names the part, and starts no engine. Engine and Docker are scripted."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from blueprints.models import Blueprint, BlueprintFile
from orgs.models import NeedsRevision, Organization
from provisioning import actions, planning
from provisioning.materials import rendering_of
from provisioning.models import Approval, Plan, Run, SecretVersion, StackState
from provisioning.review import binding
from provisioning.secret_store import set_secret
from provisioning.states import PlanState, RunState
from tests.provisioning.conftest import Engine, FakeDocker

Make = Callable[..., Blueprint]
pytestmark = pytest.mark.usefixtures("token")


@pytest.fixture
def plan(make_blueprint: Make, demo: Organization, alice: Any) -> Plan:
    made = actions.propose(org=demo, blueprint=make_blueprint(), actor=alice)
    return actions.approve(plan=made, actor=alice)


def _applied(plan: Plan, actor: Any) -> Run:
    return actions.run_here(actions.apply(plan=plan, actor=actor, ring=False))


def _newer_needs(org: Organization) -> None:
    number = NeedsRevision.objects.for_org(org).count() + 1
    NeedsRevision.objects.create(organization=org, number=number, text="", data={}, digest="sha256:other")


MOVES: dict[str, Callable[[Plan, FakeDocker, pytest.MonkeyPatch, Any], object]] = {
    "the needs": lambda plan, _docker, _patch, _who: _newer_needs(plan.organization),
    "the template release": lambda _plan, _docker, patch, _who: patch.setattr(
        binding, "load_catalog", lambda: replace(planning_catalog(), release="another")
    ),
    "the secret bot-token": lambda plan, _docker, _patch, who: set_secret(
        org=plan.organization, name="bot-token", value="another_value_0123", actor=who
    ),
    "the running objects": lambda _plan, docker, _patch, _who: docker.change(),
    "the engine's state": lambda _plan, _docker, patch, _who: patch.setattr(binding, "known_state_digest", lambda *_: "sha256:x"),
    "what is deployed": lambda plan, _docker, _patch, _who: StackState.objects.update(applied_blueprint=plan.blueprint),
}


def planning_catalog() -> Any:
    from blueprints.catalog import load_catalog

    return load_catalog()


@pytest.mark.parametrize("part", MOVES)
def test_a_part_that_moved_is_named_and_nothing_is_changed(
    plan: Plan, docker: FakeDocker, engine: Engine, monkeypatch: pytest.MonkeyPatch, alice: Any, part: str
) -> None:
    MOVES[part](plan, docker, monkeypatch, alice)
    run = _applied(plan, alice)
    assert run.state == RunState.FAILED
    assert run.error is not None
    assert (run.error["kind"], run.error["message"]) == ("stale", f"plan is stale: {part} moved")
    assert [asked["op"] for asked in engine.asked] == ["preview"]
    plan.refresh_from_db()
    assert (plan.state, plan.reason) == (PlanState.STALE, f"plan is stale: {part} moved")


def test_a_rendered_byte_that_moved_is_named(plan: Plan, engine: Engine, alice: Any) -> None:
    file = BlueprintFile.objects.get(blueprint=plan.blueprint, path="stack.yml")
    BlueprintFile.objects.filter(pk=file.pk).update(text=file.text + "\n")
    run = _applied(plan, alice)
    assert run.error is not None
    assert run.error["where"] == "stack.yml"
    assert [asked["op"] for asked in engine.asked] == ["preview"]


def test_several_parts_are_named_together(plan: Plan, docker: FakeDocker, alice: Any) -> None:
    _newer_needs(plan.organization)
    docker.change()
    run = _applied(plan, alice)
    assert run.error is not None
    assert run.error["message"] == "plan is stale: the needs and the running objects moved"


@pytest.mark.parametrize(
    "columns",
    [{"steps": []}, {"engine_plan": "{}"}, {"review": {"summary": {"what": "Nothing changes."}}}, {"edge": {"op": "restart"}}],
    ids=lambda columns: next(iter(columns)),
)
def test_a_row_that_was_changed_after_the_approval_is_refused(plan: Plan, engine: Engine, alice: Any, columns: dict[str, Any]) -> None:
    Plan.objects.filter(pk=plan.pk).update(**columns)
    plan.refresh_from_db()
    run = _applied(plan, alice)
    assert run.error is not None
    assert run.error["message"] == "plan is stale: its own row moved since it was made"
    assert len(engine.asked) == 1


def test_an_approval_of_another_digest_is_none_of_this_plan(plan: Plan, engine: Engine, alice: Any) -> None:
    Approval.objects.update(digest="sha256:another")
    run = _applied(plan, alice)
    assert run.error is not None
    assert "an approval names another digest" in run.error["message"]


def test_a_plan_without_a_digest_is_an_older_releases(plan: Plan, alice: Any) -> None:
    Plan.objects.update(digest="")
    plan.refresh_from_db()
    run = _applied(plan, alice)
    assert run.error is not None
    assert "an older release" in run.error["message"]


def test_docker_being_away_refuses_and_leaves_the_plan_approved(plan: Plan, docker: FakeDocker, alice: Any) -> None:
    docker.is_reachable = False
    assert _applied(plan, alice).state == RunState.FAILED
    plan.refresh_from_db()
    assert plan.state == PlanState.APPROVED
    docker.is_reachable = True
    assert _applied(plan, alice).state == RunState.SUCCEEDED


def test_a_machine_that_cannot_take_it_refuses_before_the_engine_starts(
    plan: Plan, engine: Engine, docker: FakeDocker, monkeypatch: pytest.MonkeyPatch, alice: Any
) -> None:
    monkeypatch.setattr(docker, "about", lambda: ("19.3.1", 2**33, ""))
    run = _applied(plan, alice)
    assert run.error is not None
    assert run.error["message"] == "Docker is 19.3.1; 20.10 or newer is needed."
    assert len(engine.asked) == 1
    plan.refresh_from_db()
    assert plan.state == PlanState.APPROVED


def test_a_fingerprint_that_was_swapped_in_the_store_is_named(plan: Plan, alice: Any) -> None:
    SecretVersion.objects.filter(secret__name="jwt-secret").update(fingerprint="0" * 64)
    run = _applied(plan, alice)
    assert run.error is not None
    assert run.error["message"] == "plan is stale: the secret jwt-secret moved"


def test_an_apply_that_did_something_else_fails_loudly_and_is_kept_as_done(make_blueprint: Make, demo: Organization, alice: Any) -> None:
    other = [{"resource": "service/api", "component": "api", "type": "t", "op": "delete", "fields": [], "reasons": []}]
    blueprint = make_blueprint(apply={"steps": other})
    plan = actions.approve(plan=actions.propose(org=demo, blueprint=blueprint, actor=alice), actor=alice)
    run = _applied(plan, alice)
    assert (run.state, run.verdict is not None) == (RunState.FAILED, True)
    assert run.error is not None
    assert run.error["kind"] == "mismatch"
    assert "service/web: create was predicted and did not happen" in run.error["message"]
    assert "service/api: delete, which was not predicted" in run.error["message"]
    assert StackState.objects.for_org(demo).get().applied_blueprint == blueprint


def test_a_plan_without_changes_approves_itself_and_what_it_stands_for_is_noted(
    make_blueprint: Make, engine: Engine, demo: Organization, alice: Any, plan: Plan
) -> None:
    assert _applied(plan, alice).state == RunState.SUCCEEDED
    other = make_blueprint(preview={"steps": [], "changes": {"same": 3}, "state_digest": "sha256:state"})
    empty = actions.propose(org=demo, blueprint=other, actor=alice)
    assert (empty.state, empty.is_empty, empty.approvals.count()) == (PlanState.APPROVED, True, 0)
    state = StackState.objects.for_org(demo).get()
    assert (state.applied_blueprint, state.applied_digest) == (other, other.digest)
    assert planning.seen_live(demo.slug, rendering_of(other), with_tasks=True) == state.live_fingerprint
    assert Run.objects.filter(kind="apply").count() == 1
