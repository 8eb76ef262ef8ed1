"""The ledger: every part of an estate is one row, with what it is, where it was found, and what is decided about it. Pure.

The same thing found in several sources is one row with several origins. Two items are the same thing when they are of one kind, of two
different sources, and
1. have the same engine id, or
2. have the same name (a route: protocol, router and the service it leads to), or
3. have the same name without Pulumi's random suffix and the swarm stack's prefix, each source has exactly one such item, and none of
   them waits for its deletion.
Two items of one source are never one row.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from blueprints.estate.model import Estate, Item, Kind, Origin, Remark
from blueprints.estate.recognise import Recognition, bare_name, recognise
from blueprints.migration.model import Row as MigrationRow
from blueprints.migration.rules import FATES, Choice, Fate, Rules, read_rules
from orgs.grammar import shown
from sprocket_v2.errors import EstateError

MIB = 1024 * 1024
QUARANTINE = frozenset({"secret.plaintext", "secret.in-clear", "secret.in-config"})
_ORDER = {"full": 0, "partial": 1, "name": 2}


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about a row."""

    fate: Fate
    reason: str
    owner: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row.

    Attributes:
        key: kind and name without random parts: the row's name in addresses, and what decisions hang on over imports.
        items: what was found, one for each source.
        default: what becomes of it where nobody decides; none for a row that nobody recognised.
    """

    key: str
    items: tuple[Item, ...]
    recognition: Recognition
    default: Choice | None = None
    decision: Decision | None = None

    @property
    def kind(self) -> Kind:
        """Of the thing."""
        return self.items[0].kind

    @property
    def name(self) -> str:
        """As the engine knows it: what runs goes before what a file says."""
        return min(self.items, key=lambda item: item.origin.source != "live").name

    @property
    def layer(self) -> str:
        """Where some source says it."""
        return next((item.layer for item in self.items if item.layer), "")

    @property
    def origins(self) -> tuple[Origin, ...]:
        """Where it was found."""
        return tuple(item.origin for item in self.items)

    @property
    def completeness(self) -> Literal["full", "partial", "name"]:
        """Of the source that knows most."""
        return min((item.completeness for item in self.items), key=_ORDER.__getitem__)

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """Of all its items."""
        return tuple(remark for item in self.items for remark in item.remarks)

    @property
    def is_leaving(self) -> bool:
        """Every source says that it waits for its deletion."""
        return all(item.is_leaving for item in self.items)

    @property
    def value_unknown(self) -> bool:
        """An adopted secret, or a config, whose value no source gave."""
        return self.kind in ("secret", "config") and not any("text" in item.facts for item in self.items)

    @property
    def fate(self) -> Fate | Literal["undecided"]:
        """The decision, or the default; undecided for what nobody recognised."""
        if self.decision:
            return self.decision.fate
        return self.default.fate if self.default else "undecided"

    @property
    def reason(self) -> str:
        """Why."""
        return self.decision.reason if self.decision else self.default.why if self.default else ""

    @property
    def owner(self) -> str:
        """Who answers for the decision."""
        return self.decision.owner if self.decision else ""


@dataclass(frozen=True, slots=True)
class Sum:
    """What one source says it holds of one kind, and where that went. `missing` is 0, or the ledger is wrong."""

    source: str
    kind: str
    in_source: int
    in_rows: int = 0
    structure: int = 0
    refused: int = 0

    @property
    def missing(self) -> int:
        """What went nowhere (more than 0) or came from nowhere (less)."""
        return self.in_source - self.in_rows - self.structure - self.refused


@dataclass(frozen=True, slots=True)
class Ledger:
    """All rows, in the order of the estate, and what belongs to no row."""

    rows: tuple[Row, ...]
    sums: tuple[Sum, ...] = ()
    remarks: tuple[Remark, ...] = ()
    structure: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def merged(self) -> int:
        """Items that are further origins of a row."""
        return sum(len(row.items) - 1 for row in self.rows)

    @property
    def undecided(self) -> tuple[Row, ...]:
        """Rows that block a migration."""
        return tuple(row for row in self.rows if row.fate == "undecided")

    @property
    def is_balanced(self) -> bool:
        """Rows in the sources = rows of the ledger + merged + structure + refused."""
        return not any(line.missing for line in self.sums)

    @property
    def values_unknown(self) -> tuple[Row, ...]:
        """Adopted secrets and configs without a value."""
        return tuple(row for row in self.rows if row.value_unknown and not row.is_leaving)

    def quarantine(self) -> tuple[tuple[str, Remark], ...]:
        """Every secret that stood in clear: the row's key where it is in one, and what to rotate."""
        found = [(row.key, remark) for row in self.rows for remark in row.remarks if remark.rule in QUARANTINE]
        return (*found, *(("", remark) for remark in self.remarks if remark.rule in QUARANTINE))

    def row(self, key: str) -> Row:
        """A row by its key.

        Raises:
            EstateError: there is none.
        """
        found = next((row for row in self.rows if row.key == key), None)
        if found is None:
            raise EstateError(f"no row {shown(key)}", hint="`sprocket ledger ORG` lists their keys, such as service/vault", where="ledger")
        return found


