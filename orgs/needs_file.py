"""Reading and writing needs as YAML text. Pure; files from people are read with ruamel.yaml (YAML 1.2, line numbers)."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent, DocumentStartEvent
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from orgs.grammar import shown
from orgs.needs import Needs
from sprocket_v2.errors import NeedsError

MAX_BYTES = 256 * 1024
MAX_DEPTH = 12
Lines = Mapping[tuple[str, ...], int]  # a key's path -> its line
_YES_NO = {"yes": "true", "no": "false", "on": "true", "off": "false"}


def parse_needs(text: str, source: str = "needs.yaml") -> Needs:
    """Needs from YAML text.

    Args:
        text: the whole file.
        source: what errors call it, a path or a form's name.
    Raises:
        NeedsError: every problem found, each with `where` (source, line, key) and a hint.
    """
    hint = "needs are a page or two of answers; starting data belongs in a file of its own (database.starting_data)"
    data, lines = read_yaml(text, source, MAX_BYTES, hint)
    return needs_from(data, source, lines)


def read_yaml(text: str, source: str, max_bytes: int, hint: str) -> tuple[Any, Lines]:
    """Plain data of somebody's YAML text, and the line of every key.

    Args:
        hint: what to do where it is larger than `max_bytes`.
    Raises:
        NeedsError: too large, not YAML, or YAML that answers have no use for (aliases, tags, a key twice, deep nesting).
    """
    size = len(text.encode(errors="surrogatepass"))
    if size > max_bytes:
        raise NeedsError(f"{size // 1024} KiB of text, the most is {max_bytes // 1024} KiB", hint=hint, where=source)
    root = _compose(text, source)
    _refuse_doubtful_keys(root, source)
    return _plain(root, source), dict(_lines(root, ()))


def needs_from(data: object, source: str, lines: Mapping[tuple[str, ...], int] | None = None) -> Needs:
    """Needs from plain data (a form's or a request's), with the same errors as a file's."""
    try:
        return Needs.model_validate(data)
    except ValidationError as error:
        raise needs_error(error, source, lines or {}) from None


def needs_error(error: ValidationError, source: str, lines: Lines) -> NeedsError:
    """Every problem pydantic found, in an admin's words, each with source, line and key."""
    found = error.errors(include_url=False)
    problems = tuple(_problem(item, source, lines) for item in found if not _follows(item, found))
    first = problems[0]
    more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return NeedsError(first.message + more, hint=first.hint, where=first.where, problems=problems)


def needs_digest(needs: Needs) -> str:
    """SHA-256 of the canonical JSON of the answers, as `sha256:<hex>`: equal answers, equal digest, however they were written."""
    text = json.dumps(needs.model_dump(mode="json"), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def write_needs(needs: Needs) -> str:
    """YAML text with every answer that differs from its default; `parse_needs` of it gives equal needs."""
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 110
    stream = io.StringIO()
    data = json.loads(needs.model_dump_json(exclude_none=True, exclude_defaults=True))
    yaml.dump(data, stream)
    return stream.getvalue()


def _compose(text: str, source: str) -> Node:
    try:
        _refuse_strange(text, source)
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise NeedsError(
            f"not YAML: {error.problem}", hint="check indentation, quotes and colons on this line", where=f"{source}:{line}"
        ) from None
    except (YAMLError, ValueError) as error:
        raise NeedsError(f"not YAML: {_first_line(error)}", hint="save it as UTF-8 text", where=source) from None
    except RecursionError:
        raise NeedsError("nested too deeply", hint=f"at most {MAX_DEPTH} levels", where=source) from None
    if not isinstance(root, MappingNode):
        raise NeedsError("no answers in it", hint="begin with `name: My League`; orgs/demo.yaml is an example", where=source)
    return root


def _refuse_strange(text: str, source: str) -> None:
    """Refuse what answers have no use for, while it is still a flat stream: nothing nested is built before it is known to be small."""
    depth = documents = 0
    for event in YAML(typ="safe", pure=True).parse(text):
        where = f"{source}:{event.start_mark.line + 1}"
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            raise NeedsError("anchors and aliases (& and *) are not taken", hint="write the value out where it is needed", where=where)
        if getattr(event, "tag", None):
            raise NeedsError("a tag (!) is not taken", hint="write plain values", where=where)
        documents += isinstance(event, DocumentStartEvent)
        if documents > 1:
            raise NeedsError("a second document begins", hint="one file, one organization: remove the line ---", where=where)
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise NeedsError("nested too deeply", hint=f"at most {MAX_DEPTH} levels", where=where)


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.isprintable() and line), type(error).__name__)


