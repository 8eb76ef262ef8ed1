"""One component's manifest: checked against `_example/component.yaml`, which is the schema, and turned into frozen values. Pure."""

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
Path_ = tuple[str, ...]
EXAMPLE = "templates/components/_example/component.yaml"
MEDIUM_FROM, LARGE_FROM = 500, 5000  # expected members


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line of `wanted_when`: a need's dotted name and the value that wants the component."""

    need: str
    value: bool | int | str


@dataclass(frozen=True, slots=True)
class Input:
    """A question of the component's own."""

    name: str
    type: str
    title: str
    help: str
    default: bool | int | str
    minimum: int | None
    maximum: int | None
    unit: str
    pattern: str
    default_medium: int | None = None
    default_large: int | None = None

    def default_for(self, members: int) -> bool | int | str:
        """The default for an organization of so many members."""
        if members >= LARGE_FROM and self.default_large is not None:
            return self.default_large
        if members >= MEDIUM_FROM and self.default_medium is not None:
            return self.default_medium
        return self.default


@dataclass(frozen=True, slots=True)
class SecretManifest:
    """A secret the component brings; `kind` is generated, supplied or placeholder."""

    name: str
    title: str
    why: str
    kind: str
    length: int
    pattern: str
    where_to_get: str
    placeholder: str
    supplied_when: tuple[Wanted, ...]
    generated_when: tuple[Wanted, ...] = ()


@dataclass(frozen=True, slots=True)
class Health:
    """How Docker asks whether it works; `none` holds the reason where it cannot be asked. Durations in seconds."""

    test: tuple[str, ...]
    interval_s: int
    timeout_s: int
    retries: int
    start_period_s: int
    none: str


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """An image's name, its tag, and the tag of this project's stand-in under the same name (or empty)."""

    name: str
    tag: str
    stand_in: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Where others see whether a service answers; without a path the port is only opened."""

    port: int
    path: str


@dataclass(frozen=True, slots=True)
class ServiceManifest:
    """One Swarm service of the component. Durations in seconds."""

    key: str
    stage: str
    networks: tuple[str, ...]
    aliases: tuple[str, ...]
    memory: str
    cpu: str
    replicas: int
    copies: str
    deadline_s: int
    stop_grace_s: int
    secrets: Mapping[str, str]
    configs: Mapping[str, str]
    volumes: Mapping[str, str]
    only_with: Mapping[str, tuple[str, ...]]
    only_when: Mapping[str, tuple[Wanted, ...]]
    tmpfs: tuple[str, ...]
    publishes_entry_ports: bool
    udp_port: str
    health: Health
    order: str
    gap_s: int
    wanted_when: tuple[Wanted, ...]
    image: ImageManifest | None
    probe: Probe | None

    @property
    def is_job(self) -> bool:
        """It runs once and ends; everything else lasts."""
        return self.stage in ("restore", "jobs")


@dataclass(frozen=True, slots=True)
class Play:
    """A role a component fills beside its own, when something wants it; in other generations a component of its own."""

    role: str
    title: str
    wanted_when: tuple[Wanted, ...]
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All a component's folder says about it."""

    name: str
    title: str
    summary: str
    layer: str
    role: str
    interruption: str
    noticed_by: str
    backup: str
    profiles: tuple[str, ...]
    image: ImageManifest
    subdomain: str | None
    port: int
    routed_service: str
    wanted_when: tuple[Wanted, ...]
    requires: tuple[str, ...]
    requires_one_of: tuple[str, ...]
    left_out_when: tuple[Wanted, ...]
    inputs: tuple[Input, ...]
    secrets: tuple[SecretManifest, ...]
    services: tuple[ServiceManifest, ...]
    path: str
    plays: tuple[Play, ...] = ()


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


def read_manifest(folder: Path, rules: Mapping[Path_, Rule], shown_path: str) -> Manifest:
    """A component's manifest.

    Args:
        folder: the component's folder; its name is the component's name.
        rules: from `schema`.
        shown_path: the folder as errors and rendered files call it.
    Raises:
        CatalogError: the first thing wrong, with file and line.
    """
    file = folder / "component.yaml"
    if not file.is_file():
        raise CatalogError("no component.yaml", hint="copy it from templates/components/_example", where=shown_path)
    return _manifest(folder.name, checked(file, rules, f"{shown_path}/component.yaml"), shown_path)


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


