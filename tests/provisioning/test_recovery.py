"""What becomes of a run whose engine died, and of a worker that lost its lease. Engine and Docker are scripted."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from blueprints.models import Blueprint
from orgs.models import Organization
from provisioning import actions, execution, planning, tasks
from provisioning.live import LiveObject
from provisioning.models import Plan, Run, StackLease
from provisioning.review import facts
from provisioning.states import PlanState, RunState
from sprocket_v2.errors import StaleError
from tests.provisioning.conftest import ONE_STEP, Engine, FakeDocker

Make = Callable[..., Blueprint]
pytestmark = pytest.mark.usefixtures("token")


@pytest.fixture(autouse=True)
def bell(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    sent: list[int] = []
    monkeypatch.setattr(tasks.execute, "delay", sent.append)
    return sent


def _approved(blueprint: Blueprint, actor: Any) -> Plan:
    return actions.approve(plan=actions.propose(org=blueprint.organization, blueprint=blueprint, actor=actor), actor=actor)


def _applied(plan: Plan, actor: Any) -> Run:
    return actions.run_here(actions.apply(plan=plan, actor=actor, ring=False))


def _overtaken(org: Organization) -> None:
    """Somebody else has the stack from now on."""
    lease = StackLease.objects.get(organization=org)
    StackLease.objects.filter(pk=lease.pk).update(
        owner="another", fencing=lease.fencing + 1, expires=timezone.now() + timedelta(seconds=45)
    )


def test_a_run_whose_engine_died_once_goes_on_and_says_so(make_blueprint: Make, engine: Engine, alice: Any, tmp_path: Path) -> None:
    plan = _approved(make_blueprint(preview=ONE_STEP, die_once=str(tmp_path / "died")), alice)
    run = _applied(plan, alice)
    assert (run.state, run.deliveries) == (RunState.SUCCEEDED, 2)
    assert [asked["op"] for asked in engine.asked] == ["preview", "apply", "preview", "apply"]
    said = [event.message for event in run.events.all()]
    assert any(text.startswith("the engine's process ended without a result") and text.endswith("it goes on, try 2 of 3") for text in said)
    assert Plan.objects.get(pk=plan.pk).state == PlanState.APPLIED


def test_one_that_died_three_times_is_gone_on_with_when_it_is_asked_for_again(make_blueprint: Make, alice: Any, bell: list[int]) -> None:
    plan = _approved(make_blueprint(preview=ONE_STEP, die="apply"), alice)
    run = _applied(plan, alice)
    assert (run.state, run.deliveries, plan.state) == (RunState.NEEDS_RECOVERY, 3, PlanState.APPROVED)
    assert run.error is not None
    assert run.error["hint"]
    again = actions.apply(plan=plan, actor=alice)
    assert (again.pk, again.state, again.deliveries, again.error) == (run.pk, RunState.QUEUED, 1, None)


def test_a_run_at_work_is_left_alone_by_a_second_click(make_blueprint: Make, alice: Any, bell: list[int]) -> None:
    plan = _approved(make_blueprint(preview=ONE_STEP), alice)
    run = actions.apply(plan=plan, actor=alice, ring=False)
    Run.objects.filter(pk=run.pk).update(state=RunState.RUNNING)
    again = actions.apply(plan=plan, actor=alice)
    assert (again.pk, again.state) == (run.pk, RunState.RUNNING)
    assert bell == []


def test_a_run_that_is_cancelled_while_its_engine_dies_is_cancelled(
    make_blueprint: Make, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _approved(make_blueprint(preview=ONE_STEP, die="apply"), alice)
    run = actions.apply(plan=plan, actor=alice, ring=False)
    backup = execution._Execution._backup_first

    def cancelled_meanwhile(self: Any, *given: Any) -> None:
        actions.cancel(run=Run.objects.get(pk=run.pk), actor=alice)
        backup(self, *given)

    monkeypatch.setattr(execution._Execution, "_backup_first", cancelled_meanwhile)
    assert actions.run_here(run).state == RunState.CANCELLED


def test_a_worker_that_lost_its_lease_does_not_call_the_plan_stale(
    make_blueprint: Make, demo: Organization, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It sees objects that moved, for its successor is moving them."""
    plan = _approved(make_blueprint(preview=ONE_STEP), alice)

    def moved(*_: Any, **__: Any) -> None:
        _overtaken(demo)
        raise StaleError("plan is stale: the running objects moved", hint="make a new plan")

    monkeypatch.setattr(planning, "recheck", moved)
    run = actions.apply(plan=plan, actor=alice, ring=False)
    execution.execute_run(run.pk)
    assert Plan.objects.get(pk=plan.pk).state == PlanState.APPROVED
    assert Run.objects.get(pk=run.pk).state == RunState.RUNNING


