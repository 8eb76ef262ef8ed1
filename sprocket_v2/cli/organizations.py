"""`org`, `needs`, `secret`, `user`: organizations, what they need, what they bring, and who they are."""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from sprocket_v2.cli.deployments import As, Slug, actor_for, organization
from sprocket_v2.cli.django_setup import load_django
from sprocket_v2.cli.files import read_beside, read_needs
from sprocket_v2.cli.output import is_interactive, out, table
from sprocket_v2.cli.review import org_set, org_webhook
from sprocket_v2.errors import NeedsError, SetupError, SprocketError


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    groups: tuple[tuple[str, str, dict[str, Callable[..., None]]], ...] = (
        ("org", "Organizations.", {"create": org_create, "list": org_list, "show": org_show, "set": org_set, "webhook": org_webhook}),
        (
            "needs",
            "What an organization needs.",
            {"set": needs_set, "show": needs_show, "export": needs_export, "questions": needs_questions},
        ),
        ("secret", "Secrets: set, never shown.", {"set": secret_set, "list": secret_list}),
        (
            "user",
            "People, who sign in by one-time links.",
            {"create": user_create, "invite": user_invite, "sign-in-link": user_link, "list": user_list},
        ),
    )
    for name, text, commands in groups:
        group = typer.Typer(help=text, no_args_is_help=True)
        for command, function in commands.items():
            group.command(command)(function)
        app.add_typer(group, name=name)


def org_create(
    needs: Annotated[Path, typer.Argument(help="Its needs file.", metavar="NEEDS")],
    owner: Annotated[str | None, typer.Option("--owner", help="User who owns it; made if there is none of the name.")] = None,
) -> None:
    """Create an organization from a needs file."""
    parsed = read_needs(needs)
    load_django()
    from django.db import transaction

    from orgs.actions import create_organization
    from orgs.people import create_user, get_user

    with transaction.atomic():
        name = owner or "admin"
        try:
            actor = get_user(name)
        except SprocketError:
            actor = create_user(username=name, admin=owner is None)
        org = create_organization(slug=parsed.slug, name=parsed.name, actor=actor, via="cli")
        store_needs(org, needs, actor, "first needs")
    out.result(
        {"slug": org.slug, "name": org.name},
        f"{org.slug} created, owned by {actor.username}. Next: `sprocket secret list {org.slug} --missing`",
    )


def store_needs(org: Any, file: Path, actor: Any, message: str) -> Any:  # noqa: ANN401 - rows
    """A needs file and the files it names, as a revision."""
    from orgs.actions import attach, set_needs

    parsed = read_needs(file)
    for wanted in parsed.files:
        if not (file.parent / wanted).is_file():
            raise NeedsError(f"file {wanted!r} is not there", hint="put it beside the needs file", where=str(file))
        attach(org=org, name=wanted, content=read_beside(file, wanted), actor=actor)
    return set_needs(org=org, actor=actor, text=file.read_text(encoding="utf-8"), source=str(file), message=message, via="cli")


def org_list() -> None:
    """List organizations with their state."""
    load_django()
    from orgs.actions import all_organizations, current_needs
    from provisioning.models import Run

    rows, data = [], []
    for org in all_organizations():
        last = Run.objects.for_org(org).first()
        needs = current_needs(org)
        state = f"{last.kind} {last.state}" if last else "never applied"
        rows.append((org.slug, org.name, f"needs {needs.number}" if needs else "no needs yet", state))
        data.append({"slug": org.slug, "name": org.name, "needs": needs.number if needs else None, "last_run": state})
    out.result(
        data, table(rows, ("slug", "name", "needs", "last run")) if rows else "No organizations yet. `sprocket org create NEEDS` makes one."
    )


def org_show(org: Slug) -> None:
    """One organization: people, needs, blueprint, last run."""
    row = organization(org)
    from blueprints.actions import newest_blueprint
    from orgs.actions import current_needs
    from provisioning.models import Run

    needs, blueprint, run = current_needs(row), newest_blueprint(row), Run.objects.for_org(row).first()
    people = [(m.user.username, ", ".join(m.roles)) for m in row.memberships.select_related("user")]
    data = {
        "slug": row.slug, "name": row.name, "people": dict(people), "needs": needs.number if needs else None,
        "blueprint": blueprint.number if blueprint else None, "last_run": run.number if run else None,
    }  # fmt: skip
    lines = [f"{row.name} ({row.slug})", f"  needs      {f'revision {needs.number}' if needs else 'none yet'}"]
    lines += [f"  blueprint  {f'{blueprint.number}, {blueprint.digest[:19]}' if blueprint else 'none yet'}"]
    lines += [f"  last run   {f'{run.number}, {run.kind} {run.state}' if run else 'none yet'}", table(people, ("person", "roles"))]
    out.result(data, "\n".join(lines))


def needs_set(
    org: Slug,
    file: Annotated[Path, typer.Argument(help="A needs file.", metavar="FILE")],
    message: Annotated[str, typer.Option("--message", "-m", help="Why.")] = "",
    as_: As = None,
) -> None:
    """Store a needs file as a new revision."""
    row = organization(org)
    revision = store_needs(row, file, actor_for(row, as_), message)
    out.result({"revision": revision.number, "digest": revision.digest}, f"Needs revision {revision.number} of {org}.")


def _newest(org: str) -> Any:  # noqa: ANN401 - a row
    from orgs.actions import current_needs

    revision = current_needs(organization(org))
    if revision is None:
        raise NeedsError("no needs yet", hint=f"`sprocket needs set {org} FILE`", where=org)
    return revision


