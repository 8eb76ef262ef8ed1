"""Whose a Docker object is: by its labels. Create means create-or-adopt; a stranger's object of our name is refused and named.

What somebody else made and we look after cannot be labelled: it is ours by the engine's id in the adoption record.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blueprints.compose import NAMESPACE
from provisioning.providers.swarm.client import ORG, Swarm
from sprocket_v2.errors import ApplyError

RESOURCE = "sprocket.resource"


def owned_labels(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels an object gets: ours, and the one by which `docker stack` knows its own."""
    return {**labels, NAMESPACE: labels[ORG]}


def refuse_stranger(kind: str, name: str, found: Mapping[str, str] | None, wanted: Mapping[str, str]) -> None:
    """Raise unless the labels found are those of the same resource of the same organization.

    Raises:
        ApplyError: it exists and is not ours.
    """
    have = found or {}
    if all(have.get(label) == wanted[label] for label in (ORG, RESOURCE)):
        return
    whose = f"belongs to {have[ORG]} ({have.get(RESOURCE, 'no resource')})" if ORG in have else "was not made by Sprocket"
    raise ApplyError(
        f"{kind} {name} exists and {whose}", hint=f"look at it (`docker {kind} inspect {name}`), then rename or remove it", where=name
    )


def refuse_other(kind: str, name: str, found: Mapping[str, Any] | None, adopted: str) -> Mapping[str, Any]:
    """The adopted object; raise where the one that was taken over is gone. One of the same name made since is another object.

    Raises:
        ApplyError: it is gone.
    """
    if found is None or identity_of(found) != adopted:
        raise ApplyError(
            f"{kind} {name}, taken over as {adopted}, is gone",
            hint="somebody removed it or made it anew: import the estate again, or decide in the ledger to drop it",
            where=name,
        )
    return found


def keep_adopted(swarm: Swarm, kind: str, name: str, adopted: str) -> str:
    """Look after somebody else's object: it has to be there, and stays as it is; its id."""
    return identity_of(refuse_other(kind, name, swarm.find(kind, adopted), adopted))


def identity_of(found: Mapping[str, Any]) -> str:
    """The engine's id of an object; a volume has its name only."""
    return str(found.get("ID") or found.get("Id") or found["Name"])
