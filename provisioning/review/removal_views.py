"""The page that removes a deployment: what is there, what would go and what stays, and the name to be typed. HTTP only."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from orgs.models import Organization
from provisioning import actions
from provisioning.backup_actions import last_kept
from provisioning.review import removal
from provisioning.review.decisions import rules_of
from sprocket_v2.errors import SprocketError


def removal_page(request: HttpRequest, org: Organization) -> HttpResponse:
    """Everything of the organization on the machine, leftovers included."""
    return _page(request, org)


def _page(request: HttpRequest, org: Organization, problem: SprocketError | None = None) -> HttpResponse:
    found = None
    try:
        found = removal.inventory(org)
    except SprocketError as error:
        problem = problem or error
    context = {
        "org": org, "found": found, "problem": problem, "waiting": removal.waiting(org, "destroy"), "rules": rules_of(org),
        "backup": last_kept(org.slug),
    }  # fmt: skip
    return render(request, "provisioning/removal.html", context, status=422 if problem else 200)


def destroy(request: HttpRequest, org: Organization) -> HttpResponse:
    """Ask the worker to remove the deployment, after its slug was typed, and by a second person where that is asked for."""
    given = {name: request.POST.get(name, "") for name in ("slug", "digest", "key")}
    try:
        waits = removal.confirm(org=org, actor=request.user, what="destroy", typed=given["slug"], seen=given["digest"])
        if waits:
            messages.info(request, f"{waits[:1].upper()}{waits[1:]}.")
            return redirect("removal", org.slug)
        run = actions.destroy(org=org, actor=request.user, idempotency_key=given["key"][:80])
    except SprocketError as error:
        return _page(request, org, error)
    return redirect("run", org.slug, run.number)
