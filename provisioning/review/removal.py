"""Removing a deployment, and purging its data: the inventory that is shown, the name that is typed, the second person's yes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.db import transaction
from django.utils import timezone

from orgs import access
from orgs.actions import record
from orgs.models import Organization
from provisioning.docker_door import docker_reader
from provisioning.inventory import Inventory, inventory_of
from provisioning.materials import rendering_of
from provisioning.planning import what_is_there
from provisioning.review.decisions import rules_of
from provisioning.review.rows import RemovalRequest
from sprocket_v2.errors import ApplyError, StaleError

ASKED_FOR = timedelta(hours=24)  # then the first person's yes is old


def inventory(org: Organization) -> Inventory:
    """Everything of an organization on the machine, what no version has included.

    Raises:
        ApplyError: Docker cannot be read.
    """
    there = what_is_there(org)
    return inventory_of(docker_reader(), org.slug, rendering_of(there) if there else None)


def waiting(org: Organization, what: str) -> RemovalRequest | None:
    """The first person's yes that waits for a second one."""
    since = timezone.now() - ASKED_FOR
    row: RemovalRequest | None = (
        RemovalRequest.objects.for_org(org).filter(what=what, used=False, created__gt=since).select_related("asked_by").first()
    )
    return row


def confirm(*, org: Organization, actor: Any, what: str, typed: str, seen: str = "", via: str = "web") -> str:  # noqa: ANN401 - a user
    """Say yes to removing exactly what is there.

    Args:
        what: destroy or purge.
        typed: what the person typed: the organization's short name.
        seen: digest of the inventory that was looked at; empty takes the one that is found now.
    Returns:
        Empty when it may go on, else why it waits.
    Raises:
        DeniedError: no owner. ApplyError: another name was typed. StaleError: something else is there than was looked at.
    """
    access.require(actor, org, "destroy")
    if typed.strip() != org.slug:
        raise ApplyError("not confirmed", hint=f"type {org.slug} to go on; nothing was changed", where=org.slug)
    now = inventory(org).digest
    if seen and seen != now:
        raise StaleError("something else is there than you looked at", hint="look again, then confirm", where=org.slug)
    if not rules_of(org).two_people:
        return ""
    with transaction.atomic():
        Organization.objects.select_for_update().get(pk=org.pk)  # of two who ask at once, one is the first
        first = waiting(org, what)
        if first is None or first.digest != now:
            RemovalRequest.objects.for_org(org).filter(what=what, used=False).update(used=True)
            RemovalRequest.objects.create(organization=org, what=what, digest=now, asked_by=actor)
            record(org=org, actor=actor, what=f"{what} asked for", detail="a second person has to confirm", via=via)
            return "noted; a second person has to confirm: this organization asks for two"
        if first.asked_by_id == actor.pk:
            return "a second person has to confirm: this organization asks for two, and you were the first"
        RemovalRequest.objects.filter(pk=first.pk).update(used=True, confirmed_by=actor)
        record(org=org, actor=actor, what=f"{what} confirmed", detail=f"asked for by {first.asked_by}", via=via)
    return ""
