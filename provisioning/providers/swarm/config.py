"""Swarm configs. They cannot change: new content has a new name."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.estate.adoption import fingerprint_of
from provisioning.providers.swarm.client import Swarm
from provisioning.providers.swarm.owner import identity_of, keep_adopted, owned_labels, refuse_stranger
from sprocket_v2.errors import ApplyError


@dataclass(frozen=True, slots=True)
class ConfigArgs:
    """A config file; `data` is its text. Of an adopted one (the engine's id) the content is never asked for: it goes on being used."""

    name: str
    labels: Mapping[str, str]
    data: str
    adopted: str = ""
    fingerprint: str = ""


REPLACES = frozenset({"name", "data"})


def spec_for(args: ConfigArgs) -> dict[str, Any]:
    """What the engine is asked for."""
    return {"Name": args.name, "Labels": owned_labels(args.labels), "Data": args.data.encode()}


def create(swarm: Swarm, args: ConfigArgs) -> str:
    """Make it, or adopt ours with the same content; its id."""
    if args.adopted:
        return keep_adopted(swarm, "config", args.name, args.adopted)
    found = swarm.find("config", args.name)
    if found is None:
        return swarm.create("config", spec_for(args))
    refuse_stranger("config", args.name, found["Spec"].get("Labels"), args.labels)
    if text_of(found) != args.data:
        raise ApplyError(
            f"config {args.name} exists with other content", hint=f"no service uses it? `docker config rm {args.name}`", where=args.name
        )
    return str(found["ID"])


def read(swarm: Swarm, args: ConfigArgs) -> tuple[str, ConfigArgs] | None:
    """Its id and content; None when it is gone."""
    found = swarm.find("config", args.name)
    return None if found is None else (str(found["ID"]), ConfigArgs(args.name, args.labels, text_of(found)))


def read_adopted(swarm: Swarm, config_id: str) -> ConfigArgs | None:
    """Somebody else's config in the form in which an import declares it: by its id, without its content; None when it is gone."""
    found = swarm.find("config", config_id)
    return adopted_args(found) if found is not None and identity_of(found) == config_id else None


def adopted_args(found: Mapping[str, Any]) -> ConfigArgs:
    """The same, of what Docker says."""
    name, labels = str(found["Spec"]["Name"]), dict(found["Spec"].get("Labels") or {})
    return ConfigArgs(name, labels, "", identity_of(found), fingerprint_of({"name": name, "labels": labels}))


def delete(swarm: Swarm, args: ConfigArgs) -> None:
    """Remove it."""
    swarm.remove("config", args.name)


def text_of(found: Mapping[str, Any]) -> str:
    return base64.b64decode(found["Spec"].get("Data") or "").decode("utf-8", "replace")
