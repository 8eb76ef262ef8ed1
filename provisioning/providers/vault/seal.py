"""That a server can be used: initialised, unsealed, and by a token that outlives a run. Everything else of Vault's waits for it.

Normally the server's own start script opens it. Where the secret store has its keys as well, they are given. Nothing here initialises:
keys that nobody keeps would be the end of what is in it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from provisioning.providers.vault.client import Reach, Standing, Vault
from sprocket_v2.errors import ApplyError

UNSEALED = "unsealed"
RUN_S = 600  # a token that ends sooner would end during a run
RENEW_BELOW_S = 7 * 24 * 3600
_PAUSE_S = 0.5
_HINTS = {
    "not initialised": "its start script initialises it: look at the service's log",
    "sealed": "restart its service, whose script unseals it, or give it its keys: `bao operator unseal`; never initialise it again",
}
Ask = Callable[[str], str]  # `organization/name` -> value


@dataclass(frozen=True, slots=True)
class SealArgs:
    """How a server is wished to stand, and how long it may take to come to that.

    Attributes:
        keys: references of its keys, `organization/name`; none where only its own start script has them.
    """

    name: str
    labels: Mapping[str, str]
    reach: Reach
    deadline_s: float
    state: str = UNSEALED
    adopted: bool = False
    keys: tuple[str, ...] = ()


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
        keys=tuple(plain.get("keys") or ()),
    )


def create(vault: Vault, args: SealArgs, ask: Ask, *, pause: Callable[[float], None] = time.sleep) -> str:
    """Wait until it can be used, and give it the keys that the run has; its name is its id.

    Raises:
        ApplyError: it cannot be used within the deadline, its keys are not its keys, or the token is no good.
    """
    keys = _known(args, ask)
    limit = time.monotonic() + args.deadline_s
    while True:
        try:
            state, standing = _asked(vault)
            if state == "sealed" and keys:
                state = _opened(vault, keys, args)
            failure = _failure(args, state, standing)
        except ApplyError as error:
            if not error.transient:
                raise
            state, failure = "", error
        if state == UNSEALED:
            _look_at_token(vault, args)
            return args.name
        if time.monotonic() >= limit:
            raise failure
        pause(_PAUSE_S)


def read(vault: Vault, args: SealArgs) -> tuple[str, SealArgs] | None:
    """How it stands now."""
    return args.name, replace(args, state=_asked(vault)[0])


def update(vault: Vault, args: SealArgs, ask: Ask) -> None:
    """Wait again: it was found otherwise, or is another server."""
    create(vault, args, ask)


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


def _known(args: SealArgs, ask: Ask) -> list[str]:
    """The keys that the run was given."""
    found = []
    for reference in args.keys:
        try:
            found.append(ask(reference))
        except ApplyError:  # nobody has stored this one; a few of them are enough
            continue
    return found


def _opened(vault: Vault, keys: list[str], args: SealArgs) -> str:
    for key in keys:
        if not vault.unseal(key).sealed:
            return UNSEALED
    raise ApplyError(
        f"Vault is still sealed after {len(keys)} keys of the secret store",
        hint="they are too few, or another storage's: compare with the keys that its own start script has",
        where=", ".join(args.keys),
    )


def _look_at_token(vault: Vault, args: SealArgs) -> None:
    """Renew a token that ends soon; refuse one that would end during the run. One that has ended is refused by the client."""
    found = vault.find("auth/token/lookup-self") or {}
    left = int(found.get("ttl") or 0)
    if not found.get("expire_time") or left >= RENEW_BELOW_S:
        return
    if found.get("renewable"):
        vault.write("auth/token/renew-self", {})
        left = int((vault.find("auth/token/lookup-self") or {}).get("ttl") or 0)
    if left < RUN_S:
        raise ApplyError(
            f"the token ends in {left} s, which is sooner than a run",
            hint=f"make a new one and store it: `sprocket secret set {args.reach.token.replace('/', ' ')}`",
            where=args.reach.token,
        )
