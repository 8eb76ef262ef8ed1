"""That a server can be used: initialised and unsealed. Makes nothing and opens nothing; everything else of Vault's waits for it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from provisioning.providers.vault.client import Reach, Standing, Vault
from sprocket_v2.errors import ApplyError

UNSEALED = "unsealed"
_PAUSE_S = 0.5
_HINTS = {
    "not initialised": "its start script initialises it: look at the service's log",
    "sealed": "restart its service, whose script unseals it, or give it its keys: `bao operator unseal`",
}


@dataclass(frozen=True, slots=True)
class SealArgs:
    """How a server is wished to stand, and how long it may take to come to that."""

    name: str
    labels: Mapping[str, str]
    reach: Reach
    deadline_s: float
    state: str = UNSEALED
    adopted: bool = False


REPLACES = frozenset({"name"})


def state_of(standing: Standing) -> str:
    """One word for it; a server that is not initialised says that it is sealed as well."""
    if not standing.initialized:
        return "not initialised"
    return "sealed" if standing.sealed else UNSEALED


def parse(plain: Mapping[str, Any]) -> SealArgs:
    """Arguments from JSON data."""
    return SealArgs(
        name=plain["name"],
        labels=dict(plain["labels"]),
        reach=Reach(**plain["reach"]),
        deadline_s=float(plain["deadline_s"]),
        state=plain.get("state") or UNSEALED,
        adopted=bool(plain.get("adopted")),
    )


def create(vault: Vault, args: SealArgs, *, pause: Callable[[float], None] = time.sleep) -> str:
    """Wait until it can be used; its name is its id.

    Raises:
        ApplyError: it cannot, within the deadline.
    """
    limit = time.monotonic() + args.deadline_s
    while True:
        try:
            state, standing = _asked(vault)
            failure = _failure(args, state, standing)
        except ApplyError as error:
            if not error.transient:
                raise
            state, failure = "", error
        if state == UNSEALED:
            return args.name
        if time.monotonic() >= limit:
            raise failure
        pause(_PAUSE_S)


def read(vault: Vault, args: SealArgs) -> tuple[str, SealArgs] | None:
    """How it stands now."""
    return args.name, replace(args, state=_asked(vault)[0])


def update(vault: Vault, args: SealArgs) -> None:
    """Wait again: it was found otherwise, or is another server."""
    create(vault, args)


def delete(_vault: Vault, _args: SealArgs) -> None:
    """Nothing was made."""


def _asked(vault: Vault) -> tuple[str, Standing]:
    standing = vault.standing()
    return state_of(standing), standing


def _failure(args: SealArgs, state: str, standing: Standing) -> ApplyError:
    keys = f" ({standing.progress} of {standing.threshold} keys given)" if state == "sealed" and standing.threshold else ""
    return ApplyError(
        f"Vault is {state}{keys} after {args.deadline_s:.0f} s", hint=_HINTS.get(state, ""), where=args.reach.host or args.reach.url
    )
