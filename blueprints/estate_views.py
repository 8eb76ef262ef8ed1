"""Pages about an imported estate: bring sources, see the ledger, decide about its rows. HTTP only."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode

from blueprints import estate_actions
from blueprints.estate.ledger import Ledger, Row, make_ledger
from blueprints.estate.ledger_words import counts_of, sum_words
from blueprints.estate.model import KINDS, LAYERS
from blueprints.estate.sources import Given, file_name_of
from blueprints.migration.rules import FATES
from blueprints.models import EstateImport, LedgerDecision
from orgs.models import Organization
from sprocket_v2.errors import SprocketError

_FILTERS = ("kind", "layer", "fate", "component", "show", "q")


def import_page(request: HttpRequest, org: Organization) -> HttpResponse:
    """What can be brought, and what was."""
    return _import_page(request, org)


def _import_page(request: HttpRequest, org: Organization, status: int = 200, **more: Any) -> HttpResponse:  # noqa: ANN401
    imports = EstateImport.objects.for_org(org).select_related("author").defer("estate")[:20]
    context = {"org": org, "imports": imports, "reads_live": estate_actions.reads_live(), **more}
    return render(request, "blueprints/import.html", context, status=status)


def import_read(request: HttpRequest, org: Organization) -> HttpResponse:
    """Read the sources; keep what was read unless only a look was asked for."""
    uploads = request.FILES.getlist("sources")
    engines = [""] if request.POST.get("live") else []  # only this machine's: an address from a page would let people look around
    try:
        files = [Given(str(upload.name), upload.file) for upload in uploads]  # type: ignore[arg-type]  # an open file of bytes
        estate = estate_actions.look(slug=org.slug, files=files, engines=engines)
        if request.POST.get("dry_run"):
            ledger = make_ledger(estate, estate_actions.decisions_of(org))
            return _import_page(request, org, look=_look(ledger), estate=estate)
        sources = [{"name": file_name_of(str(upload.name)), "kind": "file", "bytes": upload.size} for upload in uploads]
        sources += [{"name": "live", "kind": "live", "bytes": 0} for _ in engines]
        row = estate_actions.keep_import(org=org, estate=estate, sources=sources, actor=request.user)
    except SprocketError as error:
        return _import_page(request, org, status=422, problem=error)
    messages.success(request, f"Import {row.number} is kept: {row.counts['rows']} rows. Nothing of the estate was touched.")
    return redirect("ledger", org.slug)


def _look(ledger: Ledger) -> dict[str, Any]:
    kinds = Counter(row.kind for row in ledger.rows)
    return {
        "ledger": ledger, "counts": counts_of(ledger), "sum": sum_words(ledger), "kinds": [(kind, kinds[kind]) for kind in KINDS if kinds[kind]],
        "services": [row for row in ledger.rows if row.kind == "service"],
    }  # fmt: skip


def ledger_page(request: HttpRequest, org: Organization) -> HttpResponse:
    """Every row, what is decided, and whether the totals reconcile."""
    return _ledger_page(request, org)


def _ledger_page(request: HttpRequest, org: Organization, problem: SprocketError | None = None) -> HttpResponse:
    ledger = estate_actions.ledger_of(org)
    source = request.POST if request.method == "POST" else request.GET
    chosen = {name: source.get(name, "").strip()[:80] for name in _FILTERS}
    context: dict[str, Any] = {"org": org, "ledger": ledger, "problem": problem, "chosen": chosen, "fates": FATES}
    if ledger:
        rows = [row for row in ledger.rows if fits(row, chosen)]
        layers = [*LAYERS, ""]
        context |= {
            "imported": estate_actions.newest_import(org), "rows": rows, "sum": sum_words(ledger), "kinds": [k for k in KINDS if any(r.kind == k for r in ledger.rows)],
            "groups": [(layer, [row for row in rows if row.layer == layer]) for layer in layers if any(row.layer == layer for row in rows)],
            "layers": [layer for layer in LAYERS if any(row.layer == layer for row in ledger.rows)], "is_filtered": any(chosen.values()),
            "components": sorted({row.recognition.component for row in ledger.rows if row.recognition.component}),
            "quarantine": ledger.quarantine(), "notes": [r for r in ledger.remarks if not r.rule.startswith("secret.")],
            "history": LedgerDecision.objects.for_org(org).select_related("author")[:30], "ticked": set(request.POST.getlist("rows")),
        }  # fmt: skip
    return render(request, "blueprints/ledger.html", context, status=422 if problem else 200)


def fits(row: Row, chosen: dict[str, str]) -> bool:
    """Whether a row is among those asked for; an empty filter asks for all."""
    words = f"{row.key} {row.name} {row.recognition.component}".lower()
    return (
        chosen["kind"] in ("", row.kind)
        and chosen["layer"] in ("", row.layer)
        and chosen["fate"] in ("", row.fate)
        and chosen["component"] in ("", row.recognition.component)
        and (chosen["show"] != "remarks" or bool(row.remarks))
        and (chosen["show"] != "unknown" or row.value_unknown)
        and chosen["q"].lower() in words
    )


def ledger_decide(request: HttpRequest, org: Organization) -> HttpResponse:
    """One decision about every row that is ticked, or about all that are shown."""
    given = {name: request.POST.get(name, "") for name in ("decision", "reason", "owner")}
    chosen = {name: request.POST.get(name, "").strip()[:80] for name in _FILTERS}
    keys = request.POST.getlist("rows")
    if request.POST.get("all"):
        ledger = estate_actions.ledger_of(org)
        keys = [row.key for row in ledger.rows if fits(row, chosen)] if ledger else []
    try:
        decided = estate_actions.decide(
            org=org, keys=keys, fate=given["decision"], reason=given["reason"], owner=given["owner"], actor=request.user
        )  # fmt: skip
    except SprocketError as error:
        return _ledger_page(request, org, error)
    messages.success(request, f"{given['decision']} is decided for {decided[0] if len(decided) == 1 else f'{len(decided)} rows'}.")
    kept = {name: value for name, value in chosen.items() if value}
    return redirect(f"{reverse('ledger', args=[org.slug])}{'?' + urlencode(kept) if kept else ''}")
