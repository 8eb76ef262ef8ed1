"""Secrets engines: key-value of version 1 and 2, and others by their type. They hold what people wrote: none is removed by an update."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.providers.vault import owner
from provisioning.providers.vault.client import Reach, Vault
from sprocket_v2.errors import ApplyError


@dataclass(frozen=True, slots=True)
class MountArgs:
    """A secrets engine at a path; `version` is 1 or 2 for type kv and 0 for any other."""

    path: str
    labels: Mapping[str, str]
    reach: Reach
    type: str
    version: int = 0
    adopted: bool = False


REPLACES = frozenset({"path", "type"})


def spec_for(args: MountArgs) -> dict[str, Any]:
    """What the server is asked for."""
    options = {"options": {"version": str(args.version)}} if args.version else {}
    return {"type": args.type, "description": owner.mark(args.labels), **options}


def parse(plain: Mapping[str, Any]) -> MountArgs:
    """Arguments from JSON data."""
    return MountArgs(
        path=plain["path"],
        labels=dict(plain["labels"]),
        reach=Reach(**plain["reach"]),
        type=plain["type"],
        version=int(plain.get("version") or 0),
        adopted=bool(plain.get("adopted")),
    )


def create(vault: Vault, args: MountArgs) -> str:
    """Mount it, or adopt ours; its path is its id."""
    found = _found(vault, args)
    if found is None:
        vault.write(f"sys/mounts/{args.path}", spec_for(args))
    else:
        owner.refuse_stranger(f"secrets engine {args.path}", owner.marked(found["description"]), args.labels, adopted=args.adopted)
        _converge(vault, args, _as_args(args, found))
    return args.path


def read(vault: Vault, args: MountArgs) -> tuple[str, MountArgs] | None:
    """How it is; None when it is gone."""
    found = _found(vault, args)
    return None if found is None else (args.path, _as_args(args, found))


def update(vault: Vault, args: MountArgs) -> None:
    """Bring a key-value engine from version 1 to 2; there is no way back."""
    create(vault, args)


def delete(vault: Vault, args: MountArgs) -> None:
    """Unmount it with everything in it. The program keeps engines, so this is asked for by a purge only."""
    found = _found(vault, args)
    if found is not None and owner.may_touch(owner.marked(found["description"]), args.labels, adopted=args.adopted):
        vault.remove(f"sys/mounts/{args.path}")


def _found(vault: Vault, args: MountArgs) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = (vault.find("sys/mounts") or {}).get(f"{args.path}/")
    return found


def _as_args(args: MountArgs, found: Mapping[str, Any]) -> MountArgs:
    version = int((found.get("options") or {}).get("version") or 1) if found["type"] == "kv" else 0
    return MountArgs(args.path, args.labels, args.reach, str(found["type"]), version, args.adopted)


def _converge(vault: Vault, args: MountArgs, now: MountArgs) -> None:
    if (now.type, now.version, args.version) == (args.type, 1, 2):
        vault.write(f"sys/mounts/{args.path}/tune", {"options": {"version": "2"}})
    elif (now.type, now.version) != (args.type, args.version):
        raise ApplyError(
            f"the secrets engine at {args.path} is {_words(now)}, wanted is {_words(args)}",
            hint="copy what is in it, unmount it by hand, and apply again: unmounting removes every secret in it",
            where=args.path,
        )


def _words(args: MountArgs) -> str:
    return f"{args.type} version {args.version}" if args.version else args.type