def make_ledger(estate: Estate, decisions: Mapping[str, Decision] | None = None, rules: Rules | None = None) -> Ledger:
    """The ledger of an estate.

    Args:
        decisions: by the rows' keys; those of rows that are not there any more are left out.
        rules: what becomes of each part by default.
    """
    rules = rules or read_rules()
    recognised = recognise(estate)
    groups = same_things(estate.items)
    keys = _keys([[estate.items[i] for i in group] for group in groups])
    rows = tuple(
        _row(key, tuple(estate.items[i] for i in group), _best([recognised[i] for i in group]), (decisions or {}).get(key), rules)
        for key, group in zip(keys, groups, strict=True)
    )
    return Ledger(rows, tuple(_sums(estate, rows)), estate.remarks, estate.structure)


def _row(key: str, items: tuple[Item, ...], recognition: Recognition, decision: Decision | None, rules: Rules) -> Row:
    default = default_choice(rules, items[0].kind, recognition.role) if recognition.role else None
    return Row(key, items, recognition, default, decision)


def _best(found: Sequence[Recognition]) -> Recognition:
    order = {"certain": 0, "likely": 1, "guess": 2, "": 3}
    return min(found, key=lambda recognition: order[recognition.confidence])


def default_choice(rules: Rules, kind: Kind, role: str) -> Choice | None:
    """What becomes of a recognised part where nobody decides and v2's needs are not settled yet.

    A part that v2 can have too is kept: it runs, so its league uses it. What has a better place in v2 goes there.
    """
    choices = rules.roles.get(role, ()) if kind == "service" else rules.kinds.get(kind, ())
    fallback = next((choice for choice in choices if not choice.when), None)
    for choice in choices:
        can_be_kept = set(choice.when) == {"deployed"} and fallback is not None and fallback.fate == "drop"
        if not choice.when or can_be_kept or (role in rules.suggests and set(choice.when) == {f"features.{rules.suggests[role]}"}):
            return choice
    return fallback


def same_things(items: Sequence[Item]) -> list[list[int]]:
    """Indices of items, together where they are the same thing, in the order of their first."""
    groups = {index: [index] for index in range(len(items))}
    of = list(range(len(items)))

    def join(wanted: Iterable[tuple[Hashable, int]]) -> None:
        seen: dict[Hashable, int] = {}
        for name, index in wanted:
            first = seen.setdefault(name, index)
            one, other = of[first], of[index]
            sources = {items[i].origin.name for i in groups[one]} & {items[i].origin.name for i in groups[other]}
            if one != other and not sources:
                low, high = min(one, other), max(one, other)
                groups[low] += groups.pop(high)
                for i in groups[low]:
                    of[i] = low

    join(((item.kind, item.engine_id), i) for i, item in enumerate(items) if item.engine_id)
    join((_identity(item, item.name), i) for i, item in enumerate(items))
    single = Counter((item.origin.name, _identity(item, bare_name(item))) for item in items if not item.is_leaving)
    join(
        (_identity(item, bare_name(item)), i)
        for i, item in enumerate(items)
        if not item.is_leaving and single[item.origin.name, _identity(item, bare_name(item))] == 1
    )
    return [sorted(groups[low]) for low in sorted(groups)]


