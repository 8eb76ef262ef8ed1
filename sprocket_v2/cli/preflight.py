"""`preflight`: what keeps an organization's newest needs from being deployed, or will bite."""

from __future__ import annotations

import typer

from sprocket_v2.cli.deployments import Slug, organization
from sprocket_v2.cli.output import DONE, FAILED, out, style

_COLOURS = {"block": "red", "warn": "yellow", "note": "dim", "pass": "green"}


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("preflight")(preflight_command)


def preflight_command(org: Slug) -> None:
    """Look at the existing services the needs name, and at what is known to bite. Exit code 1 when something blocks."""
    row = organization(org)
    from blueprints.actions import draw_newest
    from provisioning.preflight.look import look

    rendering = draw_newest(org=row)
    for about in rendering.blueprint["existing"].values():
        out.progress(f"looking at {about['host']}:{about['port']}")
    found = look(row, rendering)
    lines = []
    for result in found.results:
        lines.append(f"{style(f'{result.state:5}', _COLOURS[result.state])}  {result.sentence}")
        if result.remedy:
            lines.append(f"       {result.remedy}" + (f" ({result.field})" if result.field else ""))
    out.result(found.as_dict(), "\n".join([*lines, "", found.words]))
    raise typer.Exit(FAILED if found.blocks else DONE)
