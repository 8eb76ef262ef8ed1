"""The data files of a bundle: blueprint.json, blueprint.lock.json, secrets.json. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from blueprints import context
from blueprints.existing import existing_data
from blueprints.names import docker_name
from blueprints.resolve import Resolution, ResolvedSecret
from blueprints.routes import Route, routes_data
from blueprints.shared import shared_data


def blueprint_data(resolution: Resolution, rows: Sequence[Route], files: Mapping[str, str], templates: Mapping[str, str]) -> dict[str, Any]:
    """What the bundle says about itself; its bytes' SHA-256 is the rendering's digest."""
    needs = resolution.needs
    return {
        "schema": 1,
        "organization": {"slug": needs.slug, "name": needs.name},
        "profile": needs.profile,
        "contract": resolution.profile.contract,
        "template_release": resolution.release,
        "needs_digest": resolution.needs_digest,
        "images": needs.applications,
        "components": [
            {
                "name": component.name,
                "title": component.manifest.title,
                "role": component.manifest.role,
                "plays": list(component.plays),
                "layer": component.manifest.layer,
                "reasons": list(component.reasons),
                "through": list(component.through),
                "services": [context.service_name(needs.slug, s) for s in component.services],
                "memory_mib": component.memory_mib,
                "inputs": dict(component.inputs),
                "interruption": component.manifest.interruption,
                "noticed_by": component.manifest.noticed_by,
                "backup": component.manifest.backup,
                "gap_s": max(s.gap_s for s in component.services),
            }
            for component in resolution.components
        ],
        "size": size_data(resolution),
        "access": {
            "canonical": context.way_facts(resolution.ways[0]),
            "ways": [context.way_facts(way) for way in resolution.ways],
            "cors_origins": list(dict.fromkeys(way.web_origin for way in resolution.ways)),
            "shared": shared_data(needs, context.routers(resolution, rows)) if needs.access.shared else None,
        },
        "routes": routes_data(rows),
        "verify": {
            "bot": needs.discord.bot,
            "database": context.database_facts(resolution),
            "starting_data": needs.database.starting_data.kind,
            "generation": context.generation_facts(resolution),
        },
        "existing": existing_data(resolution),
        "local": {
            "services": [docker_name(needs.slug, *key.split("_", 1)) for key in resolution.local],
            "environment": {key: list(values) for key, values in needs.additions.environment.items()},
        },
        "findings": [{"severity": f.severity, "message": f.message, "hint": f.hint} for f in resolution.findings],
        "files": [
            {"path": path, "sha256": hashlib.sha256(text.encode()).hexdigest(), "template": templates.get(path, "")}
            for path, text in sorted(files.items())
        ],
    }


def size_data(resolution: Resolution) -> dict[str, Any]:
    """The machine it needs, and what that costs a month; `machine` is unknown where the price table has none."""
    size = resolution.size
    return {
        "memory_mib": size.memory_mib,
        "needed_mib": size.needed_mib,
        "cores": size.cores,
        "machine": size.machine.name if size.machine else "unknown",
        "monthly_usd": size.machine.monthly if size.machine else None,
        "prices_of": size.prices.dated,
    }


def lock_data(resolution: Resolution) -> dict[str, Any]:
    """Images by component (and by service where one has its own), secret versions by name."""
    return {
        "images": {
            key: {
                "name": image.name,
                "tag": image.tag,
                "digest": image.digest,
                "local_id": image.local_id,
                "reference": image.reference,
            }
            for component in resolution.components
            for key, image in component.images.items()
        },
        "secrets": {name: secret.version for name, secret in resolution.secrets.items()},
    }


def secrets_data(resolution: Resolution) -> dict[str, Any]:
    """References and consumers of every secret; never a value (a placeholder's fixed text is none)."""
    slug = resolution.needs.slug
    names = {s.key: context.service_name(slug, s) for c in resolution.components for s in c.services}
    return {
        "secrets": {
            name: {
                "title": secret.manifest.title,
                "why": secret.manifest.why,
                "kind": secret.kind,
                "length": secret.manifest.length,
                "pattern": secret.manifest.pattern,
                "where_to_get": secret.manifest.where_to_get,
                "placeholder": secret.manifest.placeholder,
                "reference": f"{slug}/{name}",
                "swarm_name": context.secret_name(slug, secret),
                "version": secret.version,
                "file": f"secrets/{name}",
                "consumers": [names.get(key) or docker_name(slug, *key.split("_", 1)) for key in secret.consumers],
                **_collected(secret),
            }
            for name, secret in resolution.secrets.items()
        }
    }


def _collected(secret: ResolvedSecret) -> dict[str, str]:
    """The service whose container makes the value, by its key, and the file it leaves it in, in place of a file of the bundle's."""
    if secret.manifest.collected is None:
        return {}
    service, file = secret.manifest.collected
    return {"service": service, "file": file}
