"""Docker volumes. They hold the league's data: removing one is never part of an update."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from provisioning.providers.swarm.client import Swarm
from provisioning.providers.swarm.owner import keep_adopted, owned_labels, refuse_stranger


@dataclass(frozen=True, slots=True)
class VolumeArgs:
    """A local volume; the driver's options are such as type, o and device of a bound folder. `adopted` is another maker's, by name."""

    name: str
    labels: Mapping[str, str]
    driver_options: Mapping[str, str] = field(default_factory=dict)
    adopted: str = ""


Withhold = Callable[[str, str], str]
REPLACES = frozenset({"name", "driver_options"})


def spec_for(args: VolumeArgs) -> dict[str, Any]:
    """What the engine is asked for."""
    return {"Name": args.name, "Labels": owned_labels(args.labels), "DriverOpts": dict(args.driver_options)}


def create(swarm: Swarm, args: VolumeArgs) -> str:
    """Make it, or adopt ours; its name is its id."""
    if args.adopted:
        return keep_adopted(swarm, "volume", args.name, args.adopted)
    found = swarm.find("volume", args.name)
    if found is not None:
        refuse_stranger("volume", args.name, found.get("Labels"), args.labels)
        return args.name
    return swarm.create("volume", spec_for(args))


def read(swarm: Swarm, args: VolumeArgs) -> tuple[str, VolumeArgs] | None:
    """How it is; None when it is gone."""
    return (args.name, args) if swarm.find("volume", args.name) is not None else None


def read_adopted(swarm: Swarm, name: str, withhold: Withhold) -> VolumeArgs | None:
    """Somebody else's volume in the form in which an import declares it; None when it is gone.

    Args:
        withhold: (name of an option, its value) -> the value, or what stands for it where it looks secret.
    """
    found = swarm.find("volume", name)
    return None if found is None else adopted_args(found, withhold)


def adopted_args(found: Mapping[str, Any], withhold: Withhold) -> VolumeArgs:
    """The same, of what Docker says."""
    options = {str(key): withhold(str(key), str(value)) for key, value in (found.get("Options") or {}).items()}
    return VolumeArgs(str(found["Name"]), dict(found.get("Labels") or {}), options, str(found["Name"]))


def delete(swarm: Swarm, args: VolumeArgs) -> None:
    """Remove it with everything in it. The program keeps volumes, so this is asked for by a purge only."""
    swarm.remove("volume", args.name)
