"""File changes as text: unified, and side by side with the changed words marked. Pure; on the standard library's difflib."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from dataclasses import dataclass

from blueprints.diff import FileChange

CONTEXT = 3
_WORDS = re.compile(r"\w+|\s+|.")


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a line; `marked` when it differs from the other side."""

    text: str
    marked: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the side-by-side view; `kind` is same, changed, removed, added or fold. A fold hides `hidden` equal lines."""

    kind: str
    old_number: int
    old: tuple[Piece, ...]
    new_number: int
    new: tuple[Piece, ...]
    hidden: int = 0


def unified(change: FileChange) -> str:
    """A unified diff as `diff -u` writes it."""
    old, new = change.old.splitlines(), change.new.splitlines()
    names = (
        "/dev/null" if change.change == "added" else f"a/{change.path}",
        "/dev/null" if change.change == "removed" else f"b/{change.path}",
    )
    lines = list(difflib.unified_diff(old, new, *names, n=CONTEXT, lineterm=""))
    return "\n".join(lines) + "\n" if lines else ""


def side_by_side(change: FileChange) -> tuple[Row, ...]:
    """Rows for two columns; equal stretches longer than the context are folded."""
    old, new = change.old.splitlines(), change.new.splitlines()
    groups = difflib.SequenceMatcher(None, old, new, autojunk=False).get_grouped_opcodes(CONTEXT)
    rows: list[Row] = []
    at = 0
    for group in groups:
        if group[0][1] > at:
            rows.append(Row("fold", 0, (), 0, (), group[0][1] - at))
        for tag, i1, i2, j1, j2 in group:
            rows.extend(_rows(tag, old[i1:i2], new[j1:j2], i1, j1))
        at = group[-1][2]
    if rows and at < len(old):
        rows.append(Row("fold", 0, (), 0, (), len(old) - at))
    return tuple(rows)


def _rows(tag: str, old: list[str], new: list[str], i: int, j: int) -> Iterator[Row]:
    for index in range(max(len(old), len(new))):
        left = old[index] if index < len(old) else None
        right = new[index] if index < len(new) else None
        numbers = (i + index + 1 if left is not None else 0, j + index + 1 if right is not None else 0)
        if tag == "equal":
            yield Row("same", numbers[0], (Piece(left or "", False),), numbers[1], (Piece(right or "", False),))
        elif left is not None and right is not None:
            before, after = _marked(left, right)
            yield Row("changed", numbers[0], before, numbers[1], after)
        elif left is not None:
            yield Row("removed", numbers[0], (Piece(left, True),), 0, ())
        else:
            yield Row("added", 0, (), numbers[1], (Piece(right or "", True),))


def _marked(old: str, new: str) -> tuple[tuple[Piece, ...], tuple[Piece, ...]]:
    a, b = _WORDS.findall(old), _WORDS.findall(new)
    before, after = [], []
    for tag, i1, i2, j1, j2 in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        marked = tag != "equal"
        if i2 > i1:
            before.append(Piece("".join(a[i1:i2]), marked))
        if j2 > j1:
            after.append(Piece("".join(b[j1:j2]), marked))
    return tuple(before), tuple(after)
