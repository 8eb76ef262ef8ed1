"""`migrate`: a legacy estate's way to v2, in words. The machine's steps are carried out here, as `apply` does; a worker does the same."""

from __future__ import annotations

import getpass
import os
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sprocket_v2.cli.deployments import As, Slug, actor_for, organization
from sprocket_v2.cli.output import DONE, FAILED, is_interactive, out, style, table
from sprocket_v2.errors import SetupError

if TYPE_CHECKING:
    from blueprints.migration.model import Counts, MigrationPlan
    from provisioning.migration.rows import Migration, MigrationStep

Later = Annotated[bool, typer.Option("--later", help="Only ask for it; a worker does it.")]
_COLOURS = {"done": "green", "failed": "red", "running": "cyan", "skipped": "yellow", "undone": "yellow"}


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    migrate = typer.Typer(help="From a legacy estate to v2.", no_args_is_help=True)
    for name, command in (
        ("suggest", suggest_command),
        ("plan", plan_command),
        ("secret", secret_command),
        ("rehearse", rehearse_command),
        ("start", start_command),
        ("status", status_command),
        ("pause", pause_command),
        ("resume", resume_command),
        ("back", back_command),
        ("confirm", confirm_command),
    ):
        migrate.command(name)(command)
    app.add_typer(migrate, name="migrate")


def suggest_command(org: Slug) -> None:
    """Needs of v2 that fit the estate, to edit: what its running parts, routes and buckets speak for."""
    row = organization(org)
    from provisioning.migration.actions import suggested, suggested_text

    out.result(suggested(row), suggested_text(row))


def plan_command(
    org: Slug,
    to: Annotated[
        Path | None, typer.Option("--to", help="Settle v2's needs: a needs file with a slug of its own.", metavar="NEEDS")
    ] = None,
    source: Annotated[Path | None, typer.Option("--source", help="Say where the estate's database and files are.", metavar="FILE")] = None,
    as_: As = None,
) -> None:
    """What becomes of each part, before and after, what stands in the way, and the steps. Deploys nothing. Exit 1 while something blocks."""
    row = organization(org)
    from provisioning.migration.actions import plan_of, settle

    if to or source:
        texts = {"needs_text": to.read_text() if to else "", "source_text": source.read_text() if source else ""}
        settle(org=row, actor=actor_for(row, as_), via="cli", **texts)
    plan = plan_of(org=row)
    out.result(plan.as_dict(), _plan_words(plan))
    raise typer.Exit(FAILED if plan.blockers else DONE)


def _plan_words(plan: MigrationPlan) -> str:
    rows = [(o.fate, o.row.name, o.into or "-", o.why) for o in plan.of_kind("service")]
    others = Counter((o.row.kind, o.fate, o.into) for o in plan.outcomes if o.row.kind != "service")
    more = [f"{count} {kind} rows: {fate}{f' into {into}' if into else ''}" for (kind, fate, into), count in others.items()]
    parts = [
        f"{plan.source} -> {plan.target}",
        table(rows, ("", "service", "into", "because")) if rows else "The estate has no services.",
        "\n".join(more),
        table(_comparison(plan.before, plan.after), ("", "before", "after")),
        "\n".join(
            f"{n}. {s.title} ({s.who}): {s.does}\n   check: {s.check}\n   back:  {s.way_back or 'no more'}"
            for n, s in enumerate(plan.steps, 1)
        ),
    ]
    if plan.blockers:
        parts += [style("In the way:", "red"), *(f"- {b.message}\n  {b.hint}" for b in plan.blockers)]
    else:
        parts.append(f"Nothing is in the way. `sprocket migrate rehearse {plan.source}`")
    return "\n\n".join(part for part in parts if part)


def _comparison(before: Counts, after: Counts) -> list[tuple[str, ...]]:
    return [
        ("services", str(before.services), f"{after.services} (and jobs that end: {after.jobs})"),
        ("networks", str(before.networks), str(after.networks)),
        ("volumes", str(before.volumes), str(after.volumes)),
        ("secret paths", str(before.secrets), str(after.secrets)),
        ("configuration files", str(before.files), str(after.files)),
        (
            "memory limits, MiB",
            f"{before.memory_mib} ({before.unlimited} services without)",
            f"{after.memory_mib} ({after.unlimited} without)",
        ),
        (
            "USD a month",
            f"{before.monthly} ({before.monthly_words})",
            f"{'?' if after.monthly is None else after.monthly} ({after.monthly_words})",
        ),
    ]


def secret_command(
    org: Slug,
    name: Annotated[str, typer.Argument(help="As the plan names it: migration-database-password, ...", metavar="NAME")],
    descriptor: Annotated[int | None, typer.Option("--fd", help="Read the value from this file descriptor, such as 0.")] = None,
    as_: As = None,
) -> None:
    """Set a password the copy needs: asked for without echo, or read from a file descriptor; never an argument."""
    row = organization(org)
    from provisioning.migration.actions import set_copy_secret

    if descriptor is not None:
        value = os.fdopen(os.dup(descriptor), encoding="utf-8").read().rstrip("\n")
    elif is_interactive():
        value = getpass.getpass(f"  {name}: ")
    else:
        raise SetupError("there is no terminal to ask on", hint=f"sprocket migrate secret {org} {name} --fd 0 < FILE", where=name)
    version = set_copy_secret(org=row, name=name, value=value, actor=actor_for(row, as_), via="cli")
    out.result({"name": name, "version": version}, f"{name} is set (version {version}).")


