"""Who may ask for what, idempotency keys, and that the row comes before the bell."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from blueprints.models import Blueprint
from orgs.models import Membership, Organization
from provisioning import actions, tasks
from provisioning.models import Approval, Plan, Run
from provisioning.states import PlanState, RunKind, RunState
from sprocket_v2.errors import ApplyError, DeniedError, StaleError

Make = Callable[..., Blueprint]
pytestmark = pytest.mark.usefixtures("token")


@pytest.fixture
def bell(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids that were sent."""
    sent: list[int] = []
    monkeypatch.setattr(tasks.execute, "delay", sent.append)
    return sent


@pytest.fixture
def plan(make_blueprint: Make, demo: Organization, alice: Any) -> Plan:
    return actions.propose(org=demo, blueprint=make_blueprint(), actor=alice)


def test_bob_may_propose_and_neither_approve_nor_apply_nor_destroy(
    plan: Plan, make_blueprint: Make, demo: Organization, bob: Any, alice: Any
) -> None:
    assert actions.propose(org=demo, blueprint=plan.blueprint, actor=bob).number == 2
    with pytest.raises(DeniedError):
        actions.approve(plan=plan, actor=bob)
    actions.approve(plan=plan, actor=alice)
    with pytest.raises(DeniedError):
        actions.apply(plan=plan, actor=bob)
    with pytest.raises(DeniedError):
        actions.destroy(org=demo, actor=bob)


@pytest.mark.parametrize("kind", list(RunKind))
def test_charlie_may_ask_for_nothing(plan: Plan, demo: Organization, charlie: Any, kind: str) -> None:
    with pytest.raises(DeniedError):
        actions.request_run(org=demo, kind=kind, actor=charlie)
    assert Run.objects.for_org(demo).count() == 1


def test_it_refuses_a_blueprint_of_another_organization(plan: Plan, other: Organization, charlie: Any) -> None:
    with pytest.raises(ApplyError, match="another organization"):
        actions.request_run(org=other, kind="preview", actor=charlie, blueprint=plan.blueprint)


def test_a_plan_is_approved_once_per_person(plan: Plan, demo: Organization, alice: Any, bob: Any) -> None:
    Membership.objects.filter(user=bob).update(roles=["approver"])
    for person in (alice, alice, bob):
        actions.approve(plan=plan, actor=person)
    assert Approval.objects.for_org(demo).count() == 2
    assert plan.state == PlanState.APPROVED


def test_it_refuses_to_apply_what_nobody_approved(plan: Plan, alice: Any) -> None:
    with pytest.raises(StaleError, match="proposed, not approved"):
        actions.apply(plan=plan, actor=alice)


def test_a_withdrawn_plan_cannot_be_approved(plan: Plan, alice: Any) -> None:
    actions.withdraw(plan=plan, actor=alice)
    with pytest.raises(StaleError, match="withdrawn"):
        actions.approve(plan=plan, actor=alice)


def test_the_same_key_gives_the_same_run_and_another_request_is_refused(
    plan: Plan, demo: Organization, alice: Any, bell: list[int]
) -> None:
    actions.approve(plan=plan, actor=alice)
    first = actions.apply(plan=plan, actor=alice, idempotency_key="k1")
    assert actions.apply(plan=plan, actor=alice, idempotency_key="k1").pk == first.pk
    with pytest.raises(actions.KeyReusedError):
        actions.destroy(org=demo, actor=alice, idempotency_key="k1")
    assert Run.objects.for_org(demo).filter(kind="apply").count() == 1


def test_the_same_key_answers_the_same_after_the_plan_was_applied(plan: Plan, alice: Any) -> None:
    actions.approve(plan=plan, actor=alice)
    run = actions.run_here(actions.apply(plan=plan, actor=alice, idempotency_key="k1", ring=False))
    assert run.state == RunState.SUCCEEDED
    plan.refresh_from_db()
    assert actions.apply(plan=plan, actor=alice, idempotency_key="k1", ring=False).pk == run.pk


def test_a_plan_is_applied_once(plan: Plan, alice: Any) -> None:
    actions.approve(plan=plan, actor=alice)
    actions.run_here(actions.apply(plan=plan, actor=alice, ring=False))
    plan.refresh_from_db()
    with pytest.raises(StaleError, match="applied, not approved"):
        actions.apply(plan=plan, actor=alice, ring=False)


def test_asking_twice_for_one_apply_makes_one_run(plan: Plan, alice: Any, bell: list[int]) -> None:
    actions.approve(plan=plan, actor=alice)
    first = actions.apply(plan=plan, actor=alice)
    assert actions.apply(plan=plan, actor=alice).pk == first.pk


def test_keys_of_two_organizations_do_not_meet(plan: Plan, demo: Organization, other: Organization, alice: Any, charlie: Any) -> None:
    one = actions.request_run(org=demo, kind="verify", actor=alice, idempotency_key="k", ring=False)
    two = actions.request_run(org=other, kind="verify", actor=charlie, idempotency_key="k", ring=False)
    assert one.pk != two.pk


def test_the_bell_rings_after_the_commit(
    demo: Organization,
    alice: Any,
    bell: list[int],
    django_capture_on_commit_callbacks: Any,
) -> None:
    with django_capture_on_commit_callbacks(execute=False) as callbacks:
        run = actions.request_run(org=demo, kind="verify", actor=alice)
    assert bell == []
    assert run.sent_at is None
    callbacks[0]()
    assert bell == [run.pk]
    assert Run.objects.get(pk=run.pk).sent_at is not None


def test_a_broker_that_is_down_leaves_the_run_unsent(demo: Organization, alice: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_run_id: int) -> None:
        raise ConnectionError("no broker")

    monkeypatch.setattr(tasks.execute, "delay", refuse)
    run = actions.request_run(org=demo, kind="verify", actor=alice)
    assert not actions.ring_for(run.pk)
    run.refresh_from_db()
    assert (run.state, run.sent_at) == (RunState.QUEUED, None)


def test_runs_and_plans_are_numbered_per_organization(plan: Plan, other: Organization, charlie: Any) -> None:
    assert actions.request_run(org=other, kind="verify", actor=charlie, ring=False).number == 1


def test_a_preview_leaves_no_row(make_blueprint: Make, demo: Organization, data_dir: Any) -> None:
    from provisioning.materials import rendering_of

    result = actions.preview_now(org=demo, rendering=rendering_of(make_blueprint(changes={})))
    assert result.basis == "live"
    assert Run.objects.count() == Plan.objects.count() == 0
    assert list((data_dir / "runs").iterdir()) == []
