"""`render`, `explain`, `diff` on files: no database, no Docker; `explain` takes an organization too."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from blueprints.catalog import LOCAL, TEMPLATES, Catalog, load_catalog
from blueprints.context import added_environment
from blueprints.diff import Comparison, compare
from blueprints.diff_text import unified
from blueprints.diff_words import component_line, markdown, summarise
from blueprints.lock import Lock, read_lock
from blueprints.render import render
from blueprints.rendering import MANIFEST, Rendering, read_bundle, write_bundle
from blueprints.resolve import MAX_STARTING_DATA, Resolution, ResolvedComponent, questions_of, resolve
from blueprints.summary import size_data
from blueprints.trace import line_of, trace
from orgs.needs import Needs
from orgs.needs_file import MAX_BYTES, parse_needs
from sprocket_v2.cli.output import DONE, FAILED, out, style, table
from sprocket_v2.errors import NeedsError, ResolveError

if TYPE_CHECKING:
    from blueprints.estate.compare import Side

REFERENCE = "profile:"
NeedsFile = Annotated[Path, typer.Argument(help="A needs file, such as orgs/demo.yaml.", metavar="NEEDS")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("render")(render_command)
    app.command("explain")(explain_command)
    app.command("diff")(diff_command)


def read_needs(path: Path) -> Needs:
    """Needs from a file.

    Raises:
        NeedsError: the file is not there, too large, not text, or its content is wrong.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise NeedsError(
                f"{path.stat().st_size // 1024} KiB, the most is {MAX_BYTES // 1024} KiB",
                hint="needs are a page or two of answers; starting data belongs in a file of its own",
                where=str(path),
            )
        return parse_needs(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as error:
        reason = "not UTF-8 text" if isinstance(error, UnicodeDecodeError) else (error.strerror or str(error))
        raise NeedsError(f"cannot be read: {reason}", hint="name a needs file, such as orgs/demo.yaml", where=str(path)) from None


def _bundled_needs(profile: str) -> Path:
    """The needs file of this release that asks for a generation."""
    for name in ("demo.yaml", "legacy.yaml"):
        path = TEMPLATES.parent / "orgs" / name
        if profile and read_needs(path).profile == profile:
            return path
    raise NeedsError(
        f"no needs file is named, and none comes with the release for profile {profile!r}" if profile else "no needs file is named",
        hint="name one, such as orgs/demo.yaml; alone, `--profile legacy-22` renders the reference league's",
        where="NEEDS",
    )


def resolve_file(path: Path, catalog: Catalog, lock: Lock | None = None, *, profile: str = "") -> Resolution:
    """The resolution of a needs file; files it names are read from beside it. Without a lock, with the release's.

    Args:
        profile: of another generation than the file names.
    """
    needs = read_needs(path)
    if profile and profile != needs.profile:
        needs = parse_needs(json.dumps({**needs.model_dump(mode="json"), "profile": profile}), str(path))
    attachments = {name: read_beside(path, name) for name in needs.files if (path.parent / name).is_file()}
    return resolve(needs, catalog, lock or read_lock(TEMPLATES / "images.lock.yaml"), attachments)


def read_beside(needs_file: Path, name: str) -> bytes:
    """A file that a needs file names, as far as it can be taken: one byte more says that it is too large."""
    with (needs_file.parent / name).open("rb") as file:
        return file.read(MAX_STARTING_DATA + 1)


def render_command(
    to: Annotated[Path, typer.Option("--out", help="Folder for the bundle.", metavar="DIR")],
    needs: Annotated[Path | None, typer.Argument(help="A needs file, such as orgs/demo.yaml.", metavar="[NEEDS]")] = None,
    profile: Annotated[
        str, typer.Option("--profile", help="Another generation than the needs name; alone, with the bundled needs of it.")
    ] = "",
) -> None:
    """Render a needs file into a bundle folder."""
    catalog = load_catalog()
    resolution = resolve_file(needs or _bundled_needs(profile), catalog, profile=profile)
    rendering = render(resolution, catalog)
    write_bundle(rendering, to)
    lines = [f"{len(rendering.files)} files in {to}, {rendering.digest}"]
    lines += [f"{style(f'{f.severity}:', 'yellow')} {f.message} {f.hint}" for f in resolution.findings]
    data = {
        "out": str(to),
        "digest": rendering.digest,
        "files": sorted(rendering.files),
        "findings": [asdict(f) for f in resolution.findings],
    }
    out.result(data, "\n".join(lines))


def explain_command(
    needs: Annotated[Path, typer.Argument(help="A needs file, or an organization's slug.", metavar="NEEDS|ORG")],
    component: Annotated[
        str | None,
        typer.Argument(help="One component, or a line of a rendered file, such as stack.yml:42.", metavar="[COMPONENT|FILE:LINE]"),
    ] = None,
) -> None:
    """Say which need caused each component, where each input comes from, or what a rendered line comes from."""
    catalog = load_catalog()
    resolution = _resolution_of(needs, catalog)
    if component and re.search("[.:]", component):  # no component's name has these, every file's does
        _explain_line(resolution, catalog, component)
        return
    if component is None:
        rows = [
            (c.name, f"{c.memory_mib} MiB", "; ".join((*c.reasons, *_added_words(resolution, c))) + _along(c))
            for c in resolution.components
        ]
        total = sum(c.memory_mib for c in resolution.components)
        left = sorted(set(catalog.of(resolution.profile.name)) - {c.name for c in resolution.components})
        words = f"{table(rows, ('component', 'memory', 'because'))}\n\n{total} MiB in all. {resolution.size.words}" + (
            f" Not asked for: {', '.join(left)}." if left else ""
        )
        out.result(
            {
                "components": [_explained(resolution, c) for c in resolution.components],
                "memory_mib": total,
                "size": size_data(resolution),
                "left_out": left,
            },
            words,
        )
        return
    found = resolution.component(component)
    if found is None:
        raise ResolveError(_absent(component, catalog, resolution), hint="`sprocket explain NEEDS` lists what is in", where=str(needs))
    data = _explained(resolution, found)
    inputs: list[tuple[str, ...]] = [
        (i["name"], str(i["value"]) + (f" {i['unit']}" if i["unit"] else ""), i["from"], i["help"]) for i in data["inputs"]
    ]
    secrets = [(s["name"], s["kind"], s["why"]) for s in data["secrets"]]
    reasons = (*found.reasons, *_added_words(resolution, found))
    parts = [f"{style(found.manifest.title, 'bold')}: {found.manifest.summary}", *(f"  because {reason}" for reason in reasons)]
    parts += [*(f"  comes along with {answer}" for answer in found.through), ""]
    parts += [table(inputs, ("input", "value", "from", "what it is")), ""]
    parts += [table(secrets, ("secret", "kind", "why"))] if secrets else []
    out.result(data, "\n".join(parts))


def _resolution_of(needs: Path, catalog: Catalog) -> Resolution:
    """The resolution of a needs file; of an organization's newest needs where only a slug can be meant."""
    if needs.exists() or not re.fullmatch("[a-z][a-z0-9-]*", str(needs)):
        return resolve_file(needs, catalog)
    from sprocket_v2.cli.deployments import organization

    org = organization(str(needs))
    from blueprints.actions import resolve_newest

    return resolve_newest(org=org)


def _explain_line(resolution: Resolution, catalog: Catalog, place: str) -> None:
    path, _, number = place.partition(":")
    origin = line_of(trace(resolution, catalog, path), number, path)
    rows = [
        ("component", (origin.component or "the whole deployment") + (" (local)" if origin.local else "")),
        ("template", origin.place or "none, written from the answers"),
        ("called from", origin.called_from),
        ("because", "; ".join(origin.reasons)),
        ("needs", ", ".join(origin.needs)),
    ]
    words = [style(origin.text, "bold"), *(f"  {name:11}  {value}" for name, value in rows if value)]
    out.result({"file": path, **asdict(origin)}, "\n".join(words))


def _along(component: ResolvedComponent) -> str:
    """The answers that drag a component in which nobody asked for."""
    return f" (comes along with {'; '.join(component.through)})" if component.through else ""


def _origin_of(component: ResolvedComponent, name: str, is_answered: bool) -> str:
    """Where an input's value comes from."""
    if component.name == LOCAL:
        return "additions"
    return f"options.{component.name}.{name}" if is_answered else f"default in {component.manifest.path}/component.yaml"


def _added_words(resolution: Resolution, component: ResolvedComponent) -> tuple[str, ...]:
    """The environment values an organization adds to a component, in words."""
    added = added_environment(resolution, component)
    return tuple(f"{key} gets {', '.join(v['name'] for v in values)} (local)" for key, values in added.items())


def _absent(component: str, catalog: Catalog, resolution: Resolution) -> str:
    manifest = catalog.components.get(component)
    if manifest is None:
        return f"no component is called {component!r}"
    if component not in catalog.of(resolution.profile.name):
        return f"{component} is not of this generation; it is of profile {', '.join(manifest.profiles)}"
    if not manifest.wanted_when:
        return f"{component} is not in this deployment; it comes with what needs it"
    wanted = " or ".join(f"{w.need} = {str(w.value).lower()}" for w in manifest.wanted_when)
    return f"{component} is not in this deployment; it would be with {wanted}"


def _explained(resolution: Resolution, component: ResolvedComponent) -> dict[str, Any]:
    answers = resolution.needs.options.get(component.name, {})
    return {
        "name": component.name,
        "title": component.manifest.title,
        "summary": component.manifest.summary,
        "local": component.name == LOCAL,
        "local_environment": {key: [v["name"] for v in values] for key, values in added_environment(resolution, component).items()},
        "reasons": list(component.reasons),
        "through": list(component.through),
        "plays": list(component.plays),
        "memory_mib": component.memory_mib,
        "image": component.image.reference,
        "inputs": [
            {"name": q.name, "value": component.inputs.get(q.name, q.default), "unit": q.unit, "help": q.help,
             "from": _origin_of(component, q.name, q.name in answers)}
            for q in questions_of(component.manifest) if q.name in component.inputs
        ],
        "secrets": [
            {"name": name, "kind": s.kind, "why": s.manifest.why}
            for name, s in resolution.secrets.items() if any(key in {x.key for x in component.services} for key in s.consumers)
        ],
    }  # fmt: skip


def diff_command(
    old: Annotated[Path, typer.Argument(help="Needs file, bundle folder, or blueprint (ORG/NUMBER).", metavar="A")],
    new: Annotated[Path, typer.Argument(help="Needs file, bundle folder, or blueprint (ORG/NUMBER).", metavar="B")],
    as_markdown: Annotated[bool, typer.Option("--markdown", help="A message that fits Discord.")] = False,
    full: Annotated[bool, typer.Option("--files", help="Show the files' lines too.")] = False,
    estate: Annotated[bool, typer.Option("--estate", help="By what each part does, as for a town hall.")] = False,
) -> None:
    """Compare needs files, bundle folders or stored blueprints. Exit code 0 when they are the same, 1 when they differ."""
    catalog = load_catalog()
    if any(str(given).startswith(REFERENCE) for given in (old, new)) or estate:
        _diff_estates(old, new, catalog)
    (old_needs, before), (new_needs, after) = _side(old, catalog), _side(new, catalog)
    if len(before.stacks) > 1 or len(after.stacks) > 1:
        _diff_estates(old, new, catalog)
    comparison = compare(before, after, old_needs, new_needs, catalog.option_titles())
    show_comparison(comparison, as_markdown, full)
    raise typer.Exit(DONE if comparison.is_same else FAILED)


def _diff_estates(old: Path, new: Path, catalog: Catalog) -> NoReturn:
    """Compare by what each part does: services, routes, secrets, volumes, files."""
    from blueprints.estate.compare import compare_estates
    from blueprints.migration.rules import read_rules

    found = compare_estates(_estate_side(old, catalog), _estate_side(new, catalog), read_rules())
    rows = [(pair.title, " ".join(pair.before) or "-", " ".join(pair.after) or "-", pair.fate, pair.why) for pair in found.services]
    counts = [(kind.title, str(kind.before), str(kind.after)) for kind in found.kinds]
    words = [
        found.headline,
        "",
        table(counts, ("what", "before", "after")),
        "",
        table(rows, ("service", "before", "after", "what becomes of it", "why")),
    ]
    out.result({**asdict(found), "same": found.is_same, "headline": found.headline}, "\n".join(words))
    raise typer.Exit(DONE if found.is_same else FAILED)


def _estate_side(path: Path, catalog: Catalog) -> Side:
    from blueprints.estate.sides import reference_side, side_of_ledger, side_of_rendering

    if str(path).startswith(REFERENCE):
        return reference_side(str(path).removeprefix(REFERENCE), catalog)
    if not path.exists() and re.fullmatch("[a-z][a-z0-9-]*", str(path)):
        from sprocket_v2.cli.deployments import organization

        org = organization(str(path))
        from blueprints.estate_actions import ledger_of

        ledger = ledger_of(org)
        if ledger is None:
            raise ResolveError(f"{path} has imported nothing", hint=f"name a blueprint, such as {path}/1", where=str(path))
        return side_of_ledger(ledger, str(path), catalog)
    return side_of_rendering(_side(path, catalog)[1], str(path))


def _side(path: Path, catalog: Catalog) -> tuple[Needs | None, Rendering]:
    if path.is_dir() or path.name == MANIFEST:
        return None, read_bundle(path if path.is_dir() else path.parent)
    if not path.exists() and re.fullmatch("[a-z][a-z0-9-]*/[0-9]+", str(path)):
        return _stored(*str(path).split("/"))
    resolution = resolve_file(path, catalog)
    return resolution.needs, render(resolution, catalog)


def _stored(slug: str, number: str) -> tuple[Needs, Rendering]:
    """A stored blueprint's needs and files."""
    from sprocket_v2.cli.deployments import organization

    org = organization(slug)
    from blueprints.actions import blueprint_of, newest_blueprint, rendering_of_row
    from orgs.actions import needs_of

    row = blueprint_of(org, int(number))
    if row is None:
        newest = newest_blueprint(org)
        hint = f"the newest is {slug}/{newest.number}" if newest else f"`sprocket propose {slug}` makes the first"
        raise ResolveError(f"no blueprint {slug}/{number}", hint=hint, where=f"{slug}/{number}")
    return needs_of(row.needs_revision), rendering_of_row(row)


def show_comparison(comparison: Comparison, as_markdown: bool, full: bool) -> None:
    """Print a comparison: first screen in words, then components, then files."""
    summary = summarise(comparison)
    if as_markdown:
        out.result({"markdown": markdown(comparison)}, markdown(comparison))
        return
    lines = [
        f"What changes:  {summary.what}",
        f"Who notices:   {summary.who}",
        f"For how long:  {summary.how_long}",
        f"Undo:          {summary.undo}",
    ]
    if comparison.needs:
        lines += [
            "",
            style("Needs", "bold"),
            *(f"  {n.title}{_local(n.local)}: {n.old or 'none'} → {n.new or 'none'}" for n in comparison.needs),
        ]
    if comparison.components:
        lines += ["", style("Components", "bold"), *(f"  {component_line(c)}" for c in comparison.components)]
    shown = [f for f in comparison.files if not f.derived]
    derived = len(comparison.files) - len(shown)
    if comparison.files:
        lines += [
            "",
            style("Files", "bold"),
            *(f"  {f.path} ({f.change}{', with local lines' if f.local else ''})" for f in shown),
            f"  and {derived} derived files",
        ]
    if full:
        lines += ["", *(unified(f).rstrip("\n") for f in shown)]
    data = {**asdict(comparison), "summary": asdict(summary), "disruption": comparison.disruption, "same": comparison.is_same}
    data["needs"] = [{**asdict(n), "local": n.local} for n in comparison.needs] if comparison.needs is not None else None
    data["components"] = [{**asdict(c), "local": c.local} for c in comparison.components]
    data["files"] = [
        {"path": f.path, "local": f.local, "change": f.change, "derived": f.derived, "diff": unified(f) if full else ""}
        for f in comparison.files
    ]
    out.result(data, "\n".join(lines))


def _local(is_local: bool) -> str:
    return " (local)" if is_local else ""
