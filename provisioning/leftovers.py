"""Services that carry an organization's label and that neither its version nor the engine's state knows: found, planned away, removed.

The engine deletes what its state holds. What is left by a lost state, or was made by hand under our label, it does not see; so a plan
names it as a step of its own, and the apply of that plan removes it and nothing else.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from blueprints.rendering import Rendering
from provisioning.docker_door import docker_hands
from provisioning.live import LiveReader, adopted_of

LEFTOVER = "leftover"
Step = Mapping[str, Any]


def known_services(rendering: Rendering) -> frozenset[str]:
    """Docker names of the services a rendering has."""
    return frozenset(name for component in rendering.blueprint.get("components", ()) for name in component["services"])


def strangers(live: Iterable[str], known: frozenset[str]) -> tuple[str, ...]:
    """Live services nobody applied; none where the version does not say what it has. Pure."""
    return tuple(sorted(set(live) - known)) if known else ()


def leftover_steps(slug: str, names: Iterable[str], steps: Sequence[Step]) -> list[dict[str, Any]]:
    """One step for each service to be removed that the engine does not delete itself. Pure."""
    deleted = {str(step["resource"]) for step in steps if step["op"] == "delete"}
    return [
        {"resource": f"service/{name}", "component": "", "type": LEFTOVER, "op": "delete", "fields": [], "reasons": [], "layer": ""}
        for name in names
        if f"service/{name.removeprefix(f'{slug}_')}" not in deleted
    ]


def names_in(steps: Iterable[Step]) -> tuple[str, ...]:
    """Docker names of the leftovers a plan's steps remove. Pure."""
    return tuple(str(step["resource"]).removeprefix("service/") for step in steps if step.get("type") == LEFTOVER)


def found_beside(slug: str, rendering: Rendering, reader: LiveReader) -> tuple[str, ...]:
    """Live services of an organization that a rendering does not have."""
    live = (service.name for service in reader.live_services(slug, adopted_of(rendering.files)))
    return strangers(live, known_services(rendering))


def remove_leftovers_of(slug: str, steps: Sequence[Step], say: Callable[[str], None]) -> tuple[Step, ...]:
    """Remove the leftovers a plan names, those that are still there; the steps that were done."""
    names = names_in(steps)
    if not names:
        return ()
    from provisioning.providers.swarm.service import delete_named  # it brings the Docker SDK along

    hands = docker_hands()
    there = {service.name for service in hands.live_services(slug)}
    for name in names:
        if name in there:
            delete_named(hands, name, sleep=time.sleep)
            say(f"removed {name}, which no version has")
    return tuple(step for step in steps if step.get("type") == LEFTOVER)
