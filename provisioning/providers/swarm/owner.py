"""Whose a Docker object is: by its labels. Create means create-or-adopt; a stranger's object of our name is refused and named. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from blueprints.compose import NAMESPACE
from provisioning.providers.swarm.client import ORG
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
