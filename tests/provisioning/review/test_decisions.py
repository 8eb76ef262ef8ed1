"""Approving, sending back, the organization's rules, and what is written down of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from blueprints.models import Blueprint
from orgs.models import AuditEvent, Membership, Organization
from provisioning import actions
from provisioning.models import Approval, Plan, Secret
from provisioning.review import decisions
from provisioning.review.rows import Announcement, PlanComment
from provisioning.states import PlanState
from sprocket_v2.errors import ApplyError, DeniedError, StaleError

pytestmark = pytest.mark.usefixtures("token")
URL = "https://discord.example/api/webhooks/1/canary-webhook-token"
WARNED = [{"severity": "warning", "message": "Nobody can take over.", "hint": "Name a deputy."}]


@pytest.fixture
def plan(make_blueprint: Callable[..., Blueprint], demo: Organization, alice: Any) -> Plan:
    return actions.propose(org=demo, blueprint=make_blueprint(), actor=alice)


@pytest.fixture
def approver(bob: Any) -> Any:
    Membership.objects.filter(user=bob).update(roles=["approver"])
    return bob


def test_an_approval_names_the_digest_that_was_looked_at(plan: Plan, alice: Any) -> None:
    with pytest.raises(StaleError, match="another plan"):
        decisions.approve(plan=plan, actor=alice, digest="sha256:another")
    decisions.approve(plan=plan, actor=alice, digest=plan.digest)
    assert [a.digest for a in Approval.objects.all()] == [plan.digest]


def test_two_people_means_that_the_proposer_is_not_the_only_one(plan: Plan, demo: Organization, alice: Any, approver: Any) -> None:
    decisions.set_rules(org=demo, actor=alice, two_people=True, needs_reason=False)
    assert decisions.approve(plan=plan, actor=alice).state == PlanState.PROPOSED
    with pytest.raises(StaleError) as caught:
        actions.apply(plan=plan, actor=alice)
    assert "a second person has to say yes" in caught.value.hint
    assert decisions.approve(plan=plan, actor=approver).state == PlanState.APPROVED
    assert actions.apply(plan=plan, actor=alice, ring=False).kind == "apply"


def test_rules_that_came_after_the_approval_count_at_the_apply(plan: Plan, demo: Organization, alice: Any) -> None:
    decisions.approve(plan=plan, actor=alice)
    decisions.set_rules(org=demo, actor=alice, two_people=True, needs_reason=False)
    with pytest.raises(StaleError):
        actions.apply(plan=plan, actor=alice)


def test_a_warning_or_the_rules_ask_for_a_reason(
    make_blueprint: Callable[..., Blueprint], plan: Plan, demo: Organization, alice: Any
) -> None:
    warned = actions.propose(org=demo, blueprint=make_blueprint(says={"findings": WARNED}), actor=alice)
    with pytest.raises(DeniedError, match="this plan carries a warning"):
        decisions.approve(plan=warned, actor=alice, reason="  ")
    decisions.approve(plan=warned, actor=alice, reason="the deputy joins on Monday")
    decisions.set_rules(org=demo, actor=alice, two_people=False, needs_reason=True)
    with pytest.raises(DeniedError, match="this organization asks for one"):
        decisions.approve(plan=plan, actor=alice)
    decisions.approve(plan=plan, actor=alice, reason="as discussed")
    assert {a.reason for a in Approval.objects.all()} == {"the deputy joins on Monday", "as discussed"}


def test_only_owners_set_the_rules_and_it_is_written_down(demo: Organization, alice: Any, bob: Any, charlie: Any) -> None:
    for person in (bob, charlie):
        with pytest.raises(DeniedError):
            decisions.set_rules(org=demo, actor=person, two_people=False, needs_reason=False)
        with pytest.raises(DeniedError):
            decisions.set_webhook(org=demo, actor=person, url=URL)
    decisions.set_rules(org=demo, actor=alice, two_people=True, needs_reason=True, via="cli")
    decisions.set_rules(org=demo, actor=alice, two_people=True, needs_reason=True)
    [event] = AuditEvent.objects.for_org(demo).filter(what="review rules set")
    assert (event.user, event.detail, event.via) == (alice, "two people on, reason on", "cli")


def test_a_plan_is_sent_back_at_a_line_or_a_step_and_cannot_be_approved_then(plan: Plan, alice: Any) -> None:
    decisions.send_back(plan=plan, actor=alice, at="stack.yml:1", text="one replica more")
    decisions.send_back(plan=plan, actor=alice, at="service/web", text="and why now?")
    plan.refresh_from_db()
    assert plan.state == PlanState.SENT_BACK
    assert [(c.anchor, c.text, c.author) for c in PlanComment.objects.all()] == [
        ("stack.yml:1", "one replica more", alice),
        ("service/web", "and why now?", alice),
    ]
    with pytest.raises(StaleError, match="sent-back"):
        decisions.approve(plan=plan, actor=alice)


def test_an_approved_plan_can_still_be_sent_back_and_is_not_applied(plan: Plan, alice: Any) -> None:
    decisions.approve(plan=plan, actor=alice)
    decisions.send_back(plan=plan, actor=alice, at="service/web", text="wait")
    with pytest.raises(StaleError, match="sent-back, not approved"):
        actions.apply(plan=plan, actor=alice)


@pytest.mark.parametrize(
    "at", ["", "stack.yml", "stack.yml:0", "stack.yml:2", "stack.yml:x", "stack.yml:١", "nothing.yml:1", "service/api", ":1"]
)
def test_a_comment_does_not_hang_in_the_air(plan: Plan, alice: Any, at: str) -> None:
    with pytest.raises(ApplyError):
        decisions.send_back(plan=plan, actor=alice, at=at, text="no")
    plan.refresh_from_db()
    assert plan.state == PlanState.PROPOSED


@pytest.mark.parametrize("text", ["  ", "x" * 2001])
def test_a_comment_has_words_and_an_end(plan: Plan, alice: Any, text: str) -> None:
    with pytest.raises(ApplyError, match="the comment"):
        decisions.send_back(plan=plan, actor=alice, at="service/web", text=text)


def test_who_may_not_approve_may_not_send_back(plan: Plan, bob: Any, charlie: Any) -> None:
    for person in (bob, charlie):
        with pytest.raises(DeniedError):
            decisions.send_back(plan=plan, actor=person, at="service/web", text="no")


@pytest.mark.parametrize(
    "url",
    ["http://discord.example/x", "https://", "ftp://x.example", "https://user:pw@x.example/", "https://x.example:99999/", "https://x .example/",
     "https://127.0.0.1/x", "https://10.1.2.3/x", "https://169.254.169.254/latest", "https://[::1]/x", "https://[::ffff:10.0.0.1]/x",
     "https://x.example/#part", "https://x.example/" + "x" * 500],
)  # fmt: skip
def test_an_address_that_may_not_be_called_is_not_kept_nor_repeated(demo: Organization, alice: Any, url: str) -> None:
    with pytest.raises(ApplyError) as caught:
        decisions.set_webhook(org=demo, actor=alice, url=url)
    assert not decisions.has_webhook(demo)
    assert url not in f"{caught.value} {caught.value.hint}"


def test_a_webhooks_address_is_sealed_and_can_be_forgotten(demo: Organization, alice: Any) -> None:
    decisions.set_webhook(org=demo, actor=alice, url=URL)
    assert decisions.has_webhook(demo)
    assert "canary-webhook-token" not in repr(list(Secret.objects.values())) + repr(list(AuditEvent.objects.values()))
    decisions.set_webhook(org=demo, actor=alice, url="")
    assert not decisions.has_webhook(demo)


def test_each_moment_of_a_plan_is_announced_once_where_there_is_a_webhook(
    make_blueprint: Callable[..., Blueprint], plan: Plan, demo: Organization, alice: Any
) -> None:
    decisions.approve(plan=plan, actor=alice)
    assert not Announcement.objects.exists()
    decisions.set_webhook(org=demo, actor=alice, url=URL)
    error = {"kind": "failed", "message": "web does not become healthy", "hint": "", "where": ""}
    failing = make_blueprint(apply={"ok": False, "error": error, "state_digest": "sha256:before"})
    second = actions.propose(org=demo, blueprint=failing, actor=alice)
    decisions.approve(plan=second, actor=alice)
    decisions.approve(plan=second, actor=alice)
    actions.run_here(actions.apply(plan=second, actor=alice, ring=False))
    decisions.send_back(plan=Plan.objects.get(pk=second.pk), actor=alice, at="service/web", text="the health path is wrong")
    said = [(row.moment, row.detail) for row in Announcement.objects.for_org(demo)]
    assert said == [
        ("waiting", ""),
        ("approved", "By alice."),
        ("failed", "web does not become healthy"),
        ("sent-back", "alice at service/web: the health path is wrong"),
    ]


def test_an_empty_plan_needs_nobody_and_announces_nothing(make_blueprint: Callable[..., Blueprint], demo: Organization, alice: Any) -> None:
    decisions.set_webhook(org=demo, actor=alice, url=URL)
    decisions.set_rules(org=demo, actor=alice, two_people=True, needs_reason=True)
    empty = actions.propose(org=demo, blueprint=make_blueprint(preview={"steps": [], "changes": {}}), actor=alice)
    assert (empty.state, decisions.missing_yes(empty)) == (PlanState.APPROVED, "")
    assert not Announcement.objects.exists()
