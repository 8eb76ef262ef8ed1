"""The auth method github: members of a team of one organization get that team's policies. The mapping is ours as a whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from provisioning.providers.vault import owner
from provisioning.providers.vault.client import Reach, Vault
from sprocket_v2.errors import ApplyError


@dataclass(frozen=True, slots=True)
class AuthArgs:
    """An auth method.

    Attributes:
        organization_id: the organization's number at GitHub; 0 lets the server look it up, for which it needs a way out.
        teams: team -> its policies, joined by `,`.
    """

    path: str
    labels: Mapping[str, str]
    reach: Reach
    type: str
    organization: str
    teams: Mapping[str, str]
    organization_id: int = 0
    adopted: bool = False


REPLACES = frozenset({"path", "type"})


def spec_for(args: AuthArgs) -> dict[str, Any]:
    """What the server is asked for."""
    return {"type": args.type, "description": owner.mark(args.labels)}


def config_for(args: AuthArgs) -> dict[str, Any]:
    """Whose members may log in."""
    return {"organization": args.organization, **({"organization_id": args.organization_id} if args.organization_id else {})}


def parse(plain: Mapping[str, Any]) -> AuthArgs:
    """Arguments from JSON data."""
    return AuthArgs(
        path=plain["path"],
        labels=dict(plain["labels"]),
        reach=Reach(**plain["reach"]),
        type=plain["type"],
        organization=plain["organization"],
        teams=dict(plain["teams"]),
        organization_id=int(plain.get("organization_id") or 0),
        adopted=bool(plain.get("adopted")),
    )


def create(vault: Vault, args: AuthArgs) -> str:
    """Enable it, or adopt ours, and bring it to what is wished; its path is its id."""
    found = _found(vault, args)
    if found is None:
        vault.write(f"sys/auth/{args.path}", spec_for(args))
    else:
        owner.refuse_stranger(f"auth method {args.path}", owner.marked(found["description"]), args.labels, adopted=args.adopted)
        if found["type"] != args.type:
            raise ApplyError(
                f"the auth method at {args.path} is {found['type']}, wanted is {args.type}",
                hint="disable it by hand first",
                where=args.path,
            )
    _converge(vault, args)
    return args.path


def read(vault: Vault, args: AuthArgs) -> tuple[str, AuthArgs] | None:
    """Who gets what now; None when it is gone."""
    found = _found(vault, args)
    if found is None:
        return None
    return args.path, replace(_as_args(vault, args), type=str(found["type"]))


def update(vault: Vault, args: AuthArgs) -> None:
    """Bring it to what is wished."""
    create(vault, args)


def delete(vault: Vault, args: AuthArgs) -> None:
    """Disable it, which ends every login made by it; one that is somebody else's by now stays."""
    found = _found(vault, args)
    if found is not None and owner.may_touch(owner.marked(found["description"]), args.labels, adopted=args.adopted):
        vault.remove(f"sys/auth/{args.path}")


def _found(vault: Vault, args: AuthArgs) -> Mapping[str, Any] | None:
    found: Mapping[str, Any] | None = (vault.find("sys/auth") or {}).get(f"{args.path}/")
    return found


def _as_args(vault: Vault, args: AuthArgs) -> AuthArgs:
    config = vault.find(_config(args)) or {}
    teams = {team: _policies(vault.find(_team(args, team)) or {}) for team in vault.keys(f"auth/{args.path}/map/teams")}
    number = int(config.get("organization_id") or 0) if args.organization_id else 0  # one the server looked up is its own affair
    return replace(args, organization=str(config.get("organization") or ""), organization_id=number, teams=teams)


def _converge(vault: Vault, args: AuthArgs) -> None:
    now = _as_args(vault, args)
    if config_for(now) != config_for(args):
        vault.write(_config(args), config_for(args))
    for team, policies in args.teams.items():
        if now.teams.get(team) != policies:
            vault.write(_team(args, team), {"value": policies})
    for team in now.teams.keys() - args.teams.keys():
        vault.remove(_team(args, team))


def _config(args: AuthArgs) -> str:
    return f"auth/{args.path}/config"


def _team(args: AuthArgs, team: str) -> str:
    return f"auth/{args.path}/map/teams/{team}"


def _policies(found: Mapping[str, Any]) -> str:
    return ",".join(word.strip() for word in str(found.get("value") or "").split(",") if word.strip())
