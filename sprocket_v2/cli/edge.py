"""`edge show`, `edge apply`: the host's edge, for the platform's admin."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from sprocket_v2.cli.django_setup import load_django
from sprocket_v2.cli.output import out, table
from sprocket_v2.errors import ApplyError, SprocketError

if TYPE_CHECKING:
    from provisioning.host_edge.actions import Standing

As = Annotated[str | None, typer.Option("--as", help="A platform admin; default: the only one.")]
_STATES = {
    "absent": "No organization on this host shares its entry ports, so there is no edge.",
    "current": "It is as the organizations behind it ask for.",
    "outdated": "It is not as the organizations behind it ask for. `sprocket edge apply` brings it there.",
    "missing": "It should be there and is not. `sprocket edge apply` makes it.",
    "unknown": "Docker cannot be reached, so nobody knows how it is.",
}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    edge = typer.Typer(help="The host's edge: who shares this machine's entry ports.", no_args_is_help=True)
    edge.command("show")(edge_show)
    edge.command("apply")(edge_apply)
    app.add_typer(edge, name="edge")


def edge_show(
    as_: As = None,
    file: Annotated[str | None, typer.Option("--file", help="Print one of its files, such as config/routes.yml.")] = None,
) -> None:
    """Who is behind the edge, under which names, and how it is. Changes nothing."""
    _admin(as_)
    from provisioning.host_edge.actions import standing

    now = standing()
    if file is None:
        _say(now)
        return
    if file not in now.files:
        raise ApplyError(
            f"the edge has no file {file!r}", hint=f"one of {', '.join(now.files) or 'none: there is no edge'}", where="host edge"
        )
    out.result({"file": file, "text": now.files[file]}, now.files[file])


def edge_apply(as_: As = None) -> None:
    """Bring the edge to what the organizations behind it ask for. Does nothing when it is there."""
    admin = _admin(as_)
    from provisioning.host_edge.actions import settle

    _say(settle(actor=admin, say=out.progress))


def _admin(name: str | None) -> Any:  # noqa: ANN401 - Django's user model
    load_django()
    from django.contrib.auth import get_user_model

    from orgs.people import get_user
    from provisioning.host_edge.actions import require_admin

    if name:
        person = get_user(name)
    else:
        admins = list(get_user_model().objects.filter(is_superuser=True, is_active=True)[:2])
        if len(admins) != 1:
            raise SprocketError("whose action is this?", hint="name a platform admin with --as NAME", where="host edge")
        person = admins[0]
    require_admin(person)
    return person


def _say(now: Standing) -> None:
    rows = [(m.slug, f"{n.host}:{n.port}", "TLS, passed through" if n.tls else "HTTP") for m in now.members for n in m.names]
    data = {
        "name": now.name,
        "state": now.state,
        "running": now.is_running,
        "ports": now.ports,
        "organizations": [{"slug": m.slug, "network": m.network, "names": m.names} for m in now.members],
        "files": sorted(now.files),
    }
    ports = ", ".join(str(port) for port in now.ports)
    head = f"{now.name}: {'running' if now.is_running else 'not running'}" + (f", ports {ports}" if ports else "")
    words = [head, _STATES[now.state], *([table(rows, ("organization", "name", "how"))] if rows else [])]
    out.result(data, "\n".join(words))
