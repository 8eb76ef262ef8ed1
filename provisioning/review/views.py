"""Pages of reviewing: a plan with all it would do, its decisions, the history of versions, an organization's settings. HTTP only."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from blueprints.actions import blueprint_of, rendering_of_row
from blueprints.diff import FileChange, file_changes
from orgs.models import Organization
from provisioning import actions
from provisioning.models import Plan
from provisioning.review import decisions, page
from provisioning.review.history import ask_rollback, history_of
from provisioning.review.rows import Announcement
from provisioning.review.rules import warnings_of
from provisioning.states import RunKind
from sprocket_v2.errors import DeniedError, SprocketError

_MAX_LINES = 3000  # of all files together; a first deployment is read file by file instead


def plan_page(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """All a plan would do; approve exactly that, or send it back."""
    return _plan_page(request, _plan(org, number), {"at": request.GET.get("at", "")[:240], "text": "", "reason": ""})


def _plan_page(request: HttpRequest, plan: Plan, given: dict[str, str], problem: SprocketError | None = None) -> HttpResponse:
    comments = list(plan.comments.select_related("author"))
    placed = page.by_anchor(comments)
    changes = _changes(plan)
    files = [(change, page.lines_of(change, placed)) for change in changes if change.change == "changed" and not change.derived]
    steps = page.steps_of(plan.steps, placed)
    shown = [step["resource"] for step in steps] + [f"{c.path}:{line.number}" for c, lines in files for line in lines if line.number]
    warnings, rules = warnings_of(plan.review), decisions.rules_of(plan.organization)
    context = {
        "org": plan.organization, "plan": plan, "review": plan.review, "steps": steps, "files": files, "comments": comments,
        "elsewhere": page.elsewhere(comments, shown), "services": page.services_of(plan.review.get("components", ())),
        "warnings": warnings, "wants_reason": rules.wants_reason(warnings), "missing_yes": decisions.missing_yes(plan, rules),
        "approvals": plan.approvals.select_related("author"), "mine": plan.approvals.filter(author_id=request.user.pk).exists(),
        "runs": plan.runs.exclude(kind=RunKind.PREVIEW), "given": given, "problem": problem,
        "drawn": [change for change in changes if change.change != "changed" and not change.derived],
        "counts": [(count, op) for op, count in plan.changes.items() if op != "same"],
        "derived": [change.path for change in changes if change.derived],
    }  # fmt: skip
    return render(request, "provisioning/plan.html", context, status=422 if problem else 200)


def _changes(plan: Plan) -> tuple[FileChange, ...]:
    """The files that differ from what was deployed when the plan was made; none where that would be too much to read."""
    before = blueprint_of(plan.organization, plan.review["from"]) if plan.review.get("from") else None
    old = rendering_of_row(before).files if before else {}
    changes = file_changes(old, rendering_of_row(plan.blueprint).files, ())
    lines = sum(change.new.count("\n") for change in changes if change.change == "changed" and not change.derived)
    return changes if lines <= _MAX_LINES else tuple(change for change in changes if change.change != "changed" or change.derived)


def plan_approve(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """Say yes to exactly the plan that was looked at."""
    plan = _plan(org, number)
    reason = request.POST.get("reason", "")
    try:
        done = decisions.approve(plan=plan, actor=request.user, digest=request.POST.get("digest", ""), reason=reason)
    except DeniedError as error:
        return _plan_page(request, plan, {"at": "", "text": "", "reason": reason}, error)
    except SprocketError as error:
        messages.error(request, f"{error.message}. {error.hint}")
    else:
        missing = decisions.missing_yes(done)
        messages.success(request, f"Noted; {missing}." if missing else "Approved. It can be applied now.")
    return redirect("plan", org.slug, number)


def plan_send_back(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """Say no, with a comment at a line or a step."""
    plan = _plan(org, number)
    at, text = request.POST.get("at", "")[:240], request.POST.get("text", "")
    try:
        decisions.send_back(plan=plan, actor=request.user, at=at, text=text)
    except SprocketError as error:
        return _plan_page(request, plan, {"at": at, "text": text, "reason": ""}, error)
    messages.success(request, f"Sent back, with a comment at {at}.")
    return redirect("plan", org.slug, number)


def plan_apply(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """Ask the worker to make it so."""
    try:
        run = actions.apply(plan=_plan(org, number), actor=request.user)
    except SprocketError as error:
        messages.error(request, f"{error.message}. {error.hint}")
        return redirect("plan", org.slug, number)
    return redirect("run", org.slug, run.number)


def history(request: HttpRequest, org: Organization) -> HttpResponse:
    """Every version with what became of it."""
    return render(request, "provisioning/history.html", {"org": org, "versions": history_of(org)})


def rollback(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """Ask for a plan that deploys exactly an earlier version."""
    try:
        run = ask_rollback(org=org, number=number, actor=request.user, idempotency_key=request.POST.get("key", "")[:80])
    except SprocketError as error:
        messages.error(request, f"{error.message}. {error.hint}")
        return redirect("history", org.slug)
    return redirect("run", org.slug, run.number)


def settings_page(request: HttpRequest, org: Organization) -> HttpResponse:
    """What an approval takes, and who hears of plans. The webhook's address goes in and never comes out."""
    return _settings(request, org)


def settings_set(request: HttpRequest, org: Organization) -> HttpResponse:
    """Set the rules, or the webhook: whichever form was sent."""
    data: dict[str, Any] = {name: name in request.POST for name in decisions.SETTINGS}
    try:
        if request.POST.get("what") == "webhook":
            decisions.set_webhook(org=org, actor=request.user, url=request.POST.get("url", ""))
            messages.success(request, "The webhook is set." if request.POST.get("url", "").strip() else "The webhook is removed.")
        else:
            decisions.set_rules(org=org, actor=request.user, **data)
            messages.success(request, "The rules are set. Plans that wait are judged by them from now on.")
    except SprocketError as error:
        return _settings(request, org, error)
    return redirect("settings", org.slug)


def _settings(request: HttpRequest, org: Organization, problem: SprocketError | None = None) -> HttpResponse:
    said = Announcement.objects.for_org(org).select_related("plan").order_by("-pk")[:10]
    context = {"org": org, "rules": decisions.rules_of(org), "has_webhook": decisions.has_webhook(org), "said": said, "problem": problem}
    return render(request, "provisioning/settings.html", context, status=422 if problem else 200)


def _plan(org: Organization, number: int) -> Plan:
    plan: Plan | None = Plan.objects.for_org(org).select_related("blueprint", "organization", "author").filter(number=number).first()
    if plan is None:
        raise Http404("no such plan")
    return plan
