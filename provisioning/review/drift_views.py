"""Pages of drift: whether what runs is what was applied, and the three answers when it is not. HTTP only."""

from __future__ import annotations

from datetime import date

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.dateparse import parse_date

from blueprints.models import Blueprint
from blueprints.views import draft_page
from orgs.models import Organization
from provisioning import actions
from provisioning.review import adoption, drift
from provisioning.review.facts import applied_blueprint
from provisioning.states import RunKind
from sprocket_v2.errors import ApplyError, SprocketError


def drift_page(request: HttpRequest, org: Organization) -> HttpResponse:
    """Whether what runs is what was applied, and the three answers when it is not."""
    return _drift(request, org)


def _drift(request: HttpRequest, org: Organization, problem: SprocketError | None = None) -> HttpResponse:
    context = {"org": org, "standing": drift.standing(org), "applied": applied_blueprint(org), "problem": problem}
    return render(request, "provisioning/drift.html", context, status=422 if problem else 200)


def drift_look(request: HttpRequest, org: Organization) -> HttpResponse:
    """Ask the worker to look."""
    return _asked(request, org, RunKind.DRIFT, None)


def drift_put_back(request: HttpRequest, org: Organization) -> HttpResponse:
    """Ask for an ordinary plan of what was applied."""
    return _asked(request, org, RunKind.PREVIEW, applied_blueprint(org))


def _asked(request: HttpRequest, org: Organization, kind: RunKind, blueprint: Blueprint | None) -> HttpResponse:
    if applied_blueprint(org) is None:
        messages.error(request, "Nothing is deployed, so there is nothing to compare.")
        return redirect("drift", org.slug)
    run = actions.request_run(org=org, kind=kind, actor=request.user, blueprint=blueprint)
    return redirect("run", org.slug, run.number)


def drift_dismiss(request: HttpRequest, org: Organization) -> HttpResponse:
    """Say that it is known, until a day."""
    try:
        until = parse_date(request.POST.get("until", "")) or date.min
        drift.dismiss(org=org, actor=request.user, until=until)
    except ValueError:
        return _drift(request, org, ApplyError("that is no day", hint="write it as 2026-12-31", where="until"))
    except SprocketError as error:
        return _drift(request, org, error)
    messages.success(request, f"Dismissed until {until}.")
    return redirect("drift", org.slug)


def drift_adopt(request: HttpRequest, org: Organization) -> HttpResponse:
    """What the needs would say if what was done by hand stays; looked at now, saved by the button."""
    return _draft(request, org)


def _draft(request: HttpRequest, org: Organization, problem: SprocketError | None = None) -> HttpResponse:
    draft, digest = None, ""
    try:
        draft = adoption.draft_for(org)
        digest = adoption.digest_of(draft)
    except SprocketError as error:
        problem = problem or error
    context = {"org": org, "draft": draft, "digest": digest, "problem": problem}
    return render(request, "provisioning/drift_adopt.html", context, status=422 if problem else 200)


def drift_adopt_form(request: HttpRequest, org: Organization) -> HttpResponse:
    """The needs form with the draft in it, to change before it is saved."""
    try:
        draft = adoption.draft_for(org)
    except SprocketError as error:
        return _draft(request, org, error)
    return draft_page(request, org, dict(draft.answers))


def drift_adopt_save(request: HttpRequest, org: Organization) -> HttpResponse:
    """Save exactly the draft that was looked at."""
    try:
        revision, draft = adoption.adopt(org=org, actor=request.user, seen=request.POST.get("digest", ""))
    except SprocketError as error:
        return _draft(request, org, error)
    rest = f" {len(draft.unsaid)} of what was done by hand is not in it: a plan puts that back." if draft.unsaid else ""
    messages.success(request, f"Needs saved as revision {revision.number}. Preview them: what is in them stays as it runs.{rest}")
    return redirect("organization", org.slug)
