"""Telling an organization's webhook what happens to a plan: a row first, sent by the reconciler, so that no run ever waits for it."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F
from django.urls import reverse
from django.utils import timezone

from blueprints.quoting import text_markdown
from provisioning import secret_store
from provisioning.models import Plan, Secret
from provisioning.review import webhook
from provisioning.review.rows import WEBHOOK, Announcement
from provisioning.review.rules import MOMENTS
from provisioning.states import PlanState
from sprocket_v2.errors import SprocketError

MAX_ATTEMPTS = 6
FIRST_AGAIN_S = 15
BUDGET_S = 10.0
_TOO_OLD = timedelta(days=1)
_AT_ONCE = 20


def told_of(plan: Plan) -> None:
    """A plan was made: say that it waits, where somebody has to decide."""
    if plan.state == PlanState.PROPOSED and plan.basis == "live":
        announce(plan, "waiting")


def announce(plan: Plan, moment: str, detail: str = "") -> None:
    """Put a sentence into the outbox; nothing where the organization has no webhook.

    Args:
        moment: one of `rules.MOMENTS`.
    """
    if Secret.objects.for_org(plan.organization).filter(name=WEBHOOK).exists():
        Announcement.objects.create(organization=plan.organization, plan=plan, moment=moment, detail=detail[:300], due=timezone.now())


def deliver_due() -> int:
    """Send what is due, one attempt each, within a budget of time. Twice at once is harmless: a row is claimed before it is sent."""
    begun, sent = time.monotonic(), 0
    waiting = Announcement.objects.filter(
        sent=None, attempts__lt=MAX_ATTEMPTS, due__lte=timezone.now(), created__gt=timezone.now() - _TOO_OLD
    )
    for row in waiting.select_related("organization", "plan")[:_AT_ONCE]:
        if time.monotonic() - begun > BUDGET_S:
            break
        again = timezone.now() + timedelta(seconds=FIRST_AGAIN_S * 4**row.attempts)
        mine = Announcement.objects.filter(pk=row.pk, attempts=row.attempts, sent=None)
        if mine.update(attempts=F("attempts") + 1, due=again):
            sent += _deliver(row)
    return sent


def _deliver(row: Announcement) -> bool:
    rows = Announcement.objects.filter(pk=row.pk)
    try:
        local = settings.SPROCKET_WEBHOOK_LOCAL
        webhook.post(webhook.target_of(_address(row), local=local), message_for(row), local=local)
    except SprocketError as error:
        last = {} if error.transient else {"attempts": MAX_ATTEMPTS}  # what will not get better is not tried again
        rows.update(problem=error.message[:200], **last)
        return False
    rows.update(sent=timezone.now(), problem="")
    return True


def _address(row: Announcement) -> str:
    org = row.organization
    version = secret_store.secret_versions(org).get(WEBHOOK, 0)
    [value] = secret_store.values_for(org, [secret_store.Wanted(WEBHOOK, WEBHOOK, "supplied", version)]).values()
    return value


def message_for(row: Announcement) -> dict[str, Any]:
    """The message in Discord's format; it calls nobody, whatever somebody has written."""
    plan = row.plan
    link = settings.SPROCKET_BASE_URL + reverse("plan", args=[row.organization.slug, plan.number])
    what = plan.review.get("summary", {}).get("what", "")
    lines = [f"**{_text(row.organization.name)}**: plan {plan.number} {MOMENTS[row.moment]}."]
    lines += [_text(text)[:600] for text in (row.detail, what if row.moment == "waiting" else "") if text]
    return {"content": "\n".join([*lines, link])[:2000], "allowed_mentions": {"parse": []}}


def _text(value: str) -> str:
    line = "".join(character if character.isprintable() else " " for character in value)
    return text_markdown(line).replace("@", "@\u200b")
