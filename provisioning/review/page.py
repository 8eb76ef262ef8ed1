"""What the plan's page shows of lines, steps and services, with the comments where they belong. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from blueprints.diff import FileChange
from blueprints.diff_text import Piece, Row, side_by_side

SIGNS = {"create": "+", "delete": "−", "update": "~", "replace": "±", "same": "=", "import": "<", "read": "?"}
_WHO = {"players": "players", "staff": "staff"}


class Comment(Protocol):
    """What is read of a comment's row."""

    @property
    def anchor(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file's change; `number` is 0 for a line that goes, `hidden` counts the equal lines a fold stands for."""

    kind: str
    number: int
    text: str
    comments: tuple[Comment, ...] = ()
    hidden: int = 0


def by_anchor(comments: Sequence[Comment]) -> dict[str, tuple[Comment, ...]]:
    """Comments by what they hang at, each place once."""
    found: dict[str, tuple[Comment, ...]] = {}
    for comment in comments:
        found[comment.anchor] = (*found.get(comment.anchor, ()), comment)
    return found


def lines_of(change: FileChange, comments: Mapping[str, tuple[Comment, ...]]) -> tuple[Line, ...]:
    """The changed lines of a file as one column, old ones before new ones."""
    return tuple(line for row in side_by_side(change) for line in _lines(row, change.path, comments))


def _lines(row: Row, path: str, comments: Mapping[str, tuple[Comment, ...]]) -> Iterator[Line]:
    if row.kind == "fold":
        yield Line("fold", 0, "", hidden=row.hidden)
        return
    if row.old_number and row.kind != "same":
        yield Line("minus", 0, _text(row.old))
    if row.new_number:
        yield Line("same" if row.kind == "same" else "plus", row.new_number, _text(row.new), comments.get(f"{path}:{row.new_number}", ()))


def _text(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


def steps_of(steps: Sequence[Mapping[str, Any]], comments: Mapping[str, tuple[Comment, ...]]) -> list[dict[str, Any]]:
    """The steps that do something, each with its sign and its comments; under its layer's heading, so without the layer in its name."""
    return [
        {
            **step,
            "layer": step.get("layer", ""),
            "name": step["resource"].removeprefix(f"{step.get('layer', '')}/"),
            "sign": SIGNS.get(step["op"], "?"),
            "comments": comments.get(step["resource"], ()),
        }
        for step in steps
        if step["op"] != "same"
    ]


def services_of(components: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One row for each service that changes: its class, the fields that cause it, who notices and for how long."""
    return [
        {
            "service": effect["service"],
            "title": component["title"],
            "disruption": "new"
            if component["change"] == "added"
            else "taken down"
            if component["change"] == "removed"
            else effect["disruption"],
            "class": effect["disruption"],
            "because": effect["because"],
            "who": _WHO.get(component["noticed_by"], "nobody") if effect["disruption"] not in ("none", "rolling update") else "nobody",
            "gap_s": component["gap_s"] if effect["disruption"] not in ("none", "rolling update") else 0,
        }
        for component in components
        for effect in component["services"]
    ]


def elsewhere(comments: Sequence[Comment], shown: Sequence[str]) -> list[Comment]:
    """Comments at places the page does not show, such as a line that did not change."""
    return [comment for comment in comments if comment.anchor not in shown]
