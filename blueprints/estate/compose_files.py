"""People's Compose files as an estate: services, networks, volumes, configs and secrets, each with file and line. Pure.

The file is read with ruamel.yaml (ADR 0010), as hostile input (ADR 0023). What cannot be taken over is a remark at its line; what a
service needs and the file does not say (a variable, an env_file, an image) leaves it partial.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, BinaryIO, Literal

from blueprints.compose import Part
from blueprints.estate.compose_services import ServiceReader, Source, line_of
from blueprints.estate.compose_yaml import Document, read_document
from blueprints.estate.deployment import LIMITS, MIB, Limits, read_text
from blueprints.estate.model import Estate, Item, Kind, Origin, Remark
from blueprints.estate.reading import Reading
from blueprints.estate.routers import routes_of
from blueprints.estate.rules import capped, remark
from blueprints.estate.secrecy import scan_text
from orgs.grammar import shown
from sprocket_v2.errors import EstateError

MAX_COMPOSE = MIB // 2
_SECTIONS: tuple[tuple[str, Kind], ...] = (
    ("services", "service"), ("networks", "network"), ("volumes", "volume"), ("configs", "config"), ("secrets", "secret"),
)  # fmt: skip
_TOP = frozenset({"version", "name", "include", *(section for section, _ in _SECTIONS)})


def read_compose(source: BinaryIO | bytes, name: str, key: bytes, *, layer: str = "", limits: Limits = LIMITS) -> Estate:
    """An estate out of one Compose file.

    Args:
        source: the file's bytes, or the open file.
        name: what the source is called in the ledger and in errors.
        key: the organization's, under which values that look secret are withheld.
        layer: of its items, where somebody knows it.
    Raises:
        EstateError: the source as a whole cannot be read. Nothing else makes it fail.
    """
    text = read_text(source, name, replace(limits, size=min(limits.size, MAX_COMPOSE)))
    document = read_document(text, name)
    if not any(isinstance(document.data.get(section), dict) for section, _ in _SECTIONS):
        raise EstateError("no Compose file: it has no services", hint="bring a docker-compose.yml, or a stack's file", where=name)
    file = _File(document, name, key, layer)
    file.read(limits.rows)
    _remark_loose_secrets(text, file)
    return Estate(
        tuple(file.items), (name,), {name: dict(file.counted)}, capped(file.remarks, name), {name: dict(file.structure)}, {name: dict(file.refused)}
    )  # fmt: skip


@dataclass(slots=True)
class _File:
    """A file while it is read."""

    document: Document
    name: str
    key: bytes
    layer: str
    items: list[Item] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    counted: Counter[str] = field(default_factory=Counter)
    structure: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    reported: set[int] = field(default_factory=set)

    def read(self, most: int) -> None:
        """Every section, row by row."""
        self.remarks += [remark(rule, message, f"{self.name}:{line}") for rule, message, line in self.document.notes]
        data = self.document.data
        for word in data:
            if word.startswith("x-"):
                self.structure[word] += 1
                self.counted["structure"] += 1
            elif word not in _TOP:
                self.note("compose.unread", f"key {shown(word)} is not known", (word,))
        if data.get("include"):
            self.note("compose.include", "it includes other files, which are not here", ("include",))
        for section, kind in _SECTIONS:
            rows = data.get(section)
            if rows is not None and not isinstance(rows, dict):
                self.note("compose.refused", f"{section} is no mapping", (section,))
                continue
            for word, row in (rows or {}).items():
                self.counted[kind] += 1
                if sum(self.counted.values()) > most:
                    raise EstateError(
                        f"more than {most} rows, which is the most that is read", hint="bring the files one by one", where=self.name
                    )
                self._row(section, kind, word, row)

    def note(self, rule: str, message: str, path: tuple[str, ...]) -> None:
        """A remark about the file."""
        self.remarks.append(remark(rule, message, self.where(path)))

    def source(self) -> Source:
        """What a service's reader has to know of the file."""
        return Source(self.name, self.layer, self.key, self.document, self.reported)

    def where(self, path: tuple[str, ...]) -> str:
        """File and line of a path, or of what is around it."""
        return f"{self.name}:{line_of(self.document.lines, path)}"

    def _row(self, section: str, kind: Kind, word: str, row: Any) -> None:  # noqa: ANN401 - YAML
        path = (section, word)
        problem = ""
        if row is None and kind != "service":
            row = {}
        if not isinstance(row, dict):
            problem = "says nothing" if row is None else "is no mapping"
        elif kind == "service" and row.get("extends"):
            self.refused[kind] += 1
            self.note("compose.extends", f"service {shown(word)} extends another, which is not followed", (*path, "extends"))
            return
        if problem:
            self.refused[kind] += 1
            self.note("compose.refused", f"{kind} {shown(word)} {problem}", path)
            return
        origin = Origin("compose", self.name, self.where(path).removeprefix(self.name).lstrip(":"))
        if kind != "service":
            self.items.append(self._part(kind, word, row, origin))
            return
        item = ServiceReader(self.source(), word, row, origin).item()
        routes = routes_of(item)
        self.counted["route"] += len(routes)
        self.items += [item, *routes]

    def _part(self, kind: Kind, word: str, row: Mapping[str, Any], origin: Origin) -> Item:
        reading = Reading()
        given_name = row.get("name")
        external = row.get("external")
        if isinstance(external, dict):  # the older form names it there
            given_name = given_name or external.get("name")
        pools = reading.items(reading.mapping(row.get("ipam"), "ipam").get("config"), "ipam.config")
        part = Part(
            key=word,
            name=given_name if isinstance(given_name, str) and given_name else word,
            labels=reading.texts(row.get("labels"), "labels"),
            internal=row.get("internal") is True,
            file=reading.text(row.get("file"), "file"),
            subnet=reading.text(reading.mapping(pools[0], "ipam").get("subnet"), "ipam") if pools else "",
            external=bool(external),
            driver_options=reading.texts(row.get("driver_opts"), "driver_opts"),
            attachable=row.get("attachable") is True,
            withheld=kind == "secret" or (kind == "config" and bool(external)),
        )
        facts: dict[str, Any] = {"key": word}
        content = row.get("content")
        is_whole = kind in ("network", "volume")
        if kind == "config" and isinstance(content, str) and not scan_text(content):
            facts["text"], is_whole = content, True
        completeness: Literal["full", "partial", "name"] = "name" if external else "full" if is_whole else "partial"
        notes = tuple(
            remark("compose.unread", f"not as it should be, left out: {word}", f"{self.name}:{origin.address}") for word in reading.wrong
        )
        return Item(kind, part.name, origin, self.layer, part=part, facts=facts, completeness=completeness, remarks=notes)


def _remark_loose_secrets(text: str, file: _File) -> None:
    """Secrets that stand somewhere else than in a service's own fields: build arguments, extensions, comments."""
    for hit in scan_text(text):
        if hit.line not in file.reported:
            what = f"{hit.name}: {hit.kind}" if hit.name else hit.kind
            file.remarks.append(remark("secret.in-clear", what, f"{file.name}:{hit.line}"))
