"""Parses what was rendered and compares it with what was resolved: free text can never have become structure. Pure.

A text that was found right once is not parsed again.
"""

from __future__ import annotations

import hashlib
import json
import marshal
import tomllib
from collections import Counter, OrderedDict
from collections.abc import Iterator, Mapping
from typing import Any

from blueprints.strict_yaml import load
from sprocket_v2.errors import RenderError

_SERVICE_KEYS = frozenset(
    "image command entrypoint environment networks secrets configs volumes ports healthcheck stop_grace_period logging init user "
    "working_dir hostname deploy".split()
)
_PARTS = ("services", "networks", "volumes", "configs", "secrets")
_KNOWN: OrderedDict[bytes, None] = OrderedDict()
_KNOWN_MAX = 4096


def check_data(text: str, values: list[Any], path: str, template: str) -> None:
    """A YAML, JSON or TOML file holds every value that was written into it, each as a value.

    Raises:
        RenderError: it does not parse, or a value came back as something else.
    """
    key = _key(text, values)
    if key in _KNOWN:
        return
    data = _json(text, template) if path.endswith(".json") else _toml(text, template) if path.endswith(".toml") else load(text, template)
    _check_values(data, values, template)
    _remember(key)


def check_stack(text: str, values: list[Any], resolved: Mapping[str, Any]) -> None:
    """stack.yml has exactly the resolved services, networks, volumes, configs and secrets, and no key that is not ours.

    Args:
        resolved: `services`, `networks`, `volumes`, `configs` and `secrets` as the template saw them.
    Raises:
        RenderError: anything else.
    """
    key = _key(text, [values, [resolved[part] for part in _PARTS]])
    if key in _KNOWN:
        return
    where = "stack.yml"
    data = load(text, where)
    _check_values(data, values, where)
    for part in _PARTS[1:]:
        _same(set(data.get(part) or {}), {item["key"] for item in resolved[part]}, part)
        for item in resolved[part]:
            _same(data[part][item["key"]]["name"], item["name"], f"{part}.{item['key']}.name")
    services = {service["key"]: service for service in resolved["services"]}
    _same(set(data["services"]), set(services), "services")
    for name, service in services.items():
        _check_service(name, data["services"][name], service)
    _remember(key)


def _check_service(key: str, parsed: Mapping[str, Any], service: Mapping[str, Any]) -> None:
    unknown = set(parsed) - _SERVICE_KEYS
    if unknown:
        raise RenderError(f"services.{key}: key {sorted(unknown)[0]!r} is not taken", hint="see tools/schemas", where="stack.yml")
    _same(parsed["image"], service["image"], f"services.{key}.image")
    _same(parsed["deploy"]["labels"], service["labels"], f"services.{key}.deploy.labels")
    _same(set(parsed["networks"]), {network["key"] for network in service["networks"]}, f"services.{key}.networks")
    for part in ("secrets", "configs"):
        given = {(item["source"], item["target"]) for item in parsed.get(part, ())}
        _same(given, {(item["source"], item["target"]) for item in service[part]}, f"services.{key}.{part}")
    mounts = {(item["type"], item.get("source", ""), item["target"]) for item in parsed.get("volumes", ())}
    expected = {("volume", item["source"], item["target"]) for item in service["volumes"]}
    _same(mounts, expected | {("tmpfs", "", path) for path in service["tmpfs"]}, f"services.{key}.volumes")
    ports = [{"number": p["published"], "target": p["target"], "protocol": p["protocol"]} for p in parsed.get("ports", ())]
    _same(ports, list(service["ports"]), f"services.{key}.ports")


def _same(parsed: object, resolved: object, what: str) -> None:
    if parsed != resolved:
        raise RenderError(f"{what}: the file says {parsed!r}, resolved was {resolved!r}", hint="correct the template", where="stack.yml")


def _check_values(data: object, values: list[Any], where: str) -> None:
    found = Counter(_leaves(data))
    for leaf, count in Counter(leaf for value in values for leaf in _leaves(value)).items():
        if found[leaf] < count:
            raise RenderError(
                f"value {leaf[1]!r} did not come back as a value of its own",
                hint="print it with the filter q, alone where a value stands",
                where=where,
            )


def _leaves(value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield "str", key
            yield from _leaves(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _leaves(item)
    else:
        yield type(value).__name__, value


def _json(text: str, where: str) -> object:
    def pairs(items: list[tuple[str, object]]) -> dict[str, object]:
        result = dict(items)
        if len(result) != len(items):
            raise RenderError("a key twice", hint="correct the template", where=where)
        return result

    def no_number(name: str) -> object:
        raise ValueError(f"{name} is no number")

    try:
        return json.loads(text, object_pairs_hook=pairs, parse_constant=no_number)
    except ValueError as error:
        raise RenderError(f"not JSON: {error}", hint="correct the template", where=where) from None


def _toml(text: str, where: str) -> object:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RenderError(f"not TOML: {error}", hint="correct the template", where=where) from None


def _key(text: str, facts: list[Any]) -> bytes:
    """Digest of a text and of what it was compared with. marshal's version 0 writes equal plain data as equal bytes, quickest of all."""
    return hashlib.sha256(text.encode() + b"\0" + marshal.dumps(facts, 0)).digest()


def forget() -> None:
    """Parse every text again, as in a new process."""
    _KNOWN.clear()


def _remember(key: bytes) -> None:
    _KNOWN[key] = None
    if len(_KNOWN) > _KNOWN_MAX:
        _KNOWN.popitem(last=False)
