"""What the change of a service costs, and which field causes it. Pure; works on the effective specifications `diff` makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

# In rising order of what it costs.
DISRUPTIONS = ("none", "rolling update", "restart", "recreate", "data at risk")
Spec = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ServiceEffect:
    """What happens to one service.

    Attributes:
        disruption: one of `DISRUPTIONS`.
        because: the fields that cause this class, not merely those that differ: `image`, `networks.data`.
        volumes: Docker names of the volumes whose data is at risk.
    """

    service: str
    disruption: str
    because: tuple[str, ...]
    volumes: tuple[str, ...] = ()


def effects_of(old: Mapping[str, Spec], new: Mapping[str, Spec]) -> Iterator[ServiceEffect]:
    """One effect for each service of a component that differs, jobs included: a job runs once more and stops nothing."""
    for key in dict.fromkeys((*new, *old)):
        before, after = old.get(key), new.get(key)
        if before != after:
            yield _effect(key, before, after)


def _effect(key: str, old: Spec | None, new: Spec | None) -> ServiceEffect:
    if old is None:
        return ServiceEffect(key, "none", ("service",))
    if new is None:
        return ServiceEffect(key, "none" if _is_job(old) else "recreate", ("service",))
    changed = tuple(_changed(old, new))
    if _is_job(new):
        return ServiceEffect(key, "none", changed)
    risky = tuple(_risky(old, new))
    if risky:
        held = tuple(str(v.get("name")) for v in old["volumes"].values() if v["type"] == "volume")
        return ServiceEffect(key, "data at risk", risky, held)
    networks = tuple(f"networks.{name}" for name in _differing(_names(old), _names(new)))
    if networks:
        return ServiceEffect(key, "recreate", networks)
    return ServiceEffect(key, "rolling update" if new["deploy"]["update_config"]["order"] == "start-first" else "restart", changed)


def _is_job(spec: Spec) -> bool:
    return bool(spec["deploy"]["kind"] == "job")


def _names(spec: Spec) -> dict[str, Any]:
    return {name: network["name"] for name, network in spec["networks"].items()}


def _risky(old: Spec, new: Spec) -> Iterator[str]:
    """A volume that goes elsewhere or away, or an image of another major version that may not read the old one's files."""
    before, after = ({k: (v.get("name"), v["target"]) for k, v in s["volumes"].items() if v["type"] == "volume"} for s in (old, new))
    if not before:
        return
    yield from (f"volumes.{name}" for name in before if before[name] != after.get(name))
    if _major(old) != _major(new):
        yield "image"


def _major(service: Spec) -> str:
    """Image name and the part of its tag before the first dot or hyphen: another one may not read the old one's files."""
    name, _, tag = service["image"].partition("@")[0].rpartition(":")
    return f"{name}:{tag.partition('-')[0].partition('.')[0]}"


def _changed(old: Spec, new: Spec, path: str = "") -> Iterator[str]:
    """Paths of what differs; a secret or config by its own name, since what differs there is its content."""
    for name in _differing(old, new):
        here, before, after = f"{path}{name}", old.get(name), new.get(name)
        if here.count(".") == 1 and here.startswith(("secrets.", "configs.")):
            yield here
        elif isinstance(before, Mapping) and isinstance(after, Mapping):
            yield from _changed(before, after, f"{here}.")
        else:
            yield here


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    return [name for name in dict.fromkeys((*new, *old)) if old.get(name) != new.get(name)]
