"""Swarm networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.providers.swarm.client import Swarm
from provisioning.providers.swarm.owner import owned_labels, refuse_stranger


@dataclass(frozen=True, slots=True)
class NetworkArgs:
    """An overlay network; an internal one has no way out."""

    name: str
    labels: Mapping[str, str]
    internal: bool


REPLACES = frozenset({"name", "internal"})


def spec_for(args: NetworkArgs) -> dict[str, Any]:
    """What the engine is asked for."""
    return {"Name": args.name, "Labels": owned_labels(args.labels), "Internal": args.internal}


def create(swarm: Swarm, args: NetworkArgs) -> str:
    """Make it, or adopt ours; its id."""
    found = swarm.find("network", args.name)
    if found is not None:
        refuse_stranger("network", args.name, found.get("Labels"), args.labels)
        return str(found["Id"])
    return swarm.create("network", spec_for(args))


def read(swarm: Swarm, args: NetworkArgs) -> tuple[str, NetworkArgs] | None:
    """Its id and how it is; None when it is gone."""
    found = swarm.find("network", args.name)
    if found is None:
        return None
    return str(found["Id"]), NetworkArgs(args.name, args.labels, bool(found.get("Internal")))


def delete(swarm: Swarm, args: NetworkArgs) -> None:
    """Remove it."""
    swarm.remove("network", args.name)