def needs_show(org: Slug) -> None:
    """The newest needs, as they were written."""
    organization(org)
    revision = _newest(org)
    out.result({"revision": revision.number, "digest": revision.digest, "data": revision.data}, revision.text)


def needs_export(org: Slug, to: Annotated[Path, typer.Option("--out", help="File to write.", metavar="FILE")]) -> None:
    """Write the newest needs into a file."""
    organization(org)
    revision = _newest(org)
    to.write_text(revision.text, encoding="utf-8")
    out.result({"out": str(to), "revision": revision.number}, f"Needs revision {revision.number} in {to}.")


def needs_questions() -> None:
    """All questions: key, what is asked, and in which words."""
    from orgs.needs import Needs

    rows = list(_questions(Needs, ""))
    out.result(
        [{"key": key, "title": title, "description": text} for key, title, text in rows], table(rows, ("key", "question", "explained"))
    )


def _questions(model: Any, path: str) -> Any:  # noqa: ANN401 - pydantic models
    for name, info in model.model_fields.items():
        key = f"{path}{name}"
        parts = [a for a in (info.annotation, *getattr(info.annotation, "__args__", ())) if hasattr(a, "model_fields")]
        if parts:
            yield from _questions(parts[0], f"{key}.")
        else:
            yield key, info.title or name, info.description or ""


def wanted_secrets(org: Any) -> dict[str, Any]:  # noqa: ANN401 - a row
    """The secrets the newest needs call for, by name."""
    from blueprints.actions import draw_newest

    return draw_newest(org=org).secrets


def secret_set(
    org: Slug,
    name: Annotated[str, typer.Argument(help="As `secret list` names it.", metavar="NAME")],
    descriptor: Annotated[
        int | None, typer.Option("--fd", help="Read the value from this file descriptor, such as 0 for standard input.")
    ] = None,
    as_: As = None,
) -> None:
    """Set a secret: asked for without echo, or read from a file descriptor; never an argument, which others could see."""
    row = organization(org)
    actor = actor_for(row, as_)
    from orgs import access
    from provisioning.secret_store import set_secret

    access.require(actor, row, "secrets")
    known = wanted_secrets(row)
    if name not in known:
        raise SprocketError(f"{org} needs no secret {name!r}", hint=f"one of {', '.join(known)}", where=name)
    if descriptor is not None:
        value = os.fdopen(os.dup(descriptor), encoding="utf-8").read().rstrip("\n")
    elif is_interactive():
        out.progress(f"{known[name]['title']}: {known[name]['why']}\n  from: {known[name]['where_to_get'] or 'made for you when left out'}")
        value = getpass.getpass(f"  {name}: ")
    else:
        raise SetupError("there is no terminal to ask on", hint=f"sprocket secret set {org} {name} --fd 0 < FILE", where=name)
    version = set_secret(
        org=row, name=name, value=value, actor=actor, pattern=known[name]["pattern"] if known[name]["kind"] == "supplied" else ""
    )
    out.result({"name": name, "version": version.version}, f"{name} is set (version {version.version}). It is used from the next apply on.")


_STATES = {"supplied": "missing", "collected": "collected during the apply"}


def secret_list(org: Slug, missing: Annotated[bool, typer.Option("--missing", help="Only those still to bring.")] = False) -> None:
    """The secrets an organization needs: why, from where, which version. Never a value."""
    row = organization(org)
    from provisioning.secret_store import secret_versions

    versions = secret_versions(row)
    items = []
    for name, item in wanted_secrets(row).items():
        state = f"version {versions[name]}" if name in versions else _STATES.get(item["kind"], "made at the first apply")
        if not missing or state == "missing":
            items.append({"name": name, "state": state, "kind": item["kind"], "why": item["why"], "where_to_get": item["where_to_get"]})
    rows = [(i["name"], i["state"], i["kind"], i["why"]) for i in items]
    out.result(items, table(rows, ("secret", "state", "kind", "why")) if rows else "Nothing is missing.")


UserName = Annotated[str, typer.Argument(help="A user name.", metavar="NAME")]


def user_create(name: UserName, admin: Annotated[bool, typer.Option("--admin", help="Platform admin: may do everything.")] = False) -> None:
    """Make a person, and print the link they sign in by."""
    load_django()
    from orgs.people import create_user, make_sign_in_link

    link = make_sign_in_link(user=create_user(username=name, admin=admin))
    out.result({"user": name, "link": link}, f"{name} signs in once, within 15 minutes, by\n  {link}")


def user_invite(
    org: Slug,
    name: UserName,
    role: Annotated[list[str], typer.Option("--role", help="viewer, editor, approver, operator, owner; may be given several times.")],
    as_: As = None,
) -> None:
    """Make somebody a member of an organization, and print the link they sign in by."""
    row = organization(org)
    from orgs.people import invite

    _, link = invite(org=row, username=name, roles=role, actor=actor_for(row, as_))
    out.result({"user": name, "roles": role, "link": link}, f"{name} is {', '.join(role)} of {org}, and signs in by\n  {link}")


def user_link(name: UserName) -> None:
    """Print a new one-time link for somebody."""
    load_django()
    from orgs.people import get_user, make_sign_in_link

    link = make_sign_in_link(user=get_user(name))
    out.result({"user": name, "link": link}, link)


def user_list() -> None:
    """List people."""
    load_django()
    from django.contrib.auth import get_user_model

    rows = [
        (u.username, "platform admin" if u.is_superuser else "", "" if u.is_active else "switched off")
        for u in get_user_model().objects.all()
    ]
    out.result(
        [{"user": u, "admin": bool(a), "active": not i} for u, a, i in rows],
        table(rows, ("user", "", "")) if rows else "Nobody yet. `sprocket user create NAME --admin`",
    )
