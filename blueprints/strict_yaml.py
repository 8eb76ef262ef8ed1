"""Reads our own YAML back: PyYAML's C parser with YAML 1.2 core rules. Decimal integers only; a key twice or an alias is refused.

The release's own manifests and profiles are read here as well: with a slower reader they would be most of a cold start. Never used
for files from people (ruamel.yaml does that), and never writes.
"""

from __future__ import annotations

import re
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode

from sprocket_v2.errors import RenderError


class _Loader(yaml.CSafeLoader):
    """The C parser with a resolver of its own."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's name


for _tag, _pattern, _first in (
    ("null", r"\A(?:~|null|Null|NULL|)\Z", ["~", "n", "N", ""]),
    ("bool", r"\A(?:true|True|TRUE|false|False|FALSE)\Z", list("tTfF")),
    ("int", r"\A[-+]?[0-9]+\Z", list("-+0123456789")),
    ("float", r"\A[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), _first)

_CONVERT: dict[str, Any] = {
    "tag:yaml.org,2002:str": str,
    "tag:yaml.org,2002:int": int,
    "tag:yaml.org,2002:float": float,
    "tag:yaml.org,2002:bool": lambda text: text[0] in "tT",
    "tag:yaml.org,2002:null": lambda _text: None,
}


def load(text: str, where: str = "") -> Any:  # noqa: ANN401 - plain YAML data
    """Plain data (dict, list, str, int, float, bool, None) of one YAML document.

    Raises:
        RenderError: not YAML, a duplicate key, an alias, a tag or a key that is not text; `where` names file and line.
    """
    node = compose(text, where)
    return None if node is None else plain(node, where)


def compose(text: str, where: str = "") -> Node | None:
    """The document as nodes, which know their lines; None for an empty one.

    Raises:
        RenderError: not YAML.
    """
    loader = _Loader(text)
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise RenderError(f"not YAML: {error.problem}", hint="look at the template named at the top", where=f"{where}:{line}") from None
    except yaml.YAMLError as error:
        raise RenderError(f"not YAML: {str(error).splitlines()[0]}", hint="look at the template named at the top", where=where) from None
    finally:
        loader.dispose()


def plain(node: Node, where: str = "") -> Any:  # noqa: ANN401 - plain YAML data
    """The data of a node from `compose`."""
    return _plain(node, where, set())


def _plain(node: Node, where: str, seen: set[int]) -> Any:  # noqa: ANN401 - plain YAML data
    if id(node) in seen:
        raise RenderError("an alias", hint="write the value out", where=f"{where}:{node.start_mark.line + 1}")
    seen.add(id(node))
    if isinstance(node, ScalarNode):
        convert = _CONVERT.get(node.tag)
        if convert is None:
            raise RenderError(f"tag {node.tag} is not plain data", where=f"{where}:{node.start_mark.line + 1}")
        return convert(node.value)
    if isinstance(node, MappingNode):
        return _mapping(node, where, seen)
    return [_plain(item, where, seen) for item in node.value]


def _mapping(node: MappingNode, where: str, seen: set[int]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = key_node.value
        if not isinstance(key_node, ScalarNode) or key_node.tag != "tag:yaml.org,2002:str":
            raise RenderError(f"key {key!r} is not text", where=f"{where}:{key_node.start_mark.line + 1}")
        if key in result:
            raise RenderError(f"key {key!r} twice", where=f"{where}:{key_node.start_mark.line + 1}")
        result[key] = _plain(value_node, where, seen)
    return result