def _identity(item: Item, name: str) -> tuple[str, ...]:
    if item.kind == "route":
        return ("route", str(item.facts.get("protocol", "http")), item.name, _short(str(item.facts.get("service", ""))))
    return (item.kind, name)


def _short(service: str) -> str:
    """A service's name without Pulumi's suffix: a route leads to the same service whatever its suffix is."""
    head, _, tail = service.rpartition("-")
    return head if len(tail) == 7 and head and all(sign in "0123456789abcdef" for sign in tail) else service


def _keys(groups: Sequence[Sequence[Item]]) -> list[str]:
    """A key for each row, from its first item: the short name where only one row of it stays, else the whole one; a number where even
    those are equal."""
    short = [_key(items[0], bare_name(items[0])) for items in groups]
    leaving = [all(item.is_leaving for item in items) for items in groups]
    staying = Counter(name for name, is_leaving in zip(short, leaving, strict=True) if not is_leaving)
    all_of = Counter(short)
    keys: list[str] = []
    used: Counter[str] = Counter()
    for items, name, is_leaving in zip(groups, short, leaving, strict=True):
        is_only = all_of[name] == 1 or (staying[name] == 1 and not is_leaving)
        key = name if is_only else _key(items[0], items[0].name)
        used[key] += 1
        keys.append(key if used[key] == 1 else f"{key}#{used[key]}")
    return keys


def _key(item: Item, name: str) -> str:
    if item.kind == "route":
        return f"route/{item.facts.get('protocol', 'http')}/{item.name}"
    return f"{item.kind}/{name}"


def _sums(estate: Estate, rows: Sequence[Row]) -> Iterator[Sum]:
    placed = Counter((item.origin.name, item.kind) for row in rows for item in row.items)
    for source in estate.sources:
        counted, refused = estate.rows_in_source.get(source, {}), estate.refused.get(source, {})
        kinds = {*counted, *refused, *(kind for name, kind in placed if name == source)}
        for kind in sorted(kinds):
            structure = sum(estate.structure.get(source, {}).values()) if kind == "structure" else 0
            in_rows = placed[source, kind]  # type: ignore[index]  # structure is no kind of an item, and counts 0
            yield Sum(source, kind, counted.get(kind, 0), in_rows, structure, refused.get(kind, 0))


def migration_rows(ledger: Ledger) -> tuple[MigrationRow, ...]:
    """What the migration's plan has to know of each row that stays."""
    return tuple(_migration_row(row) for row in ledger.rows if not row.is_leaving)


def _migration_row(row: Row) -> MigrationRow:
    args = next((item.service for item in row.items if item.service), None)
    hosts = tuple(str(host) for item in row.items for host in item.facts.get("hosts", ())) if row.kind == "route" else ()
    return MigrationRow(
        kind=row.kind,
        name=row.name,
        role=row.recognition.role,
        decision=row.decision.fate if row.decision else "",
        reason=row.decision.reason if row.decision else "",
        owner=row.owner,
        memory_mib=args.memory_bytes // MIB if args else 0,
        replicas=args.replicas if args else 1,
        value_unknown=row.value_unknown,
        hosts=tuple(dict.fromkeys(hosts)),
    )


def checked_decision(fate: str, reason: str, owner: str) -> Decision:
    """A decision that can be taken.

    Raises:
        EstateError: no such fate, or no reason or owner.
    """
    if fate not in FATES:
        raise EstateError(f"{shown(fate)} is no decision", hint=f"one of {', '.join(FATES)}", where="decision")
    for name, value in (("reason", reason), ("owner", owner)):
        if not value.strip():
            raise EstateError(f"the {name} is missing", hint="say why, and who answers for it: in a year somebody asks", where=name)
    return Decision(fate, reason.strip()[:300], owner.strip()[:80])
