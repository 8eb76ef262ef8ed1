"""A layer's part of Vault, as its bundle has it: a folder with vault.yml, a file for each policy and a file for each path. Pure."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from blueprints.strict_yaml import load
from sprocket_v2.errors import PreviewError

HEAD = "vault.yml"
NONE = "none"  # what a rule allows that allows nothing
_COMMENT = re.compile(r"^\s*(?:#|//).*$", re.MULTILINE)
_RULE = re.compile(r'path\s+"(?P<path>[^"]+)"\s*\{\s*capabilities\s*=\s*\[(?P<capabilities>[^\]]*)\]\s*\}')


@dataclass(frozen=True, slots=True)
class Engine:
    """A secrets engine; version 0 where its type has none."""

    type: str
    version: int


@dataclass(frozen=True, slots=True)
class Path:
    """A secret path: fields with their text, and fields by the name of the secret they hold."""

    path: str
    mount: str
    plain: Mapping[str, str]
    secrets: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class VaultFiles:
    """All of a folder.

    Attributes:
        host: by which the server is asked for at the entry port.
        token: name of the secret it is signed in with.
        unseal_keys: names of the secrets that open it; none where only its own start script has them.
        adopted: resources (`vault-policy/elo-team`) that somebody else made and that may be brought to what is wished; never removed.
        policies: name -> text.
        teams: of the auth method github: team -> policies.
    """

    host: str
    token: str
    engines: Mapping[str, Engine] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)
    organization: str = ""
    teams: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    paths: tuple[Path, ...] = ()
    unseal_keys: tuple[str, ...] = ()
    adopted: frozenset[str] = frozenset()

    @property
    def opened_by(self) -> tuple[str, ...]:
        """Names of the secrets without which it cannot even be looked at."""
        return (self.token, *self.unseal_keys)


def read_vault(folder: str, files: Mapping[str, str]) -> VaultFiles:
    """Read a layer's folder.

    Args:
        folder: its path in the bundle, such as `layer_2/vault`.
        files: the bundle's files by path.
    Raises:
        PreviewError: a file is missing or says what it cannot; `where` names it.
    """
    head_path = f"{folder}/{HEAD}"
    try:
        head: Mapping[str, Any] = load(files[head_path], head_path)
        github = (head.get("auth") or {}).get("github") or {}
        policies = _below(f"{folder}/policies/", files)
        paths = _below(f"{folder}/secrets/", files)
        return VaultFiles(
            host=str(head["host"]),
            token=str(head["signs_in_with"]),
            engines={
                str(name): Engine(str(item["type"]), int(item.get("version") or 0)) for name, item in (head.get("mounts") or {}).items()
            },
            policies={name.removesuffix(".hcl"): text for name, text in policies.items()},
            organization=str(github.get("organization", "")),
            teams={str(team): tuple(map(str, names)) for team, names in (github.get("teams") or {}).items()},
            paths=tuple(_path(load(text, f"{folder}/secrets/{name}")) for name, text in paths.items()),
            unseal_keys=tuple(map(str, head.get("unseal_keys") or ())),
            adopted=frozenset(map(str, head.get("adopted") or ())),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise PreviewError(f"not a part of Vault: {error}", hint="render the bundle again", where=head_path) from None


def _below(prefix: str, files: Mapping[str, str]) -> dict[str, str]:
    return {path.removeprefix(prefix): text for path, text in sorted(files.items()) if path.startswith(prefix)}


def _path(data: Mapping[str, Any]) -> Path:
    fields: Mapping[str, Mapping[str, Any]] = data["fields"]
    return Path(
        str(data["path"]),
        str(data["mount"]),
        {name: str(item["value"]) for name, item in fields.items() if "value" in item},
        {name: str(item["from"]) for name, item in fields.items() if "from" in item},
    )


def capabilities(words: Iterable[str]) -> str:
    """Capabilities as a rule holds them."""
    return ", ".join(sorted(words)) or NONE


def rules_of(text: str) -> tuple[dict[str, str], str]:
    """The rules a policy's text states, and a digest of what it says beyond them; empty when that is nothing. Pure."""
    bare = _COMMENT.sub("", text)
    if bare.lstrip().startswith("{"):
        return _rules_of_json(bare)
    rules = {found["path"]: capabilities(re.findall(r'"([^"]+)"', found["capabilities"])) for found in _RULE.finditer(bare)}
    rest = _RULE.sub("", bare).strip()
    return rules, _digest(rest) if rest else ""


def _rules_of_json(text: str) -> tuple[dict[str, str], str]:
    try:
        stated = json.loads(text)["path"]
        rules = {str(path): capabilities(rule["capabilities"]) for path, rule in stated.items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}, _digest(text)
    return rules, "" if all(set(rule) == {"capabilities"} for rule in stated.values()) else _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
