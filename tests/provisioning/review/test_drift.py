"""Drift: what a look finds, how it stands, what can be answered, and when it is due. Engine and Docker are scripted."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import pytest
from django.conf import LazySettings
from django.test import Client
from django.utils import timezone

from blueprints.models import Blueprint
from orgs.models import AuditEvent, Organization
from provisioning import actions, tasks
from provisioning.models import Plan, Run, StackState
from provisioning.review import drift
from provisioning.review.rows import DriftReport
from provisioning.secret_store import stack_state
from provisioning.states import RunState
from sprocket_v2.errors import ApplyError, DeniedError
from tests.provisioning.conftest import ONE_STEP, Engine

Make = Callable[..., Blueprint]
HOST = {"HTTP_HOST": "localhost"}
CHANGED = {"resource": "service/web", "op": "update", "fields": ["image"]}
FOUND = [{"resource": "service/web", "kind": "changed", "fields": ["image"]}]
pytestmark = pytest.mark.usefixtures("token")


def _deploy(blueprint: Blueprint, actor: Any) -> Run:
    plan = actions.approve(plan=actions.propose(org=blueprint.organization, blueprint=blueprint, actor=actor), actor=actor)
    return actions.run_here(actions.apply(plan=plan, actor=actor, ring=False))


def _look(org: Organization, actor: Any) -> Run:
    return actions.run_here(actions.request_run(org=org, kind="drift", actor=actor, ring=False))


@pytest.fixture
def deployed(make_blueprint: Make, demo: Organization, alice: Any) -> Organization:
    """Deployed, with an engine that finds a changed service from then on."""
    _deploy(make_blueprint(), alice)
    return demo


@pytest.fixture
def drifted(deployed: Organization, alice: Any) -> Organization:
    DriftReport.objects.create(
        organization=deployed, run=Run.objects.create(organization=deployed, number=90, kind="drift", state="succeeded"), differences=FOUND
    )
    return deployed


def test_each_step_that_would_put_something_back_is_a_difference() -> None:
    steps = [
        CHANGED,
        {"resource": "service/bot", "op": "create", "fields": []},
        {"resource": "network/old", "op": "delete"},
        {"resource": "service/api", "op": "same"},
    ]
    assert list(drift.differences_of(steps, ["demo_stranger"])) == [
        *FOUND,
        {"resource": "service/bot", "kind": "removed", "fields": []},
        {"resource": "network/old", "kind": "extra", "fields": []},
        {"resource": "service/demo_stranger", "kind": "extra", "fields": []},
    ]
    assert list(drift.differences_of([], [])) == []


def test_a_difference_says_when_where_docker_knows() -> None:
    found = [
        {"resource": "layer_1/service/web", "kind": "changed"},
        {"resource": "service/demo_stranger", "kind": "extra"},
        {"resource": "service/bot", "kind": "removed"},
        {"resource": "network/data", "kind": "changed"},
    ]
    names = {"layer_1/service/web": "demo_web", "service/bot": "demo_bot"}
    assert [item.get("at") for item in drift.dated(found, names, lambda name: f"at {name}")] == [
        "at demo_web",
        "at demo_stranger",
        None,
        None,
    ]
    assert list(drift.dated(found, names, lambda _name: "")) == found


@pytest.mark.parametrize(
    ("differences", "until", "state"),
    [([], None, "in sync"), ([1], None, "drifted"), ([1], date(2026, 5, 2), "dismissed"), ([1], date(2026, 5, 1), "dismissed"),
     ([1], date(2026, 4, 30), "drifted"), ([], date(2026, 5, 2), "in sync")],
)  # fmt: skip
def test_a_dismissal_ends_with_its_day(differences: list[int], until: date | None, state: str) -> None:
    assert drift.state_of(differences, until, date(2026, 5, 1)) == state


def test_a_look_finds_it_keeps_it_and_changes_nothing(make_blueprint: Make, demo: Organization, engine: Engine, alice: Any) -> None:
    assert drift.standing(demo).words == "not checked"
    _deploy(make_blueprint(), alice)
    assert drift.standing(demo).words == "not checked"
    before = StackState.objects.values("state_digest", "live_fingerprint", "applied_digest").get()
    run = _look(demo, alice)
    assert (run.state, run.changes) == (RunState.SUCCEEDED, {"drifted": 1})
    assert engine.asked[-1]["op"] == "preview"
    now = drift.standing(demo)
    assert now.words == "drifted (1)"
    assert now.report is not None
    assert now.report.differences == [{"resource": "service/web", "kind": "removed", "fields": []}]
    assert StackState.objects.values("state_digest", "live_fingerprint", "applied_digest").get() == before


def test_a_deployment_as_it_was_applied_is_in_sync(make_blueprint: Make, demo: Organization, alice: Any) -> None:
    plain = make_blueprint(preview={"steps": [], "changes": {"same": 4}})
    stack_state(demo)
    StackState.objects.update(applied_blueprint=plain)
    assert _look(demo, alice).state == RunState.SUCCEEDED
    assert drift.standing(demo).words == "in sync"


def test_a_look_that_fails_is_said(make_blueprint: Make, demo: Organization, alice: Any) -> None:
    _deploy(make_blueprint(), alice)
    Run.objects.create(organization=demo, number=91, kind="drift", state="failed")
    assert drift.standing(demo).state == "failed"


def test_an_apply_makes_the_last_look_old(drifted: Organization, make_blueprint: Make, alice: Any) -> None:
    assert drift.standing(drifted).state == "drifted"
    _deploy(make_blueprint(), alice)
    assert drift.standing(drifted).state == "not checked"


def test_nothing_deployed_cannot_drift(demo: Organization, alice: Any, engine: Engine) -> None:
    run = _look(demo, alice)
    assert run.state == RunState.FAILED
    assert run.error is not None
    assert run.error["message"] == "nothing is deployed"


def test_a_dismissal_has_a_near_day_and_is_written_down(drifted: Organization, alice: Any, bob: Any) -> None:
    today = timezone.now().date()
    with pytest.raises(DeniedError):
        drift.dismiss(org=drifted, actor=bob, until=today + timedelta(days=3))
    for wrong in (today, today - timedelta(days=1), today + timedelta(days=91)):
        with pytest.raises(ApplyError, match="is not within"):
            drift.dismiss(org=drifted, actor=alice, until=wrong)
    drift.dismiss(org=drifted, actor=alice, until=today + timedelta(days=3))
    assert drift.standing(drifted).state == "dismissed"
    assert AuditEvent.objects.filter(what="drift dismissed", user=alice).count() == 1


def test_there_is_nothing_to_dismiss_where_all_is_in_sync(deployed: Organization, alice: Any) -> None:
    with pytest.raises(ApplyError, match="no drift to dismiss"):
        drift.dismiss(org=deployed, actor=alice, until=timezone.now().date() + timedelta(days=1))


def test_a_look_is_due_when_the_last_one_is_old_and_nobody_works(
    deployed: Organization, settings: LazySettings, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[int] = []
    monkeypatch.setattr(tasks.execute, "delay", rung.append)
    settings.SPROCKET_DRIFT_EVERY_HOURS = 0
    assert drift.ask_due() == 0
    settings.SPROCKET_DRIFT_EVERY_HOURS = 6
    with django_capture_on_commit_callbacks(execute=True):
        assert drift.ask_due() == 1
    run = Run.objects.filter(kind="drift").get()
    assert (rung, run.requested_by) == ([run.pk], None)
    assert drift.ask_due() == 0, "one is under way"
    Run.objects.filter(pk=run.pk).update(state="succeeded")
    assert drift.ask_due() == 0, "one was made just now"
    Run.objects.filter(pk=run.pk).update(created=timezone.now() - timedelta(hours=7))
    assert drift.ask_due() == 1


def test_the_page_shows_each_difference_and_three_answers(
    drifted: Organization, alice: Any, bob: Any, charlie: Any, client: Client
) -> None:
    client.force_login(alice)
    text = client.get("/o/demo/drift", **HOST).content.decode()
    for words in ("drifted (1)", "service/web", "image", "Plan to put it back", "Dismiss", "Adopt"):
        assert words in text
    bad = client.post("/o/demo/drift/dismiss", {"until": "never"}, **HOST)
    assert bad.status_code == 422
    worse = client.post("/o/demo/drift/dismiss", {"until": "2026-99-99"}, **HOST)
    assert worse.status_code == 422
    day = timezone.now().date() + timedelta(days=2)
    client.post("/o/demo/drift/dismiss", {"until": day.isoformat()}, **HOST)
    assert f"alice dismissed this until {day}" in client.get("/o/demo/drift", **HOST).content.decode()
    client.force_login(charlie)
    assert client.get("/o/demo/drift", **HOST).status_code == 404
    for path in ("look", "put-back", "dismiss"):
        assert client.post(f"/o/demo/drift/{path}", **HOST).status_code == 404


def test_putting_back_is_an_ordinary_plan_of_what_was_applied(
    drifted: Organization, alice: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "ring_for", lambda _run: True)
    client.force_login(alice)
    answer = client.post("/o/demo/drift/put-back", **HOST)
    run = Run.objects.filter(kind="preview").latest("pk")
    assert answer["Location"] == f"/o/demo/runs/{run.number}"
    plan = actions.plan_from(run)
    assert plan.blueprint == StackState.objects.get().applied_blueprint
    assert plan.steps == ONE_STEP["steps"]
    assert Plan.objects.get(pk=plan.pk).state == "proposed"
