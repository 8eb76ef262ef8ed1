"""Swarm networks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.providers.swarm.client import Swarm
from provisioning.providers.swarm.owner import identity_of, keep_adopted, owned_labels, refuse_stranger
from sprocket_v2.errors import ApplyError


@dataclass(frozen=True, slots=True)
class NetworkArgs:
    """An overlay network; an internal one has no way out. Without a subnet Docker chooses one. `adopted` is another maker's, by id."""

    name: str
    labels: Mapping[str, str]
    internal: bool
    subnet: str = ""
    attachable: bool = False
    adopted: str = ""


REPLACES = frozenset({"name", "internal", "subnet", "attachable"})


def spec_for(args: NetworkArgs) -> dict[str, Any]:
    """What the engine is asked for."""
    labels = owned_labels(args.labels)
    return {"Name": args.name, "Labels": labels, "Internal": args.internal, "Subnet": args.subnet, "Attachable": args.attachable}


def create(swarm: Swarm, args: NetworkArgs) -> str:
    """Make it, or adopt ours; its id."""
    if args.adopted:
        return keep_adopted(swarm, "network", args.name, args.adopted)
    found = swarm.find("network", args.name)
    if found is not None:
        refuse_stranger("network", args.name, found.get("Labels"), args.labels)
        if _subnet(found, args) != args.subnet:
            raise ApplyError(
                f"network {args.name} is there with the addresses {_subnet(found, args)}, wanted are {args.subnet}",
                hint="remove the services that are on it, then the network, and apply again",
                where=args.name,
            )
        return str(found["Id"])
    return swarm.create("network", spec_for(args))


def read(swarm: Swarm, args: NetworkArgs) -> tuple[str, NetworkArgs] | None:
    """Its id and how it is; None when it is gone."""
    found = swarm.find("network", args.name)
    if found is None:
        return None
    return str(found["Id"]), NetworkArgs(
        args.name, args.labels, bool(found.get("Internal")), _subnet(found, args), bool(found.get("Attachable"))
    )


def read_adopted(swarm: Swarm, network_id: str) -> NetworkArgs | None:
    """Somebody else's network in the form in which an import declares it; None when it is gone."""
    found = swarm.find("network", network_id)
    if found is None or identity_of(found) != network_id:
        return None
    return adopted_args(found)


def adopted_args(found: Mapping[str, Any]) -> NetworkArgs:
    """The same, of what Docker says. Its addresses stand there whoever chose them: they are how it is."""
    pools = (found.get("IPAM") or {}).get("Config") or [{}]
    return NetworkArgs(
        str(found["Name"]),
        dict(found.get("Labels") or {}),
        bool(found.get("Internal")),
        str(pools[0].get("Subnet", "")),
        bool(found.get("Attachable")),
        identity_of(found),
    )


def _subnet(found: Mapping[str, Any], args: NetworkArgs) -> str:
    """The addresses we asked for as they are; those that Docker chose are its own affair. It fills them in a moment after the making."""
    pools = (found.get("IPAM") or {}).get("Config") or ()
    return str(pools[0].get("Subnet", "")) if args.subnet and pools else args.subnet


def delete(swarm: Swarm, args: NetworkArgs) -> None:
    """Remove it."""
    swarm.remove("network", args.name)
