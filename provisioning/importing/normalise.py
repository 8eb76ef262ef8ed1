"""What the engine says of a service beyond what our values hold: each difference belongs to a named rule, or is listed as not modelled. Pure.

A live specification is compared with the one our values of it would give. Nothing is left out in silence: a rule is counted, and what
no rule knows is a remark. Either way it stays as it is, since updates are laid over the live specification.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Holds = Callable[[str, object, object], bool]
_EMPTY: tuple[object, ...] = (None, "", 0, 0.0, False)
_ROLLBACK: Mapping[str, object] = {
    "RollbackConfig.Parallelism": 1,
    "RollbackConfig.FailureAction": "pause",
    "RollbackConfig.Monitor": 5 * 10**9,
    "RollbackConfig.MaxFailureRatio": 0,
    "RollbackConfig.Order": "stop-first",
}


def _always(_path: str, _live: object, _ours: object) -> bool:
    return True


def _says_nothing(_path: str, live: object, ours: object) -> bool:
    return live in _EMPTY and ours in _EMPTY


def _left_unsaid(_path: str, live: object, _ours: object) -> bool:
    return live is None


def _is_the_default(path: str, live: object, _ours: object) -> bool:
    return path in _ROLLBACK and _ROLLBACK[path] == live


@dataclass(frozen=True, slots=True)
class Rule:
    """A difference that means nothing: its id, what it is in words, the paths it may stand at, and (path, live, ours) -> whether it holds."""

    id: str
    title: str
    path: re.Pattern[str]
    holds: Holds


def _rule(id_: str, title: str, path: str, holds: Holds = _always) -> Rule:
    return Rule(id_, title, re.compile(path), holds)


RULES: tuple[Rule, ...] = (
    _rule("N01", "Labels by which `docker stack` knows its own stay, and are not said again", r"\A(?:.*\.)?Labels\.com\.docker\.stack\."),
    _rule("N02", "Platforms that the command line wrote from the image's manifest", r"\ATaskTemplate\.Placement\.Platforms"),
    _rule("N03", "The runtime `container` is the only one there is", r"\ATaskTemplate\.Runtime\Z"),
    _rule("N04", "The counter of forced updates is the engine's own", r"\ATaskTemplate\.ForceUpdate\Z"),
    _rule("N05", "Isolation is of another system", r"\ATaskTemplate\.ContainerSpec\.Isolation\Z"),
    _rule("N06", "A health check of zeros asks nothing", r"\ATaskTemplate\.ContainerSpec\.Healthcheck", _says_nothing),
    _rule("N07", "The command line's own default of how an update is taken back", r"\ARollbackConfig", _is_the_default),
    _rule("N08", "What a restart policy leaves unsaid is the engine's default", r"\ATaskTemplate\.RestartPolicy", _left_unsaid),
    _rule("N09", "A virtual address is what a service gets that says nothing", r"\AEndpointSpec\.Mode\Z", _left_unsaid),
    _rule("N10", "Networks were once said beside the tasks, not inside", r"\ANetworks"),
    # Only here a zero says something: all tasks at once.
    _rule("N11", "What says nothing is the same as what is not there", r"\A(?!RollbackConfig\.Parallelism\Z)", _says_nothing),
)
# By what an element of a list is known, so that its place in the list does not count.
_KEYS = {"Env": "", "Mounts": "Target", "Networks": "Target", "Secrets": "SecretID", "Configs": "ConfigID", "Ports": "TargetPort"}


def differences(live: Mapping[str, Any], ours: Mapping[str, Any]) -> tuple[dict[str, int], tuple[str, ...]]:
    """How often each rule holds, and the paths that no rule knows.

    Args:
        live: the engine's specification of a service.
        ours: what our values of it give.
    """
    counts: dict[str, int] = {}
    unknown = []
    task = live["TaskTemplate"]
    if live.get("Networks") and not task.get("Networks"):
        counts["N10"] = 1
        live = {**live, "TaskTemplate": {**task, "Networks": live["Networks"]}, "Networks": None}
    before, after = dict(_flat(live, "")), dict(_flat(ours, ""))
    for path in dict.fromkeys((*before, *after)):
        if before.get(path) == after.get(path):
            continue
        rule = _rule_for(path, before.get(path), after.get(path))
        if rule is None:
            unknown.append(path)
        else:
            counts[rule.id] = counts.get(rule.id, 0) + 1
    return counts, tuple(unknown)


def _rule_for(path: str, live: object, ours: object) -> Rule | None:
    return next((rule for rule in RULES if rule.path.search(path) and rule.holds(path, live, ours)), None)


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - Docker's JSON
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)):
        name = path.rpartition(".")[2]
        key = _KEYS.get(name)
        for index, item in enumerate(value):
            known_by = item if key == "" else item.get(key, index) if key and isinstance(item, Mapping) else index
            yield from _flat(item, f"{path}[{known_by}]")
    else:
        yield path, value
