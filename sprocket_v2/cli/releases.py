"""`release status`, `release roll-out`, `release stop`: the installed templates against what every organization has applied."""

from __future__ import annotations

import time
from typing import Annotated, Any

import typer

from sprocket_v2.cli.deployments import Yes, ask
from sprocket_v2.cli.django_setup import load_django
from sprocket_v2.cli.output import DONE, FAILED, out, table
from sprocket_v2.errors import SprocketError, StaleError

As = Annotated[str | None, typer.Option("--as", help="Whose action it is; default: the only platform admin.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    release = typer.Typer(help="Template releases, over all organizations.", no_args_is_help=True)
    release.command("status")(release_status)
    release.command("roll-out")(release_roll_out)
    release.command("stop")(release_stop)
    app.add_typer(release, name="release")


def release_status(
    steps: Annotated[bool, typer.Option("--steps", help="Ask the engine for the steps of each too; takes seconds for each.")] = False,
) -> None:
    """What an upgrade to the templates that are here would do to each organization. Changes nothing."""
    load_django()
    from provisioning.releases.actions import installed_release, outlooks

    found = [(org, outlook, _steps(org) if steps and outlook.state == "clean" else None) for org, outlook in outlooks()]
    rows = [(org.slug, o.state, o.before or "-", o.worst or "-", o.why or _counted(o)) for org, o, _ in found]
    words = [f"Templates here: {installed_release()}", table(rows, ("organization", "upgrade", "from", "at worst", ""))]
    for org, outlook, engine in found:
        words += [f"  {org.slug} {row['service']}: {row['disruption']}, {', '.join(row['because'])}" for row in outlook.services]
        words += [f"  {org.slug} {step['op']} {step['resource']}" for step in engine or ()]
    data = [{"organization": org.slug, "outlook": o, "worst": o.worst, "steps": engine} for org, o, engine in found]
    out.result({"release": installed_release(), "organizations": data, "roll_out": _newest()}, "\n".join(words))


def _counted(outlook: Any) -> str:  # noqa: ANN401 - provisioning.releases.outlook.Outlook
    if outlook.state != "clean":
        return ""
    services = len(outlook.services)
    files = f"{outlook.files} file{'' if outlook.files == 1 else 's'}"
    return f"{files}, {services} service{'' if services == 1 else 's'}"


def _steps(org: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - a row
    from provisioning.releases.actions import steps_for

    return [{"op": step["op"], "resource": step["resource"], "fields": list(step["fields"])} for step in steps_for(org)]


def release_roll_out(
    orgs: Annotated[
        list[str] | None, typer.Argument(help="In this order; default: all whose upgrade is clean.", metavar="[ORG]...")
    ] = None,
    reason: Annotated[str, typer.Option("--reason", help="What the release brings; every plan is approved with it.")] = "",
    limit_s: Annotated[int, typer.Option("--limit", help="Stop waiting for a second person's yes after this many seconds.")] = 3600,
    yes: Yes = False,
    as_: As = None,
) -> None:
    """Upgrade one organization, then some, then all; stop at the first that is not verified."""
    load_django()
    from provisioning.releases.actions import advance, begin, outlooks

    actor = _admin(as_)
    clean = [org.slug for org, outlook in outlooks() if outlook.state == "clean"]
    ask(yes, f"Roll out to {', '.join(orgs or clean) or 'nobody'}?")
    roll_out = begin(actor=actor, slugs=orgs or [], reason=reason, via="cli")
    limit = time.monotonic() + limit_s
    while str(roll_out.state) == "running":
        advance(roll_out, here=True, say=lambda text: out.progress(f"  {text}"))
        if time.monotonic() > limit:
            raise StaleError("the roll-out is not done", hint="it goes on where a worker runs; `sprocket release status`", transient=True)
        time.sleep(0.2)
    newest = _newest()
    rows = [(m["organization"], str(m["wave"]), m["state"], m["why"]) for m in newest["members"]]
    words = (
        f"Roll-out {newest['state']}{'. ' + newest['why'] if newest['why'] else ''}\n{table(rows, ('organization', 'wave', 'state', ''))}"
    )
    out.result(newest, words)
    raise typer.Exit(DONE if newest["state"] == "done" else FAILED)


def release_stop(as_: As = None) -> None:
    """Begin nothing more; an apply that runs comes to its own end."""
    load_django()
    from provisioning.releases.actions import stop

    stop(actor=_admin(as_), via="cli")
    out.result(_newest(), "Stopped: nothing more begins.")


def _newest() -> Any:  # noqa: ANN401 - JSON
    from provisioning.releases.rows import RollOut

    row = RollOut.objects.first()
    if row is None:
        return None
    members = [
        {"organization": m.organization.slug, "wave": m.wave, "state": m.state, "why": m.why,
         "plan": m.plan.number if m.plan else None, "run": m.run.number if m.run else None}
        for m in row.members.select_related("organization", "plan", "run")
    ]  # fmt: skip
    return {"release": row.release, "state": row.state, "reason": row.reason, "why": row.why_stopped, "members": members}


def _admin(name: str | None) -> Any:  # noqa: ANN401 - a row
    from django.contrib.auth import get_user_model

    from orgs.people import get_user

    if name:
        return get_user(name)
    admins = list(get_user_model().objects.filter(is_superuser=True, is_active=True)[:2])
    if len(admins) == 1:
        return admins[0]
    raise SprocketError("whose action is this?", hint="name a platform admin with --as NAME", where="release")
