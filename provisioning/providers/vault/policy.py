"""Policies: path -> what may be done there. Written as HCL, with whose it is in the first line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.vault_files import NONE, rules_of
from provisioning.providers.vault import owner
from provisioning.providers.vault.client import Reach, Vault


@dataclass(frozen=True, slots=True)
class PolicyArgs:
    """A policy.

    Attributes:
        rules: path -> capabilities, sorted and joined by `, `; `none` for a rule that allows nothing.
        beyond: digest of a text that says more than rules can; empty in every policy of ours.
    """

    name: str
    labels: Mapping[str, str]
    reach: Reach
    rules: Mapping[str, str]
    beyond: str = ""
    adopted: bool = False


REPLACES = frozenset({"name"})


def spec_for(args: PolicyArgs) -> dict[str, str]:
    """What the server is asked for."""
    return {"policy": f"# {owner.mark(args.labels)}\n{_text(args.rules)}"}


def parse(plain: Mapping[str, Any]) -> PolicyArgs:
    """Arguments from JSON data."""
    return PolicyArgs(
        name=plain["name"],
        labels=dict(plain["labels"]),
        reach=Reach(**plain["reach"]),
        rules=dict(plain["rules"]),
        beyond=plain.get("beyond") or "",
        adopted=bool(plain.get("adopted")),
    )


def create(vault: Vault, args: PolicyArgs) -> str:
    """Write it, or adopt ours; its name is its id."""
    found = _found(vault, args)
    if found is not None:
        owner.refuse_stranger(f"policy {args.name}", owner.marked(found), args.labels, adopted=args.adopted)
        if _as_args(args, found) == args:
            return args.name
    vault.write(_path(args), spec_for(args))
    return args.name


def read(vault: Vault, args: PolicyArgs) -> tuple[str, PolicyArgs] | None:
    """What it allows now; None when it is gone."""
    found = _found(vault, args)
    return None if found is None else (args.name, _as_args(args, found))


def update(vault: Vault, args: PolicyArgs) -> None:
    """Give it other rules."""
    vault.write(_path(args), spec_for(args))


def delete(vault: Vault, args: PolicyArgs) -> None:
    """Remove it; one that is somebody else's by now stays."""
    found = _found(vault, args)
    if found is not None and owner.may_touch(owner.marked(found), args.labels, adopted=args.adopted):
        vault.remove(_path(args))


def _text(rules: Mapping[str, str]) -> str:
    return "".join(f"path {json.dumps(path)} {{\n  capabilities = [{_quoted(words)}]\n}}\n" for path, words in rules.items())


def _quoted(words: str) -> str:
    return ", ".join(json.dumps(word) for word in words.split(", ") if word != NONE)


def _path(args: PolicyArgs) -> str:
    return f"sys/policies/acl/{args.name}"


def _found(vault: Vault, args: PolicyArgs) -> str | None:
    found = vault.find(_path(args))
    return None if found is None else str(found.get("policy") or "")


def _as_args(args: PolicyArgs, text: str) -> PolicyArgs:
    rules, beyond = rules_of(text)
    return PolicyArgs(args.name, args.labels, args.reach, rules, beyond, args.adopted)
