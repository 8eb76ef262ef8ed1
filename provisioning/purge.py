"""What comes after a destroy: removing the volumes that were kept, and forgetting the organization. Never part of an apply."""

from __future__ import annotations

import shutil
from typing import Any

from django.db import transaction

from blueprints.models import Blueprint
from orgs import access
from orgs.actions import delete_organization, record
from provisioning.clearing import clear
from provisioning.inventory import Item
from provisioning.materials import data_dir
from provisioning.models import Plan, Run, StackState
from sprocket_v2.errors import ApplyError


def purge(*, org: Any, actor: Any, via: str = "cli") -> list[str]:  # noqa: ANN401 - rows
    """Remove the volumes of an organization whose deployment is gone, with all data in them.

    Raises:
        DeniedError: the person may not. ApplyError: something still runs.
    """
    access.require(actor, org, "destroy")
    from provisioning.providers.swarm.client import connect  # the Docker SDK is slow to import

    swarm = connect()
    running = [service.name for service in swarm.live_services(org.slug)]
    if running:
        raise ApplyError(f"{running[0]} still runs", hint=f"`sprocket destroy {org.slug}` first", where=org.slug)
    volumes = [item.name for item in swarm.live_objects(org.slug) if item.kind == "volume"]
    for name in volumes:
        swarm.remove("volume", name)
    record(org=org, actor=actor, what="volumes purged", detail=", ".join(volumes), via=via)
    return volumes


def remove_leftovers(slug: str, *, limit_s: float = 90.0) -> list[str]:
    """Remove every Docker object that carries an organization's label, data included: what another control plane, or one
    whose data folder is gone, has left. Services first, the rest once their last tasks are gone.

    Returns:
        The Docker names that were removed.
    Raises:
        ApplyError: something is still in use after the limit.
    """
    from provisioning.providers.swarm.client import connect  # the Docker SDK is slow to import

    swarm = connect()
    found = [Item("service", service.name) for service in swarm.live_services(slug)]
    found += [Item(item.kind, item.name) for item in swarm.live_objects(slug)]
    clear(swarm, found, limit_s=limit_s)
    return [item.name for item in found]


def forget_organization(*, org: Any, actor: Any, via: str = "cli") -> None:  # noqa: ANN401 - rows
    """Remove an organization's rows, engine state, run folders, kept backups and copies of migrations. Its deployment and volumes have to be gone before."""
    access.require(actor, org, "destroy")
    slug = org.slug
    folders = [
        data_dir() / "state" / slug,
        data_dir() / "state-copies" / slug,
        data_dir() / "backups" / slug,
        data_dir() / "migrations" / slug,
        *(data_dir() / "runs" / str(run.pk) for run in Run.objects.for_org(org)),
    ]
    with transaction.atomic():
        Run.objects.for_org(org).delete()
        Plan.objects.for_org(org).delete()
        StackState.objects.for_org(org).delete()
        Blueprint.objects.for_org(org).delete()
        delete_organization(org=org, actor=actor, via=via)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)
