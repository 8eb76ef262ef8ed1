"""What a reviewer can do: approve exactly one digest, send back with a comment, take back; and what an owner sets for all of it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.db import transaction

from orgs import access
from orgs.actions import record
from orgs.grammar import shown
from orgs.models import Organization
from provisioning import secret_store
from provisioning.models import Approval, Plan, Secret
from provisioning.review import webhook
from provisioning.review.announcing import announce
from provisioning.review.rows import WEBHOOK, PlanComment, ReviewRules
from provisioning.review.rules import Rules, warnings_of
from provisioning.states import PlanState
from sprocket_v2.errors import ApplyError, DeniedError, StaleError

MAX_COMMENT = 2000
SETTINGS = ("two_people", "needs_reason")


def rules_of(org: Organization) -> Rules:
    """What the organization asks of an approval."""
    row: ReviewRules | None = ReviewRules.objects.for_org(org).first()
    return Rules(row.two_people, row.needs_reason) if row else Rules()


def set_rules(*, org: Organization, actor: Any, two_people: bool, needs_reason: bool, via: str = "web") -> Rules:  # noqa: ANN401 - a user
    """Set what an approval takes; plans that wait are judged by the new rules at once.

    Raises:
        DeniedError: only owners may.
    """
    access.require(actor, org, "members")
    new = Rules(two_people, needs_reason)
    with transaction.atomic():
        if rules_of(org) != new:
            ReviewRules.objects.update_or_create(organization=org, defaults={"two_people": two_people, "needs_reason": needs_reason})
            said = f"two people {'on' if two_people else 'off'}, reason {'on' if needs_reason else 'off'}"
            record(org=org, actor=actor, what="review rules set", detail=said, via=via)
    return new


def has_webhook(org: Organization) -> bool:
    """Whether somebody set one; its address is never shown again."""
    return Secret.objects.for_org(org).filter(name=WEBHOOK).exists()


def set_webhook(*, org: Organization, actor: Any, url: str, via: str = "web") -> None:  # noqa: ANN401
    """Keep a webhook's address in the secret store; an empty one forgets it.

    Raises:
        DeniedError: only owners may. ApplyError: it is no address that may be called.
    """
    access.require(actor, org, "members")
    if not url.strip():
        secret_store.forget_secret(org=org, name=WEBHOOK, actor=actor, via=via)
        return
    webhook.target_of(url.strip(), local=settings.SPROCKET_WEBHOOK_LOCAL)
    secret_store.set_secret(org=org, name=WEBHOOK, value=url.strip(), actor=actor, via=via)


def approve(*, plan: Plan, actor: Any, digest: str = "", reason: str = "", via: str = "web") -> Plan:  # noqa: ANN401
    """Say yes to exactly this plan; it is approved as soon as the yeses are enough.

    Args:
        digest: of the plan the person looked at; empty for the plan as it is stored.
        reason: why it is fine; needed where the plan carries a warning, or the organization asks for one.
    Raises:
        DeniedError: no approver, or a reason is missing. StaleError: another plan was looked at, or it cannot be approved any more.
    """
    org, where = plan.organization, f"plan {plan.number}"
    access.require(actor, org, "approve")
    if plan.basis != "live":
        raise StaleError("made against an empty host: it can be read, not applied", hint="make a new plan where Docker runs", where=where)
    if digest and digest != plan.digest:
        raise StaleError("you looked at another plan than this one", hint="reload the page and read it again", where=where)
    rules, reason = rules_of(org), reason.strip()[:300]
    why = rules.wants_reason(warnings_of(plan.review)) if not plan.is_empty else ""
    if why and not reason:
        raise DeniedError(f"a reason is missing: {why}", hint="say why it is fine to go on (`--reason`)", where=where)
    with transaction.atomic():
        Organization.objects.select_for_update().get(pk=org.pk)  # two yeses at once are counted one after the other
        plan.refresh_from_db()
        if plan.state not in (PlanState.PROPOSED, PlanState.APPROVED):
            raise StaleError(f"the plan is {plan.state}", hint=plan.reason or "make a new plan", where=where)
        _, is_new = Approval.objects.get_or_create(
            organization=org, plan=plan, author=actor, defaults={"digest": plan.digest, "reason": reason}
        )
        if is_new:
            record(org=org, actor=actor, what="plan approved", detail=f"plan {plan.number}, {plan.digest[:19]}", via=via)
        if plan.state == PlanState.PROPOSED and not missing_yes(plan, rules) and plan.move(PlanState.APPROVED):
            announce(plan, "approved", f"By {', '.join(_names(plan))}.{f' {reason}' if reason else ''}")
    return plan


def missing_yes(plan: Plan, rules: Rules | None = None) -> str:
    """Why a plan's yeses are not enough; empty when they are, or when there is nothing to say yes to."""
    if plan.is_empty:
        return ""
    approvers = plan.approvals.exclude(author=None).values_list("author_id", flat=True)
    return (rules or rules_of(plan.organization)).still_missing(plan.author_id, list(approvers))


