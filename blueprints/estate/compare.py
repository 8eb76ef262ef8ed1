"""Two estates side by side, in a town hall's words: services by what they do, routes, secrets, volumes, files; why each stays or goes. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from blueprints.estate.model import Estate, Item, Kind
from blueprints.migration.rules import Rules

Fate = Literal["same", "changed", "replaced", "merged", "gone", "new"]
KINDS: tuple[tuple[Kind, str], ...] = (
    ("service", "Services"), ("network", "Networks"), ("volume", "Volumes"), ("route", "Routes"), ("secret", "Secrets"),
    ("vault", "Secret paths"), ("config", "Configuration files"),
)  # fmt: skip
_FIELDS: tuple[tuple[str, str], ...] = (
    ("image", "image"), ("replicas", "copies"), ("memory_bytes", "memory limit"), ("ports", "published ports"), ("networks", "networks"),
    ("endpoint_mode", "kind of address"), ("healthcheck", "health check"), ("mounts", "volumes and paths"), ("environment", "environment"),
    ("constraints", "where it may run"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a component beside its specification: what it does, its title, and why it is there."""

    role: str
    title: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Side:
    """One side: its name, what it consists of, and what is known of its components."""

    name: str
    estate: Estate
    about: Mapping[str, About] = field(default_factory=dict)

    def role_of(self, item: Item) -> str:
        """What an item's component does; the component's own name where nobody says."""
        component = str(item.facts.get("component") or "")
        known = self.about.get(component)
        return known.role if known else component.removeprefix("legacy-") or item.name

    def title_of(self, item: Item) -> str:
        """The component's title, else its name."""
        known = self.about.get(str(item.facts.get("component") or ""))
        return known.title if known else item.name


@dataclass(frozen=True, slots=True)
class Pair:
    """What does one thing on both sides: names before and after, what becomes of it, which fields differ, and why."""

    role: str
    title: str
    before: tuple[str, ...]
    after: tuple[str, ...]
    fate: Fate
    fields: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True, slots=True)
class Counted:
    """How many things of a kind there are before and after, and which are only on one side."""

    kind: str
    title: str
    before: int
    after: int
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class EstateComparison:
    """Two sides compared.

    Attributes:
        in_detail: names of what differs in its content alone: a file's text, a job, a setting that is not listed by itself.
    """

    before: str
    after: str
    services: tuple[Pair, ...]
    kinds: tuple[Counted, ...]
    in_detail: tuple[str, ...] = ()

    @property
    def is_same(self) -> bool:
        """Nothing differs."""
        counted = any(kind.only_before or kind.only_after for kind in self.kinds)
        return not counted and not self.in_detail and all(pair.fate == "same" for pair in self.services)

    @property
    def headline(self) -> str:
        """The first sentence."""
        services = self.kinds[0]
        if self.is_same:
            return f"{self.before} and {self.after} are the same."
        return (
            f"{services.before} services become {services.after}."
            if services.before != services.after
            else f"{services.before} services stay."
        )


def compare_estates(before: Side, after: Side, rules: Rules) -> EstateComparison:
    """Compare two sides.

    Args:
        rules: what becomes of a legacy role, for the reasons of those that go or are taken over by something else.
    """
    return EstateComparison(
        before.name, after.name, tuple(_services(before, after, rules)), tuple(_kinds(before, after)), _in_detail(before, after)
    )


def _in_detail(before: Side, after: Side) -> tuple[str, ...]:
    """What is on both sides under one name and is not the same in full."""
    old, new = _contents(before), _contents(after)
    return tuple(f"{kind} {name}" for kind, name in old if (kind, name) in new and old[kind, name] != new[kind, name])


def _contents(side: Side) -> dict[tuple[str, str], object]:
    items = [item for item in side.estate.of("service", "config", "network", "volume") if not item.is_leaving]
    return {
        (item.kind, item.part.key if item.kind == "config" and item.part else item.name): (item.service, item.facts.get("text"))
        for item in items
    }


