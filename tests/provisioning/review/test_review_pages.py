"""The pages of reviewing: what they show, what comes back when something is wrong, and what never comes out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from blueprints.models import Blueprint
from orgs.models import Membership, Organization
from provisioning import actions
from provisioning.models import Plan, Run
from provisioning.review import decisions
from provisioning.review.rows import PlanComment
from provisioning.states import PlanState
from sprocket_v2.cli.main import app
from sprocket_v2.cli.output import out

Make = Callable[..., Blueprint]
HOST = {"HTTP_HOST": "localhost"}
ORIGINS = {"web_origin": "http://demo.localhost", "api_origin": "http://api.demo.localhost"}
FACTS: dict[str, Any] = {"access": {"canonical": ORIGINS, "ways": [], "shared": None}, "images": "real", "components": []}
WARNED = [{"severity": "warning", "message": "Nobody can take over.", "hint": "Name a deputy."}]
pytestmark = pytest.mark.usefixtures("token")


@pytest.fixture
def plan(make_blueprint: Make, demo: Organization, alice: Any, client: Client) -> Plan:
    client.force_login(alice)
    first = actions.propose(org=demo, blueprint=make_blueprint(says=FACTS), actor=alice)
    actions.run_here(actions.apply(plan=actions.approve(plan=first, actor=alice), actor=alice, ring=False))
    size = {"monthly_usd": 24, "machine": "s-2vcpu-4gb", "needed_mib": 2816, "prices_of": "2024-11"}
    return actions.propose(org=demo, blueprint=make_blueprint(says={**FACTS, "findings": WARNED, "size": size}, more=1), actor=alice)


def _page(client: Client, path: str) -> str:
    answer = client.get(f"/o/demo/{path}", **HOST)
    assert answer.status_code == 200
    return " ".join(answer.content.decode().split())


def test_the_plan_says_what_it_would_do_and_by_which_digest(plan: Plan, client: Client) -> None:
    text = _page(client, f"plans/{plan.number}")
    for words in (plan.digest, "Who notices", "24 USD after", "Nobody can take over.", "service/web", "play.json", "Docker is 27.5.1.",
                  "Secrets, by fingerprint", "Approve exactly this", "needed: this plan carries a warning"):  # fmt: skip
        assert words in text, words
    assert f'name="digest" value="{plan.digest}"' in text


def test_a_reason_that_is_missing_comes_back_beside_its_field_and_nothing_is_approved(plan: Plan, client: Client) -> None:
    answer = client.post(f"/o/demo/plans/{plan.number}/approve", {"digest": plan.digest, "reason": " "}, **HOST)
    assert answer.status_code == 422
    assert "a reason is missing" in answer.content.decode()
    client.post(f"/o/demo/plans/{plan.number}/approve", {"digest": plan.digest, "reason": "known"}, **HOST)
    plan.refresh_from_db()
    assert plan.state == PlanState.APPROVED


def test_a_page_that_was_open_too_long_approves_nothing(plan: Plan, client: Client) -> None:
    answer = client.post(f"/o/demo/plans/{plan.number}/approve", {"digest": "sha256:old", "reason": "x"}, follow=True, **HOST)
    assert "you looked at another plan" in answer.content.decode()
    plan.refresh_from_db()
    assert plan.state == PlanState.PROPOSED


def test_a_comment_is_shown_at_its_step_and_its_line_and_to_the_proposer(plan: Plan, client: Client) -> None:
    url = f"/o/demo/plans/{plan.number}/send-back"
    wrong = client.post(url, {"at": "play.json:99", "text": "what I wrote"}, **HOST)
    assert wrong.status_code == 422
    assert "what I wrote" in wrong.content.decode()
    for at in ("service/web", "play.json:1", "stack.yml:1"):
        client.post(url, {"at": at, "text": f"<b>look</b> at {at}"}, **HOST)
    text = _page(client, f"plans/{plan.number}")
    assert "sent back by alice" in text
    assert "<b>look" not in text
    for at in ("service/web", "play.json:1", "stack.yml:1"):
        assert text.count(f"&lt;b&gt;look&lt;/b&gt; at {at}<") == 1
    step = text[text.index('id="steps"') :]
    assert step.index("look&lt;/b&gt; at service/web") < step.index("look&lt;/b&gt; at play.json:1")
    assert f"Plan {plan.number} was sent back to you." in _page(client, "")


def test_a_viewer_sees_no_buttons(plan: Plan, bob: Any, client: Client) -> None:
    client.force_login(bob)
    text = _page(client, f"plans/{plan.number}")
    assert "Approve exactly this" not in text
    assert "send-back" not in text.replace("#send-back", "")


def test_charlie_gets_404_for_every_page_of_a_plan_that_is_there(plan: Plan, charlie: Any, client: Client) -> None:
    client.force_login(charlie)
    for path in (f"plans/{plan.number}", "history", "settings"):
        assert client.get(f"/o/demo/{path}", **HOST).status_code == 404
    for path in (f"plans/{plan.number}/approve", f"plans/{plan.number}/send-back", "history/1/rollback", "settings/set"):
        assert client.post(f"/o/demo/{path}", {"text": "x", "at": "service/web"}, **HOST).status_code == 404
    plan.refresh_from_db()
    assert plan.state == PlanState.PROPOSED
    assert not PlanComment.objects.exists()
    own = client.post("/o/other/history/1/rollback", **HOST)
    assert own.status_code == 302
    assert Run.objects.filter(organization__slug="other").count() == 0


def test_history_names_what_runs_and_asks_for_the_way_back(plan: Plan, client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(actions, "ring_for", lambda _run: True)
    text = _page(client, "history")
    assert text.index("Version 2") < text.index("Version 1")
    assert text.index("runs now") > text.index('id="version-1"')
    assert "Plan the way to version 2" in text
    assert "Plan the way to version 1" not in text
    answer = client.post("/o/demo/history/2/rollback", **HOST)
    assert answer["Location"].startswith("/o/demo/runs/")
    assert "version 1 is what runs" in client.post("/o/demo/history/1/rollback", follow=True, **HOST).content.decode()


def test_settings_are_set_by_owners_and_the_address_never_comes_out(demo: Organization, alice: Any, data_dir: Any, client: Client) -> None:
    client.force_login(alice)
    assert client.post("/o/demo/settings/set", {"two_people": "on"}, follow=True, **HOST).status_code == 200
    assert decisions.rules_of(demo).two_people
    address = "https://discord.example/api/webhooks/1/canary"
    client.post("/o/demo/settings/set", {"what": "webhook", "url": address}, **HOST)
    text = _page(client, "settings")
    assert "One is set" in text
    assert "canary" not in text
    assert decisions.rules_of(demo).two_people, "the other form does not touch the rules"
    bad = client.post("/o/demo/settings/set", {"what": "webhook", "url": "http://discord.example/canary"}, **HOST)
    assert bad.status_code == 422
    assert "canary" not in bad.content.decode()
    client.post("/o/demo/settings/set", {"what": "webhook", "url": ""}, **HOST)
    assert not decisions.has_webhook(demo)


def _run(*arguments: str, code: int = 0, text: str = "") -> str:
    done = CliRunner().invoke(app, list(arguments), input=text or None)
    out.json = False
    found = done.exit_code if not isinstance(done.exception, Exception) else -1
    assert found == code or (code and done.exception), done.output
    return done.output + str(done.exception or "")


def test_the_command_line_does_the_same(plan: Plan, demo: Organization, alice: Any, bob: Any) -> None:
    Membership.objects.filter(user=bob).update(roles=["approver"])
    assert "two people yes" in _run("org", "set", "demo", "two_people=true")
    assert "is no setting" in _run("org", "set", "demo", "colour=blue", code=1)
    name = f"demo/{plan.number}"
    assert "a reason is missing" in _run("approve", name, code=1)
    assert "you looked at another plan" in _run("approve", name, "--digest", "sha256:x", "--reason", "fine", code=1)
    assert "a second person" in _run("approve", name, "--digest", plan.digest, "--reason", "fine")
    assert "approved." in _run("approve", name, "--reason", "fine", "--as", "bob")
    assert "sent back, at service/web" in _run("send-back", "demo", str(plan.number), "not yet", "--at", "service/web")
    listed = _run("--json", "history", "demo")
    assert '"is_deployed": true' in listed
    assert '"approvals": [' in listed
    assert "version 1 is what runs" in _run("rollback", "demo", "1", code=1)
    assert "goes back to version 2" not in _run("history", "demo")


def test_nothing_to_do_is_said_and_no_run_is_made(
    make_blueprint: Make, plan: Plan, demo: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    empty = make_blueprint(preview={"steps": [], "changes": {}, "state_digest": "sha256:state"})
    monkeypatch.setattr("blueprints.actions.make_blueprint", lambda **_more: empty)
    before = Run.objects.filter(kind="apply").count()
    assert "Nothing to do" in _run("apply", "demo")
    assert Run.objects.filter(kind="apply").count() == before
