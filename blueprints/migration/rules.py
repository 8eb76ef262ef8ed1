"""Reads templates/legacy/migration.yaml: what becomes of each part by default, and what the cut-over knows about the generation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, cast, get_args

from blueprints.strict_yaml import load
from sprocket_v2.errors import CatalogError, RenderError

Fate = Literal["keep", "managed", "merge", "drop"]
FATES: tuple[Fate, ...] = get_args(Fate)
RULES = Path(__file__).resolve().parents[2] / "templates" / "legacy" / "migration.yaml"
_KEYS = frozenset("roles kinds secrets rotated suggests freeze workers entry open_keys costs".split())


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing that may become of a part: `into` names what does its work afterwards; `when` has to hold."""

    fate: Fate
    into: str
    why: str
    when: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rules:
    """All of the file.

    Attributes:
        roles, kinds: choices in the order in which they are tried.
        secrets: part of a legacy secret's name -> v2's secret of the same value; a longer part goes first.
        freeze, workers, entry: roles that stop first, after the drain, and when the entry ports change hands.
        open_keys: words -> pattern of Redis keys that must be gone.
        costs: monthly dollars of the estate's papers; `dated` is their month.
    """

    roles: Mapping[str, tuple[Choice, ...]]
    kinds: Mapping[str, tuple[Choice, ...]]
    secrets: Mapping[str, str]
    rotated: tuple[str, ...]
    suggests: Mapping[str, str]
    freeze: tuple[str, ...]
    workers: tuple[str, ...]
    entry: tuple[str, ...]
    open_keys: Mapping[str, str]
    costs: Mapping[str, Any]


@lru_cache(maxsize=4)
def read_rules(file: Path = RULES) -> Rules:
    """The rules of this release.

    Raises:
        CatalogError: the file is not what its comments say; `where` names it.
    """
    where = f"templates/legacy/{file.name}"
    try:
        data = load(file.read_text(encoding="utf-8"), where)
        unknown = sorted(set(data) ^ _KEYS)
        if unknown:
            raise ValueError(f"{unknown[0]} is missing or unknown")
        return Rules(
            roles={role: tuple(_choice(item) for item in choices) for role, choices in data["roles"].items()},
            kinds={kind: (_choice(item),) for kind, item in data["kinds"].items()},
            secrets=dict(sorted(data["secrets"].items(), key=lambda pair: (-len(pair[0]), pair[0]))),
            rotated=tuple(data["rotated"]),
            suggests=dict(data["suggests"]),
            freeze=tuple(data["freeze"]),
            workers=tuple(data["workers"]),
            entry=tuple(data["entry"]),
            open_keys=dict(data["open_keys"]),
            costs=dict(data["costs"]),
        )
    except (RenderError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogError(f"the migration's rules cannot be read: {error}", hint="see the comment at their head", where=where) from None


def _choice(item: Mapping[str, Any]) -> Choice:
    if item["fate"] not in FATES or set(item) - {"fate", "into", "why", "when"}:
        raise ValueError(f"{dict(item)} is no choice")
    return Choice(cast("Fate", item["fate"]), str(item.get("into", "")), str(item["why"]), dict(item.get("when") or {}))
