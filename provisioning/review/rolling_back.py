"""What a rollback cannot bring back: data in volumes, and what jobs did to it in between. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from blueprints.diff_words import listed
from blueprints.rendering import Rendering
from blueprints.strict_yaml import load

Services = Mapping[str, Mapping[str, Any]]


def data_left(current: Rendering, target: Rendering, between: Sequence[Rendering] = ()) -> tuple[str, ...]:
    """Sentences about data that a way back from `current` to `target` does not undo.

    Args:
        between: what was applied after `target`, oldest first, `current` included or not.
    """
    return (*_volumes(current, target), *_jobs([*between, current], target))


def _volumes(current: Rendering, target: Rendering) -> Iterator[str]:
    now, then = _volume_names(current), _volume_names(target)
    both = sorted(now & then)
    if both:
        yield f"What was written into {listed(both)} since then stays: files and images go back, data does not."
    if now - then:
        yield f"{listed(sorted(now - then))} did not exist then: the data stays, and no service uses it any more."


def _volume_names(rendering: Rendering) -> set[str]:
    return {str(volume["name"]) for stack in _stacks(rendering) for volume in (stack.get("volumes") or {}).values()}


def _jobs(later: Sequence[Rendering], target: Rendering) -> Iterator[str]:
    """Jobs whose image was another one later: what they did to the database is not undone."""
    then = _job_images(target)
    changed = {key for rendering in later for key, image in _job_images(rendering).items() if then.get(key) != image}
    if changed:
        yield f"{listed(sorted(changed))} ran with another image since then: what that changed in the database is not taken back."


def _job_images(rendering: Rendering) -> dict[str, str]:
    return {
        key: str(service["image"])
        for stack in _stacks(rendering)
        for key, service in (stack.get("services") or {}).items()
        if _labels(service).get("sprocket.kind") == "job"
    }


def _labels(service: Mapping[str, Any]) -> Mapping[str, Any]:
    labels = (service.get("deploy") or {}).get("labels")
    return labels if isinstance(labels, Mapping) else {}


def _stacks(rendering: Rendering) -> Iterator[Mapping[str, Any]]:
    for _, path in rendering.stacks:
        if path in rendering.files:
            yield load(rendering.files[path], path) or {}
