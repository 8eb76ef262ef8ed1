"""A roll-out from its beginning to its end: in waves, with the organization's own rules, stopped where something does not verify."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from blueprints.actions import make_blueprint as draw_blueprint
from blueprints.models import Blueprint, BlueprintFile
from orgs.actions import attach, set_needs
from orgs.models import Organization
from provisioning import actions as runs
from provisioning import secret_store
from provisioning.models import Run, StackState
from provisioning.releases import actions
from provisioning.releases.outlook import CLEAN, NO_CHANGE, Outlook
from provisioning.releases.rows import RollOut, RollOutMember
from provisioning.review.decisions import set_rules
from provisioning.secret_store import stack_state
from sprocket_v2.errors import ApplyError, DeniedError, StaleError
from tests.blueprints.cases import SQL
from tests.orgs.answers import LEAST
from tests.provisioning.conftest import TOKEN, Engine

Make = Callable[..., Blueprint]
HOST = {"HTTP_HOST": "localhost"}
WHY = "a template for everybody"


@pytest.fixture
def root(django_user_model: Any) -> Any:
    """The platform admin."""
    return django_user_model.objects.create(username="root", is_superuser=True)


@pytest.fixture
def leagues(make_blueprint: Make, root: Any, data_dir: Any, monkeypatch: pytest.MonkeyPatch) -> list[Organization]:
    """Six deployed organizations whose upgrade is clean; their new blueprint is one that the scripted engine plays."""
    orgs = [Organization.objects.create(slug=f"league-{i}", name=f"League {i}") for i in range(6)]
    for org in orgs:
        secret_store.set_secret(org=org, name="bot-token", value=TOKEN, actor=root)
        stack_state(org)
        StackState.objects.for_org(org).update(applied_blueprint=make_blueprint(org))
    made = {org.pk: make_blueprint(org) for org in orgs}
    monkeypatch.setattr(actions, "make_blueprint", lambda *, org, **_: made[org.pk])
    monkeypatch.setattr(actions, "outlook_for", lambda org: Outlook(CLEAN if org in orgs else NO_CHANGE, "1", "2"))
    return orgs


def _states(roll_out: RollOut) -> list[str]:
    return list(RollOutMember.objects.filter(roll_out=roll_out).values_list("state", flat=True))


def _begin(root: Any, leagues: list[Organization]) -> RollOut:
    return actions.begin(actor=root, slugs=[org.slug for org in leagues], reason=WHY)


def test_one_then_some_then_all_are_planned_approved_applied_and_verified(leagues: list[Organization], root: Any) -> None:
    roll_out = _begin(root, leagues)
    seen = []
    for _ in range(12):
        actions.advance(roll_out, here=True)
        if _states(roll_out) not in seen:
            seen.append(_states(roll_out))
        if roll_out.state != "running":
            break
    assert roll_out.state == "done"
    verified = [states.count("verified") for states in seen]
    assert verified == sorted(verified)
    assert [count for count in dict.fromkeys(verified) if count] == [1, 3, 6]
    plans = [member.plan for member in roll_out.members.all()]
    assert all(plan is not None and plan.approvals.get().reason == WHY and plan.approvals.get().author == root for plan in plans)
    before = Run.objects.count()
    actions.advance(roll_out, here=True)
    assert Run.objects.count() == before, "a roll-out that is done begins nothing"


def test_the_first_failed_verification_stops_it_and_nobody_else_is_touched(leagues: list[Organization], root: Any, engine: Engine) -> None:
    engine.verdict_state = "failed"
    roll_out = _begin(root, leagues)
    for _ in range(6):
        actions.advance(roll_out, here=True)
    assert (roll_out.state, _states(roll_out)) == ("stopped", ["failed", *["waiting"] * 5])
    assert roll_out.why_stopped.startswith("league-0: run ")
    assert "does not run" in roll_out.why_stopped
    assert not Run.objects.exclude(organization=leagues[0]).exists()


def test_an_organization_of_two_people_waits_for_its_second_and_goes_on(leagues: list[Organization], root: Any, alice: Any) -> None:
    set_rules(org=leagues[0], actor=root, two_people=True, needs_reason=False)
    roll_out = _begin(root, leagues[:1])
    for _ in range(3):
        actions.advance(roll_out, here=True)
    member = roll_out.members.get()
    assert (member.state, roll_out.state) == ("needs a yes", "running")
    assert "a second person" in member.why
    assert member.plan is not None
    second = type(alice).objects.create(username="second", is_superuser=True)
    runs.approve(plan=member.plan, actor=second, reason="seen")
    for _ in range(2):
        actions.advance(roll_out, here=True)
    assert (roll_out.members.get().state, roll_out.state) == ("verified", "done")


def test_a_worker_carries_it_on_from_the_row_alone(
    leagues: list[Organization], root: Any, monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: Any
) -> None:
    rung: list[int] = []
    monkeypatch.setattr(runs, "ring_for", lambda run: rung.append(run) or True)
    roll_out = _begin(root, leagues[:1])
    for _ in range(2):
        with django_capture_on_commit_callbacks(execute=True):
            actions.advance_all()
            actions.advance_all()
        runs.execution.execute_run(rung[-1])
    actions.advance_all()
    roll_out.refresh_from_db()
    assert (roll_out.state, len(rung), Run.objects.count()) == ("done", 2, 2)
    assert list(Run.objects.values_list("kind", flat=True)) == ["apply", "preview"]


def test_it_is_stopped_by_a_person_and_only_one_is_under_way(leagues: list[Organization], root: Any) -> None:
    roll_out = _begin(root, leagues)
    with pytest.raises(StaleError, match="a roll-out is under way"):
        _begin(root, leagues)
    actions.stop(actor=root)
    roll_out.refresh_from_db()
    assert (roll_out.state, roll_out.why_stopped) == ("stopped", "Stopped by root.")
    actions.advance(roll_out, here=True)
    assert set(_states(roll_out)) == {"waiting"}
    with pytest.raises(StaleError, match="no roll-out is under way"):
        actions.stop(actor=root)


def test_other_templates_in_the_middle_stop_it(leagues: list[Organization], root: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    roll_out = _begin(root, leagues)
    monkeypatch.setattr(actions, "installed_release", lambda: "another")
    actions.advance(roll_out, here=True)
    assert (roll_out.state, roll_out.why_stopped) == ("stopped", "other templates are here now (another).")
    assert not Run.objects.exists()


def test_only_a_platform_admin_begins_one_with_a_reason_and_only_to_those_that_are_clean(
    leagues: list[Organization], demo: Organization, root: Any, alice: Any
) -> None:
    with pytest.raises(DeniedError):
        actions.begin(actor=alice, slugs=[], reason=WHY)
    with pytest.raises(ApplyError, match="a reason is missing"):
        actions.begin(actor=root, slugs=[], reason=" ")
    with pytest.raises(ApplyError, match="demo is no change, not clean"):
        actions.begin(actor=root, slugs=["demo"], reason=WHY)
    with pytest.raises(ApplyError, match="nowhere is not there, not clean"):
        actions.begin(actor=root, slugs=["nowhere"], reason=WHY)
    assert RollOut.objects.count() == 0
    assert actions.begin(actor=root, slugs=[], reason=WHY).members.count() == len(leagues)


def _applied(org: Organization, actor: Any, **needs: Any) -> Blueprint:
    attach(org=org, name="schema.sql", content=SQL, actor=actor)
    given = {**LEAST, "slug": org.slug, "access": {"localhost": {"host": f"{org.slug}.localhost"}}, **needs}
    set_needs(org=org, actor=actor, data=given)
    row = draw_blueprint(org=org, actor=actor)
    stack_state(org)
    StackState.objects.for_org(org).update(applied_blueprint=row)
    return row


def _as_of_an_older_release(row: Blueprint, old: str, new: str) -> None:
    """What was applied came from templates that wrote `new` where those here write `old`."""
    file = BlueprintFile.objects.get(blueprint=row, path="stack.yml")
    assert old in file.text
    BlueprintFile.objects.filter(pk=file.pk).update(text=file.text.replace(old, new))
    Blueprint.objects.filter(pk=row.pk).update(template_release="0.1 older")


def test_the_outlook_draws_the_applied_needs_by_the_templates_that_are_here(
    demo: Organization, alice: Any, data_dir: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert actions.outlook_for(demo).state == "not deployed"
    row = _applied(demo, alice, additions={"environment": {"api": {"LOG_FORMAT": "json"}}})
    assert actions.outlook_for(demo).state == NO_CHANGE, "the same release has nothing to upgrade"
    _as_of_an_older_release(row, "redis:", "redis:")
    assert actions.outlook_for(demo).state == NO_CHANGE, "another release that writes the same has nothing to do either"
    text = BlueprintFile.objects.get(blueprint=row, path="stack.yml").text
    memory = next(line for line in text.splitlines() if "memory:" in line)
    _as_of_an_older_release(row, memory, memory.replace(memory.split('"')[1], str(77 * 2**20)))
    found = actions.outlook_for(demo)
    assert (found.state, found.before, found.after) == (CLEAN, "0.1 older", actions.installed_release())
    assert found.services
    assert found.worst

    monkeypatch.setattr(actions, "draw", _refuses)
    conflict = actions.outlook_for(demo)
    assert conflict.state == "conflict"
    assert "the release sets LOG_FORMAT itself" in conflict.why


def _refuses(**_: Any) -> None:
    message = "additions.environment.api.LOG_FORMAT: the release sets LOG_FORMAT itself"
    raise ApplyError(message, hint="choose another name", where="additions.environment.api.LOG_FORMAT")


def test_the_pages_are_the_platform_admins(
    leagues: list[Organization], demo: Organization, root: Any, alice: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "ring_for", lambda _run: True)
    client.force_login(alice)
    for path in ("", "/outlooks", "/progress"):
        assert client.get(f"/releases{path}", **HOST).status_code == 404
    assert client.post("/releases/begin", {"reason": WHY}, **HOST).status_code == 404
    assert "Template releases" not in client.get("/", **HOST).content.decode()

    client.force_login(root)
    assert "Template releases" in client.get("/", **HOST).content.decode()
    assert "Drawing the upgrade" in client.get("/releases", **HOST).content.decode()
    table = client.get("/releases/outlooks", **HOST).content.decode()
    assert table.count('type="checkbox"') == len(leagues)
    assert client.post("/releases/begin", {"org": ["league-0"], "reason": ""}, **HOST).status_code == 422
    assert client.post("/releases/begin", {"org": ["league-3", "league-0"], "reason": WHY}, **HOST)["Location"] == "/releases"
    text = client.get("/releases", **HOST).content.decode()
    for words in ("wave 1", "League 3", "planning", "wave 2", "League 0", "waiting", WHY, "every 2s"):
        assert words in text
    client.post("/releases/stop", **HOST)
    done = client.get("/releases/progress", **HOST).content.decode()
    assert "Stopped by root." in done
    assert "every 2s" not in done


def test_without_organizations_the_page_says_what_to_do(root: Any, client: Client) -> None:
    client.force_login(root)
    assert "Create the first one" in client.get("/releases/outlooks", **HOST).content.decode()
