"""Needs of v2 that fit an estate, for an admin to edit: what its running parts, routes and buckets speak for. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from blueprints.migration.model import Row
from blueprints.migration.rules import Rules, read_rules
from blueprints.migration.source import Source
from orgs.grammar import is_address


def suggest_needs(rows: Sequence[Row], *, slug: str, name: str, source: Source | None = None, rules: Rules | None = None) -> dict[str, Any]:
    """Answers as a needs file has them. What nothing speaks for is left out, so that its default holds; owner and e-mail are to be filled in.

    Args:
        slug: of the v2 organization, which is not the estate's.
    """
    rules = rules or read_rules()
    roles = {row.role for row in rows if row.kind == "service" and row.replicas and row.decision != "drop"}
    needs: dict[str, Any] = {
        "name": name,
        "slug": slug,
        "owner": {"name": "Fill in", "contact": "fill in"},
        "games": ["rocket-league"],
        "features": _features(roles, rules),
        "discord": {"bot": "discord-bot" in roles},
        "database": {"where": "deployment"},
        "access": _access(rows, slug),
    }
    if source and source.storage:
        storage = source.storage
        buckets = {"replays_bucket": f"{slug}-replays", "images_bucket": f"{slug}-images"}
        needs["storage"] = {"where": "existing", "existing": {"host": storage.host, "port": storage.port, "tls": storage.tls, **buckets}}
    return needs


def _features(roles: set[str], rules: Rules) -> dict[str, bool]:
    found = {feature: True for role, feature in rules.suggests.items() if role in roles}
    needs_the_bot = ("report_cards", "template_editor", "notifications")
    return found if "discord-bot" in roles else {key: value for key, value in found.items() if key not in needs_the_bot}


def _access(rows: Iterable[Row], slug: str) -> dict[str, Any]:
    """The domain of the site's own router; else its API's without `api.`; else the machine itself."""
    routes = [row for row in rows if row.kind == "route"]
    hosts = [host for row in routes if row.role == "web" for host in row.hosts]
    hosts += [host.removeprefix("api.") for row in routes for host in row.hosts if host.startswith("api.")]
    domain = next((host for host in hosts if not is_address(host)), "")
    if not domain or domain.endswith("localhost"):
        return {"canonical": "localhost", "localhost": {"host": domain or f"{slug}.localhost"}}
    return {"canonical": "public", "public": {"domain": domain, "email": f"admin@{domain}", "certificates": "staging"}}
