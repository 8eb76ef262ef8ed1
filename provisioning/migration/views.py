"""The migration page: before and after, what becomes of each part, what is in the way, and the steps with their evidence. HTTP only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from blueprints.migration.model import PERMISSION, Counts, MigrationPlan
from blueprints.migration.source import FILE, NEEDS_FILE
from orgs.access import may
from orgs.actions import attachments_of
from orgs.models import Organization
from provisioning.migration import actions
from provisioning.migration.rows import Migration
from provisioning.migration.states import AT_REST, MigrationState, is_past_return, next_forward
from provisioning.secret_store import secret_versions
from sprocket_v2.errors import SprocketError

_NOT_SHOWN = frozenset({"tables", "estate", "steps", "replicas"})  # large, or said otherwise
_PAGE = "provisioning/migration.html"


def migration_page(request: HttpRequest, org: Organization) -> HttpResponse:
    """Everything about moving this estate to v2."""
    return _shown(request, org)


def migration_state(request: HttpRequest, org: Organization) -> HttpResponse:
    """The steps alone, for a page that follows along."""
    return render(request, "provisioning/_migration.html", _standing(request, org))


def migration_settle(request: HttpRequest, org: Organization) -> HttpResponse:
    """Say what v2 is to be, and where the data is."""
    texts = {name: request.POST.get(name, "").replace("\r\n", "\n").strip() for name in ("needs_text", "source_text")}
    try:
        actions.settle(org=org, actor=request.user, **{name: f"{text}\n" if text else "" for name, text in texts.items()})
    except SprocketError as error:
        return _shown(request, org, error=error, texts=texts)
    messages.success(request, "Kept. Below is the plan they give.")
    return redirect("migration", org.slug)


def migration_secret(request: HttpRequest, org: Organization) -> HttpResponse:
    """A password the copy needs."""
    name = request.POST.get("name", "")
    try:
        version = actions.set_copy_secret(org=org, name=name, value=request.POST.get("value", "").strip(), actor=request.user)
    except SprocketError as error:
        return _shown(request, org, error=error)
    messages.success(request, f"{name} is set (version {version}).")
    return redirect("migration", org.slug)


def _asked(act: Callable[..., Migration], said: str) -> Callable[[HttpRequest, Organization], HttpResponse]:
    """A view that asks for one thing and goes back to the page."""

    def view(request: HttpRequest, org: Organization) -> HttpResponse:
        more = {name: request.POST[name] for name in ("typed", "reason") if name in request.POST}
        try:
            act(org=org, actor=request.user, **more)
        except SprocketError as error:
            messages.error(request, f"{error.message}. {error.hint}")
        else:
            messages.success(request, said)
        return redirect("migration", org.slug)

    return view


migration_rehearse = _asked(actions.rehearse, "The rehearsal begins. Nothing of the estate is changed.")
migration_start = _asked(actions.start, "The cut-over begins. It stops at every step a person has to do.")
migration_pause = _asked(actions.pause, "It stops after the step in hand.")
migration_resume = _asked(actions.resume, "It goes on.")
migration_back = _asked(actions.back, "The way back begins: the last step first.")
migration_confirm = _asked(actions.confirm, "Noted. It goes on.")


def _shown(
    request: HttpRequest, org: Organization, *, error: SprocketError | None = None, texts: dict[str, str] | None = None
) -> HttpResponse:
    files = attachments_of(org)
    plan, problem = None, None
    if NEEDS_FILE in files:
        try:
            plan = actions.plan_of(org=org)
        except SprocketError as caught:
            problem = caught
    source = _source(org)
    known = secret_versions(org)
    context = {
        **_standing(request, org),
        "has_estate": bool(actions.rows_of(org)),
        "plan": plan,
        "problem": problem,
        "error": error,
        "comparison": _comparison(plan.before, plan.after) if plan else (),
        "services": plan.of_kind("service") if plan else (),
        "others": _others(plan) if plan else (),
        "needs_text": (texts or {}).get("needs_text") or files.get(NEEDS_FILE, b"").decode() or actions.suggested_text(org),
        "source_text": (texts or {}).get("source_text") or files.get(FILE, b"").decode(),
        "copy_secrets": [(name, known.get(name)) for name in (source.secrets if source else ())],
        "history": Migration.objects.for_org(org).select_related("author")[:8],
    }
    return render(request, _PAGE, context, status=422 if error else 200)


def _source(org: Organization) -> Any:  # noqa: ANN401 - a Source, or None
    try:
        return actions.source_of(org)
    except SprocketError:
        return None


def _standing(request: HttpRequest, org: Organization) -> dict[str, Any]:
    """The newest migration and what a person may do with it now."""
    migration = actions.newest(org)
    steps = list(migration.steps.select_related("person")) if migration else []
    current = next_forward(steps) if migration and not migration.is_ended else None
    plan_steps = {step["key"]: step for step in migration.plan["steps"]} if migration else {}
    is_asking = bool(migration and migration.state == MigrationState.ASKING)
    rests = bool(migration and migration.state in AT_REST)
    return {
        "org": org,
        "migration": migration,
        "steps": [{"row": step, "plan": plan_steps.get(step.key, {}), "seen": _seen(step.evidence)} for step in steps],
        "current": current,
        "is_moving": bool(migration and migration.state in (MigrationState.QUEUED, MigrationState.RUNNING)),
        "is_asking": is_asking,
        "may_confirm": bool(is_asking and current and may(request.user, org, PERMISSION[current.who])),
        "may_accept": bool(migration and migration.state == MigrationState.FAILED and current and current.key in actions.MAY_BE_ACCEPTED),
        "may_resume": rests and not is_asking,
        "may_go_back": rests and not is_past_return(steps),
        "took": _estimates(org),
    }


def _estimates(org: Organization) -> dict[str, float]:
    """How long each step took in the newest rehearsal that went well."""
    done = Migration.objects.for_org(org).filter(kind="rehearsal", state=MigrationState.DONE).first()
    return {step.key: step.duration_s for step in done.steps.all() if step.duration_s is not None} if done else {}


def _seen(evidence: dict[str, Any]) -> list[tuple[str, str]]:
    """Evidence in words: what a person reads at a glance; tables are counted."""
    found = []
    for key, value in evidence.items():
        if key == "tables" and isinstance(value, dict):
            found.append(("tables", str(len(value))))
        elif key == "buckets":
            found += [(item["from"].rpartition("/")[2], f"{item['objects']} objects, {item['bytes']} bytes, the same") for item in value]
        elif key not in _NOT_SHOWN and value not in ({}, [], None):
            found.append((key.replace("_", " "), _plain(value)))
    return found


def _plain(value: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _comparison(before: Counts, after: Counts) -> list[tuple[str, str, str]]:
    return [
        ("Services", str(before.services), f"{after.services} (and jobs that end: {after.jobs})"),
        ("Networks", str(before.networks), str(after.networks)),
        ("Volumes", str(before.volumes), str(after.volumes)),
        ("Secret paths", str(before.secrets), str(after.secrets)),
        ("Configuration files", str(before.files), str(after.files)),
        (
            "Memory limits",
            f"{before.memory_mib} MiB; {before.unlimited} services have none",
            f"{after.memory_mib} MiB; {after.unlimited} have none",
        ),
        (
            "A month",
            f"{before.monthly} USD ({before.monthly_words})",
            f"{'unknown' if after.monthly is None else after.monthly} USD ({after.monthly_words})",
        ),
    ]


def _others(plan: MigrationPlan) -> list[tuple[int, str, str, str, str]]:
    """What is not a service, counted: number, kind, fate, into, why."""
    counted = Counter((o.row.kind, o.fate, o.into, o.why) for o in plan.outcomes if o.row.kind != "service")
    return [(count, *what) for what, count in counted.items()]
