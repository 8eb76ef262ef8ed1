"""Whether what runs is still what was applied: looked at on demand and on a schedule, kept as a report, put back or dismissed.

A look previews the applied blueprint against the live objects. It changes nothing, the engine's state included.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone

from blueprints.layers import layers_of
from blueprints.rendering import Rendering
from orgs import access
from orgs.actions import record
from orgs.models import Organization
from provisioning import layers
from provisioning.docker_door import docker_hands, docker_reader
from provisioning.layers import Operate
from provisioning.leftovers import found_beside
from provisioning.materials import material, rendering_of
from provisioning.models import Run, StackState, next_number
from provisioning.review.facts import applied_blueprint
from provisioning.review.rows import DriftReport
from provisioning.states import FINISHED, RunKind, RunState
from sprocket_v2.errors import ApplyError

LONGEST_DISMISSAL = timedelta(days=90)
_KINDS = {"create": "removed", "delete": "extra"}


@dataclass(frozen=True, slots=True)
class Standing:
    """What a page says of drift.

    Attributes:
        state: in sync, drifted, dismissed, failed or not checked.
        report: the newest one, where it is about what is deployed now.
        at: when that was looked at last.
    """

    state: str
    report: DriftReport | None = None
    at: datetime | None = None

    @property
    def words(self) -> str:
        """The state, counted."""
        return f"drifted ({len(self.report.differences)})" if self.state == "drifted" and self.report else self.state


def look(org: Organization, name: str, operate: Operate, say: Callable[[str], None]) -> list[dict[str, Any]]:
    """Compare what runs with what was applied.

    Raises:
        ApplyError: nothing is deployed. EngineError: the engine could not say.
    """
    blueprint = applied_blueprint(org)
    if blueprint is None:
        raise ApplyError("nothing is deployed", hint="propose, approve and apply a blueprint first", where=org.slug)
    rendering = rendering_of(blueprint)
    with material(org, rendering, name) as stuff:
        seen = layers.preview(stuff, operate, keeps_plan=False, say=say, refresh=True, holds_lease=True)
    found = differences_of(seen.outcome.steps, found_beside(org.slug, rendering, docker_reader()))
    return list(dated(found, _service_names(rendering), _changed_at))


def _service_names(rendering: Rendering) -> dict[str, str]:
    """Docker names of services by the resource a step names: `service/web`, or `layer_1/service/vault`."""
    found: dict[str, str] = {}
    for layer in layers_of(rendering):
        prefix = f"{layer.name}/" if layer.name else ""
        found |= {f"{prefix}service/{key}": args.name for key, args in layer.stack.services.items()}
    return found


def _changed_at(name: str) -> str:
    """When Docker says that a service was changed last, hands and Docker's own roll-backs included; empty when it is gone."""
    found = docker_hands().find("service", name) or {}
    return str(found.get("UpdatedAt", ""))[:19]


def dated(differences: Iterable[dict[str, Any]], names: Mapping[str, str], changed_at: Callable[[str], str]) -> Iterator[dict[str, Any]]:
    """Each difference with what can be known of when: nothing of what is gone, nor of what is no service. Pure.

    Args:
        names: resource -> Docker name; that of an extra service is in its resource.
        changed_at: Docker name -> moment in UTC, or empty.
    """
    for item in differences:
        name = names.get(item["resource"], item["resource"].removeprefix("service/") if item["kind"] == "extra" else "")
        at = changed_at(name) if name and item["kind"] != "removed" else ""
        yield {**item, "at": at} if at else item


def differences_of(steps: Sequence[Mapping[str, Any]], strangers: Iterable[str]) -> Iterator[dict[str, Any]]:
    """One difference for each step that would put something back, and for each service nobody applied. Pure."""
    for step in steps:
        if step["op"] != "same":
            yield {"resource": step["resource"], "kind": _KINDS.get(step["op"], "changed"), "fields": list(step.get("fields") or ())}
    for name in strangers:
        yield {"resource": f"service/{name}", "kind": "extra", "fields": []}


def keep(org: Organization, run: Run, differences: list[dict[str, Any]]) -> DriftReport:
    """Keep what a look found; call it under the run's lease."""
    report: DriftReport = DriftReport.objects.create(organization=org, run=run, blueprint=applied_blueprint(org), differences=differences)
    return report


def standing(org: Organization) -> Standing:
    """Where an organization stands, by its newest look; one from before the last apply says nothing any more."""
    ended = FINISHED - {RunState.CANCELLED}
    last: Run | None = Run.objects.for_org(org).filter(kind=RunKind.DRIFT, state__in=ended).first()
    changed = Run.objects.for_org(org).filter(kind__in=[RunKind.APPLY, RunKind.DESTROY]).first()
    if last is None or applied_blueprint(org) is None or (changed and changed.pk > last.pk):
        return Standing("not checked")
    if last.state != RunState.SUCCEEDED:
        return Standing("failed", at=last.finished)
    report: DriftReport | None = DriftReport.objects.for_org(org).filter(run=last).first()
    if report is None:
        return Standing("not checked")
    return Standing(state_of(report.differences, report.dismissed_until, timezone.now().date()), report, report.created)


def state_of(differences: Sequence[object], dismissed_until: date | None, today: date) -> str:
    """The word for a report. Pure."""
    if not differences:
        return "in sync"
    return "dismissed" if dismissed_until and today <= dismissed_until else "drifted"


def dismiss(*, org: Organization, actor: Any, until: date, via: str = "web") -> DriftReport:  # noqa: ANN401 - a user
    """Say that the drift that was found is known, until a day; another look begins anew.

    Raises:
        DeniedError: no approver. ApplyError: there is no drift to dismiss, or the day is past or too far.
    """
    access.require(actor, org, "approve")
    now = standing(org)
    today = timezone.now().date()
    if now.report is None or not now.report.differences:
        raise ApplyError("there is no drift to dismiss", hint=f"`sprocket drift {org.slug}` looks again", where=org.slug)
    if not today < until <= today + LONGEST_DISMISSAL:
        raise ApplyError(f"{until} is not within the next {LONGEST_DISMISSAL.days} days", hint="take a nearer day", where="until")
    with transaction.atomic():
        DriftReport.objects.for_org(org).filter(pk=now.report.pk).update(dismissed_until=until, dismissed_by=actor)
        record(org=org, actor=actor, what="drift dismissed", detail=f"until {until}", via=via)
    now.report.refresh_from_db()
    return now.report


def ask_due() -> int:
    """Ask for a look at every deployment whose last one is too old and on which nobody works; how many were asked for."""
    every = timedelta(hours=settings.SPROCKET_DRIFT_EVERY_HOURS)
    if not every:
        return 0
    asked = 0
    for state in StackState.objects.exclude(applied_blueprint=None).select_related("organization"):
        runs = Run.objects.for_org(state.organization)
        recent = runs.filter(kind=RunKind.DRIFT, created__gt=timezone.now() - every).exists()
        if not recent and not runs.exclude(state__in=FINISHED).exists():
            _ask(state.organization)
            asked += 1
    return asked


def _ask(org: Organization) -> None:
    """A run nobody asked for: the schedule did."""
    from provisioning.actions import ring_for  # it asks the other way round

    with transaction.atomic():
        run = Run.objects.create(organization=org, number=next_number(Run, org), kind=RunKind.DRIFT)
        transaction.on_commit(partial(ring_for, run.pk))
