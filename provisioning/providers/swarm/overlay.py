"""Lays what a person changed over what runs, so that everything we do not model stays as it is. Pure.

Three specifications: the live one, the one our arguments of the live one give (`before`), and the one the wanted arguments give. Only
where the last two differ is the live one touched.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

_ABSENT = object()
# By what an element of a list is known: a changed one is laid over its live self, the others stay as they are.
_KEYS: Mapping[str, Callable[[Any], object]] = {
    "Env": lambda item: str(item).partition("=")[0],
    "Mounts": lambda item: item["Target"],
    "Networks": lambda item: item["Target"],
    "Secrets": lambda item: item["File"]["Name"] if item.get("File") else item.get("SecretName"),
    "Configs": lambda item: item["File"]["Name"] if item.get("File") else item.get("ConfigName"),
}


def overlay(live: Any, before: Any, wanted: Any, name: str = "") -> Any:  # noqa: ANN401 - Docker's JSON
    """The live value with the difference between `before` and `wanted` applied.

    Args:
        name: the key under which the value stands.
    """
    if before == wanted:
        return live
    if isinstance(before, Mapping) and isinstance(wanted, Mapping) and isinstance(live, Mapping):
        return _laid_over(live, before, wanted)
    if name in _KEYS and isinstance(wanted, list):
        return _list_over(live or [], before or [], wanted, _KEYS[name])
    return wanted


def _laid_over(live: Mapping[str, Any], before: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(live)
    for key in dict.fromkeys((*before, *wanted)):
        old, new = before.get(key, _ABSENT), wanted.get(key, _ABSENT)
        if old == new:
            continue
        if new is _ABSENT:
            result.pop(key, None)
        else:
            result[key] = overlay(live.get(key), None if old is _ABSENT else old, new, key)
    return result


def _list_over(live: list[Any], before: list[Any], wanted: list[Any], key: Callable[[Any], object]) -> list[Any]:
    """In the live order; what is new comes last, what is not wanted any more goes, what we never read stays."""
    had, want, running = ({key(item): item for item in items} for items in (before, wanted, live))
    kept = [
        overlay(item, had.get(name), want[name]) if name in want else item
        for name, item in running.items()
        if name in want or name not in had
    ]
    return [*kept, *(item for name, item in want.items() if name not in running)]
