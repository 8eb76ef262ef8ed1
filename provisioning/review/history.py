"""Every version of an organization's blueprint with what became of it, and the way back to one of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from blueprints.models import Blueprint, BlueprintFile
from blueprints.rendering import LOCK
from orgs.models import Organization
from provisioning import actions
from provisioning.models import Plan, Run
from provisioning.review.facts import applied_blueprint
from provisioning.states import RunKind
from sprocket_v2.errors import ApplyError

NEWEST = 100


@dataclass(frozen=True, slots=True)
class PlanSeen:
    """One plan of a version: who said yes, and how its newest apply ended.

    Attributes:
        run: number of the newest apply; 0 when there was none.
        verdict: `runs` and `usable`, each with its state; empty before there was one.
    """

    number: int
    state: str
    digest: str
    approvals: tuple[str, ...]
    run: int = 0
    run_state: str = ""
    verdict: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One version.

    Attributes:
        images: component (or service) -> reference with digest or id, shortened for reading.
        is_deployed: it is what runs.
    """

    number: int
    author: str
    created: datetime
    message: str
    needs: int
    release: str
    digest: str
    images: dict[str, str]
    plans: tuple[PlanSeen, ...]
    is_deployed: bool


def history_of(org: Organization) -> tuple[Version, ...]:
    """All versions, newest first; the newest hundred."""
    rows = list(Blueprint.objects.for_org(org).select_related("needs_revision", "author")[:NEWEST])
    locks = dict(BlueprintFile.objects.filter(blueprint__in=rows, path=LOCK).values_list("blueprint_id", "text"))
    plans: dict[int, list[Plan]] = {}
    for plan in Plan.objects.for_org(org).light().filter(blueprint__in=rows).prefetch_related("approvals__author"):
        plans.setdefault(plan.blueprint_id, []).append(plan)
    runs: dict[int, Run] = {}
    for run in Run.objects.for_org(org).filter(kind=RunKind.APPLY, plan__blueprint__in=rows).order_by("pk"):
        runs[run.plan_id] = run
    deployed = applied_blueprint(org)
    return tuple(
        Version(
            number=row.number,
            author=row.author.get_username() if row.author else "",
            created=row.created,
            message=row.needs_revision.message,
            needs=row.needs_revision.number,
            release=row.template_release,
            digest=row.digest,
            images=_images(locks.get(row.pk, "")),
            plans=tuple(_plan(plan, runs.get(plan.pk)) for plan in plans.get(row.pk, ())),
            is_deployed=deployed is not None and deployed.pk == row.pk,
        )
        for row in rows
    )


def _images(lock: str) -> dict[str, str]:
    images: dict[str, Any] = json.loads(lock)["images"] if lock else {}
    return {key: _pinned(item) for key, item in images.items()}


def _pinned(item: dict[str, Any]) -> str:
    """The name with what pins it: a digest, the id of a local image, or the word that nothing does."""
    digest, local = str(item.get("digest") or ""), str(item.get("local_id") or "")
    if digest.startswith("sha256:"):
        return f"{item['name']}@{digest[:19]}"
    return f"{item['name']}:{item['tag']}" + (f" id {local[:19]}" if local else " by tag")


def _plan(plan: Plan, run: Run | None) -> PlanSeen:
    yeses = tuple(_yes(approval) for approval in plan.approvals.all())
    seen = PlanSeen(plan.number, plan.state, plan.digest, yeses)
    if run is None:
        return seen
    return PlanSeen(plan.number, plan.state, plan.digest, yeses, run.number, run.state, _verdict(run.verdict))


def _yes(approval: Any) -> str:  # noqa: ANN401 - a row
    name = approval.author.get_username() if approval.author else "somebody who left"
    return f"{name}: {approval.reason}" if approval.reason else name


def _verdict(verdict: dict[str, Any] | None) -> str:
    return f"runs {verdict['runs']['state']}, usable {verdict['usable']['state']}" if verdict else ""


def ask_rollback(*, org: Organization, number: int, actor: Any, idempotency_key: str = "", ring: bool = True) -> Run:  # noqa: ANN401
    """Ask for an ordinary plan that deploys exactly the files of an earlier version.

    Raises:
        DeniedError: the person may not propose. ApplyError: no such version, nothing deployed, or it is what runs.
    """
    target, current = _target(org, number), applied_blueprint(org)
    if current is None:
        raise ApplyError("nothing is deployed, so there is nothing to roll back", hint="propose the newest needs", where=org.slug)
    if current.pk == target.pk:
        raise ApplyError(f"version {number} is what runs", hint=f"`sprocket history {org.slug}` names the others", where=org.slug)
    return actions.request_run(org=org, kind=RunKind.PREVIEW, actor=actor, blueprint=target, idempotency_key=idempotency_key, ring=ring)


def _target(org: Organization, number: int) -> Blueprint:
    row: Blueprint | None = Blueprint.objects.for_org(org).filter(number=number).first()
    if row is None:
        raise ApplyError(f"there is no version {number}", hint=f"`sprocket history {org.slug}` names them", where=org.slug)
    return row
