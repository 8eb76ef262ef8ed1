"""Every route in one table: method, permission, whether it belongs to an organization, whether doing it twice is harmless.

The patterns are built from the table, so a view that is not in it cannot be reached; tests walk it as an outsider.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any
from urllib.parse import quote

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse

from blueprints import compare_views as comparing
from blueprints import estate_views as estates
from blueprints import views as blueprints
from orgs import access
from orgs import views as orgs
from provisioning import stream
from provisioning import views as provisioning
from provisioning.checks import views as checks
from provisioning.migration import views as migration
from provisioning.releases import views as releases
from provisioning.review import drift_views as drifting
from provisioning.review import removal_views as removing
from provisioning.review import views as review

View = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Route:
    """One route.

    Attributes:
        methods: those it answers.
        permission: what somebody needs: `nobody` for everyone, `person` for whoever is signed in, `admin` for the
            platform admin alone, else one of orgs.access.
        idempotent: repeating the same request changes nothing more.
    """

    pattern: str
    name: str
    view: View
    methods: tuple[str, ...]
    permission: str
    idempotent: bool = True

    @property
    def tenant(self) -> bool:
        """It belongs to an organization, and is a 404 to everybody else."""
        return self.pattern.startswith("o/<str:slug>/")


def healthz(_request: HttpRequest) -> JsonResponse:
    """The process answers."""
    return JsonResponse({"status": "ok"})


GET, POST, BOTH = ("GET", "HEAD"), ("POST",), ("GET", "HEAD", "POST")
ORG = "o/<str:slug>/"
ROUTES: tuple[Route, ...] = (
    Route("healthz", "healthz", healthz, GET, "nobody"),
    Route("sign-in", "sign-in", orgs.sign_in, GET, "nobody"),
    Route("sign-in/<str:token>", "sign-in-link", orgs.sign_in_by_link, BOTH, "nobody", idempotent=False),
    Route("sign-out", "sign-out", orgs.sign_out, POST, "person"),
    Route("", "organizations", provisioning.organizations, GET, "person"),
    Route("new", "new-organization", orgs.new_organization, BOTH, "person", idempotent=False),
    Route("releases", "releases", releases.releases_page, GET, "admin"),
    Route("releases/outlooks", "releases-outlooks", releases.releases_outlooks, GET, "admin"),
    Route("releases/progress", "releases-progress", releases.releases_progress, GET, "admin"),
    Route("releases/begin", "releases-begin", releases.releases_begin, POST, "admin"),
    Route("releases/stop", "releases-stop", releases.releases_stop, POST, "admin"),
    Route(ORG, "organization", provisioning.organization, GET, "read"),
    Route(f"{ORG}needs", "needs", blueprints.needs_form, GET, "read"),
    Route(f"{ORG}needs/save", "needs-save", blueprints.needs_save, POST, "edit"),
    Route(f"{ORG}needs/panel", "needs-panel", blueprints.needs_panel, POST, "read"),
    Route(f"{ORG}needs/import", "needs-import", blueprints.needs_import, BOTH, "edit"),
    Route(f"{ORG}needs/export", "needs-export", blueprints.needs_export, GET, "read"),
    Route(f"{ORG}needs/history", "needs-history", blueprints.needs_history, GET, "read"),
    Route(f"{ORG}blueprints/make", "blueprint-make", blueprints.blueprint_make, POST, "propose"),
    Route(f"{ORG}blueprints/<int:number>", "blueprint", blueprints.blueprint_page, GET, "read"),
    Route(f"{ORG}blueprints/<int:number>/file", "blueprint-file", blueprints.blueprint_file, GET, "read"),
    Route(f"{ORG}blueprints/<int:number>/lines", "blueprint-lines", blueprints.blueprint_lines, GET, "read"),
    Route(f"{ORG}blueprints/<int:number>/line", "blueprint-line", blueprints.blueprint_line, GET, "read"),
    Route(f"{ORG}blueprints/<int:number>/checks", "checks", checks.checks_page, GET, "read"),
    Route(f"{ORG}import", "import", estates.import_page, GET, "read"),
    Route(f"{ORG}import/read", "import-read", estates.import_read, POST, "edit", idempotent=False),
    Route(f"{ORG}ledger", "ledger", estates.ledger_page, GET, "read"),
    Route(f"{ORG}ledger/decide", "ledger-decide", estates.ledger_decide, POST, "edit", idempotent=False),
    Route(f"{ORG}compare", "compare", blueprints.compare_page, GET, "read"),
    Route(f"{ORG}compare/estates", "compare-estates", comparing.estates_page, GET, "read"),
    Route(f"{ORG}routes", "routes", provisioning.route_matrix, GET, "read"),
    Route(f"{ORG}routes/probe", "routes-probe", provisioning.route_probe, POST, "read"),
    Route(f"{ORG}secrets", "secrets", provisioning.secrets, GET, "read"),
    Route(f"{ORG}secrets/set", "secrets-set", provisioning.secrets, POST, "secrets", idempotent=False),
    Route(f"{ORG}preflight", "preflight", provisioning.preflight, GET, "read"),
    Route(f"{ORG}preflight/look", "preflight-look", provisioning.preflight, POST, "propose"),
    Route(f"{ORG}propose", "propose", provisioning.propose, POST, "propose"),
    Route(f"{ORG}plans/<int:number>", "plan", review.plan_page, GET, "read"),
    Route(f"{ORG}plans/<int:number>/approve", "plan-approve", review.plan_approve, POST, "approve"),
    Route(f"{ORG}plans/<int:number>/send-back", "plan-send-back", review.plan_send_back, POST, "approve", idempotent=False),
    Route(f"{ORG}plans/<int:number>/apply", "plan-apply", review.plan_apply, POST, "apply"),
    Route(f"{ORG}history", "history", review.history, GET, "read"),
    Route(f"{ORG}history/<int:number>/rollback", "rollback", review.rollback, POST, "propose"),
    Route(f"{ORG}drift", "drift", drifting.drift_page, GET, "read"),
    Route(f"{ORG}drift/look", "drift-look", drifting.drift_look, POST, "read"),
    Route(f"{ORG}drift/put-back", "drift-put-back", drifting.drift_put_back, POST, "propose"),
    Route(f"{ORG}drift/dismiss", "drift-dismiss", drifting.drift_dismiss, POST, "approve"),
    Route(f"{ORG}drift/adopt", "drift-adopt", drifting.drift_adopt, GET, "edit"),
    Route(f"{ORG}drift/adopt/form", "drift-adopt-form", drifting.drift_adopt_form, GET, "edit"),
    Route(f"{ORG}drift/adopt/save", "drift-adopt-save", drifting.drift_adopt_save, POST, "edit"),
    Route(f"{ORG}settings", "settings", review.settings_page, GET, "read"),
    Route(f"{ORG}settings/set", "settings-set", review.settings_set, POST, "members"),
    Route(f"{ORG}verify", "verify", provisioning.verify, POST, "read"),
    Route(f"{ORG}remove", "removal", removing.removal_page, GET, "destroy"),
    Route(f"{ORG}destroy", "destroy", removing.destroy, POST, "destroy"),
    Route(f"{ORG}runs", "runs", provisioning.runs, GET, "read"),
    Route(f"{ORG}runs/<int:number>", "run", provisioning.run_page, GET, "read"),
    Route(f"{ORG}runs/<int:number>/state", "run-state", provisioning.run_state, GET, "read"),
    Route(f"{ORG}runs/<int:number>/events", "run-events", stream.run_stream, GET, "read"),
    Route(f"{ORG}runs/<int:number>/cancel", "run-cancel", provisioning.run_cancel, POST, "apply"),
    Route(f"{ORG}migration", "migration", migration.migration_page, GET, "read"),
    Route(f"{ORG}migration/state", "migration-state", migration.migration_state, GET, "read"),
    Route(f"{ORG}migration/settle", "migration-settle", migration.migration_settle, POST, "destroy"),
    Route(f"{ORG}migration/secret", "migration-secret", migration.migration_secret, POST, "secrets", idempotent=False),
    Route(f"{ORG}migration/rehearse", "migration-rehearse", migration.migration_rehearse, POST, "apply", idempotent=False),
    Route(f"{ORG}migration/start", "migration-start", migration.migration_start, POST, "destroy", idempotent=False),
    Route(f"{ORG}migration/pause", "migration-pause", migration.migration_pause, POST, "apply"),
    Route(f"{ORG}migration/resume", "migration-resume", migration.migration_resume, POST, "apply"),
    Route(f"{ORG}migration/back", "migration-back", migration.migration_back, POST, "destroy"),
    Route(f"{ORG}migration/confirm", "migration-confirm", migration.migration_confirm, POST, "apply"),
    Route(f"{ORG}people", "people", orgs.people_page, GET, "read"),
    Route(f"{ORG}people/set", "people-set", orgs.people_page, POST, "members"),
)


def guarded(route: Route) -> View:
    """A view behind its row of the table: method, sign-in, organization and permission are looked at here and nowhere else."""

    @wraps(route.view)
    def view(request: HttpRequest, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Django's signature
        if request.method not in route.methods:
            return HttpResponseNotAllowed(route.methods)
        if route.permission != "nobody" and not request.user.is_authenticated:
            return HttpResponseRedirect(f"{reverse('sign-in')}?next={quote(request.path)}")
        if route.permission == "admin" and not request.user.is_superuser:
            raise Http404("no such page")
        if route.tenant:
            org = access.org_for_writing(request.user, kwargs.pop("slug"), route.permission)
            request.may = access.permissions_of(request.user, org)  # type: ignore[attr-defined]  # pages ask it which buttons to show
            return route.view(request, org, *args, **kwargs)
        response: HttpResponse = route.view(request, *args, **kwargs)
        return response

    return view


def patterns() -> list[URLPattern]:
    """Django's patterns, from the table."""
    return [path(route.pattern, guarded(route), name=route.name) for route in ROUTES]
