"""Pages about people and organizations: signing in and out, a new organization, who belongs to it. HTTP only."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth import get_user_model, login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from orgs import people
from orgs.access import PERMISSIONS, ROLES
from orgs.actions import create_organization, set_roles
from orgs.models import AuditEvent, Membership, Organization
from sprocket_v2.errors import DeniedError, NeedsError, SprocketError


def sign_in(request: HttpRequest) -> HttpResponse:
    """How to get in."""
    if request.user.is_authenticated:
        return redirect("organizations")
    return render(request, "orgs/sign_in.html", {"link": None, "token": ""})


def sign_in_by_link(request: HttpRequest, token: str) -> HttpResponse:
    """Looking at the link asks; pressing the button uses it up. Programs that preview links only look."""
    if request.method == "POST":
        try:
            user = people.use_sign_in_link(token)
        except DeniedError as error:
            return render(request, "orgs/sign_in.html", {"problem": error, "token": ""}, status=403)
        login(request, user, backend="django.contrib.auth.backends.ModelBackend")
        return redirect("organizations")
    link = people.find_sign_in_link(token)
    problem = None if link else DeniedError("This link was used, or is too old.", hint="Ask for a new one: sprocket user sign-in-link NAME")
    return render(request, "orgs/sign_in.html", {"link": link, "token": token, "problem": problem}, status=200 if link else 403)


def sign_out(request: HttpRequest) -> HttpResponse:
    """Out."""
    logout(request)
    return redirect("sign-in")


def new_organization(request: HttpRequest) -> HttpResponse:
    """Name and slug; everything else is the needs form."""
    given = {"name": "", "slug": ""}
    problem: SprocketError | None = None
    if request.method == "POST":
        given = {key: request.POST.get(key, "").strip() for key in given}
        try:
            if not given["name"]:
                raise NeedsError("the league's name is missing", hint="write it as players know it", where="name")
            org = create_organization(slug=given["slug"], name=given["name"], actor=request.user)
        except SprocketError as error:
            problem = error
        else:
            messages.success(request, f"{org.name} is here. Now say what it needs.")
            return redirect("needs", org.slug)
    return render(request, "orgs/new.html", {"given": given, "problem": problem}, status=422 if problem else 200)


def people_page(request: HttpRequest, org: Organization) -> HttpResponse:
    """Who belongs to it, in which roles; owners change them here."""
    link = ""
    problem: SprocketError | None = None
    if request.method == "POST":
        try:
            link = _change(request, org)
        except SprocketError as error:
            problem = error
        else:
            if not link:
                messages.success(request, "Roles are set.")
                return redirect("people", org.slug)
    members = Membership.objects.for_org(org).select_related("user").order_by("user__username")
    events = AuditEvent.objects.for_org(org).select_related("user")[:50]
    roles = [(role, ", ".join(sorted(PERMISSIONS[role] - {"read"})) or "read only") for role in ROLES]
    context = {"org": org, "members": members, "roles": roles, "link": link, "problem": problem, "events": events}
    return render(request, "orgs/people.html", context, status=422 if problem else 200)


def _change(request: HttpRequest, org: Organization) -> str:
    """Set somebody's roles; a new person's one-time link, else nothing."""
    name, roles = request.POST.get("username", "").strip(), [str(role) for role in request.POST.getlist("roles")]
    known = get_user_model().objects.filter(username=name).first()
    if known is None:
        _, link = people.invite(org=org, username=name, roles=roles or ["viewer"], actor=request.user, via="web")
        return link
    set_roles(org=org, user=known, roles=roles, actor=request.user)
    return ""
