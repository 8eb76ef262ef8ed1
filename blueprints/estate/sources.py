"""What kind of source a file is, and its estate. Pure; a live swarm is read in provisioning."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import BinaryIO

from blueprints.estate.compose_files import read_compose
from blueprints.estate.deployment import LIMITS, Limits
from blueprints.estate.exports import read_export
from blueprints.estate.gather import gather
from blueprints.estate.model import Estate
from sprocket_v2.errors import EstateError

MAX_SOURCES = 20


@dataclass(frozen=True, slots=True)
class Given:
    """A file somebody brings: what it is called, and its bytes."""

    name: str
    stream: BinaryIO


def read_sources(given: Sequence[Given], key: bytes, *, org: str = "", live: Sequence[Estate] = (), limits: Limits = LIMITS) -> Estate:
    """One estate of every source.

    Args:
        key: the organization's, under which values that look secret are withheld.
        live: estates that were read from running engines already.
    Raises:
        EstateError: nothing was given, too many, or a source as a whole cannot be read; `where` names it.
    """
    if not given and not live:
        raise EstateError("no source", hint="bring stack exports and Compose files, or name a live engine", where="sources")
    if len(given) > MAX_SOURCES:
        raise EstateError(
            f"{len(given)} files, the most at once is {MAX_SOURCES}", hint="one export for each stack is enough", where="sources"
        )
    names = _told_apart([file.name for file in given])
    estates = [_read(file.stream, name, key, org, limits) for file, name in zip(given, names, strict=True)]
    return gather([*estates, *live])


def _read(stream: BinaryIO, name: str, key: bytes, org: str, limits: Limits) -> Estate:
    """An export begins with a brace; what does not is a Compose file, which is never much larger than a page."""
    content = stream.read(4096)
    rest = _Joined(content, stream)
    if content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{":
        return read_export(rest, name, key, org=org, limits=limits)
    return read_compose(rest, name, key, limits=limits)


class _Joined(io.BytesIO):
    """Bytes that were read to look at them, then the rest of the stream."""

    def __init__(self, first: bytes, rest: BinaryIO) -> None:
        super().__init__(first)
        self._rest = rest

    def read(self, size: int | None = -1, /) -> bytes:
        """At most so many bytes; all of them for a negative number."""
        found = super().read(size)
        return found or self._rest.read(-1 if size is None else size)


def file_name_of(text: str) -> str:
    """A name as the ledger shows it: without folders, printable, short."""
    name = re.sub(r"[^\w.() -]", "_", text.replace("\\", "/").rpartition("/")[2]).strip() or "file"
    return name if len(name) <= 80 else name[:60] + "..." + name[-17:]


def _told_apart(names: Sequence[str]) -> list[str]:
    """Names that are all different: the second `stack.json` is `stack.json (2)`."""
    told: list[str] = []
    for name in map(file_name_of, names):
        number, one = 1, name
        while one in told:
            number += 1
            one = f"{name} ({number})"
        told.append(one)
    return told