def rehearse_command(
    org: Slug,
    later: Later = False,
    memory_mib: Annotated[int, typer.Option("--memory-mib", min=0, help="Keep the copy in memory, at most so much; 0: on disk.")] = 0,
    as_: As = None,
) -> None:
    """Try everything that can be tried on a copy beside the estate, which is only read; the copy is removed."""
    row = organization(org)
    from provisioning.migration.actions import rehearse

    _carried_on(rehearse(org=row, actor=actor_for(row, as_), ring=later, memory_mib=memory_mib, via="cli"), later)


def start_command(org: Slug, later: Later = False, as_: As = None) -> None:
    """Begin the cut-over. It stops at every step a person has to do."""
    row = organization(org)
    from provisioning.migration.actions import start

    _carried_on(start(org=row, actor=actor_for(row, as_), ring=later, via="cli"), later)


def resume_command(org: Slug, later: Later = False, as_: As = None) -> None:
    """Go on at the step it rests at; a failed one is tried again."""
    row = organization(org)
    from provisioning.migration.actions import resume

    _carried_on(resume(org=row, actor=actor_for(row, as_), ring=later, via="cli"), later)


def back_command(org: Slug, later: Later = False, as_: As = None) -> None:
    """Take every step back, the last first. Not after the point of no return."""
    row = organization(org)
    from provisioning.migration.actions import back

    _carried_on(back(org=row, actor=actor_for(row, as_), ring=later, via="cli"), later)


def confirm_command(
    org: Slug,
    typed: Annotated[str, typer.Option("--name", help="At the point of no return: the organization's name, exactly.")] = "",
    reason: Annotated[
        str, typer.Option("--reason", help="To accept a failed step that may be gone on without: what is lost, who agreed.")
    ] = "",
    later: Later = False,
    as_: As = None,
) -> None:
    """Say that a person's step is done, and go on."""
    row = organization(org)
    from provisioning.migration.actions import confirm

    _carried_on(confirm(org=row, actor=actor_for(row, as_), typed=typed, reason=reason, ring=later, via="cli"), later)


def pause_command(org: Slug, as_: As = None) -> None:
    """Stop after the step in hand."""
    row = organization(org)
    from provisioning.migration.actions import pause

    migration = pause(org=row, actor=actor_for(row, as_), via="cli")
    out.result(_data(migration), f"It stops after the step in hand. `sprocket migrate status {org}`")


def status_command(org: Slug) -> None:
    """Where the newest migration stands: each step, how long it took, what was seen. Exit 1 where it failed."""
    row = organization(org)
    from provisioning.migration.actions import newest

    migration = newest(row)
    if migration is None:
        out.result(None, f"No migration yet. `sprocket migrate plan {org}` shows what it would be.")
        return
    out.result(_data(migration), _words(migration))
    raise typer.Exit(FAILED if migration.state == "failed" else DONE)


def _carried_on(migration: Migration, later: bool) -> None:
    """Carry it out here, unless a worker is to; then say where it stands."""
    from provisioning.migration.actions import carry_on_here

    if not later:
        migration = carry_on_here(migration, on_note=lambda message: out.progress(f"  {message}"))
    out.result(_data(migration), _words(migration))
    raise typer.Exit(FAILED if migration.state == "failed" else DONE)


def _data(migration: Migration) -> dict[str, Any]:
    target = migration.target
    return {
        "migration": f"{migration.organization.slug}/{migration.number}",
        "kind": migration.kind,
        "target": target.slug if target else "",
        "state": str(migration.state),
        "direction": migration.direction,
        "steps": [_step_data(step) for step in migration.steps.select_related("person")],
    }


def _step_data(step: MigrationStep) -> dict[str, Any]:
    names = ("key", "title", "who", "evidence", "error", "reason", "duration_s")
    person = step.person.get_username() if step.person else ""
    return {"state": str(step.state), "person": person, **{name: getattr(step, name) for name in names}}


def _words(migration: Migration) -> str:
    steps = list(migration.steps.select_related("person"))
    rows = [
        (
            style(step.state, _COLOURS.get(step.state, "dim")),
            step.title,
            step.who,
            "" if step.duration_s is None else f"{step.duration_s} s",
            _last_word(step),
        )
        for step in steps
    ]
    head = f"{migration.title} of {migration.organization.slug}: {migration.state}"
    head += ", on the way back" if migration.direction == "back" and migration.state != "undone" else ""
    return "\n".join([head, table(rows, ("state", "step", "who", "took", "")), *_next_words(migration, steps)])


def _last_word(step: MigrationStep) -> str:
    if step.error:
        return str(step.error["message"])
    if step.person:
        return f"by {step.person.get_username()}" + (f": {step.reason}" if step.reason else "")
    return str(step.notes[-1]["message"]) if step.notes else ""


def _next_words(migration: Migration, steps: list[MigrationStep]) -> list[str]:
    slug = migration.organization.slug
    step = next((s for s in steps if s.state not in ("done", "skipped")), None)
    if migration.state == "asking" and step:
        how = ' --name "THE NAME"' if step.is_final else ""
        return [f"Next: {step.title}, by the {step.who}. `sprocket migrate confirm {slug}{how}`, or `sprocket migrate back {slug}`"]
    if migration.state == "failed" and step and step.error:
        return [f"{step.error.get('hint', '')}", f"Then `sprocket migrate resume {slug}`, or `sprocket migrate back {slug}`"]
    if migration.state == "paused":
        return [f"`sprocket migrate resume {slug}` goes on; `sprocket migrate back {slug}` takes it back."]
    return []
