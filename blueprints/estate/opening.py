"""Copies the properties of one resource of an export without any secret in them, and remembers where each was. Pure.

The engine marks secrets itself: as ciphertext, which stays unknown, or in plaintext, which is taken out. Beside that, whatever looks
secret is taken out as well.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from blueprints.estate.model import WITHHELD
from blueprints.estate.secrecy import scan_text, secret_words, why_secret, withheld

SIGNATURE = "4dabf18193072939515e22adb298388d"
_SECRET = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105 - the engine's mark of a secret, not one
UNKNOWN = WITHHELD + "unknown"  # stands for a value that is encrypted with a key that is not here
_INDEX = re.compile(r"\.\d+\Z")
_SKIPPED = frozenset({"__defaults", "__meta"})


@dataclass(frozen=True, slots=True)
class Exposed:
    """A value that stood in clear where it should not have.

    Attributes:
        path: within the resource.
        why: what it looks like.
        reference: what stands for it now.
        is_marked: the engine itself marks it as a secret, and it was exported in plaintext.
    """

    path: str
    why: str
    reference: str
    is_marked: bool


class TooDeepError(Exception):
    """A value nested deeper than the limit."""


class Opener:
    """Copies a resource's properties without any secret, and remembers where each was."""

    def __init__(self, key: bytes, depth: int, encoded: str) -> None:
        self._key, self._depth, self._encoded = key, depth, encoded
        self.sealed: list[str] = []
        self.exposed: list[Exposed] = []
        self.plaintext = 0
        self._is_marked = False

    def opened(self, value: Any, path: str, name: str = "", level: int = 0) -> Any:  # noqa: ANN401 - JSON
        """The value; what was secret in it is a reference."""
        if level > self._depth:
            raise TooDeepError
        if isinstance(value, dict):
            return self._mapping(value, path, name, level)
        if isinstance(value, list):
            return self._list(value, path, name, level)
        if isinstance(value, str) and not (level == 1 and name == self._encoded):
            return self._text(value, path, name)
        return value

    def _mapping(self, value: dict[str, Any], path: str, name: str, level: int) -> Any:  # noqa: ANN401 - JSON
        if SIGNATURE in value:
            return self._marked(value, path, name, level)
        if isinstance(value.get("label"), str) and isinstance(value.get("value"), str):  # labels are lists of pairs
            return {
                "label": value["label"],
                "value": self._text(value["value"], f"{_INDEX.sub('', path)}.{value['label']}", value["label"]),
            }
        return {key: self.opened(item, f"{path}.{key}", key, level + 1) for key, item in value.items() if key not in _SKIPPED}

    def _marked(self, value: dict[str, Any], path: str, name: str, level: int) -> Any:  # noqa: ANN401 - JSON
        if value[SIGNATURE] != _SECRET:  # an asset, an archive, a reference to a resource
            return None
        if not isinstance(value.get("plaintext"), str):
            self.sealed.append(path)
            return UNKNOWN
        self.plaintext += 1
        text = value["plaintext"]
        try:
            plain = json.loads(text)
        except (ValueError, RecursionError):
            plain = text
        if isinstance(plain, (dict, list)):
            before, outer, self._is_marked = len(self.exposed), self._is_marked, True
            opened = self.opened(plain, path, name, level + 1)
            self._is_marked = outer
            if len(self.exposed) > before:
                return opened
        reference = withheld(plain if isinstance(plain, str) else text, self._key)
        self.exposed.append(Exposed(path, "the engine's mark of a secret, in plaintext", reference, True))
        return UNKNOWN if isinstance(plain, (dict, list)) else reference

    def _list(self, value: list[Any], path: str, name: str, level: int) -> list[Any]:
        words = {} if any(not isinstance(item, str) for item in value) else secret_words(value)
        opened: list[Any] = []
        for index, item in enumerate(value):
            if index in words:
                opened.append(self._withheld(item, f"{path}.{index}", words[index]))
            else:
                opened.append(self.opened(item, f"{path}.{index}", name, level + 1))
        return opened

    def _text(self, value: str, path: str, name: str) -> str:
        why = why_secret(name, value)
        if not why and len(value) > 40:  # a file, a script or a document in a property
            inside = scan_text(value)
            why = f"holds a secret in its line {inside[0].line}: {inside[0].kind}" if inside else ""
        return self._withheld(value, path, why) if why else value

    def _withheld(self, value: str, path: str, why: str) -> str:
        reference = withheld(value, self._key)
        self.exposed.append(Exposed(path, why, reference, self._is_marked))
        return reference
