"""Marks that a tracing pass leaves in a rendered text, invisible and taken out again. Pure.

A mark stands between two characters of Unicode's private use area, which no answer can hold: answers are printable. There are
four: a place (`template:line` and the names printed there), the beginning and the end of a block, and a loop's item.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_OPEN, _CLOSE = "\ue000", "\ue001"
_MARK = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")
LEAVE = f"{_OPEN}<{_CLOSE}"


@dataclass(frozen=True, slots=True)
class Mark:
    """One mark, and the text behind it up to the next mark.

    Attributes:
        kind: `place`, `enter`, `leave` or `item`; the text before the first mark has kind `none`.
        template, line: of a place; relative to the templates' folder, lines from 1.
        names: of a place or block: dotted names its expression mentions, `inputs` and `inputs.memory_mib`; of an item: its own.
    """

    kind: str
    text: str
    template: str = ""
    line: int = 0
    names: tuple[str, ...] = ()


def place(template: str, line: int, names: Iterable[str] = ()) -> str:
    """What follows was printed by this line of a template."""
    return f"{_OPEN}={template}:{line}:{','.join(names)}{_CLOSE}"


def enter(names: Iterable[str]) -> str:
    """A block begins, up to its `LEAVE`, that is there because of these names."""
    return f"{_OPEN}>{','.join(names)}{_CLOSE}"


def item(value: object) -> str:
    """The block just entered is about this item of a loop; what it says about its owner is kept."""
    names: list[object] = []
    if isinstance(value, dict):
        labels = value.get("labels") or {}
        names = [labels.get("sprocket.component"), labels.get("sprocket.resource"), value.get("service"), value.get("name")]
    return f"{_OPEN}@{','.join(name for name in names if isinstance(name, str))}{_CLOSE}"


def unmarked(text: str) -> str:
    """The text as it would be without tracing."""
    return _MARK.sub("", text)


def marks_of(text: str) -> Iterator[Mark]:
    """A marked text in pieces, in order; joined, their texts are the unmarked text."""
    pieces = _MARK.split(text)
    yield Mark("none", pieces[0])
    for inner, following in zip(pieces[1::2], pieces[2::2], strict=True):
        kind, rest = inner[0], inner[1:]
        if kind == "=":
            template, line, names = rest.split(":", 2)
            yield Mark("place", following, template, int(line), _names(names))
        else:
            yield Mark({">": "enter", "<": "leave", "@": "item"}[kind], following, names=_names(rest))


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split(",")) if text else ()
