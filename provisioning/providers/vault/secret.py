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
CHANGED = "changed: "  # before the fingerprint of a field whose text is not the wished one
MISSING = "missing"  # the fingerprint of a field that is not there
UNTOLD = "0" * 64  # the fingerprint of a value that nobody has yet (secret_store.fingerprints_for)


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
    values = {**args.plain, **{field: ask(reference) for field, reference in args.references.items()}}
    if version == 1:
        _refuse_other_content(vault.find(_data(args, 1)), values, args)
    _write(vault, args, version, values)
    return args.path


def update(vault: Vault, args: SecretArgs, ask: Ask) -> None:
    """Write it again: a new version, where the engine keeps versions."""
    values = {**args.plain, **{field: ask(reference) for field, reference in args.references.items()}}
    _write(vault, args, vault.kv_version(args.mount), values)


def read(vault: Vault, args: SecretArgs, fingerprint: Fingerprint) -> tuple[str, SecretArgs] | None:
    """What is there now; None when it is gone. Whatever is not as wished is told by its fingerprint: it may be anybody's secret."""
    version = vault.kv_version(args.mount)
    found = vault.find(_data(args, version)) if version else None
    values: Mapping[str, Any] | None = found.get("data") if found and version == 2 else found
    if not values:
        return None
    now = {field: str(value) for field, value in values.items()}
    plain = {
        field: text if args.plain.get(field) == text else f"{CHANGED}{fingerprint(field, text)}"
        for field, text in now.items()
        if field not in args.references
    }
    prints = {field: _print_of(args, field, now.get(field), fingerprint) for field in args.references}
    return args.path, replace(args, plain=plain, fingerprints=prints)


def delete(vault: Vault, args: SecretArgs) -> None:
    """Remove it with all its versions; one that is somebody else's by now stays."""
    version = vault.kv_version(args.mount)
    if version == 1:
        vault.remove(_data(args, version))
    if version != 2:
        return
    found = vault.find(_metadata(args))
    if found is not None and (args.adopted or owner.is_ours(found.get("custom_metadata") or {}, args.labels)):
        vault.remove(_metadata(args))


def _write(vault: Vault, args: SecretArgs, version: int, values: Mapping[str, str]) -> None:
    if not version:
        raise ApplyError(
            f"no secrets engine is mounted at {args.mount}", hint="name it under `mounts` of the blueprint's vault.yml", where=args.path
        )
    if version == 1:
        vault.write(_data(args, 1), values)
        return
    found = vault.find(_metadata(args))
    have = (found or {}).get("custom_metadata") or {}
    if found is not None:
        owner.refuse_stranger(f"secret path {args.path}", have, args.labels, adopted=args.adopted)
    # Whose it is comes first: a run that ends between the two leaves a path that the next one knows for ours.
    vault.write(_metadata(args), {"custom_metadata": {**have, **owner.metadata(args.labels)}})
    seen = int((found or {}).get("current_version") or 0)
    vault.write(_data(args, 2), {"data": dict(values), "options": {"cas": seen}})


def _refuse_other_content(found: Mapping[str, Any] | None, values: Mapping[str, str], args: SecretArgs) -> None:
    """The older engine has nowhere to say whose a path is: one we have not written yet has to be free, or hold just this already."""
    if found is not None and dict(found) != dict(values) and not args.adopted:
        raise ApplyError(
            f"secret path {args.path} exists and holds something else",
            hint="an engine of version 1 cannot tell whose it is: look at it, then move it or remove it",
            where=args.path,
        )


def _print_of(args: SecretArgs, field: str, text: str | None, fingerprint: Fingerprint) -> str:
    if text is None:
        return MISSING
    known = args.fingerprints.get(field)
    if known == UNTOLD:  # collected: its value was not there when this was planned
        return UNTOLD
    return fingerprint(args.references[field].rpartition("/")[2].partition("@")[0], text)


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
