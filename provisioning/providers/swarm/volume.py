"""Docker volumes. They hold the league's data: removing one is never part of an update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.providers.swarm.client import Swarm
from provisioning.providers.swarm.owner import owned_labels, refuse_stranger


@dataclass(frozen=True, slots=True)
class VolumeArgs:
    """A local volume."""

    name: str
    labels: Mapping[str, str]


REPLACES = frozenset({"name"})


def spec_for(args: VolumeArgs) -> dict[str, Any]:
    """What the engine is asked for."""
    return {"Name": args.name, "Labels": owned_labels(args.labels)}


def create(swarm: Swarm, args: VolumeArgs) -> str:
    """Make it, or adopt ours; its name is its id."""
    found = swarm.find("volume", args.name)
    if found is not None:
        refuse_stranger("volume", args.name, found.get("Labels"), args.labels)
        return args.name
    return swarm.create("volume", spec_for(args))


def read(swarm: Swarm, args: VolumeArgs) -> tuple[str, VolumeArgs] | None:
    """How it is; None when it is gone."""
    return (args.name, args) if swarm.find("volume", args.name) is not None else None


def delete(swarm: Swarm, args: VolumeArgs) -> None:
    """Remove it with everything in it. The program keeps volumes, so this is asked for by a purge only."""
    swarm.remove("volume", args.name)
