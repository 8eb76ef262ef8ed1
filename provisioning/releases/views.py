"""Pages of template releases, for the platform admin: what an upgrade does to each organization, and a roll-out as it goes. HTTP only."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from provisioning.releases import actions
from provisioning.releases.outlook import CLEAN
from provisioning.releases.rows import RollOut
from provisioning.releases.waves import RollOutState
from provisioning.review.page import steps_of
from sprocket_v2.errors import SprocketError


def releases_page(request: HttpRequest) -> HttpResponse:
    """The newest roll-out; the outlooks are drawn by the part below, since all organizations together take more than a moment."""
    return _page(request)


def _page(request: HttpRequest, problem: SprocketError | None = None, reason: str = "") -> HttpResponse:
    context = {"release": actions.installed_release(), "problem": problem, "reason": reason, **_progress()}
    return render(request, "provisioning/releases.html", context, status=422 if problem else 200)


def _progress() -> dict[str, object]:
    roll_out = RollOut.objects.select_related("author").first()
    if roll_out is None:
        return {"roll_out": None, "members": []}
    rows = roll_out.members.select_related("organization", "plan", "preview", "run")
    members = [{"row": row, "steps": steps_of(row.plan.steps, {}) if row.plan else []} for row in rows]
    return {"roll_out": roll_out, "members": members, "is_moving": roll_out.state == RollOutState.RUNNING}


def releases_progress(request: HttpRequest) -> HttpResponse:
    """The part that changes while a roll-out goes on."""
    return render(request, "provisioning/_roll_out.html", _progress())


def releases_outlooks(request: HttpRequest) -> HttpResponse:
    """What an upgrade would do to each organization; asked for by the page once it is there."""
    rows = actions.outlooks()
    clean = [org.slug for org, outlook in rows if outlook.state == CLEAN]
    is_busy = RollOut.objects.filter(state=RollOutState.RUNNING).exists()
    return render(request, "provisioning/_outlooks.html", {"rows": rows, "clean": clean, "is_busy": is_busy})


def releases_begin(request: HttpRequest) -> HttpResponse:
    """Begin with the chosen organizations; the worker's reconciler carries it on."""
    reason = request.POST.get("reason", "")
    try:
        roll_out = actions.begin(actor=request.user, slugs=request.POST.getlist("org"), reason=reason)
    except SprocketError as error:
        return _page(request, error, reason)
    actions.advance(roll_out)
    messages.success(request, "The roll-out has begun with the first organization.")
    return redirect("releases")


def releases_stop(request: HttpRequest) -> HttpResponse:
    """Begin nothing more."""
    try:
        actions.stop(actor=request.user)
    except SprocketError as error:
        return _page(request, error)
    messages.success(request, "Stopped: nothing more begins. An apply that runs comes to its own end.")
    return redirect("releases")
