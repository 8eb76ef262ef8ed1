"""YAML of people's Compose files as plain data with lines: anchors are followed within a budget, everything strange is noted. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from orgs.grammar import shown
from sprocket_v2.errors import EstateError

MAX_DEPTH = 24
MAX_NODES = 100_000  # after anchors are followed: a few lines of YAML can stand for billions
_MERGE = "tag:yaml.org,2002:merge"
_KNOWN = "tag:yaml.org,2002:"
Lines = Mapping[tuple[str, ...], int]


@dataclass(slots=True)
class Document:
    """One document.

    Attributes:
        data: plain data; a key is always text.
        lines: path of keys -> line.
        notes: (rule, message, line) of what was strange.
    """

    data: dict[str, Any] = field(default_factory=dict)
    lines: dict[tuple[str, ...], int] = field(default_factory=dict)
    notes: list[tuple[str, str, int]] = field(default_factory=list)


def read_document(text: str, name: str) -> Document:
    """The document of a file.

    Raises:
        EstateError: not YAML, several documents, or more of it than is read.
    """
    document = Document()
    try:
        _look_first(text, name, document)
        root = YAML(typ="safe", pure=True).compose(text)
        if not isinstance(root, MappingNode):
            raise EstateError("no Compose file: it is no mapping", hint="bring a docker-compose.yml, or a stack's file", where=name)
        document.data = _Builder(document, name).mapping(root, ())
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise EstateError(
            f"not YAML: {error.problem}", hint="check indentation, quotes and colons on this line", where=f"{name}:{line}"
        ) from None
    except (YAMLError, ValueError) as error:
        raise EstateError(f"not YAML: {type(error).__name__}", hint="save it as UTF-8 text", where=name) from None
    except RecursionError:
        raise EstateError("nested too deeply", hint=f"at most {MAX_DEPTH} levels", where=name) from None
    return document


def _look_first(text: str, name: str, document: Document) -> None:
    """Depth and documents, while it is still a flat stream; anchors that are followed later are noted once each."""
    depth = documents = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            document.notes.append(("compose.anchor", f"{shown('*' + event.anchor)} stands for what is written elsewhere", line))
        documents += isinstance(event, DocumentStartEvent)
        if documents > 1:
            raise EstateError("a second document begins", hint="bring each document as a file of its own", where=f"{name}:{line}")
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise EstateError("nested too deeply", hint=f"at most {MAX_DEPTH} levels", where=f"{name}:{line}")


class _Builder:
    """Plain data out of nodes, counted while anchors are followed."""

    def __init__(self, document: Document, name: str) -> None:
        self._document, self._name, self._left = document, name, MAX_NODES

    def mapping(self, node: MappingNode, path: tuple[str, ...]) -> dict[str, Any]:
        """A mapping; what is merged in (`<<`) goes behind what is written."""
        own: dict[str, Any] = {}
        merged: dict[str, Any] = {}
        self._document.lines.setdefault(path, node.start_mark.line + 1)
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self._document.notes.append(("compose.refused", "a key is not a word, left out", line))
            elif key.tag == _MERGE:
                for source in value.value if isinstance(value, SequenceNode) else [value]:
                    if isinstance(source, MappingNode):
                        merged = {**self._counted(source, path, self.mapping), **merged}
            elif key.value in own:
                self._document.notes.append(("compose.refused", f"key {shown(key.value)} is given twice, the first counts", line))
            else:
                self._document.lines[(*path, key.value)] = line
                own[key.value] = self.plain(value, (*path, key.value))
        return {**merged, **own}

    def plain(self, node: Node, path: tuple[str, ...]) -> Any:  # noqa: ANN401 - YAML
        """Any node."""
        if isinstance(node, MappingNode):
            return self._counted(node, path, self.mapping)
        if isinstance(node, SequenceNode):
            return self._counted(node, path, self._sequence)
        return self._counted(node, path, self._scalar)

    def _counted(self, node: Any, path: tuple[str, ...], build: Any) -> Any:  # noqa: ANN401 - one of the three builders
        self._left -= 1
        if self._left < 0 or len(path) > MAX_DEPTH * 2:
            where = f"{self._name}:{node.start_mark.line + 1}"
            raise EstateError("its anchors stand for more than is read", hint=f"at most {MAX_NODES} values; write them out", where=where)
        tag = str(node.tag or "")
        if not tag.startswith(_KNOWN):
            self._document.notes.append(("compose.refused", f"tag {shown(tag)} is not followed", node.start_mark.line + 1))
        return build(node, path)

    def _sequence(self, node: SequenceNode, path: tuple[str, ...]) -> list[Any]:
        for index, item in enumerate(node.value):
            self._document.lines.setdefault((*path, str(index)), item.start_mark.line + 1)
        return [self.plain(item, (*path, str(index))) for index, item in enumerate(node.value)]

    def _scalar(self, node: ScalarNode, _path: tuple[str, ...]) -> Any:  # noqa: ANN401 - YAML
        kind, text = str(node.tag).removeprefix(_KNOWN), str(node.value)
        if kind == "null":
            return None
        if kind == "bool" and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind == "int" and text.lstrip("-").isdecimal() and len(text) < 19:
            return int(text)
        return text
