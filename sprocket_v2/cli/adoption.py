"""`adopt`, `unadopt`: look after what runs already, and let it go again."""

from __future__ import annotations

from typing import Annotated

import typer

from sprocket_v2.cli.deployments import actor_for, organization
from sprocket_v2.cli.output import out, table
from sprocket_v2.errors import SprocketError

Slug = Annotated[str, typer.Argument(help="An organization's slug.", metavar="ORG")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("adopt")(adopt_command)
    app.command("unadopt")(unadopt_command)


def adopt_command(
    org: Slug,
    engine: Annotated[
        str, typer.Option("--engine", help="As DOCKER_HOST, such as unix:///home/me/estate.sock; else this machine's.", metavar="URL")
    ] = "",
    formerly: Annotated[
        str, typer.Option("--formerly", help="The organization of another control plane that made it.", metavar="SLUG")
    ] = "",
    only: Annotated[str, typer.Option("--only", help="Only services whose whole name matches this pattern.", metavar="PATTERN")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be taken over.")] = False,
) -> None:
    """Take over what runs on a swarm, as it is: nothing is changed, not even a label. Says what an apply would do, which is nothing."""
    found = organization(org)
    from provisioning.importing.actions import adopt, look, prove, require_same_engine, taken_over

    if not dry_run:
        require_same_engine(engine)
    live = look(org=found, docker_host=engine, formerly=formerly, only=only)
    if dry_run:
        estate, left = taken_over(live)
        rows = [(item.kind, item.name, str(item.facts.get("component", ""))) for item in estate.items if item.kind != "route"]
        out.result(
            {"taken": [{"kind": k, "name": n, "component": c} for k, n, c in rows], "left": left, "normalised": dict(live.normalised)},
            table(rows, ("kind", "name", "known as")) + f"\n\n{len(left)} left alone.",
        )
        return
    done = adopt(org=found, live=live, actor=actor_for(found, None), via="cli")
    words = ", ".join(f"{count} {kind}s" for kind, count in done.taken.items())
    try:
        proof = prove(org=found, adoption=done)
        said, proved = proof.words(), {"steps": dict(proof.steps), "differences": dict(proof.differences)}
    except SprocketError as error:  # it is taken over all the same; a preview can be asked for again
        said, proved = f"not compared: {error.message} ({error.hint})", None
    out.result(
        {
            "zero_change": proved,
            "blueprint": done.blueprint.number,
            "taken": dict(done.taken),
            "left": dict(done.left),
            "normalised": dict(done.normalised),
            "unknown_values": done.unknown,
        },
        f"taken over as blueprint {done.blueprint.number}: {words}; {done.unknown} values unknown, {len(done.left)} objects left alone\n"
        + said,
    )


def unadopt_command(org: Slug) -> None:
    """Stop looking after an estate: the record and the engine's state go, what runs goes on."""
    found = organization(org)
    from provisioning.importing.actions import un_adopt

    un_adopt(org=found, actor=actor_for(found, None), via="cli")
    out.result({"organization": org, "adopted": False}, f"{org} is no longer looked after; everything goes on running")
