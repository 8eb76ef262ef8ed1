"""Swarm secrets. Inputs and state hold reference, version and keyed fingerprint; the value goes from the run's socket to Docker."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.estate.adoption import fingerprint_of
from provisioning.providers.swarm.client import Swarm
from provisioning.providers.swarm.owner import identity_of, keep_adopted, owned_labels, refuse_stranger
from sprocket_v2.errors import ApplyError

FINGERPRINT = "sprocket.fingerprint"


@dataclass(frozen=True, slots=True)
class SecretArgs:
    """A secret by reference (`organization/name`), version and fingerprint; an adopted one by the engine's id, its value unknown."""

    name: str
    labels: Mapping[str, str]
    reference: str
    version: int
    fingerprint: str
    adopted: str = ""


REPLACES = frozenset({"name", "reference", "version", "fingerprint"})


def spec_for(args: SecretArgs, value: str) -> dict[str, Any]:
    """What the engine is asked for."""
    labels = {**owned_labels(args.labels), FINGERPRINT: args.fingerprint}
    return {"Name": args.name, "Labels": labels, "Data": value.encode()}


def create(swarm: Swarm, args: SecretArgs, ask: Callable[[str], str]) -> str:
    """Make it, or adopt ours of the same version; its id.

    Args:
        ask: `organization/name@version` -> value.
    """
    if args.adopted:
        return keep_adopted(swarm, "secret", args.name, args.adopted)
    found = swarm.find("secret", args.name)
    if found is None:
        return swarm.create("secret", spec_for(args, ask(f"{args.reference}@{args.version}")))
    have = found["Spec"].get("Labels") or {}
    refuse_stranger("secret", args.name, have, args.labels)
    if have.get(FINGERPRINT, args.fingerprint) != args.fingerprint:
        raise ApplyError(
            f"secret {args.name} exists with another value",
            hint="set the secret again, which makes a new version, and propose",
            where=args.name,
        )
    return str(found["ID"])


def read(swarm: Swarm, args: SecretArgs) -> tuple[str, SecretArgs] | None:
    """Its id and fingerprint; None when it is gone. One made by the bundle's own script carries no fingerprint and counts as the same."""
    found = swarm.find("secret", args.name)
    if found is None:
        return None
    have = (found["Spec"].get("Labels") or {}).get(FINGERPRINT, args.fingerprint)
    return str(found["ID"]), SecretArgs(args.name, args.labels, args.reference, args.version, have)


def read_adopted(swarm: Swarm, secret_id: str) -> SecretArgs | None:
    """Somebody else's secret in the form in which an import declares it: by its id, its value unknown; None when it is gone."""
    found = swarm.find("secret", secret_id)
    return adopted_args(found) if found is not None and identity_of(found) == secret_id else None


def adopted_args(found: Mapping[str, Any]) -> SecretArgs:
    """The same, of what Docker says. The fingerprint is that of name and labels: Docker gives no value to anybody."""
    name, labels = str(found["Spec"]["Name"]), dict(found["Spec"].get("Labels") or {})
    return SecretArgs(name, labels, "", 0, fingerprint_of({"name": name, "labels": labels}), identity_of(found))


def delete(swarm: Swarm, args: SecretArgs) -> None:
    """Remove it."""
    swarm.remove("secret", args.name)
