"""Several sources become one estate: what one source names only by its engine id is looked up in the others. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

from blueprints.compose import Mounted, ServiceArgs
from blueprints.estate.model import Estate, Item
from blueprints.estate.rules import remark

_ENGINE_ID = re.compile(r"\A[a-z0-9]{25}\Z|\A[0-9a-f]{64}\Z")


def gather(estates: Sequence[Estate]) -> Estate:
    """One estate of several, in their order. Sources of the same name have to be told apart before."""
    items = tuple(item for estate in estates for item in estate.items)
    names = {kind: {i.engine_id: i.name for i in items if i.kind == kind and i.engine_id} for kind in ("network", "config", "secret")}
    return Estate(
        tuple(_named(item, names) if item.service else item for item in items),
        tuple(source for estate in estates for source in estate.sources),
        {source: counts for estate in estates for source, counts in estate.rows_in_source.items()},
        tuple(item for estate in estates for item in estate.remarks),
        {source: counts for estate in estates for source, counts in estate.structure.items()},
        {source: counts for estate in estates for source, counts in estate.refused.items()},
    )


def _named(item: Item, names: Mapping[str, Mapping[str, str]]) -> Item:
    """A service with names where ids were; ids that nothing explains are remarked once each."""
    args = item.service
    if args is None:
        return item
    networks = tuple(replace(n, name=names["network"].get(n.name, n.name)) for n in args.networks)
    changed = replace(
        args,
        networks=tuple(sorted(networks, key=lambda attached: attached.name)),
        configs=_mounted(args.configs, names["config"]),
        secrets=_mounted(args.secrets, names["secret"]),
    )
    lost = _unexplained(changed)
    if not lost:
        return item if changed == args else replace(item, service=changed)
    where = str(item.origin)
    known = {note.message for note in item.remarks}
    notes = [remark("service.reference", f"{what} {name} is known by its engine id only", where) for what, name in lost]
    new = tuple(note for note in notes if note.message not in known)
    return replace(item, service=changed, completeness="partial", remarks=(*item.remarks, *new))


def _mounted(items: tuple[Mounted, ...], names: Mapping[str, str]) -> tuple[Mounted, ...]:
    return tuple(replace(item, name=names.get(item.name, item.name)) for item in items)


def _unexplained(args: ServiceArgs) -> list[tuple[str, str]]:
    found = (
        [("network", n.name) for n in args.networks]
        + [("config", c.name) for c in args.configs]
        + [("secret", s.name) for s in args.secrets]
    )
    return [(what, name) for what, name in found if _ENGINE_ID.match(name)]
