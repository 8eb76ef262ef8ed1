"""`bundle`: take a deployment out of the control plane, fill its secret files, check it."""

from __future__ import annotations

import getpass
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from blueprints.rendering import read_bundle
from blueprints.secret_files import check, fill, refuse_problems
from sprocket_v2.cli.output import is_interactive, out
from sprocket_v2.errors import SetupError


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("bundle")(bundle_command)


def bundle_command(
    what: Annotated[str, typer.Argument(help="An organization's slug, or fill, or check.", metavar="ORG|fill|check")],
    folder: Annotated[Path | None, typer.Argument(help="The bundle, for fill and check.", metavar="[DIR]")] = None,
    to: Annotated[Path | None, typer.Option("--out", help="Where to write an organization's bundle.", metavar="DIR")] = None,
) -> None:
    """Export an organization's newest blueprint (`bundle ORG --out DIR`), then `bundle fill DIR`, `bundle check DIR`."""
    if what in ("fill", "check"):
        if folder is None:
            raise SetupError(f"bundle {what} needs a folder", hint=f"sprocket bundle {what} DIR")
        _fill(folder) if what == "fill" else _check(folder)
        return
    if to is None:
        raise SetupError("where to?", hint=f"sprocket bundle {what} --out DIR")
    from sprocket_v2.cli.deployments import export_bundle

    export_bundle(what, to)


def _fill(folder: Path) -> None:
    made, missing = fill(folder, read_bundle(folder), _ask)
    words = [f"made   {name}" for name in made] + [f"still missing: {m.name} {m.problem}; {m.hint}" for m in missing]
    out.result({"made": made, "missing": [asdict(m) for m in missing]}, "\n".join(words) or "every secret is there")
    if missing:
        raise typer.Exit(1)


def _ask(name: str, item: dict[str, Any]) -> str | None:
    if not is_interactive():
        return None
    out.progress(f"{item['title']}: {item['why']}\n  from: {item['where_to_get']}")
    return getpass.getpass(f"  {name}: ") or None


def _check(folder: Path) -> None:
    files = check(folder, read_bundle(folder))
    out.result(
        {"secrets": [asdict(file) for file in files]}, "\n".join(f"{'ok     ' if not f.problem else 'wrong  '} {f.name}" for f in files)
    )
    refuse_problems(files, folder)