def _manifest(name: str, data: dict[str, Any], path: str) -> Manifest:
    route = data.get("route") or {}
    return Manifest(
        name=name,
        title=data["title"],
        summary=data["summary"],
        layer=data["layer"],
        role=data.get("role", name),
        interruption=data.get("interruption", ""),
        noticed_by=data.get("noticed_by", "nobody"),
        backup=data.get("backup", ""),
        profiles=tuple(data["profiles"]),
        image=_image(data["image"]),
        subdomain=route.get("subdomain", "") if route else None,
        port=route.get("port", 0),
        routed_service=route.get("service") or name,
        wanted_when=wanted_lines(data["wanted_when"]),
        requires=tuple(data.get("requires", ())),
        requires_one_of=tuple(data.get("requires_one_of", ())),
        left_out_when=wanted_lines(data.get("left_out_when", [])),
        inputs=tuple(_input(key, item) for key, item in (data.get("inputs") or {}).items()),
        secrets=tuple(_secret(key, item) for key, item in (data.get("secrets") or {}).items()),
        services=tuple(_service(key, item) for key, item in data["services"].items()),
        path=path,
        plays=tuple(_play(role, item) for role, item in (data.get("plays") or {}).items()),
    )


def _play(role: str, item: dict[str, Any]) -> Play:
    return Play(role, item["title"], wanted_lines(item["wanted_when"]), tuple(item.get("requires", ())))


def _image(item: dict[str, Any]) -> ImageManifest:
    return ImageManifest(item["name"], item["tag"], item.get("stand_in", ""))


def wanted_lines(lines: list[dict[str, Any]]) -> tuple[Wanted, ...]:
    """Lines of `wanted_when` and its kin."""
    return tuple(Wanted(need, value) for line in lines for need, value in line.items())


def _input(name: str, item: dict[str, Any]) -> Input:
    return Input(
        name=name,
        type=item["type"],
        title=item["title"],
        help=item.get("help", ""),
        default=item["default"],
        minimum=item.get("minimum"),
        maximum=item.get("maximum"),
        unit=item.get("unit", ""),
        pattern=item.get("pattern", ""),
        default_medium=item.get("default_medium"),
        default_large=item.get("default_large"),
    )


def _secret(name: str, item: dict[str, Any]) -> SecretManifest:
    return SecretManifest(
        name=name,
        title=item["title"],
        why=item["why"],
        kind=item["kind"],
        length=item.get("length", 40),
        pattern=item.get("pattern", ""),
        where_to_get=item.get("where_to_get", ""),
        placeholder=item.get("placeholder", ""),
        supplied_when=wanted_lines(item.get("supplied_when", [])),
        generated_when=wanted_lines(item.get("generated_when", [])),
    )


def _service(key: str, item: dict[str, Any]) -> ServiceManifest:
    health = item["health"]
    return ServiceManifest(
        key=key,
        stage=item["stage"],
        networks=tuple(item["networks"]),
        aliases=tuple(item.get("aliases", ())),
        memory=item["memory"],
        cpu=item.get("cpu", ""),
        replicas=item.get("replicas", 1),
        copies=item.get("copies", ""),
        deadline_s=item["deadline_s"],
        stop_grace_s=item.get("stop_grace_s", 10),
        secrets=item.get("secrets") or {},
        configs=item.get("configs") or {},
        volumes=item.get("volumes") or {},
        only_with={key: tuple(names.split(" and ")) for key, names in (item.get("only_with") or {}).items()},
        only_when={key: wanted_lines(lines) for key, lines in (item.get("only_when") or {}).items()},
        tmpfs=tuple(item.get("tmpfs", ())),
        publishes_entry_ports=item.get("publishes_entry_ports", False),
        udp_port=item.get("udp_port", ""),
        health=Health(
            test=tuple(health.get("test", ())),
            interval_s=health.get("interval_s", 10),
            timeout_s=health.get("timeout_s", 5),
            retries=health.get("retries", 3),
            start_period_s=health.get("start_period_s", 10),
            none=health.get("none", ""),
        ),
        order=item["update"]["order"],
        gap_s=item["update"].get("gap_s", 0),
        wanted_when=wanted_lines(item.get("wanted_when", [])),
        image=_image(item["image"]) if item.get("image") else None,
        probe=Probe(item["probe"]["port"], item["probe"].get("path", "")) if item.get("probe") else None,
    )