def _names(plan: Plan) -> list[str]:
    return [approval.author.get_username() for approval in plan.approvals.select_related("author") if approval.author]


def withdraw(*, plan: Plan, actor: Any) -> Plan:  # noqa: ANN401
    """Take a plan back before it is applied."""
    access.require(actor, plan.organization, "propose")
    if not plan.move(PlanState.WITHDRAWN, reason="withdrawn"):
        raise StaleError(f"the plan is {plan.state}", hint="only a plan that is not applied can be withdrawn", where=f"plan {plan.number}")
    return plan


def send_back(*, plan: Plan, actor: Any, at: str, text: str, via: str = "web") -> PlanComment:  # noqa: ANN401
    """Say no, with a comment at a line or a step; a plan that was sent back takes further comments.

    Args:
        at: `stack.yml:12`, or the resource of a step such as `service/redis`.
    Raises:
        DeniedError: no approver. ApplyError: no such line or step, or no words. StaleError: it is decided already.
    """
    org, where = plan.organization, f"plan {plan.number}"
    access.require(actor, org, "approve")
    at, text = at.strip(), text.strip()
    refuse_bad_anchor(plan, at)
    if not text or len(text) > MAX_COMMENT:
        problem = "is empty" if not text else f"has more than {MAX_COMMENT} characters"
        raise ApplyError(f"the comment {problem}", hint="say what has to change, and why", where=where)
    with transaction.atomic():
        if plan.state != PlanState.SENT_BACK and not plan.move(
            PlanState.SENT_BACK, reason=f"sent back by {actor.get_username()}: see the comments"
        ):
            raise StaleError(f"the plan is {plan.state}", hint="only a plan that waits or is approved can be sent back", where=where)
        comment: PlanComment = PlanComment.objects.create(organization=org, plan=plan, anchor=at, text=text, author=actor)
        record(org=org, actor=actor, what="plan sent back", detail=f"plan {plan.number} at {at}", via=via)
        announce(plan, "sent-back", f"{actor.get_username()} at {at}: {text}")
    return comment


def refuse_bad_anchor(plan: Plan, at: str) -> None:
    """Raise ApplyError when a comment would hang in the air."""
    if any(step["resource"] == at for step in plan.steps):
        return
    path, _, line = at.rpartition(":")
    file = plan.blueprint.files.filter(path=path).first() if path else None
    if file is None:
        hint = "a line as stack.yml:12, or a step's resource such as service/redis"
        raise ApplyError(f"{shown(at)} is neither a line of this plan's files nor one of its steps", hint=hint, where=f"plan {plan.number}")
    count = len(file.text.splitlines())
    if not line.isdecimal() or not line.isascii() or not 1 <= int(line) <= count:
        raise ApplyError(
            f"{path} has lines 1 to {count}, not {shown(line)}", hint="take a line number of the new file", where=f"plan {plan.number}"
        )
