"""`routes`: which names lead where, by which way in; of a needs file without database and Docker, of an organization with probes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from blueprints.catalog import load_catalog
from blueprints.routes import any_images, routes, routes_data
from sprocket_v2.cli.files import resolve_file
from sprocket_v2.cli.output import FAILED, out, style, table
from sprocket_v2.errors import NeedsError

_COLOURS = {"ok": "green", "warning": "yellow", "failed": "red"}


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("routes")(routes_command)


def routes_command(
    needs: Annotated[Path, typer.Argument(help="An organization's slug, or a needs file.", metavar="ORG|NEEDS")],
    probe: Annotated[bool, typer.Option("--probe", help="Try every row now. Only for an organization that is deployed.")] = False,
) -> None:
    """List every host by every way in: port, certificate, DNS record, callbacks, who is let in, and whether it answers."""
    is_file = needs.exists() or not re.fullmatch("[a-z][a-z0-9-]*", str(needs))
    if is_file and probe:
        raise NeedsError("a needs file is not deployed, so there is nothing to probe", hint="name an organization", where=str(needs))
    rows = _of_file(needs) if is_file else _of_organization(str(needs), probe=probe)
    out.result({"routes": rows}, "\n".join(_words(rows)) if rows else "No needs yet. `sprocket needs set ORG FILE` says how it is reached.")
    if probe and any(row["result"] and row["result"]["state"] == "failed" for row in rows):
        raise typer.Exit(FAILED)


def _of_file(needs: Path) -> list[dict[str, Any]]:
    return _untried(routes_data(routes(resolve_file(needs, load_catalog(), any_images(load_catalog())))))


def _untried(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{**row, "result": None} for row in rows]


def _of_organization(slug: str, *, probe: bool) -> list[dict[str, Any]]:
    from sprocket_v2.cli.deployments import organization

    org = organization(slug)
    from provisioning.ways import probe_now, route_rows

    if probe:
        return probe_now(org=org)
    blueprint, rows = route_rows(org=org)
    if blueprint is None:
        from blueprints.actions import resolve_needs
        from orgs.actions import current_needs, needs_of

        revision = current_needs(org)
        if revision is None:
            return []
        return _untried(routes_data(routes(resolve_needs(org=org, needs=needs_of(revision), lock=any_images(load_catalog())))))
    return rows


def _words(rows: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    by_way: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_way.setdefault(row["way"], []).append(row)
    for way, own in by_way.items():
        first = own[0]
        mark = ", canonical: signing in works here" if first["canonical"] else ""
        yield style(f"{way}{mark}", "bold")
        yield f"  lets in {first['let_in']}; certificate: {first['expects']}"
        cells = [(row["title"], row["url"] or "-", row["router"] or "-", _record(row["dns"]), _result(row)) for row in own]
        yield from (f"  {line}" for line in table(cells, ("component", "address", "router", "DNS record", "last probe")).splitlines())
        for row in own:
            yield from (f"  register with {name}: {url}" for name, url in row["callbacks"].items())
            if row["cors_origin"]:
                yield f"  may call the API: {row['cors_origin']}"
        yield ""


def _record(dns: Mapping[str, str]) -> str:
    return f"none: {dns['value']}" if dns["type"] == "none" else f"{dns['type']} {dns['name']} -> {dns['value']}"


def _result(row: Mapping[str, Any]) -> str:
    if row["why_not"]:
        return f"not reached: {row['why_not']}"
    if row["result"] is None:
        return "not tried"
    state = str(row["result"]["state"])
    return f"{style(state, _COLOURS.get(state, 'dim'))}: {row['result']['detail']} {row['result']['hint']}".rstrip()
