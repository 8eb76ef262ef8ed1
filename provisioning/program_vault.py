"""A layer's part of Vault as resources of its stack: engines, policies, teams, secret paths. Decides nothing; the files say all of it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blueprints.compose import StackSpec
from blueprints.vault_files import VaultFiles, rules_of
from sprocket_v2.errors import PreviewError

ENTRY = 80
SEAL_DEADLINE_S = 60  # its start script unseals it within seconds; the route to it may be as young as the server
UNSEALED = "unsealed"


@dataclass(frozen=True, slots=True)
class Declared:
    """One resource of Vault's: its kind, its name in the stack, its inputs."""

    kind: str
    name: str
    props: Mapping[str, Any]

    @property
    def is_engine(self) -> bool:
        """It holds what people wrote, and is never removed by an apply."""
        return self.kind == "Mount"

    @property
    def stage(self) -> int:
        """What has a higher one waits for it: an unsealed server, then its engines, then what is kept in them."""
        return {"Seal": 0, "Mount": 1}.get(self.kind, 2)


def in_vault(
    files: VaultFiles, slug: str, former: Sequence[StackSpec], versions: Mapping[str, int], fingerprints: Mapping[str, str]
) -> tuple[Declared, ...]:
    """Everything of a layer's folder, in the order of its stages.

    Args:
        former: the layers before it; one of them publishes the entry port that leads to the server.
        versions, fingerprints: of the organization's secrets, by name.
    Raises:
        PreviewError: no layer publishes the entry port, a secret is in no lock, or a policy says more than we can compare.
    """
    reach = {"url": f"http://127.0.0.1:{_entry_port(former)}", "host": files.host, "token": f"{slug}/{files.token}"}
    return tuple(
        Declared(
            kind,
            name,
            {**props, "labels": {"sprocket.org": slug, "sprocket.resource": name}, "reach": reach, "adopted": name in files.adopted},
        )
        for kind, name, props in _listed(files, slug, versions, fingerprints)
    )


def _listed(
    files: VaultFiles, slug: str, versions: Mapping[str, int], fingerprints: Mapping[str, str]
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    keys = [f"{slug}/{name}" for name in files.unseal_keys]
    yield "Seal", "vault-seal/server", {"name": files.host, "deadline_s": SEAL_DEADLINE_S, "state": UNSEALED, "keys": keys}
    for name, engine in files.engines.items():
        yield "Mount", f"vault-mount/{name}", {"path": name, "type": engine.type, "version": engine.version}
    for name, text in files.policies.items():
        rules, beyond = rules_of(text)
        if beyond:
            raise PreviewError(
                f"policy {name} says more than paths and capabilities",
                hint="it may have `path` blocks with `capabilities` only",
                where=name,
            )
        yield "Policy", f"vault-policy/{name}", {"name": name, "rules": rules, "beyond": beyond}
    if files.organization:
        teams = {team: ",".join(names) for team, names in files.teams.items()}
        auth = {"path": "github", "type": "github", "organization": files.organization, "organization_id": 0, "teams": teams}
        yield "AuthMethod", "vault-auth/github", auth
    for path in files.paths:
        missing = [name for name in path.secrets.values() if name not in versions]
        if missing:
            raise PreviewError(
                f"{path.path} wants secret {missing[0]}, which the bundle does not have", hint="render it again", where=path.path
            )
        references = {field: f"{slug}/{name}@{versions[name]}" for field, name in path.secrets.items()}
        known = {field: fingerprints[name] for field, name in path.secrets.items()}
        inputs = {"path": path.path, "mount": path.mount, "plain": dict(path.plain), "references": references, "fingerprints": known}
        yield "Secret", f"vault-secret/{path.path}", inputs


def _entry_port(former: Sequence[StackSpec]) -> int:
    ports = [port.published for stack in former for args in stack.services.values() for port in args.ports if port.target == ENTRY]
    if not ports:
        raise PreviewError(
            "no former layer publishes the entry port, by which Vault is reached", hint="its proxy belongs to layer_1", where="vault.yml"
        )
    return ports[0]