def _services(before: Side, after: Side, rules: Rules) -> Iterator[Pair]:
    old, new = _by_role(before), _by_role(after)
    for role in dict.fromkeys((*old, *new)):
        was, now = old.get(role, []), new.get(role, [])
        title = (before if was else after).title_of((was or now)[0])
        names, others = tuple(i.name for i in was), tuple(i.name for i in now)
        if was and now:
            fields = _differing(was, now)
            fate: Fate = "same" if names == others and not fields else "changed" if names == others else "replaced"
            yield Pair(role, title, names, others, fate, fields, _stays(was[0], rules) or _why(after, now))
        elif now:
            yield Pair(role, title, (), others, "new", (), _why(after, now))
        else:
            fate, why = _gone(_legacy_role(was[0]), set(new), rules)
            yield Pair(role, title, names, (), fate, (), why)


def _by_role(side: Side) -> dict[str, list[Item]]:
    found: dict[str, list[Item]] = {}
    for item in side.estate.of("service"):
        if not item.is_leaving and item.facts.get("stage") not in ("jobs", "restore"):
            found.setdefault(side.role_of(item), []).append(item)
    return found


def _legacy_role(item: Item) -> str:
    return str(item.facts.get("component") or item.name).removeprefix("legacy-")


def _stays(was: Item, rules: Rules) -> str:
    """Why a part of the legacy layout is still needed, in a town hall's words; empty for every other part."""
    if not str(was.facts.get("component")).startswith("legacy-"):
        return ""
    return next((choice.why for choice in rules.roles.get(_legacy_role(was), ()) if choice.fate == "keep"), "")


def _gone(role: str, there: set[str], rules: Rules) -> tuple[Fate, str]:
    """What became of a part that has no counterpart: the first of its choices that does not keep it as it is."""
    choices = [c for c in rules.roles.get(role, ()) if c.fate != "keep" and ("deployed" not in c.when or c.when["deployed"] in there)]
    chosen = next((c for c in choices if not c.when), choices[0] if choices else None)
    if chosen is None:
        return "gone", "The other side has nothing that does this."
    return ("merged" if chosen.fate in ("merge", "managed") else "gone"), chosen.why + (
        f" Its work is done by {chosen.into}." if chosen.into else ""
    )


def _why(side: Side, items: list[Item]) -> str:
    known = side.about.get(str(items[0].facts.get("component") or ""))
    return known.why if known else ""


def _differing(was: list[Item], now: list[Item]) -> tuple[str, ...]:
    """Names of the fields that differ, where both sides are one service whose specification is known."""
    one, other = was[0].service, now[0].service
    if len(was) != len(now):
        return ("number of services",)
    if one is None or other is None:
        return ()
    return tuple(words for name, words in _FIELDS if getattr(one, name) != getattr(other, name))


def _kinds(before: Side, after: Side) -> Iterator[Counted]:
    for kind, title in KINDS:
        old, new = _names(before, kind), _names(after, kind)
        left = tuple(name for key, name in old.items() if key not in new)
        right = tuple(name for key, name in new.items() if key not in old)
        yield Counted(kind, title, len(old), len(new), left, right)


def _names(side: Side, kind: Kind) -> dict[str, str]:
    """Key -> name of a kind's items: a config or secret by what it is for, since its Docker name tells its version."""
    keys: Mapping[Kind, Callable[[Item], str]] = {
        "config": lambda item: str(item.part.key if item.part else item.name),
        "secret": lambda item: str(item.facts.get("secret") or (item.part.key if item.part else "") or item.name),
        "route": lambda item: f"{item.name} {' '.join(map(str, item.facts.get('hosts', ())))}",
    }
    items = [item for item in side.estate.of(kind) if not item.is_leaving]
    if kind == "service":
        items = [item for item in items if item.facts.get("stage") not in ("jobs", "restore")]
    key_of = keys.get(kind, _name_of)
    return {key_of(item): item.name for item in items}


def _name_of(item: Item) -> str:
    return item.name
