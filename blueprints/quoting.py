"""How a value enters a file of each kind. A value that went through none of these filters is refused. Pure.

`Markup` is used as the mark "already written for this file": the template engine joins such texts without touching them.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any

from markupsafe import Markup

from sprocket_v2.errors import RenderError

_WORD = re.compile(r"\A[A-Za-z0-9._:/@+%-]{0,300}\Z")
_UNSAFE_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#&~])")


class Emitted(threading.local):
    """The values written since the last `take`, in order: render.py looks for them in what it parses back."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def take(self) -> list[Any]:
        """The values so far; the list starts anew."""
        values, self.values = self.values, []
        return values


emitted = Emitted()
_encode = json.JSONEncoder(ensure_ascii=False).encode


def quote_json(value: object) -> Markup:
    """Text, number, true/false, or a list or dictionary of such, as JSON, which is valid YAML 1.2 on one line."""
    emitted.values.append(value)
    text = _encode(value)
    return Markup(_UNSAFE_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", text))  # noqa: S704 - it is quoted


def quote_compose(value: object) -> Markup:
    """As `quote_json`, with `$` doubled: Compose would take it for a variable."""
    return quote_json(_doubled(value))


def _doubled(value: object) -> object:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, (list, tuple)):
        return [_doubled(item) for item in value]
    if isinstance(value, dict):
        return {key: _doubled(item) for key, item in value.items()}
    return value


def word(value: object) -> Markup:
    """One word that needs no quotes anywhere: letters, digits and . _ : / @ + % -.

    Raises:
        RenderError: anything else.
    """
    text = str(value)
    if isinstance(value, bool) or not _WORD.match(text):
        raise RenderError(f"{text[:60]!r} is not a plain word", hint="use this file kind's quoting filter, or check it in the manifest")
    return Markup(text)  # noqa: S704 - it is a word


def text_markdown(value: object) -> Markup:
    """One line of text in Markdown, with everything that means something escaped."""
    if not str(value).isprintable():
        raise RenderError(f"{str(value)[:60]!r} is not one printable line")
    return Markup(_MARKDOWN.sub(r"\\\1", str(value)))  # noqa: S704 - it is escaped


def text_html(value: object) -> Markup:
    """Text in HTML."""
    return Markup.escape(str(value))


def quote_shell(value: object) -> Markup:
    """One word of a POSIX shell, in single quotes."""
    text = str(value)
    if not text.isprintable():
        raise RenderError(f"{text[:60]!r} is not one printable line")
    return Markup("'" + text.replace("'", "'\\''") + "'")  # noqa: S704 - it is quoted


Filter = Callable[[object], Markup]
# File kind -> filters its templates may use. `word` is in all of them.
FILTERS: dict[str, dict[str, Filter]] = {
    "compose": {"q": quote_compose},
    "data": {"q": quote_json},
    "markdown": {"text": text_markdown},
    "html": {"text": text_html},
    "shell": {"q": quote_shell},
    "plain": {},
}


def kind_of(path: str) -> str:
    """The file kind of a rendered path, by its ending."""
    ending = path.rsplit(".", 1)[-1]
    kinds = {"yml": "data", "yaml": "data", "json": "data", "md": "markdown", "html": "html", "sh": "shell"}
    return kinds.get(ending, "plain")


def refuse_bare(value: object) -> object:
    """The template engine's last word on every `{{ }}`: only texts made by a filter may pass.

    Raises:
        RenderError: a bare value.
    """
    if isinstance(value, Markup):
        return value
    raise RenderError(f"a template prints {str(value)[:60]!r} bare", hint="write {{ value | q }}, or this file kind's own filter")
