"""What is there of an organization, from the Docker objects themselves: what a removal takes, what it leaves, and what no version has. Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from blueprints.layers import layers_of
from blueprints.rendering import Rendering
from provisioning.live import NONE_ADOPTED, Adopted, LiveReader, adopted_of

KEPT = frozenset({"volume"})
_ORDER = ("service", "network", "config", "secret", "volume")


@dataclass(frozen=True, slots=True)
class Item:
    """One object. An orphan carries the organization's label, and the version that is deployed does not have it."""

    kind: str
    name: str
    is_orphan: bool = False

    @property
    def words(self) -> str:
        """`service demo_web`."""
        return f"{self.kind} {self.name}"


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything under an organization's label, and what it took over.

    Attributes:
        goes: what a removal takes.
        stays: volumes, for their data, and whatever somebody else made.
    """

    goes: tuple[Item, ...]
    stays: tuple[Item, ...]

    @property
    def orphans(self) -> tuple[Item, ...]:
        """What no version has, of all of it."""
        return tuple(item for item in (*self.goes, *self.stays) if item.is_orphan)

    @property
    def digest(self) -> str:
        """Of what a removal takes and leaves: a yes to it is a yes to exactly that."""
        text = json.dumps([[astuple(item) for item in items] for items in (self.goes, self.stays)])
        return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def inventory_of(reader: LiveReader, slug: str, rendering: Rendering | None) -> Inventory:
    """Read what is there.

    Args:
        rendering: of what is deployed; None where no state knows, and then everything but data is an orphan.
    """
    adopted = adopted_of(rendering.files) if rendering else NONE_ADOPTED
    found = [("service", service.name) for service in reader.live_services(slug, adopted)]
    found += [(item.kind, item.name) for item in reader.live_objects(slug, adopted)]
    return sorted_out(found, known_in(rendering) if rendering else frozenset(), adopted)


def known_in(rendering: Rendering) -> frozenset[tuple[str, str]]:
    """(kind, Docker name) of everything a rendering has."""
    known: set[tuple[str, str]] = set()
    for layer in layers_of(rendering):
        stack = layer.stack
        known |= {("service", args.name) for args in stack.services.values()}
        for kind, parts in (("network", stack.networks), ("volume", stack.volumes), ("config", stack.configs), ("secret", stack.secrets)):
            known |= {(kind, part.name) for part in parts}
    return frozenset(known)


def sorted_out(found: Iterable[tuple[str, str]], known: frozenset[tuple[str, str]], adopted: Adopted) -> Inventory:
    """What goes and what stays, in the order of a removal."""
    everything = sorted(set(found), key=lambda item: (_ORDER.index(item[0]), item[1]))
    kept_data = KEPT if not known else frozenset()  # of what was destroyed: no version runs, and the data is what was to stay
    items = [
        (Item(kind, name, (kind, name) not in known and kind not in kept_data), kind in KEPT or (kind, name) in adopted)
        for kind, name in everything
    ]
    return Inventory(tuple(item for item, stays in items if not stays), tuple(item for item, stays in items if stays))


def wrong_after(before: Inventory, after: Inventory) -> tuple[str, ...]:
    """What a removal did not do as it should: something is still there, or something that was to stay is gone."""
    there = {(item.kind, item.name) for item in (*after.goes, *after.stays)}
    left = [f"{item.words} is still there" for item in after.goes]
    lost = [f"{item.words} was to stay and is gone" for item in before.stays if (item.kind, item.name) not in there]
    return (*left, *lost)


def counted(items: Sequence[Item]) -> str:
    """`9 services, 3 networks (1 of them no version has)`."""
    if not items:
        return "nothing"
    counts = Counter(item.kind for item in items)
    words = ", ".join(f"{count} {kind}{'' if count == 1 else 's'}" for kind in _ORDER if (count := counts[kind]))
    orphans = sum(item.is_orphan for item in items)
    return f"{words} ({orphans} of them no version has)" if orphans else words
