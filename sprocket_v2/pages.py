"""Pages for what is not there, and for what went wrong."""

from __future__ import annotations

import sys

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.template.loader import render_to_string

from sprocket_v2.database_trouble import database_trouble

TABS = (
    ("organization", "Overview"),
    ("needs", "Needs"),
    ("compare", "Compare"),
    ("routes", "Routes"),
    ("secrets", "Secrets"),
    ("runs", "Runs"),
    ("history", "History"),
    ("people", "People"),
    ("settings", "Settings"),
)
_BELONGS = {
    "run": "runs",
    "preflight": "organization",
    "preflight-look": "organization",
    "plan": "runs",
    "plan-approve": "runs",
    "plan-send-back": "runs",
    "settings-set": "settings",
    "drift": "organization",
    "import": "organization",
    "import-read": "organization",
    "ledger": "organization",
    "ledger-decide": "organization",
    "drift-dismiss": "organization",
    "drift-adopt": "organization",
    "removal": "organization",
    "destroy": "organization",
    "drift-adopt-save": "organization",
    "drift-adopt-form": "needs",
    "blueprint": "compare",
    "blueprint-lines": "compare",
    "people-set": "people",
    "routes-probe": "routes",
    "secrets-set": "secrets",
}


def tabs(request: HttpRequest) -> dict[str, object]:
    """The tabs of an organization's pages, and the one that is open."""
    match = request.resolver_match
    name = match.url_name or "" if match else ""
    if name.startswith("migration"):
        name = "organization"
    return {"tabs": TABS, "tab": _BELONGS.get(name, "needs" if name.startswith("needs") else name)}


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """404: absent and forbidden look the same."""
    return render(request, "not_found.html", status=404)


def fault(request: HttpRequest) -> HttpResponse:
    """500: no detail; the log has it. A database that cannot be used is a 503 that says so, on a page that asks none."""
    trouble = database_trouble(sys.exc_info()[1])
    if trouble:
        return HttpResponse(render_to_string("database_trouble.html", {"trouble": trouble}), status=503)
    return render(request, "fault.html", status=500)
