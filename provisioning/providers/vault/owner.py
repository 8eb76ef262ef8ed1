"""Whose an object of Vault's is. Vault has no labels, so a mark stands in a description, a policy's first line, or a secret's metadata.

Create means create-or-adopt; a stranger's object under our name is refused and named. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from provisioning.providers.swarm.client import ORG
from provisioning.providers.swarm.owner import RESOURCE
from sprocket_v2.errors import ApplyError

_MARK = re.compile(rf"\b{re.escape(ORG)}=(?P<org>\S+) {re.escape(RESOURCE)}=(?P<resource>\S+)")


def mark(labels: Mapping[str, str]) -> str:
    """The text that makes an object ours."""
    return f"{ORG}={labels[ORG]} {RESOURCE}={labels[RESOURCE]}"


def marked(text: str) -> dict[str, str]:
    """The labels that a text carries as a mark; none in a stranger's."""
    found = _MARK.search(text)
    return {ORG: found["org"], RESOURCE: found["resource"]} if found else {}


def metadata(labels: Mapping[str, str]) -> dict[str, str]:
    """The same as key-value metadata."""
    return {name: labels[name] for name in (ORG, RESOURCE)}


def is_ours(found: Mapping[str, str], wanted: Mapping[str, str]) -> bool:
    """Whether the labels found are those of the same resource of the same organization."""
    return all(found.get(name) == wanted[name] for name in (ORG, RESOURCE))


def refuse_stranger(what: str, found: Mapping[str, str], wanted: Mapping[str, str], *, adopted: bool) -> None:
    """Raise unless it is ours, or was adopted.

    Args:
        what: kind and name, e.g. `policy admin-team`.
    Raises:
        ApplyError: it exists and is not ours.
    """
    if adopted or is_ours(found, wanted):
        return
    whose = f"belongs to {found[ORG]} ({found.get(RESOURCE, 'no resource')})" if ORG in found else "was not made by Sprocket"
    raise ApplyError(
        f"{what} exists and {whose}",
        hint="look at it, then remove it there, or name it under `adopted` of the layer's vault.yml",
        where=what,
    )
