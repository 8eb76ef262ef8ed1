"""Pages about making it real: organizations with their state, secrets, plans, runs and the verdict. HTTP only."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from blueprints.actions import draw_newest, make_blueprint, newest_blueprint, rendering_of_row
from blueprints.secret_files import takes_lines
from orgs.access import orgs_of
from orgs.actions import current_needs
from orgs.models import Organization
from provisioning import actions
from provisioning.backups import page_facts
from provisioning.host_edge.claims import shared_of
from provisioning.migration.actions import has_estate
from provisioning.models import Plan, Run, SecretVersion, StackState
from provisioning.preflight.known import findings
from provisioning.preflight.result import gathered
from provisioning.progress import engine_progress
from provisioning.review.drift import standing
from provisioning.review.page import SIGNS
from provisioning.secret_store import secret_versions, set_secret
from provisioning.states import FINISHED, RunKind
from provisioning.ways import probe_now, route_rows
from sprocket_v2.errors import SprocketError


def organizations(request: HttpRequest) -> HttpResponse:
    """The organizations somebody belongs to, with their state."""
    orgs = orgs_of(request.user)
    states = {s.organization_id: s for s in StackState.objects.filter(organization__in=orgs)}
    rows = []
    for org in orgs:
        run = Run.objects.for_org(org).first()
        rows.append({"org": org, "state": states.get(org.pk), "run": run, "verdict": _verdict(states.get(org.pk))})
    return render(request, "provisioning/organizations.html", {"rows": rows})


def _verdict(state: StackState | None) -> dict[str, Any] | None:
    verdict: dict[str, Any] | None = state.last_verdict if state and state.applied_blueprint_id else None
    return verdict


def organization(request: HttpRequest, org: Organization) -> HttpResponse:
    """One organization: where it stands, and the next thing to do."""
    state = StackState.objects.for_org(org).select_related("applied_blueprint").first()
    newest, needs = newest_blueprint(org), current_needs(org)
    runs = list(Run.objects.for_org(org).select_related("requested_by")[:6])
    plan = Plan.objects.for_org(org).light().first()
    applied = state.applied_blueprint if state else None
    context = {
        "org": org, "state": state, "verdict": _verdict(state), "newest": newest, "needs": needs, "runs": runs, "plan": plan,
        "applied": applied, "access": _access(applied or newest), "stand_ins": _is_stand_in(applied or newest), "shares_ports": _shares_ports(applied),
        "is_current": bool(newest and needs and newest.needs_revision_id == needs.pk), "missing": _missing(org) if needs else [],
        "backup": _backup(applied, state), "has_estate": has_estate(org), "drift": standing(org) if applied else None,
        "open_run": next((run for run in runs if not run.is_finished), None), "engine": engine_progress(),
    }  # fmt: skip
    return render(request, "provisioning/organization.html", context)


def _backup(applied: Any, state: StackState | None) -> dict[str, Any]:  # noqa: ANN401 - a row
    components = rendering_of_row(applied).blueprint["components"] if applied else ()
    return page_facts(components, state.backups if state else None, timezone.now())


def _access(blueprint: Any) -> dict[str, Any] | None:  # noqa: ANN401 - a row
    return rendering_of_row(blueprint).blueprint.get("access", {}).get("canonical") if blueprint else None


def _is_stand_in(blueprint: Any) -> bool:  # noqa: ANN401 - a row
    return bool(blueprint) and rendering_of_row(blueprint).blueprint.get("images") == "stand-in"


def _shares_ports(blueprint: Any) -> bool:  # noqa: ANN401 - a row
    return bool(blueprint) and shared_of(rendering_of_row(blueprint).blueprint) is not None


def _missing(org: Organization) -> list[str]:
    """Supplied secrets nobody has brought yet."""
    try:
        wanted = draw_newest(org=org).secrets
    except SprocketError:
        return []
    known = secret_versions(org)
    return [item["title"] for name, item in wanted.items() if item["kind"] == "supplied" and name not in known]


def route_matrix(request: HttpRequest, org: Organization) -> HttpResponse:
    """Every host by every way in, and what the last probe found."""
    blueprint, rows = route_rows(org=org)
    state = StackState.objects.for_org(org).first()
    by_way: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_way.setdefault(row["way"], []).append(row)
    is_applied = bool(state and blueprint and state.applied_blueprint_id == blueprint.pk)
    verdict = state.last_verdict if state and is_applied else None
    context = {"org": org, "blueprint": blueprint, "ways": list(by_way.values()), "is_applied": is_applied, "verdict": verdict}
    return render(request, "provisioning/routes.html", context)


def route_probe(request: HttpRequest, org: Organization) -> HttpResponse:
    """Try every row now."""
    try:
        rows = probe_now(org=org)
    except SprocketError as error:
        messages.error(request, f"{error} {error.hint}")
    else:
        bad = [row for row in rows if row["result"] and row["result"]["state"] != "ok"]
        messages.success(request, f"Tried: {len(bad)} of {len(rows)} need a look." if bad else "Tried: every route answers.")
    return redirect("routes", org.slug)


def secrets(request: HttpRequest, org: Organization) -> HttpResponse:
    """What the deployment needs to be told. Values go in, and never come out."""
    try:
        wanted, problem = draw_newest(org=org).secrets, None
    except SprocketError as error:
        wanted, problem = {}, error
    errors: dict[str, SprocketError] = {}
    if request.method == "POST":
        name = request.POST.get("name", "")
        item = wanted.get(name)
        if item is None:
            raise Http404("no such secret")
        try:
            pattern = item["pattern"] if item["kind"] == "supplied" else ""
            version = set_secret(org=org, name=name, value=request.POST.get("value", "").strip(), actor=request.user, pattern=pattern)
        except SprocketError as error:
            errors[name] = error
        else:
            messages.success(request, f"{item['title']} is set (version {version.version}). It is used from the next apply on.")
            return redirect("secrets", org.slug)
    versions = SecretVersion.objects.for_org(org).select_related("secret", "author").order_by("secret_id", "version")
    newest = {v.secret.name: v for v in versions}
    rows = [
        {"name": n, "item": i, "version": newest.get(n), "error": errors.get(n), "lines": takes_lines(i["pattern"])}
        for n, i in wanted.items()
    ]
    rows.sort(key=lambda row: (row["item"]["kind"] != "supplied", row["version"] is not None, row["name"]))
    context = {"org": org, "rows": rows, "problem": problem, "redirect": (_access(newest_blueprint(org)) or {}).get("api_origin", "")}
    return render(request, "provisioning/secrets.html", context, status=422 if errors else 200)


def preflight(request: HttpRequest, org: Organization) -> HttpResponse:
    """What keeps the newest needs from being deployed, or will bite; asked for, it also looks at the services outside."""
    from provisioning.preflight.look import look  # its libraries are needed by no other page

    found, outside, problem = None, {}, None
    try:
        rendering = draw_newest(org=org)
        outside = rendering.blueprint["existing"]
        if request.method == "POST":
            found = look(org, rendering)
        elif not outside:
            found = gathered(findings(rendering))
    except SprocketError as error:
        problem = error
    hosts = [f"{about['host']}:{about['port']}" for about in outside.values()]
    return render(request, "provisioning/preflight.html", {"org": org, "found": found, "hosts": hosts, "problem": problem})


def propose(request: HttpRequest, org: Organization) -> HttpResponse:
    """Make the newest blueprint and ask the worker for its preview."""
    engine = engine_progress()
    if engine:
        messages.warning(
            request, f"Getting the engine, step {engine['step']} of {engine['of']}: {engine['message']} Try again in a moment."
        )
        return redirect("organization", org.slug)
    try:
        blueprint = make_blueprint(org=org, actor=request.user)
        run = actions.request_run(org=org, kind=RunKind.PREVIEW, actor=request.user, blueprint=blueprint, idempotency_key=_key(request))
    except SprocketError as error:
        return _back(request, org, error)
    return redirect("run", org.slug, run.number)


def _key(request: HttpRequest) -> str:
    return request.POST.get("key", "")[:80]


def _back(request: HttpRequest, org: Organization, error: SprocketError) -> HttpResponse:
    messages.error(request, f"{error.message}. {error.hint}".rstrip(". ") + ".")
    return redirect("organization", org.slug)


def verify(request: HttpRequest, org: Organization) -> HttpResponse:
    """Ask the worker to look whether it works."""
    try:
        run = actions.request_run(org=org, kind=RunKind.VERIFY, actor=request.user, idempotency_key=_key(request))
    except SprocketError as error:
        return _back(request, org, error)
    return redirect("run", org.slug, run.number)


def runs(request: HttpRequest, org: Organization) -> HttpResponse:
    """All runs, newest first."""
    rows = Run.objects.for_org(org).select_related("requested_by", "plan")[:200]
    return render(request, "provisioning/runs.html", {"org": org, "runs": rows})


def run_page(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """A run as it stands; the page follows it while it goes on."""
    run = _run(org, number)
    return render(request, "provisioning/run.html", {"org": org, **run_context(run)})


def run_state(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """The part of the run page that changes, for browsers that cannot hold a stream open."""
    run = _run(org, number)
    response = render(request, "provisioning/_run.html", {"org": org, **run_context(run)})
    if run.is_finished:
        response["HX-Refresh"] = "true"
    return response


def run_context(run: Run) -> dict[str, Any]:
    """What the run page shows: one line per resource with its latest word, messages, verdict."""
    resources: dict[str, dict[str, Any]] = {}
    notes = []
    last = 0
    for event in run.events.order_by("seq"):
        last = event.seq
        if event.resource and event.kind.startswith("resource-"):
            resources[event.resource] = {
                "resource": event.resource, "op": event.op, "sign": SIGNS.get(event.op, "?"),
                "state": {"resource-pre": "working", "resource-done": "done", "resource-failed": "failed"}[event.kind], "at": event.at,
            }  # fmt: skip
        elif event.message:
            notes.append(event)
    done = sum(1 for item in resources.values() if item["state"] == "done")
    total = len(run.plan.steps) if run.plan and run.kind == RunKind.APPLY else 0
    return {
        "run": run, "resources": list(resources.values()), "notes": notes[-60:], "last": last, "done": done, "total": max(total, len(resources)),
        "is_finished": run.state in FINISHED, "verdict": run.verdict, "took": _took(run),
    }  # fmt: skip


def _took(run: Run) -> str:
    """How long it took, or has taken so far."""
    if run.started is None:
        return ""
    seconds = round(((run.finished or timezone.now()) - run.started).total_seconds())
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min {seconds % 60} s"


def run_cancel(request: HttpRequest, org: Organization, number: int) -> HttpResponse:
    """Ask a run to stop."""
    try:
        actions.cancel(run=_run(org, number), actor=request.user)
    except SprocketError as error:
        messages.error(request, f"{error.message}. {error.hint}")
    else:
        messages.info(request, "Asked to stop. The step in hand is finished first; what is done stays done.")
    return redirect("run", org.slug, number)


def _run(org: Organization, number: int) -> Run:
    run: Run | None = (
        Run.objects.for_org(org).select_related("plan", "organization", "requested_by", "blueprint").filter(number=number).first()
    )
    if run is None:
        raise Http404("no such run")
    return run
