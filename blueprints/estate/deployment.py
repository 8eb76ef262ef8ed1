"""Reads the JSON of `pulumi stack export`, one resource at a time, and takes every secret out on the way. What a resource means is
exports.py. Pure.

The file is hostile input (ADR 0023): size, depth and number are limited, what is not JSON is refused with its place, and of a resource
that cannot be read only its place remains.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from blueprints.estate.opening import Exposed, Opener, TooDeepError
from orgs.grammar import shown
from sprocket_v2.errors import EstateError

MIB = 1024 * 1024
_VERSION = 3
MAX_URN = 600
_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()
# Bytes of a file that Docker mounts; scanned when they are decoded, where they are known to be a file.
_ENCODED = {"docker:index/serviceConfig:ServiceConfig": "data", "docker:index/secret:Secret": "data"}


@dataclass(frozen=True, slots=True)
class Limits:
    """How much of a source is read at all.

    Attributes:
        size: bytes of the file.
        depth: levels of nesting within a resource.
        rows: resources of a deployment, services of a Compose file.
    """

    size: int = 64 * MIB
    depth: int = 40
    rows: int = 20_000


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class Resource:
    """One resource of a deployment, without any secret in it; an encrypted value is `UNKNOWN`.

    Attributes:
        is_custom: a provider made it; it is no component.
        is_leaving: it waits for its deletion.
        dependencies: every entry that names another resource, one for each place it is written in.
        sealed: where encrypted values stand.
        plaintext: how many values the engine marks as secret and that stand in plaintext all the same.
    """

    urn: str
    type: str
    id: str = ""
    is_custom: bool = False
    is_leaving: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict)
    outputs: Mapping[str, Any] = field(default_factory=dict)
    parent: str = ""
    provider: str = ""
    dependencies: tuple[str, ...] = ()
    sealed: tuple[str, ...] = ()
    exposed: tuple[Exposed, ...] = ()
    plaintext: int = 0

    @property
    def stack(self) -> str:
        """The Pulumi stack in the URN."""
        return self.urn.split("::")[0].removeprefix("urn:pulumi:")

    @property
    def project(self) -> str:
        """The Pulumi project in the URN."""
        return _part(self.urn, 1)

    @property
    def name(self) -> str:
        """The name the program gave it."""
        return _part(self.urn, 3)


def _part(urn: str, index: int) -> str:
    parts = urn.split("::", 3)
    return parts[index] if len(parts) > index else ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A row of the deployment that is no resource: its address in the file and what is wrong with it."""

    address: str
    problem: str
    type: str = ""


@dataclass(frozen=True, slots=True)
class PendingOperation:
    """What the engine was doing when it was cut off."""

    operation: str
    urn: str


Row = Resource | Unreadable | PendingOperation


def read_text(source: BinaryIO | bytes, name: str, limits: Limits = LIMITS) -> str:
    """The whole of a source as text, never more of it than the limit.

    Raises:
        EstateError: larger than the limit, or not UTF-8.
    """
    stream = io.BytesIO(source) if isinstance(source, bytes) else source
    parts, size = [], 0
    while piece := stream.read(min(MIB, limits.size + 1 - size)):
        parts.append(piece)
        size += len(piece)
        if size > limits.size:
            raise EstateError(
                f"larger than {limits.size // MIB} MiB, which is the most that is read",
                hint="export each stack for itself; a whole estate's exports are a few MiB",
                where=name,
            )
    try:
        return b"".join(parts).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EstateError(f"not UTF-8 text at byte {error.start}", hint="bring the file as the engine wrote it", where=name) from None


def read_deployment(text: str, name: str, key: bytes, limits: Limits = LIMITS) -> Iterator[Row]:
    """The rows of an export, one at a time; nothing of the file is kept.

    Args:
        name: what errors call the source.
        key: under which values are withheld.
    Raises:
        EstateError: not JSON, no export, another version, or more rows than are read.
    """
    try:
        yield from _Reader(text, name, key, limits).rows()
    except json.JSONDecodeError as error:
        place = len(text[: error.pos].encode(errors="surrogatepass"))
        is_end = error.pos >= len(text.rstrip()) or "Unterminated" in error.msg
        problem = f"ends in the middle, at byte {place}" if is_end else f"not JSON at byte {place}: {error.msg}"
        raise EstateError(problem, hint="export the stack again; the file is not whole", where=name) from None
    except RecursionError:
        raise EstateError("nested too deeply to be an export", hint=f"at most {limits.depth} levels", where=name) from None
    except ValueError as error:
        raise EstateError(f"not JSON: {str(error)[:80]}", hint="bring the file as the engine wrote it", where=name) from None