def test_a_worker_that_lost_its_lease_keeps_no_plan(
    make_blueprint: Make, demo: Organization, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    review = facts.review_of

    def late(*given: Any, **more: Any) -> Any:
        _overtaken(demo)
        return review(*given, **more)

    monkeypatch.setattr(planning, "review_of", late)
    run = actions.request_run(org=demo, kind="preview", actor=alice, blueprint=make_blueprint(preview=ONE_STEP), ring=False)
    execution.execute_run(run.pk)
    assert not Plan.objects.for_org(demo).exists()
    assert Run.objects.get(pk=run.pk).state == RunState.RUNNING


def test_a_destroy_removes_what_a_dead_run_had_made_and_nobody_knew_of(
    make_blueprint: Make, demo: Organization, docker: FakeDocker, alice: Any
) -> None:
    _applied(_approved(make_blueprint(preview=ONE_STEP), alice), alice)
    docker.objects = [LiveObject("network", "demo_orphan", "n1"), LiveObject("volume", "demo_data", "v1")]
    run = actions.run_here(actions.destroy(org=demo, actor=alice, ring=False))
    assert run.state == RunState.SUCCEEDED, json.dumps(run.error)
    assert ([item.name for item in docker.services], [item.name for item in docker.objects]) == ([], ["demo_data"])
    assert "left by a run that was ended, removed too: demo_web, demo_orphan" in [event.message for event in run.events.all()]


def test_a_run_that_needs_recovery_says_so_and_has_a_button_to_go_on(
    make_blueprint: Make, alice: Any, client: Client, bell: list[int]
) -> None:
    plan = _approved(make_blueprint(preview=ONE_STEP, die="apply"), alice)
    run = _applied(plan, alice)
    client.force_login(alice)
    text = client.get(f"/o/demo/runs/{run.number}").content.decode()
    assert "Nothing more happens by itself" in text
    assert "the engine&#x27;s process ended without a result" in text
    assert f'action="/o/demo/plans/{plan.number}/apply"' in text
    client.post(f"/o/demo/plans/{plan.number}/apply")
    run.refresh_from_db()
    assert run.state == RunState.QUEUED


def test_a_run_that_needs_recovery_can_be_given_up(make_blueprint: Make, alice: Any) -> None:
    run = _applied(_approved(make_blueprint(preview=ONE_STEP, die="apply"), alice), alice)
    given_up = actions.cancel(run=run, actor=alice)
    assert given_up.state == RunState.CANCELLED
    assert given_up.error is not None
    assert given_up.error["message"] == "given up; what is done stays done"


def test_a_worker_that_lost_its_lease_leaves_its_successors_files_alone(
    make_blueprint: Make, demo: Organization, data_dir: Path, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = _approved(make_blueprint(preview=ONE_STEP), alice)
    bundles: list[int] = []
    backup = execution._Execution._backup_first

    def late(self: Any, *given: Any) -> None:
        """The first try sleeps here until the second one is at the same place."""
        bundles.append(len(list(data_dir.glob(f"runs/{self.run.pk}/**/blueprint.json"))))
        if self.run.deliveries == 1:
            _overtaken(demo)
            Run.objects.filter(pk=self.run.pk).update(state=RunState.QUEUED)
            StackLease.objects.update(expires=timezone.now())
            execution.execute_run(self.run.pk)
        backup(self, *given)

    monkeypatch.setattr(execution._Execution, "_backup_first", late)
    run = actions.apply(plan=plan, actor=alice, ring=False)
    execution.execute_run(run.pk)
    assert bundles == [1, 2]  # the second try has one of its own beside the first one's
    assert Run.objects.get(pk=run.pk).state == RunState.SUCCEEDED
