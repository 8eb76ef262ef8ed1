"""What the control plane knows of an organization, as rules see it. Reads rows; values of secrets are judged here and forgotten."""

from __future__ import annotations

import base64
import json
import secrets
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.contrib.auth import get_user_model

from blueprints.checks.facts import Records, Rehearsal
from blueprints.secret_files import problem_with
from orgs import access
from orgs.models import Membership, Organization
from provisioning import secret_store
from provisioning.models import StackState
from provisioning.secret_socket import SecretServer


def records_of(org: Organization, references: Mapping[str, Mapping[str, Any]]) -> Records:
    """The records of an organization.

    Args:
        references: of the blueprint's secrets.json.
    """
    state = StackState.objects.for_org(org).first()
    wanted = secret_store.wanted_secrets(references)
    missing = {item.name for item in secret_store.missing_secrets(org, wanted)}
    return Records(
        is_deployed=bool(state and state.applied_blueprint_id),
        rehearsals=_rehearsals((state.backups or {}).get("tried") if state else None),
        operators=tuple(_operators(org)),
        secret_problems=_problems(org, references, wanted),
        missing_secrets=tuple(sorted(missing)),
        leaks=leaks_of_a_canary(),
    )


def _rehearsals(tried: Mapping[str, Any] | None) -> tuple[Rehearsal, ...]:
    if not tried:
        return ()
    days = (datetime.now(UTC) - datetime.fromisoformat(str(tried["at"]))).total_seconds() / 86400
    return (Rehearsal(f"restore of {tried['name']}", days, float(tried["took_s"])),)


def _operators(org: Organization) -> list[str]:
    """Who may apply: members by their roles, and the platform's admins."""
    members = Membership.objects.for_org(org).select_related("user").filter(user__is_active=True)
    names = {row.user.get_username() for row in members if access.may(row.user, org, "apply")}
    names |= {user.get_username() for user in get_user_model().objects.filter(is_superuser=True, is_active=True)}
    return sorted(names)


def _problems(org: Organization, references: Mapping[str, Mapping[str, Any]], wanted: list[secret_store.Wanted]) -> dict[str, str]:
    """Name -> what is wrong with the value that the blueprint names; a placeholder is as the release wrote it."""
    found = {}
    have = secret_store.secret_versions(org)
    for item in wanted:
        if item.kind != "placeholder" and item.version <= have.get(item.name, 0):
            [value] = secret_store.values_for(org, [item]).values()
            found[item.name] = problem_with(value, str(references[item.name].get("pattern") or "") if item.kind == "supplied" else "")
    return found


def leaks_of_a_canary() -> tuple[str, ...]:
    """The forms in which a made-up secret comes through the masking of a run's output."""
    canary = f'canary "{secrets.token_urlsafe(18)}/+&é'
    forms = {
        "as it is": canary,
        "base64": base64.b64encode(canary.encode()).decode(),
        "URL": quote(canary, safe=""),
        "JSON": json.dumps(canary)[1:-1],
    }
    with tempfile.TemporaryDirectory() as folder:
        server = SecretServer({"canary/value@1": canary}, Path(folder))
        return tuple(name for name, form in forms.items() if form in server.mask(f"before {form} after"))
