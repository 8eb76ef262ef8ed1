"""What may stand on a side of a comparison: a rendering, an imported estate, the reference league on a generation. Pure but for reading files."""

from __future__ import annotations

from collections.abc import Mapping

from blueprints.catalog import TEMPLATES, Catalog
from blueprints.estate.compare import About, Side
from blueprints.estate.from_bundle import estate_from_bundle
from blueprints.estate.ledger import Ledger
from blueprints.estate.model import Estate, Item, Origin
from blueprints.estate.routers import routes_of
from blueprints.render import render
from blueprints.rendering import Rendering
from blueprints.resolve import resolve
from blueprints.vault_files import read_vault
from orgs.needs_file import parse_needs
from sprocket_v2.errors import ResolveError

REFERENCES = ("demo.yaml", "legacy.yaml")
SQL = b"-- the reference's own starting data is not looked at\n"


def side_of_rendering(rendering: Rendering, name: str) -> Side:
    """A blueprint, with the reasons that it gives itself."""
    parts: list[Mapping[str, object]] = list(rendering.blueprint["components"])
    about = {str(p["name"]): About(str(p["role"] or p["name"]), str(p["title"]), _because(p)) for p in parts}
    estate = estate_from_bundle(rendering, name)
    paths = [
        Item("vault", path.path, Origin("bundle", name, f"{folder} {path.path}"))
        for entry in rendering.blueprint.get("stacks") or ()
        if (folder := str(entry.get("vault") or ""))
        for path in read_vault(folder, rendering.files).paths
    ]
    # Where routes stand in labels, the route matrix has none of them.
    routes = [] if estate.of("route") else [route for item in estate.of("service") for route in routes_of(item)]
    return Side(name, Estate((*estate.items, *paths, *routes), estate.sources), about)


def side_of_ledger(ledger: Ledger, name: str, catalog: Catalog) -> Side:
    """An imported estate: each row once, as what it was recognised."""
    items = []
    for row in ledger.rows:
        item = next((i for i in row.items if i.service or i.part), row.items[0])
        facts = {**item.facts, "component": row.recognition.component} if row.recognition.component else dict(item.facts)
        items.append(Item(item.kind, item.name, item.origin, item.layer, item.service, item.part, facts, is_leaving=row.is_leaving))
    about = {n: About(m.role, m.title) for n, m in catalog.components.items()}
    return Side(name, Estate(tuple(items), ledger_sources(ledger)), about)


def ledger_sources(ledger: Ledger) -> tuple[str, ...]:
    """The names of its sources."""
    return tuple(dict.fromkeys(line.source for line in ledger.sums))


def reference_side(profile: str, catalog: Catalog) -> Side:
    """The release's own example of a generation: the demo, or the reference league of the older layout.

    Raises:
        ResolveError: no example asks for this generation.
    """
    for file in REFERENCES:
        needs = parse_needs((TEMPLATES.parent / "orgs" / file).read_text(encoding="utf-8"), file)
        if needs.profile == profile:
            attachments = dict.fromkeys(needs.files, SQL)
            return side_of_rendering(render(resolve(needs, catalog, None, attachments), catalog), catalog.profiles[profile].title)
    raise ResolveError(f"no example of {profile!r} comes with the release", hint="compare needs files or blueprints", where=profile)


def _because(part: Mapping[str, object]) -> str:
    reasons = part.get("reasons")
    return "; ".join(map(str, reasons)) if isinstance(reasons, list) else ""
