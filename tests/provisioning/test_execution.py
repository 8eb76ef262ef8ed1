"""A run from its row to its end: what is checked, what is stored, and when the engine stays off. Engine and Docker are scripted."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from blueprints.models import Blueprint
from orgs.models import Organization
from provisioning import actions, execution, leases, planning, secret_store
from provisioning.models import Plan, Run, RunEvent, Secret, StackState
from provisioning.states import PlanState, RunState
from sprocket_v2.errors import ApplyError, PreviewError, StaleError
from tests.provisioning.conftest import ONE_STEP as BEFORE
from tests.provisioning.conftest import STEP, TOKEN, Engine, FakeDocker, rewritten

Make = Callable[..., Blueprint]
pytestmark = pytest.mark.usefixtures("token")


def _approved(blueprint: Blueprint, actor: Any) -> Plan:
    plan = actions.propose(org=blueprint.organization, blueprint=blueprint, actor=actor)
    return actions.approve(plan=plan, actor=actor)


def _applied(plan: Plan, actor: Any) -> Run:
    return actions.run_here(actions.apply(plan=plan, actor=actor, ring=False))


def _settle(monkeypatch: pytest.MonkeyPatch, digest: str = "sha256:state") -> None:
    """Let the state file be where the last apply left it."""
    monkeypatch.setattr(planning, "known_state_digest", lambda _slug, _layers: digest)
    monkeypatch.setattr(planning, "has_state", lambda _slug, _layers: True)


def test_a_proposal_keeps_everything_an_approval_is_bound_to(make_blueprint: Make, alice: Any) -> None:
    blueprint = make_blueprint(preview=BEFORE)
    plan = actions.propose(org=blueprint.organization, blueprint=blueprint, actor=alice)
    assert plan.rendering_digest == blueprint.digest
    assert plan.needs_digest == "sha256:needs1"
    assert plan.template_release == "1"
    assert plan.state_digest == "sha256:before"
    assert plan.secret_versions == {"jwt-secret": 1, "storage-key": 1, "bot-token": 1}
    assert plan.live_fingerprint.startswith("sha256:")
    assert json.loads(plan.engine_plan) == {"resourcePlans": {}}
    assert plan.steps == [STEP]
    assert (plan.state, plan.basis, plan.author) == ("proposed", "live", alice)


def test_an_apply_hands_the_engine_what_was_approved_and_stores_the_end(
    make_blueprint: Make, engine: Engine, demo: Organization, alice: Any
) -> None:
    events = [{"kind": "resource-done", "resource": "service/web", "op": "create", "fields": ["image"]}]
    run = _applied(_approved(make_blueprint(preview=BEFORE, events=events), alice), alice)
    assert run.state == RunState.SUCCEEDED
    asked = engine.asked[-1]
    assert (asked["op"], asked["expected_state_digest"], asked["holds_lease"]) == ("apply", "sha256:before", True)
    assert asked["plan_in"].endswith("engine-plan.json")
    assert asked["secrets"] == ["demo/bot-token@1", "demo/jwt-secret@1", "demo/storage-key@1"]
    assert run.verdict is not None
    assert run.verdict["runs"]["state"] == "ok"
    assert run.plan is not None
    assert run.plan.state == PlanState.APPLIED
    assert run.pid is None
    assert run.mark
    state = StackState.objects.for_org(demo).get()
    assert (state.applied_digest, state.state_digest) == (run.plan.rendering_digest, "sha256:state")
    rows = list(run.events.order_by("seq"))
    assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
    assert ("resource-done", "service/web", "create", {"fields": ["image"]}) in [(r.kind, r.resource, r.op, r.data) for r in rows]
    assert not leases.is_alive(demo.pk)


def test_a_preview_gets_no_secret_values(make_blueprint: Make, engine: Engine, alice: Any) -> None:
    blueprint = make_blueprint()
    actions.propose(org=blueprint.organization, blueprint=blueprint, actor=alice)
    assert engine.asked[0]["secrets"] == []


def test_no_value_is_left_in_the_runs_folder_or_in_any_row(make_blueprint: Make, data_dir: Any, demo: Organization, alice: Any) -> None:
    run = _applied(_approved(make_blueprint(preview=BEFORE), alice), alice)
    values = secret_store.values_for(demo, secret_store.wanted_secrets({"bot-token": {"kind": "supplied", "version": 1}})).values()
    text = b"".join(path.read_bytes() for path in (data_dir / "runs").rglob("*") if path.is_file()).decode()
    text += repr(list(Run.objects.values()) + list(RunEvent.objects.values()) + list(Plan.objects.values()))
    assert run.state == RunState.SUCCEEDED
    assert list(values) == [TOKEN]
    assert TOKEN not in text


def test_a_missing_secret_never_starts_an_engine(make_blueprint: Make, engine: Engine, demo: Organization, alice: Any) -> None:
    Secret.objects.for_org(demo).delete()
    with pytest.raises(PreviewError, match="1 secret is missing: bot-token"):
        actions.propose(org=demo, blueprint=make_blueprint(), actor=alice)
    assert engine.asked == []


def test_a_secret_that_went_missing_after_the_approval_stops_the_apply(
    make_blueprint: Make, engine: Engine, demo: Organization, alice: Any
) -> None:
    plan = _approved(make_blueprint(preview=BEFORE), alice)
    Secret.objects.for_org(demo).filter(name="bot-token").delete()
    run = _applied(plan, alice)
    assert run.state == RunState.FAILED
    assert run.error is not None
    assert "bot-token" in run.error["message"]
    assert [asked["op"] for asked in engine.asked] == ["preview"]


def test_it_refuses_an_apply_when_the_files_changed(make_blueprint: Make, engine: Engine, alice: Any) -> None:
    plan = _approved(make_blueprint(preview=BEFORE), alice)
    plan.blueprint.files.filter(path="play.json").update(text="{}")
    run = _applied(plan, alice)
    assert run.state == RunState.FAILED
    assert run.error is not None
    assert run.error["kind"] == "stale"
    assert "not what its digest says" in run.error["message"]
    plan.refresh_from_db()
    assert plan.state == PlanState.STALE
    assert len(engine.asked) == 1


@pytest.mark.parametrize(("column", "word"), [("needs_digest", "needs"), ("template_release", "release"), ("rendering_digest", "files")])
def test_it_refuses_an_apply_when_the_plan_says_otherwise(make_blueprint: Make, alice: Any, column: str, word: str) -> None:
    plan = _approved(make_blueprint(preview=BEFORE), alice)
    Plan.objects.filter(pk=plan.pk).update(**{column: "another"})
    plan.refresh_from_db()
    run = _applied(plan, alice)
    assert run.error is not None
    assert word in run.error["message"]
    assert Plan.objects.get(pk=plan.pk).state == PlanState.STALE


def test_it_refuses_an_apply_when_somebody_changed_a_service_by_hand(
    make_blueprint: Make, docker: FakeDocker, engine: Engine, alice: Any
) -> None:
    plan = _approved(make_blueprint(preview=BEFORE), alice)
    docker.change()
    run = _applied(plan, alice)
    assert run.error is not None
    assert "plan is stale: the running objects moved" in run.error["message"]
    assert [asked["op"] for asked in engine.asked] == ["preview"]


def test_a_restarted_container_does_not_make_a_plan_stale(make_blueprint: Make, docker: FakeDocker, alice: Any) -> None:
    plan = _approved(make_blueprint(preview=BEFORE), alice)
    docker.restart()
    assert _applied(plan, alice).state == RunState.SUCCEEDED


def test_a_moved_state_makes_the_plan_stale(make_blueprint: Make, alice: Any) -> None:
    error = {"kind": "stale", "message": "plan is stale: the engine's state moved", "hint": "", "where": "engine"}
    plan = _approved(make_blueprint(preview=BEFORE, apply={"ok": False, "error": error, "state_digest": "sha256:before"}), alice)
    run = _applied(plan, alice)
    assert (run.state, run.error) == (RunState.FAILED, error)
    plan.refresh_from_db()
    assert (plan.state, plan.reason) == (PlanState.STALE, "plan is stale: the engine's state moved")


def test_a_failed_apply_that_changed_something_needs_a_new_plan(make_blueprint: Make, demo: Organization, alice: Any) -> None:
    error = {"kind": "failed", "message": "web does not become healthy", "hint": "", "where": "service/web"}
    plan = _approved(make_blueprint(preview=BEFORE, apply={"ok": False, "error": error, "state_digest": "sha256:half"}), alice)
    assert _applied(plan, alice).state == RunState.FAILED
    assert Plan.objects.get(pk=plan.pk).state == PlanState.STALE
    state = StackState.objects.for_org(demo).get()
    assert (state.state_digest, state.applied_digest) == ("sha256:half", "")


def test_a_failed_apply_that_changed_nothing_can_be_tried_again(make_blueprint: Make, alice: Any) -> None:
    error = {"kind": "failed", "message": "port 8080 is taken", "hint": "", "where": "service/traefik"}
    plan = _approved(make_blueprint(preview=BEFORE, apply={"ok": False, "error": error, "state_digest": "sha256:before"}), alice)
    assert _applied(plan, alice).state == RunState.FAILED
    assert Plan.objects.get(pk=plan.pk).state == PlanState.APPROVED


def test_an_engine_that_dies_needs_recovery(make_blueprint: Make, alice: Any) -> None:
    blueprint = make_blueprint(preview=BEFORE)
    plan = _approved(blueprint, alice)
    file = blueprint.files.get(path="play.json")
    play = {**json.loads(file.text), "die": True}
    dying = make_blueprint(**play)
    rewritten(plan, blueprint=dying, rendering_digest=dying.digest, needs_digest="sha256:needs2")
    run = _applied(plan, alice)
    assert run.state == RunState.NEEDS_RECOVERY
    assert run.error is not None
    assert TOKEN not in json.dumps(run.error)


def test_a_deployment_that_does_not_run_is_not_called_a_success(make_blueprint: Make, engine: Engine, alice: Any) -> None:
    engine.verdict_state = "failed"
    run = _applied(_approved(make_blueprint(preview=BEFORE), alice), alice)
    assert run.state == RunState.FAILED
    assert run.error is not None
    assert run.error["message"] == "applied, but it does not run: Web"
    assert run.verdict is not None


def test_a_second_apply_leaves_the_engine_off(
    make_blueprint: Make,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    alice: Any,
) -> None:
    blueprint = make_blueprint(preview=BEFORE)
    first = _applied(_approved(blueprint, alice), alice)
    _settle(monkeypatch)
    before = len(engine.asked)
    again = _approved(blueprint, alice)
    assert (again.steps, again.changes) == ([], {})
    run = _applied(again, alice)
    assert run.state == RunState.SUCCEEDED
    assert run.verdict == first.verdict
    assert len(engine.asked) == before


@pytest.mark.parametrize("moved", ["state", "service", "task", "blueprint"])
def test_the_engine_runs_again_as_soon_as_anything_moved(
    make_blueprint: Make,
    engine: Engine,
    docker: FakeDocker,
    monkeypatch: pytest.MonkeyPatch,
    alice: Any,
    moved: str,
) -> None:
    blueprint = make_blueprint(preview=BEFORE)
    _applied(_approved(blueprint, alice), alice)
    _settle(monkeypatch, "sha256:other" if moved == "state" else "sha256:state")
    if moved == "service":
        docker.change()
    if moved == "task":
        docker.restart()
    if moved == "blueprint":
        blueprint = make_blueprint(preview=BEFORE)
    before = len(engine.asked)
    _approved(blueprint, alice)
    asked = [request["op"] for request in engine.asked[before:]]
    assert asked == (["refresh", "preview"] if moved in ("service", "task") else ["preview"])


def test_without_docker_the_preview_is_against_an_empty_host_and_cannot_be_applied(
    make_blueprint: Make,
    engine: Engine,
    docker: FakeDocker,
    alice: Any,
) -> None:
    docker.is_reachable = False
    blueprint = make_blueprint(preview=BEFORE)
    plan = actions.propose(org=blueprint.organization, blueprint=blueprint, actor=alice)
    assert plan.basis == "empty-host"
    assert engine.asked[0]["basis"] == "empty-host"
    assert not plan.is_applicable
    with pytest.raises(StaleError, match="empty host"):
        actions.approve(plan=plan, actor=alice)


def test_an_interrupted_apply_goes_on_with_the_rest_of_what_was_approved(make_blueprint: Make, engine: Engine, alice: Any) -> None:
    plan = _approved(make_blueprint(preview=BEFORE), alice)
    rewritten(plan, engine_plan='{"made": "before the interruption"}')
    run = actions.apply(plan=plan, actor=alice, ring=False)
    Run.objects.filter(pk=run.pk).update(deliveries=1)
    assert actions.run_here(run).state == RunState.SUCCEEDED
    assert [asked["op"] for asked in engine.asked] == ["preview", "preview", "apply"]
    assert json.loads(Path(engine.asked[-1]["plan_in"]).read_text()) == {"resourcePlans": {}}


def test_an_interrupted_apply_stops_when_something_else_is_left_to_do(make_blueprint: Make, engine: Engine, alice: Any) -> None:
    plan = _approved(make_blueprint(preview=BEFORE), alice)
    rewritten(plan, steps=[{**STEP, "resource": "service/api"}])
    run = actions.apply(plan=plan, actor=alice, ring=False)
    Run.objects.filter(pk=run.pk).update(deliveries=1)
    done = actions.run_here(run)
    assert done.state == RunState.FAILED
    assert done.error is not None
    assert "create service/web is left to do, and was not approved" in done.error["message"]


RESTS = [
    ("create", "update", True),
    ("create", "create", True),
    ("replace", "delete", True),
    ("update", "update", True),
    ("update", "delete", False),
    ("update", "replace", False),
    ("delete", "create", False),
]


@pytest.mark.parametrize(("was", "now", "fine"), RESTS)
def test_the_rest_of_an_interrupted_apply_is_compared_by_step(was: str, now: str, fine: bool) -> None:
    rest = ({**STEP, "op": now},)
    if fine:
        planning.refuse_other_steps([{**STEP, "op": was}], rest)
        return
    with pytest.raises(StaleError):
        planning.refuse_other_steps([{**STEP, "op": was}], rest)


def test_a_duplicate_delivery_is_a_no_op(make_blueprint: Make, engine: Engine, alice: Any) -> None:
    run = _applied(_approved(make_blueprint(preview=BEFORE), alice), alice)
    before, events = len(engine.asked), run.events.count()
    execution.execute_run(run.pk)
    execution.execute_run(10**6)
    assert len(engine.asked) == before
    assert run.events.count() == events


def test_a_run_waits_when_another_one_holds_the_stack(make_blueprint: Make, engine: Engine, demo: Organization, alice: Any) -> None:
    plan = _approved(make_blueprint(preview=BEFORE), alice)
    leases.acquire(demo, "somebody else")
    run = actions.apply(plan=plan, actor=alice, ring=False)
    execution.execute_run(run.pk)
    run.refresh_from_db()
    assert (run.state, run.sent_at) == (RunState.QUEUED, None)
    assert len(engine.asked) == 1


def test_a_command_line_that_finds_the_stack_busy_says_so(make_blueprint: Make, demo: Organization, alice: Any) -> None:
    leases.acquire(demo, "somebody else")
    with pytest.raises(StaleError, match="somebody else works on this stack"):
        actions.propose(org=demo, blueprint=make_blueprint(), actor=alice)
    assert [run.state for run in Run.objects.for_org(demo)] == [RunState.CANCELLED]


def test_the_fourth_delivery_is_given_up(make_blueprint: Make, engine: Engine, alice: Any) -> None:
    run = actions.apply(plan=_approved(make_blueprint(preview=BEFORE), alice), actor=alice, ring=False)
    Run.objects.filter(pk=run.pk).update(deliveries=3)
    assert actions.run_here(run).state == RunState.NEEDS_RECOVERY
    assert len(engine.asked) == 1


def test_a_cancelled_run_that_waits_never_starts(make_blueprint: Make, engine: Engine, alice: Any) -> None:
    run = actions.apply(plan=_approved(make_blueprint(preview=BEFORE), alice), actor=alice, ring=False)
    assert actions.cancel(run=run, actor=alice).state == RunState.CANCELLED
    execution.execute_run(run.pk)
    assert len(engine.asked) == 1


def test_a_cancel_while_it_runs_stops_the_engine(make_blueprint: Make, alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.recorder.ASK_EVERY_S", 0.0)
    plan = _approved(make_blueprint(preview=BEFORE), alice)
    slow = make_blueprint(sleep=30)
    rewritten(plan, blueprint=slow, rendering_digest=slow.digest, needs_digest="sha256:needs2")
    run = actions.apply(plan=plan, actor=alice, ring=False)

    def cancel_at_first_event(_event: object) -> None:
        actions.cancel(run=Run.objects.get(pk=run.pk), actor=alice)

    execution.execute_run(run.pk, on_event=cancel_at_first_event)
    run.refresh_from_db()
    assert run.state == RunState.CANCELLED
    assert run.error is not None
    assert run.error["kind"] == "cancelled"


def test_a_destroy_forgets_what_was_applied_and_makes_open_plans_stale(make_blueprint: Make, demo: Organization, alice: Any) -> None:
    blueprint = make_blueprint(preview=BEFORE)
    _applied(_approved(blueprint, alice), alice)
    open_plan = _approved(blueprint, alice)
    run = actions.run_here(actions.destroy(org=demo, actor=alice, ring=False))
    assert run.state == RunState.SUCCEEDED
    state = StackState.objects.for_org(demo).get()
    assert (state.applied_blueprint, state.applied_digest, state.last_verdict) == (None, "", None)
    assert Plan.objects.get(pk=open_plan.pk).state == PlanState.STALE


def test_there_is_nothing_to_verify_before_the_first_apply(demo: Organization, docker: FakeDocker) -> None:
    with pytest.raises(ApplyError, match="nothing is deployed"):
        actions.verify_now(org=demo)


def test_a_fault_of_ours_ends_the_run_and_is_raised(
    make_blueprint: Make, alice: Any, monkeypatch: pytest.MonkeyPatch, settings: LazySettings
) -> None:
    run = actions.apply(plan=_approved(make_blueprint(preview=BEFORE), alice), actor=alice, ring=False)
    monkeypatch.setattr(planning, "recheck", lambda _plan, **_more: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        execution.execute_run(run.pk)
    run.refresh_from_db()
    assert run.state == RunState.FAILED
    assert run.error is not None
    assert run.error["message"] == "ZeroDivisionError"
