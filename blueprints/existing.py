"""Which services outside the deployment it leans on, and what it asks of them: for blueprint.json, which preflight reads. Pure."""

from __future__ import annotations

from typing import Any

from blueprints import context
from blueprints.names import docker_name
from blueprints.resolve import Resolution

DATABASE_SECRET, CACHE_SECRET = "db-password", "redis-password"
STORAGE_SECRETS = ("storage-access-key", "storage-secret-key")
_POOLS = {"api": 2}  # the API keeps a pool for its models beside the one all back ends share; the others keep one


def existing_data(resolution: Resolution) -> dict[str, Any]:
    """Each kind that is outside, with address, names and demands; a kind that is in the deployment is left out."""
    found: dict[str, Any] = {}
    database, cache = context.database_facts(resolution), context.cache_facts(resolution)
    if database["where"] == "managed":
        kept = {key: database[key] for key in ("host", "port", "name", "user")}
        found["database"] = {**kept, "secret": DATABASE_SECRET, "connections": connections(resolution)}
    if resolution.needs.storage.existing is not None:
        storage = context.storage_facts(resolution)
        kept = {key: storage[key] for key in ("host", "port", "tls", "buckets")}
        found["storage"] = {**kept, "secrets": list(STORAGE_SECRETS), "public_pictures": _has_role(resolution, "image-generation")}
    if cache["where"] == "existing":
        kept = {key: cache[key] for key in ("host", "port", "tls")}
        found["cache"] = {**kept, "secret": CACHE_SECRET, "json": _has_role(resolution, "notifications")}
    return found


def connections(resolution: Resolution) -> dict[str, int]:
    """Service -> the most connections to the database it keeps; jobs are over before the applications begin."""
    pool = int(context.database_facts(resolution)["pool"])
    return {
        docker_name(resolution.needs.slug, *service.key.split("_", 1)): pool
        * _POOLS.get(component.manifest.role, 1)
        * component.replicas_of(service)
        for component in resolution.components
        for service in component.services
        if DATABASE_SECRET in service.secrets and not service.is_job
    }


def _has_role(resolution: Resolution, role: str) -> bool:
    return any(component.manifest.role == role for component in resolution.components)
