"""`destroy` and `purge`: two acts. The first stops everything and keeps the data, the second removes the data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from sprocket_v2.cli.deployments import As, Slug, Yes, actor_for, finish, organization, progress_line, run_data, run_words
from sprocket_v2.cli.output import is_interactive, out, table
from sprocket_v2.errors import ApplyError, StaleError

if TYPE_CHECKING:
    from provisioning.inventory import Inventory


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("destroy")(destroy_command)
    app.command("purge")(purge_command)


def destroy_command(org: Slug, yes: Yes = False, as_: As = None) -> None:
    """Remove the deployment, leftovers of other states included. Volumes with data stay; a last backup is kept."""
    _refuse_unasked(yes)
    row = organization(org)
    actor = actor_for(row, as_)
    from provisioning.actions import destroy, run_here
    from provisioning.backup_actions import before_destroy
    from provisioning.review.removal import confirm, inventory

    found = inventory(row)
    if not found.goes:
        raise ApplyError("nothing is there to be removed", hint=_about_kept(org, found), where=org)
    out.progress(_words(found))
    waits = confirm(org=row, actor=actor, what="destroy", typed=_typed(org, yes, "This stops everything"), seen=found.digest, via="cli")
    if waits:
        out.result({"waits": waits}, f"{waits}.")
        return
    backup, problem = before_destroy(org=row, actor=actor)
    out.progress(
        f"  backup {backup.name} is kept: `sprocket backups {org}`" if backup else f"  {problem or 'there is no database to back up'}"
    )
    run = run_here(destroy(org=row, actor=actor, ring=False), on_event=progress_line)
    if str(run.state) != "succeeded":
        finish(run)
    data = {**run_data(run), "backup": backup.name if backup else None, "went": found.goes, "stayed": found.stays}
    out.result(data, f"{run_words(run)}\n{_about_kept(org, found)}")


def purge_command(
    org: Slug,
    without_backup: Annotated[bool, typer.Option("--without-backup", help="Though no backup of it is kept here.")] = False,
    yes: Yes = False,
    as_: As = None,
) -> None:
    """Remove the data a destroy has kept: all volumes of the organization. Nothing brings it back but a backup."""
    _refuse_unasked(yes)
    row = organization(org)
    actor = actor_for(row, as_)
    from provisioning.backup_actions import last_kept
    from provisioning.purge import purge
    from provisioning.review.removal import confirm, inventory

    found = inventory(row)
    if any(item.kind == "service" for item in found.goes):
        raise ApplyError(f"{found.goes[0].name} still runs", hint=f"`sprocket destroy {org}` first: a purge is a second act", where=org)
    backup = last_kept(org)
    if found.stays and backup is None and not without_backup:
        hint = "deploy it again and `sprocket destroy` it, which keeps one; or add --without-backup to lose the data"
        raise ApplyError("no backup of this data is kept here", hint=hint, where=org)
    out.progress(_words(found))
    out.progress(f"the newest backup kept here is {backup.name}" if backup else "no backup of it is kept here")
    waits = confirm(org=row, actor=actor, what="purge", typed=_typed(org, yes, "This removes all data"), seen=found.digest, via="cli")
    if waits:
        out.result({"waits": waits}, f"{waits}.")
        return
    volumes = purge(org=row, actor=actor)
    words = f"{len(volumes)} volumes removed" + (f"; backup {backup.name} is kept here." if backup else "; no backup is kept.")
    out.result({"volumes": volumes, "backup": backup.name if backup else None}, words)


def _refuse_unasked(yes: bool) -> None:
    if not yes and not is_interactive():
        raise StaleError("not confirmed", hint="type the slug when asked, or add --yes where no terminal is")


def _typed(org: str, yes: bool, what: str) -> str:
    """The name a person typed; with --yes the command line itself is the confirmation."""
    return org if yes else str(typer.prompt(f"{what} of {org}. Type its slug to go on", err=True, default="", show_default=False))


def _words(found: Inventory) -> str:
    rows = [("goes", item.kind, item.name, "no version has it" if item.is_orphan else "") for item in found.goes]
    rows += [("stays", item.kind, item.name, "no version has it" if item.is_orphan else "") for item in found.stays]
    return table(rows, ("", "kind", "name", ""))


def _about_kept(org: str, found: Inventory) -> str:
    volumes = [item.name for item in found.stays if item.kind == "volume"]
    return f"{len(volumes)} volumes with data stay; `sprocket purge {org}` removes them." if volumes else "No volume is there either."