class _Reader:
    """Walks the outer objects by hand, so that only one resource at a time becomes Python objects."""

    def __init__(self, text: str, name: str, key: bytes, limits: Limits) -> None:
        self._text, self._name, self._key, self._limits = text, name, key, limits

    def rows(self) -> Iterator[Row]:
        version: Any = None
        has_deployment = False
        at = self._open(0, "{", "an export is a JSON object")
        while True:
            name, at = self._member(at)
            if not name:
                break
            if name == "deployment":
                if version is not None:
                    self._check_version(version)
                has_deployment = True
                at = yield from self._deployment(at)
            else:
                value, at = _DECODER.raw_decode(self._text, at)
                version = value if name == "version" else version
        if self._skip(at) < len(self._text):
            raise json.JSONDecodeError("something follows the export", self._text, self._skip(at))
        if not has_deployment:
            raise EstateError(
                "no Pulumi stack export: `deployment` is missing", hint="make it with `pulumi stack export`", where=self._name
            )
        self._check_version(version)

    def _check_version(self, version: object) -> None:
        if version != _VERSION or isinstance(version, bool):
            raise EstateError(
                f"an export of version {shown(str(version))}; version {_VERSION} is read",
                hint="export the stack again with a Pulumi CLI of version 3",
                where=self._name,
            )

    def _deployment(self, at: int) -> Generator[Row, None, int]:
        at = self._open(at, "{", "`deployment` has to be an object")
        while True:
            name, at = self._member(at)
            if not name:
                return at
            if name == "resources" and self._text[at : at + 1] == "[":
                at = yield from self._resources(at)
            elif name == "pending_operations":
                value, at = _DECODER.raw_decode(self._text, at)
                yield from _pending(value)
            else:
                _, at = _DECODER.raw_decode(self._text, at)

    def _resources(self, at: int) -> Generator[Row, None, int]:
        at = self._open(at, "[", "`resources` has to be a list")
        number = 0
        while True:
            at = self._skip(at)
            if number == 0 and self._text[at : at + 1] == "]":
                return at + 1
            value, at = _DECODER.raw_decode(self._text, at)
            yield self._resource(value, number)
            number += 1
            if number > self._limits.rows:
                raise EstateError(
                    f"more than {self._limits.rows} resources, which is the most that is read",
                    hint="bring the exports one by one",
                    where=self._name,
                )
            sign, at = self._sign(at, ",]")
            if sign == "]":
                return at

    def _open(self, at: int, sign: str, problem: str) -> int:
        at = self._skip(at)
        if at < len(self._text) and self._text[at] != sign:
            raise EstateError(f"no Pulumi stack export: {problem}", hint="make it with `pulumi stack export`", where=self._name)
        return self._sign(at, sign)[1]

    def _skip(self, at: int) -> int:
        found = _SPACE.match(self._text, at)
        return found.end() if found else at

    def _sign(self, at: int, signs: str) -> tuple[str, int]:
        at = self._skip(at)
        found = self._text[at : at + 1]
        if not found or found not in signs:
            raise json.JSONDecodeError(f"expected one of {' '.join(signs)}", self._text, at)
        return found, at + 1

    def _member(self, at: int) -> tuple[str, int]:
        """The next key of an object and where its value begins; at the end of the object no key, and what comes behind."""
        at = self._skip(at)
        if self._text[at : at + 1] == ",":
            at = self._skip(at + 1)
        elif self._text[at : at + 1] == "}":
            return "", at + 1
        name, at = _DECODER.raw_decode(self._text, at)
        if not isinstance(name, str):
            raise json.JSONDecodeError("a key has to be text", self._text, at)
        at = self._sign(at, ":")[1]
        return name or "(empty)", self._skip(at)

    def _resource(self, raw: Any, number: int) -> Row:  # noqa: ANN401 - JSON
        address = f"resources[{number}]"
        if not isinstance(raw, dict):
            return Unreadable(address, "no resource")
        urn, kind = raw.get("urn"), raw.get("type")
        if not isinstance(urn, str) or not isinstance(kind, str) or not urn.startswith("urn:pulumi:") or urn.count("::") < 3:
            return Unreadable(address, "it has no URN or no type", kind if isinstance(kind, str) else "")
        if len(urn) > MAX_URN or len(kind) > MAX_URN or not (urn + kind).isprintable():
            return Unreadable(address, "its URN is no address", kind)
        opener = Opener(self._key, self._limits.depth, _ENCODED.get(kind, ""))
        try:
            inputs, outputs = opener.opened(raw.get("inputs"), "inputs"), opener.opened(raw.get("outputs"), "outputs")
        except TooDeepError:
            return Unreadable(f"{address} {shown(urn)}", f"nested more than {self._limits.depth} levels deep", kind)
        return Resource(
            urn=urn,
            type=kind,
            id=_text(raw.get("id")),
            is_custom=raw.get("custom") is True,
            is_leaving=raw.get("delete") is True,
            inputs=inputs if isinstance(inputs, dict) else {},
            outputs=outputs if isinstance(outputs, dict) else {},
            parent=_text(raw.get("parent")),
            provider=_text(raw.get("provider")),
            dependencies=tuple(_dependencies(raw)),
            sealed=tuple(opener.sealed),
            exposed=tuple(opener.exposed),
            plaintext=opener.plaintext,
        )


def _text(value: Any) -> str:  # noqa: ANN401 - JSON
    return value if isinstance(value, str) else ""


def _dependencies(raw: Mapping[str, Any]) -> Iterator[str]:
    """Every entry that names another resource: one for each place it is written in."""
    listed = raw.get("dependencies")
    yield from (item for item in listed if isinstance(item, str)) if isinstance(listed, list) else ()
    by_property = raw.get("propertyDependencies")
    for items in by_property.values() if isinstance(by_property, dict) else ():
        yield from (item for item in items if isinstance(item, str)) if isinstance(items, list) else ()
    for name in ("deletedWith", "viewOf"):
        if isinstance(raw.get(name), str) and raw[name]:
            yield raw[name]


def _pending(value: Any) -> Iterator[Row]:  # noqa: ANN401 - JSON
    for number, item in enumerate(value if isinstance(value, list) else ()):
        resource = item.get("resource") if isinstance(item, dict) else None
        if isinstance(resource, dict) and isinstance(resource.get("urn"), str):
            yield PendingOperation(_text(item.get("type")) or "an operation", resource["urn"])
        else:
            yield PendingOperation("an operation", f"pending_operations[{number}]")
