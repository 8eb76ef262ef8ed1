"""A commented example as a schema: what a manifest or a profile may hold is what its example shows. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import NoneType
from typing import Any

from yaml.nodes import MappingNode, Node, SequenceNode

from blueprints.strict_yaml import compose, plain
from sprocket_v2.errors import CatalogError, RenderError

_NAME = re.compile(r"\A[a-z0-9][a-z0-9_.-]{0,40}\Z")
EXAMPLE = "templates/components/_example/component.yaml"
Path_ = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    """What a schema says about one path."""

    kind: type | None
    required: bool
    any_name: bool
    choices: tuple[str, ...]


@lru_cache(maxsize=4)
def schema(example: Path) -> Mapping[Path_, Rule]:
    """The rules the commented example states, by path; `*` stands for any name or any item."""
    text = example.read_text()
    rules: dict[Path_, Rule] = {}
    for path, rule in _rules(_node(text, str(example)), (), text.splitlines(), False):
        rules.setdefault(path, rule)  # the first example of a kind carries the comments
    return rules


def checked(file: Path, rules: Mapping[Path_, Rule], where: str, example: str = EXAMPLE) -> dict[str, Any]:
    """A YAML file's data, checked against the rules of an example.

    Raises:
        CatalogError: the first thing wrong, with file and line.
    """
    node = _node(file.read_text(encoding="utf-8"), where, example)
    _check(node, (), rules, where, example)
    try:
        data: dict[str, Any] = plain(node, where)
    except RenderError as error:
        raise CatalogError(error.message, hint=f"see {example}", where=error.where) from None
    return data


def _node(text: str, where: str, example: str = EXAMPLE) -> Node:
    try:
        node = compose(text, where)
    except RenderError as error:
        raise CatalogError(error.message, hint="check this line", where=error.where) from None
    if not isinstance(node, MappingNode):
        raise CatalogError("not a mapping of keys", hint=f"see {example}", where=where)
    return node


def _rules(node: Node, path: Path_, lines: list[str], any_name: bool) -> Iterator[tuple[Path_, Rule]]:
    if isinstance(node, SequenceNode):
        for item in node.value:
            yield (*path, "*"), Rule(_kind(item, ""), False, False, ())
            yield from _rules(item, (*path, "*"), lines, False)
    if not isinstance(node, MappingNode):
        return
    for key, value in node.value:
        comment = lines[key.start_mark.line].partition(" # ")[2]
        own = (*path, "*" if any_name else key.value)
        is_open = "any name" in comment
        choices = re.search(r"one of: ([^;]+?)\s*(?:;|$|\. )", comment)
        names = tuple(choice.strip() for choice in choices.group(1).split(",")) if choices else ()
        yield own, Rule(_kind(value, comment), "required" in comment, is_open, names)
        yield from _rules(value, own, lines, is_open)


def _kind(node: Node, comment: str) -> type | None:
    if "any type" in comment:
        return None
    if isinstance(node, MappingNode):
        return dict
    if isinstance(node, SequenceNode):
        return list
    return {"int": int, "bool": bool, "float": float, "null": NoneType}.get(node.tag.rsplit(":", 1)[-1], str)


_WORDS = {
    dict: "a mapping",
    list: "a list",
    int: "a whole number",
    bool: "true or false",
    float: "a number",
    str: "text",
    NoneType: "nothing",
}


def _check(node: Node, path: Path_, rules: Mapping[Path_, Rule], where: str, example: str) -> None:
    line = f"{where}:{node.start_mark.line + 1}"
    if isinstance(node, SequenceNode):
        for item in node.value:
            _check_value(item, (*path, "*"), rules, where, example)
    if not isinstance(node, MappingNode):
        return
    is_open = path in rules and rules[path].any_name
    known = {rule_path[-1] for rule_path in rules if rule_path[:-1] == path}
    given = [key.value for key, _ in node.value]
    free = is_open or _holds_conditions(path)
    for key, value in node.value:
        at = f"{where}:{key.start_mark.line + 1}"
        if given.count(key.value) > 1:
            raise CatalogError(f"key {key.value!r} twice", hint="keep one", where=at)
        if not free and key.value not in known:
            raise CatalogError(f"unknown key {key.value!r}", hint=f"one of {', '.join(sorted(known))}", where=at)
        if is_open and not _NAME.match(key.value):
            raise CatalogError(f"name {key.value!r}", hint="a-z, 0-9, _, - and . only, at most 41 characters", where=at)
        if not free or is_open:
            _check_value(value, (*path, "*" if is_open else key.value), rules, where, example)
    missing = sorted(p[-1] for p, rule in rules.items() if p[:-1] == path and rule.required and p[-1] not in given and p[-1] != "*")
    if missing:
        raise CatalogError(f"{missing[0]} is missing", hint=f"{example} explains it", where=line)


def _holds_conditions(path: Path_) -> bool:
    """Whether this is one line of a `..._when`: a need and its value, under any key. `only_when` has such a list for each name."""
    above = [part for part in path[-3:-1] if part != "*"]
    return path[-1:] == ("*",) and bool(above) and above[-1].endswith("_when")


def _check_value(node: Node, path: Path_, rules: Mapping[Path_, Rule], where: str, example: str) -> None:
    rule = rules.get(path)
    at = f"{where}:{node.start_mark.line + 1}"
    if rule is not None:
        kind = _kind(node, "")
        if rule.kind is not None and kind is not rule.kind:
            raise CatalogError(f"{path[-1]} is {_WORDS[kind or str]}, not {_WORDS[rule.kind]}", hint="see _example", where=at)
        if rule.choices and node.value not in rule.choices:
            raise CatalogError(f"{path[-1]} is {node.value!r}", hint=f"one of {', '.join(rule.choices)}", where=at)
    _check(node, path, rules, where, example)
