"""Key-value secrets: plain fields as they are, secret ones by reference, version and fingerprint. Values are asked for when written."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from provisioning.providers.vault import owner
from provisioning.providers.vault.client import Reach, Vault
from sprocket_v2.errors import ApplyError

Ask = Callable[[str], str]  # `organization/name@version` -> value
Fingerprint = Callable[[str, str], str]  # secret's name, value -> its fingerprint
UNKNOWN = "unknown"  # the fingerprint of what a field holds that has none


@dataclass(frozen=True, slots=True)
class SecretArgs:
    """A path of a key-value engine.

    Attributes:
        path: as people name it, with the engine's own path in front.
        plain: field -> text.
        references: field -> `organization/name@version`.
        fingerprints: field -> keyed fingerprint of its value.
    """

    path: str
    mount: str
    labels: Mapping[str, str]
    reach: Reach
    plain: Mapping[str, str]
    references: Mapping[str, str]
    fingerprints: Mapping[str, str]
    adopted: bool = False


REPLACES = frozenset({"path", "mount"})


def parse(plain: Mapping[str, Any]) -> SecretArgs:
    """Arguments from JSON data."""
    return SecretArgs(
        path=plain["path"],
        mount=plain["mount"],
        labels=dict(plain["labels"]),
        reach=Reach(**plain["reach"]),
        plain=dict(plain.get("plain") or {}),
        references=dict(plain.get("references") or {}),
        fingerprints=dict(plain.get("fingerprints") or {}),
        adopted=bool(plain.get("adopted")),
    )


def create(vault: Vault, args: SecretArgs, ask: Ask) -> str:
    """Write it, or bring ours to what is wished; its path is its id.

    Raises:
        ApplyError: somebody else wrote there.
    """
    version = vault.kv_version(args.mount)
    found = vault.find(_data(args, version))
    if found is not None and version == 2:  # the older engine has nowhere to say whose it is
        have = (vault.find(_metadata(args)) or {}).get("custom_metadata") or {}
        owner.refuse_stranger(f"secret path {args.path}", have, args.labels, adopted=args.adopted)
    values = {**args.plain, **{field: ask(reference) for field, reference in args.references.items()}}
    if version == 2:
        vault.write(_data(args, version), {"data": values})
        vault.write(_metadata(args), {"custom_metadata": owner.metadata(args.labels)})
    else:
        vault.write(_data(args, version), values)
    return args.path


def update(vault: Vault, args: SecretArgs, ask: Ask) -> None:
    """Write it again: a new version, where the engine keeps versions."""
    create(vault, args, ask)


def read(vault: Vault, args: SecretArgs, fingerprint: Fingerprint) -> tuple[str, SecretArgs] | None:
    """What is there now, values as fingerprints; None when it is gone."""
    version = vault.kv_version(args.mount)
    found = vault.find(_data(args, version))
    values: Mapping[str, Any] | None = found.get("data") if found and version == 2 else found
    if not values:
        return None
    names = {field: reference.rpartition("/")[2].partition("@")[0] for field, reference in args.references.items()}
    now = replace(
        args,
        plain={field: str(value) for field, value in values.items() if field not in names},
        fingerprints={field: fingerprint(name, str(values[field])) if field in values else UNKNOWN for field, name in names.items()},
    )
    return args.path, now


def delete(vault: Vault, args: SecretArgs) -> None:
    """Remove it with all its versions; one that is somebody else's by now stays."""
    version = vault.kv_version(args.mount)
    if version != 2:
        vault.remove(_data(args, version))
        return
    found = vault.find(_metadata(args))
    if found is not None and (args.adopted or owner.is_ours(found.get("custom_metadata") or {}, args.labels)):
        vault.remove(_metadata(args))


def _data(args: SecretArgs, version: int) -> str:
    """The API's path: version 2 puts `data` behind the engine, whatever the path itself begins with (as the estate's do)."""
    return f"{args.mount}/data/{_rest(args)}" if version == 2 else args.path


def _metadata(args: SecretArgs) -> str:
    return f"{args.mount}/metadata/{_rest(args)}"


def _rest(args: SecretArgs) -> str:
    prefix = f"{args.mount}/"
    if not args.path.startswith(prefix):
        raise ApplyError(
            f"{args.path} is not below {args.mount}", hint="name the secrets engine that its path begins with", where=args.path
        )
    return args.path.removeprefix(prefix)
