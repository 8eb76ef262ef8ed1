"""`backup`, `backups`, `restore`: backups of a deployment's database, in words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from sprocket_v2.cli.deployments import As, Slug, Yes, actor_for, ask, organization
from sprocket_v2.cli.output import FAILED, out, style, table

if TYPE_CHECKING:
    from provisioning.backups import Backup, Restored

Name = Annotated[str, typer.Argument(help="As `sprocket backups` names it, or newest.", metavar="BACKUP")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("backup")(backup_command)
    app.command("backups")(backups_command)
    app.command("restore")(restore_command)


def backup_command(
    org: Slug,
    copy: Annotated[bool, typer.Option("--copy", help="Keep a copy in the control plane's data folder too.")] = False,
    as_: As = None,
) -> None:
    """Back up the database now, and check what was written."""
    row = organization(org)
    from provisioning.backup_actions import take
    from provisioning.backups import size_words

    made = take(org=row, actor=actor_for(row, as_), copy=copy)
    words = f"Backup {made.name} of {org}: {size_words(made.bytes)}, checksum ok, in: {', '.join(made.where)}."
    out.result(_data(made), words)


def backups_command(org: Slug) -> None:
    """List the backups: how old, how large, whether the checksum is right, and where they are."""
    row = organization(org)
    from provisioning.backup_actions import listing
    from provisioning.backups import age_words, size_words

    found, now = listing(org=row, on_step=out.progress), datetime.now(UTC)
    rows = [
        (b.name, age_words(now - b.taken), size_words(b.bytes), "ok" if b.is_good else style("WRONG", "red"), b.reason, ", ".join(b.where))
        for b in found
    ]
    empty = f"No backups of {org} yet. `sprocket backup {org}` makes one; a deployment makes one every night by itself."
    out.result([_data(b) for b in found], table(rows, ("backup", "age", "size", "checksum", "reason", "where")) if rows else empty)


def restore_command(
    org: Slug,
    backup: Name,
    to: Annotated[Literal["scratch", "live"], typer.Option("--to", help="scratch: try it beside the real database. live: in its place.")],
    yes: Yes = False,
    without_backup: Annotated[
        bool, typer.Option("--without-backup", help="live: do not back up first, where the database is too broken for it.")
    ] = False,
    as_: As = None,
) -> None:
    """Restore a backup: to a scratch database, compared and dropped, or in the place of the running one."""
    row = organization(org)
    actor = actor_for(row, as_)
    from provisioning.backup_actions import restore_live, restore_to_scratch
    from provisioning.backups import checked_name

    if backup != "newest":
        checked_name(backup)

    def step(words: str) -> None:
        out.progress(f"  {words}")

    if to == "scratch":
        _tried(restore_to_scratch(org=row, name=backup, actor=actor, on_step=step))
        return
    ask(yes, f"Put {backup} in the place of the running database of {org}? The applications stop meanwhile")
    done = restore_live(org=row, name=backup, actor=actor, on_step=step, backup_first=not without_backup)
    _restored(row, done)


def _tried(done: Restored) -> None:
    rows = [(name, str(count), str(done.live.get(name, "not there"))) for name, count in done.rows.items()]
    total = sum(done.rows.values())
    words = [table(rows, ("table", "restored", "running now"))] if rows else []
    words.append(
        f"Backup {done.name}: {total} rows in {len(done.rows)} tables, all as counted when it was made. Restored in {done.took_s:.1f} s."
    )
    out.result(done.as_dict(), "\n".join(words))


def _restored(row: Any, done: Restored) -> None:  # noqa: ANN401 - a row
    from provisioning.actions import verify_now

    total = sum(done.rows.values())
    verdict = verify_now(org=row)
    words = [
        f"Backup {done.name} is live: {total} rows in {len(done.rows)} tables, all as counted when it was made. Restored in {done.took_s:.1f} s.",
        f"What was there before is backup {done.first}." if done.first else "What was there before was not backed up.",
        f"Now it {verdict.runs_text}, and is {verdict.usable_text}.",
    ]
    out.result({**done.as_dict(), "verdict": verdict.as_dict()}, "\n".join(words))
    if str(verdict.runs) == "failed":
        raise typer.Exit(FAILED)


def _data(backup: Backup) -> dict[str, Any]:
    age = datetime.now(UTC) - backup.taken
    return {
        "name": backup.name,
        "taken": backup.taken.isoformat(),
        "age_s": int(age.total_seconds()),
        "bytes": backup.bytes,
        "reason": backup.reason,
        "checksum_ok": backup.is_good,
        "where": list(backup.where),
    }
