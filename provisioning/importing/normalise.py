"""What the engine says of a service beyond what our values hold: each difference belongs to a named rule, or is listed as not modelled. Pure.

A live specification is compared with the one our values of it would give. Nothing is left out in silence: a rule is counted, and what
no rule knows is a remark. Either way it stays as it is, since updates are laid over the live specification.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Rule:
    """A difference that means nothing: its id, what it is in words, and the paths it may stand at."""

    id: str
    title: str
    path: re.Pattern[str]
    only_empty: bool = False


def _rule(id_: str, title: str, path: str, *, only_empty: bool = False) -> Rule:
    return Rule(id_, title, re.compile(path), only_empty)


RULES: tuple[Rule, ...] = (
    _rule("N01", "Labels by which `docker stack` knows its own stay, and are not said again", r"\A(?:.*\.)?Labels\.com\.docker\.stack\."),
    _rule("N02", "Platforms that the command line wrote from the image's manifest", r"\ATaskTemplate\.Placement\.Platforms"),
    _rule("N03", "The runtime `container` is the only one there is", r"\ATaskTemplate\.Runtime\Z"),
    _rule("N04", "The counter of forced updates is the engine's own", r"\ATaskTemplate\.ForceUpdate\Z"),
    _rule("N05", "Isolation is of another system", r"\ATaskTemplate\.ContainerSpec\.Isolation\Z"),
    _rule("N06", "A health check of zeros asks nothing", r"\ATaskTemplate\.ContainerSpec\.Healthcheck", only_empty=True),
    _rule("N07", "How an update is taken back stays as it is", r"\ARollbackConfig"),
    _rule("N08", "The engine's own default of a restart policy, written out", r"\ATaskTemplate\.RestartPolicy"),
    _rule("N09", "The engine's own default of an update policy, written out", r"\AUpdateConfig"),
    _rule("N10", "A virtual address is what a service gets that says nothing", r"\AEndpointSpec\.Mode\Z"),
    _rule("N11", "The engine's own default of the time to stop, written out", r"\ATaskTemplate\.ContainerSpec\.StopGracePeriod\Z"),
    _rule("N12", "Networks were once said beside the tasks, not inside", r"\ANetworks"),
    _rule("N13", "What says nothing is the same as what is not there", r"", only_empty=True),
)
_EMPTY: tuple[object, ...] = (None, "", 0, 0.0, False)
# By what an element of a list is known, so that its place in the list does not count.
_KEYS = {"Env": "", "Mounts": "Target", "Networks": "Target", "Secrets": "SecretID", "Configs": "ConfigID", "Ports": "TargetPort"}


def differences(live: Mapping[str, Any], ours: Mapping[str, Any]) -> tuple[dict[str, int], tuple[str, ...]]:
    """How often each rule holds, and the paths that no rule knows.

    Args:
        live: the engine's specification of a service.
        ours: what our values of it give.
    """
    before, after = dict(_flat(live, "")), dict(_flat(ours, ""))
    counts: dict[str, int] = {}
    unknown = []
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
    is_empty = live in _EMPTY and ours in _EMPTY
    return next((rule for rule in RULES if rule.path.search(path) and (is_empty or not rule.only_empty)), None)


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
