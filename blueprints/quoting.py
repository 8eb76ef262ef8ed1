"""How a value enters a file of each kind. A value that went through none of these filters is refused. Pure.

`Quoted` marks a text as "already written for this file". Joining, adding or formatting one gives plain text again, which is
refused: a mark cannot be passed on.
"""

from __future__ import annotations

import html
import json
import re
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from sprocket_v2.errors import RenderError

_WORD = re.compile(r"\A[A-Za-z0-9._:/@+%-]{0,300}\Z")
_UNSAFE_IN_YAML = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>|#&~])")


class Quoted(str):
    """A text as its file takes it."""

    __slots__ = ()


class Emitted(threading.local):
    """The values written since the last `take`, in order: render.py looks for them in what it parses back."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def take(self) -> list[Any]:
        """The values so far; the list starts anew."""
        values, self.values = self.values, []
        return values


emitted = Emitted()
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def quote_json(value: object) -> Quoted:
    """Text, number, true/false, or a list or dictionary of such, as JSON, which is valid YAML 1.2 on one line."""
    emitted.values.append(value)
    return _json_text(value) if type(value) is str else Quoted(_json(value))


def quote_compose(value: object) -> Quoted:
    """As `quote_json`, with `$` doubled: Compose would take it for a variable."""
    if type(value) is str:  # most values are, so they take the short way
        text = value.replace("$", "$$") if "$" in value else value
        emitted.values.append(text)
        return _json_text(text)
    written = _json(value)
    if "$" in written:
        return quote_json(_doubled(value))
    emitted.values.append(value)
    return Quoted(written)


@lru_cache(maxsize=4096)  # the same few names and settings stand in most files
def _json_text(text: str) -> Quoted:
    written = _encode(text)
    return Quoted(_UNSAFE_IN_YAML.sub(lambda match: f"\\u{ord(match[0]):04x}", written))


def _json(value: object) -> str:
    if type(value) is str:
        return _json_text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join([_json(item) for item in value])}]"
    if isinstance(value, dict):
        return f"{{{', '.join([f'{_key(key)}: {_json(item)}' for key, item in value.items()])}}}"
    return _encode(value)


def _key(key: object) -> str:
    if type(key) is not str:
        raise TypeError(f"key {key!r} is not text")
    return _json_text(key)


def _doubled(value: object) -> object:
    if isinstance(value, str):
        return value.replace("$", "$$")
    if isinstance(value, (list, tuple)):
        return [_doubled(item) for item in value]
    if isinstance(value, dict):
        return {key: _doubled(item) for key, item in value.items()}
    return value


def word(value: object) -> Quoted:
    """One word that needs no quotes anywhere: letters, digits and . _ : / @ + % -.

    Raises:
        RenderError: anything else.
    """
    return _plain_word(str(value), isinstance(value, bool))


@lru_cache(maxsize=4096)  # the runbook names the same few things again and again
def _plain_word(text: str, is_yes_no: bool) -> Quoted:
    if is_yes_no or not _WORD.match(text):
        raise RenderError(f"{text[:60]!r} is not a plain word", hint="use this file kind's quoting filter, or check it in the manifest")
    return Quoted(text)


def text_markdown(value: object) -> Quoted:
    """One line of text in Markdown, with everything that means something escaped."""
    if not str(value).isprintable():
        raise RenderError(f"{str(value)[:60]!r} is not one printable line")
    return Quoted(_MARKDOWN.sub(r"\\\1", str(value)))


def text_html(value: object) -> Quoted:
    """Text in HTML."""
    return Quoted(html.escape(str(value)))


def quote_shell(value: object) -> Quoted:
    """One word of a POSIX shell, in single quotes."""
    text = str(value)
    if not text.isprintable():
        raise RenderError(f"{text[:60]!r} is not one printable line")
    return Quoted("'" + text.replace("'", "'\\''") + "'")


Filter = Callable[[object], Quoted]
# File kind -> filters its templates may use. No `word` where text can become a number or a yes.
FILTERS: dict[str, dict[str, Filter]] = {
    "compose": {"q": quote_compose},
    "data": {"q": quote_json},
    "toml": {"q": quote_json},  # its basic strings, numbers and arrays are JSON's
    "markdown": {"text": text_markdown, "word": word},
    "html": {"text": text_html, "word": word},
    "shell": {"q": quote_shell, "word": word},
    "plain": {"word": word},
}


def kind_of(path: str) -> str:
    """The file kind of a rendered path, by its ending."""
    ending = path.rsplit(".", 1)[-1]
    kinds = {"yml": "data", "yaml": "data", "json": "data", "md": "markdown", "html": "html", "sh": "shell", "toml": "toml"}
    return kinds.get(ending, "plain")


def refuse_bare(value: object) -> Quoted:
    """The template engine's last word on every `{{ }}`: only texts made by a filter may pass.

    Raises:
        RenderError: a bare value.
    """
    if type(value) is Quoted:
        return value
    raise RenderError(f"a template prints {str(value)[:60]!r} bare", hint="write {{ value | q }}, or this file kind's own filter")
