"""`check`: the rules that came of forty incidents, over an organization, a needs file, a bundle, or any folder."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sprocket_v2.cli.output import DONE, FAILED, out, style
from sprocket_v2.errors import ApplyError, NeedsError, PreviewError, SetupError

if TYPE_CHECKING:
    from blueprints.checks.model import Outcome, Subject

_COLOURS = {"block": "red", "warning": "yellow", "info": "dim"}
What = Annotated[
    Path,
    typer.Argument(help="An organization's slug, a needs file, a bundle, or a folder to scan for secrets.", metavar="ORG|NEEDS|BUNDLE"),
]


def register(app: typer.Typer) -> None:
    """Add the command of this file."""
    app.command("check")(check_command)


def check_command(
    what: What,
    target: Annotated[bool, typer.Option("--target", help="Also ask the machine behind this computer's Docker.")] = False,
    probe: Annotated[bool, typer.Option("--probe", help="Also ask what runs. Only for an organization that is deployed.")] = False,
    restart: Annotated[
        int,
        typer.Option(
            "--restart-secret-store", min=0, max=3600, help="With --probe: restart it; does it open within SECONDS?", metavar="SECONDS"
        ),
    ] = 0,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for warnings too.")] = False,
) -> None:
    """Say which of the things that once went wrong could go wrong here, where, and what to do.

    Exit code 1 when a rule of severity block fails, 2 when it could not be looked at.
    """
    from blueprints.checks.registry import failed, run_checks
    from blueprints.checks.words import as_dict

    if restart and not probe:
        raise NeedsError("--restart-secret-store is part of --probe", hint="add --probe, where a restart of the secret store is no harm")
    try:
        subject = _subject(what, target=target, probe=probe, restart=restart)
    except (ApplyError, PreviewError) as error:  # it is no finding that something could not be read
        raise SetupError(error.message, hint=error.hint, where=error.where, transient=error.transient) from error
    outcomes = run_checks(subject)
    out.result(as_dict(subject.name, outcomes), "\n".join(_words(outcomes)))
    bad = failed(outcomes, *(("block", "warning") if strict else ("block",)))
    raise typer.Exit(FAILED if bad else DONE)


def _subject(what: Path, *, target: bool, probe: bool, restart: int) -> Subject:
    if not what.exists() and re.fullmatch("[a-z][a-z0-9-]*", str(what)):
        return _of_organization(str(what), target=target, probe=probe, restart=restart)
    if probe:
        raise NeedsError("a file is not deployed, so there is nothing to probe", hint="name an organization", where=str(what))
    subject = _of_folder(what) if what.is_dir() else _of_needs(what)
    if not target:
        return subject
    from provisioning.checks.target import target_of
    from provisioning.docker_door import docker_hands

    out.progress("asking the machine")
    return replace(subject, target=target_of(docker_hands(), subject))


def _of_organization(slug: str, *, target: bool, probe: bool, restart: int) -> Subject:
    from sprocket_v2.cli.deployments import organization

    org = organization(slug)
    from provisioning.checks.look import subject_of_organization, with_running, with_target

    subject = subject_of_organization(org)
    if target:
        subject = with_target(org, subject, out.progress)
    return with_running(org, subject, restart_s=restart, on_step=out.progress) if probe else subject


def _of_folder(folder: Path) -> Subject:
    from blueprints.checks.subjects import subject_of_folder, subject_of_rendering
    from blueprints.rendering import MANIFEST, read_bundle

    if (folder / MANIFEST).is_file():
        return subject_of_rendering(read_bundle(folder), str(folder))
    out.progress("no bundle: looking through its files, and its history where it has one")
    return subject_of_folder(folder)


def _of_needs(file: Path) -> Subject:
    from blueprints.catalog import load_catalog
    from blueprints.checks.subjects import subject_of_rendering, unused_inputs
    from blueprints.render import render
    from sprocket_v2.cli.files import resolve_file

    catalog = load_catalog()
    resolution = resolve_file(file, catalog)
    names = frozenset(component.name for component in resolution.components)
    unused = unused_inputs(catalog, names)
    return subject_of_rendering(render(resolution, catalog), str(file), needs=resolution.needs, unused_inputs=unused)


def _words(outcomes: Sequence[Outcome]) -> list[str]:
    from blueprints.checks.words import in_order, summary

    lines: list[str] = []
    for outcome in in_order(outcomes):
        rule = outcome.rule
        if outcome.state == "failed":
            lines += [f"{style(rule.severity, _COLOURS[rule.severity])}  {style(rule.id, 'bold')}  {rule.title}"]
            lines += [f"  {found.where}: {found.what}" for found in outcome.found]
            lines += [f"  do: {rule.todo}", ""]
        else:
            reason = f": {outcome.reason}" if outcome.reason else ""
            lines.append(
                f"{style(f'{outcome.state}{reason}', 'green' if outcome.state == 'passed' else 'dim')}  {rule.id} ({rule.severity}, {rule.kind})"
            )
    return [*lines, "", summary(outcomes)]
