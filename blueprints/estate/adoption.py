"""The adoption record: which live object each resource of an imported bundle is, by the engine's id. Reads adoption.json. Pure.

What somebody else made cannot be labelled as ours without changing it. The record is what makes it ours instead (reliability rule 6).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sprocket_v2.errors import PreviewError

FILE = "adoption.json"
CONTRACT = "adopted"  # of a bundle that says what somebody else made
_FINGERPRINT_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Adopted:
    """One live object.

    Attributes:
        layer: whose Pulumi stack holds it, since others may refer to it too.
        fingerprint: of how it was when it was taken over; a value that was withheld is in it as it stands in the bundle.
    """

    id: str
    name: str
    layer: str
    fingerprint: str


Record = Mapping[str, Adopted]  # by resource: `service/web`, `network/traefik-ingress-1a2b3c4`


def read_adoption(text: str) -> dict[str, Adopted]:
    """The record of a bundle.

    Raises:
        PreviewError: it is not one.
    """
    try:
        listed: Mapping[str, Mapping[str, Any]] = json.loads(text)["resources"]
        return {
            str(resource): Adopted(str(item["id"]), str(item["name"]), str(item["layer"]), str(item["fingerprint"]))
            for resource, item in listed.items()
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        raise PreviewError("this is no adoption record", hint="import the estate again", where=FILE) from None


def fingerprint_of(data: Mapping[str, Any]) -> str:
    """Tells whether an object is as it was; of plain data without secret values."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:_FINGERPRINT_DIGITS]