def _refuse_doubtful_keys(node: Node, source: str) -> None:
    if isinstance(node, MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            where = f"{source}:{key.start_mark.line + 1}"
            if not isinstance(key, ScalarNode):
                raise NeedsError("a key is not a word", hint="keys are plain words", where=where)
            if key.tag == "tag:yaml.org,2002:merge":
                raise NeedsError("merging (<<) is not taken", hint="write the values out where they are needed", where=where)
            if key.value in seen:
                raise NeedsError(f"key {shown(key.value)} is given twice", hint="keep one of the two", where=where)
            seen.add(key.value)
            _refuse_doubtful_keys(value, source)
    elif isinstance(node, SequenceNode):
        for item in node.value:
            _refuse_doubtful_keys(item, source)


def _lines(node: Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    yield path, node.start_mark.line + 1
    if isinstance(node, MappingNode):
        for key, value in node.value:
            yield (*path, key.value), key.start_mark.line + 1
            yield from ((p, line) for p, line in _lines(value, (*path, key.value)) if len(p) > len(path) + 1)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.value):
            yield from _lines(item, (*path, str(index)))


def _plain(node: Node, source: str) -> Any:  # noqa: ANN401 - plain YAML data
    from ruamel.yaml.constructor import SafeConstructor  # its tables are only needed here

    try:
        return SafeConstructor(loader=YAML(typ="safe", pure=True)).construct_document(node)
    except (YAMLError, ValueError) as error:
        raise NeedsError(f"not YAML: {_first_line(error)}", hint="write plain values", where=source) from None


def _follows(item: Any, found: list[Any]) -> bool:  # noqa: ANN401 - pydantic's dict
    """Whether a list is only too short because one of its items is wrong, which is told already."""
    depth = len(item["loc"])
    return item["type"] == "too_short" and any(len(other["loc"]) > depth and other["loc"][:depth] == item["loc"] for other in found)


def _problem(item: Any, source: str, lines: Mapping[tuple[str, ...], int]) -> NeedsError:  # noqa: ANN401 - pydantic's dict
    path = tuple(str(part) for part in item["loc"])
    message, hint = _words(item)
    path = path or tuple(message.partition(" ")[0].rstrip(":").split("."))  # a contradiction begins with the key it is about
    named = (*path, message.partition(" ")[0])
    path = named if named in lines and " is not allowed" in message else path  # a key that may never be there has a line of its own
    while path and lines and path not in lines:
        path = path[:-1]
    key = ".".join(_key(str(part)) for part in item["loc"] if part != "[key]")
    line = f":{lines[path]}" if path in lines else ""
    return NeedsError(f"{key}: {message}" if key else message, hint=hint, where=f"{source}{line}")


def _key(part: str) -> str:
    """A key as an error may name it."""
    return part if part.isprintable() and 0 < len(part) <= 60 else shown(part)


def _words(item: Any) -> tuple[str, str]:  # noqa: ANN401 - pydantic's dict
    """Message and hint for one of pydantic's errors, in an admin's words."""
    kind, given = item["type"], item["input"]
    value = shown(given if isinstance(given, str) else json.dumps(given, default=str))
    if kind == "extra_forbidden":
        return "unknown key", "check the spelling, or remove it; `sprocket needs questions` lists all keys"
    if kind == "missing":
        return "missing", "add it; orgs/demo.yaml shows how"
    if kind.startswith("bool"):
        meant = _YES_NO.get(str(given).lower())
        return f"{value} is not true or false", f"write {meant}" if meant else "write true or false, without quotes"
    if kind.startswith(("int", "less", "greater")):
        return f"{value}: {item['msg']}".replace("Input should be", "it has to be"), "write a whole number within the limits"
    if kind == "literal_error":
        return f"{value} is not one of the choices", f"choose {item['ctx']['expected']}"
    if kind == "value_error":
        text = str(item["ctx"]["error"])
        message, _, hint = text.rpartition(": ")
        return (message, hint) if message else (text, "")
    return f"{value}: {item['msg']}".replace("Input should be", "it has to be"), "correct it"
