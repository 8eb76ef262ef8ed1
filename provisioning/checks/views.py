"""The page of the checks: what the rules say of a blueprint, and what each is about. HTTP only."""

from __future__ import annotations

from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from blueprints.actions import blueprint_of
from blueprints.checks.incidents import INCIDENTS
from blueprints.checks.model import KINDS, SEVERITIES
from blueprints.checks.words import STATES, counts, in_order, summary
from orgs.models import Organization
from provisioning.checks.look import look
from sprocket_v2.errors import SprocketError

_FILTERS = {"state": STATES, "severity": SEVERITIES, "kind": KINDS}


def checks_page(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """Every rule with what it found; `state`, `severity` and `kind` leave out the others."""
    row = blueprint_of(org, number)
    if row is None:
        raise Http404("no such blueprint")
    context: dict[str, Any] = {"org": org, "row": row}
    try:
        outcomes = look(row)
    except SprocketError as error:
        return render(request, "provisioning/checks.html", {**context, "problem": error}, status=422)
    chosen = {name: request.GET.get(name, "") for name in _FILTERS}
    shown = [
        (outcome, INCIDENTS[outcome.rule.incident - 1])
        for outcome in in_order(outcomes)
        if chosen["state"] in ("", outcome.state)
        and chosen["severity"] in ("", outcome.rule.severity)
        and chosen["kind"] in ("", outcome.rule.kind)
    ]
    filters = [(name, chosen[name], values) for name, values in _FILTERS.items()]
    context |= {
        "shown": shown,
        "summary": summary(outcomes),
        "counts": counts(outcomes),
        "filters": filters,
        "is_filtered": any(chosen.values()),
    }
    context["blocked"] = any(o.state == "failed" and o.rule.severity == "block" for o in outcomes)
    return render(request, "provisioning/checks.html", context)
