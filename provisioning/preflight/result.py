"""What a look before deploying found. Pure values; no secret value is ever in one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sprocket_v2.errors import PreviewError

State = Literal["pass", "note", "warn", "block"]
ORDER: tuple[State, ...] = ("block", "warn", "note", "pass")


@dataclass(frozen=True, slots=True)
class Result:
    """One thing that was looked at.

    Attributes:
        key: `database/rights`; the part before the slash is the kind.
        state: `block` keeps a deployment from being made; a `note` is only to be known.
        sentence: what was seen, one sentence.
        remedy: what to do; empty for a pass.
        field: the answer of the needs to change, `database.managed.host`; empty where none is.
    """

    key: str
    state: State
    sentence: str
    remedy: str = ""
    field: str = ""

    @property
    def anchor(self) -> str:
        """Id of the question in the needs form."""
        return "q-" + self.field.replace(".", "-").replace("_", "-")


@dataclass(frozen=True, slots=True)
class Preflight:
    """Everything that was looked at; the worst first inside a kind, kinds in the order they were looked at."""

    results: tuple[Result, ...]

    @property
    def blocks(self) -> tuple[Result, ...]:
        """What keeps a deployment from being made."""
        return tuple(result for result in self.results if result.state == "block")

    @property
    def words(self) -> str:
        """The outcome in one sentence."""
        count = {state: sum(result.state == state for result in self.results) for state in ORDER}
        if count["block"]:
            return f"{count['block']} of {len(self.results)} things keep it from being deployed."
        return f"Nothing keeps it from being deployed; {count['warn'] or 'no'} {'warning' if count['warn'] == 1 else 'warnings'}."

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of pages and commands."""
        return {"blocked": bool(self.blocks), "summary": self.words, "results": [asdict(result) for result in self.results]}


def gathered(results: Iterable[Result]) -> Preflight:
    """Results in the order people read them."""
    found = list(results)
    kinds = list(dict.fromkeys(result.key.partition("/")[0] for result in found))
    found.sort(key=lambda result: (kinds.index(result.key.partition("/")[0]), ORDER.index(result.state)))
    return Preflight(tuple(found))


def refuse_blocks(preflight: Preflight) -> None:
    """Raise PreviewError with what blocks, in the words of the preflight itself."""
    blocks = preflight.blocks
    if blocks:
        raise PreviewError(
            " ".join(result.sentence for result in blocks),
            hint=" ".join(result.remedy for result in blocks),
            where=", ".join(dict.fromkeys(result.field for result in blocks if result.field)) or "preflight",
        )


def without_values(text: str, values: Mapping[str, str]) -> str:
    """Somebody else's words on one line, at most 300 characters, with no secret value in them."""
    for name, value in values.items():
        text = text.replace(value, f"[{name}]") if value else text
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= 300 else line[:297] + "..."
