"""What an estate is made of: one item for each thing found in a source. Values only; reading is beside it. Pure.

Exports, Compose files, a live swarm, a bundle and the legacy catalogue all become this, so that recognising, checking, comparing and
planning a migration are written once. No item ever holds a secret's value: a reader replaces it by a `Withheld` reference first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from blueprints.compose import Part, ServiceArgs

Kind = Literal["service", "network", "volume", "config", "secret", "bucket", "database", "route", "vault", "external"]
Source = Literal["export", "compose", "live", "bundle", "catalogue"]
Severity = Literal["block", "warning", "info"]
KINDS: tuple[Kind, ...] = ("service", "network", "volume", "config", "secret", "bucket", "database", "route", "vault", "external")
LAYERS = ("layer_1", "layer_2", "platform")  # in the order in which they are applied
WITHHELD = "withheld:"  # stands for a value that looked secret: withheld:<16 hex of its keyed fingerprint>


@dataclass(frozen=True, slots=True)
class Origin:
    """Where an item was read: the source's kind, its name (a file, an address), and the place in it (URN, path:line, engine id)."""

    source: Source
    name: str
    address: str

    def __str__(self) -> str:
        return f"{self.name} {self.address}".strip()


@dataclass(frozen=True, slots=True)
class Remark:
    """Something a person should know about an item or a source: what rule, how bad, what, what to do, and where it is."""

    rule: str
    severity: Severity
    message: str
    hint: str
    where: str


@dataclass(frozen=True, slots=True)
class Item:
    """One thing of an estate.

    Attributes:
        name: as the engine knows it (a route: its router; a secret path: its path).
        layer: one of `LAYERS` where the source says so; empty where it does not.
        service: all that is known of a service.
        part: all that is known of a network, volume, config or secret.
        facts: plain data of the other kinds (a route: protocol, rule, hosts, entrypoints, port, tls, service), and what does not fit above.
        completeness: `full` (it can be made again from this), `partial` (parts are missing), `name` (only known to exist).
        engine_id: Docker's id where it was read live or stands in an export; empty otherwise.
        withheld: field -> why its value was taken out (`environment.TOKEN` -> "looks like a token").
        is_leaving: an export says that it waits for its deletion.
    """

    kind: Kind
    name: str
    origin: Origin
    layer: str = ""
    service: ServiceArgs | None = None
    part: Part | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    completeness: Literal["full", "partial", "name"] = "full"
    engine_id: str = ""
    withheld: Mapping[str, str] = field(default_factory=dict)
    is_leaving: bool = False
    remarks: tuple[Remark, ...] = ()


@dataclass(frozen=True, slots=True)
class Estate:
    """All that was read, in the order it was read.

    Attributes:
        sources: the sources' names.
        rows_in_source: what each source itself says it holds, by source and kind, counted before anything was interpreted.
        structure: what holds the rows of a source together and is none itself (component resources, providers, references), by source and type.
        refused: rows that could not be read, by source and kind; a remark says where each is.
        remarks: about a source as a whole.
    """

    items: tuple[Item, ...]
    sources: tuple[str, ...] = ()
    rows_in_source: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()
    structure: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    refused: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    def of(self, *kinds: Kind) -> tuple[Item, ...]:
        """The items of these kinds."""
        return tuple(item for item in self.items if item.kind in kinds)

    def find(self, kind: Kind, name: str) -> Item | None:
        """An item by kind and name, one that stays before one that is leaving."""
        found = [item for item in self.items if item.kind == kind and item.name == name]
        return min(found, key=lambda item: item.is_leaving, default=None)

    def all_remarks(self) -> Iterator[Remark]:
        """The sources' remarks, then the items'."""
        yield from self.remarks
        for item in self.items:
            yield from item.remarks
