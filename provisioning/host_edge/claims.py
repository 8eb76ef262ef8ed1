"""Which organization has which host names at the shared entry ports. Reads and writes rows; nothing here tells one tenant of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from blueprints.host_edge import Member, member_of
from blueprints.names import docker_name
from blueprints.shared import EntryName
from orgs.models import Organization
from provisioning.host_edge.rows import EdgeMember, EntryClaim
from sprocket_v2.errors import ApplyError

Shared = Mapping[str, Any]


def shared_of(blueprint: Mapping[str, Any]) -> Shared | None:
    """What a blueprint.json says about sharing; None where its deployment publishes its own ports."""
    found: Shared | None = (blueprint.get("access") or {}).get("shared")
    return found


def refuse_taken(org: Organization, shared: Shared) -> None:
    """Refuse host names and lanes that are somebody else's.

    Raises:
        ApplyError: names the first; never says whose it is.
    """
    for entry in member_of(org.slug, shared).names:
        if EntryClaim.objects.exclude(organization=org).filter(host=entry.host, port=entry.port).exists():
            raise ApplyError(
                f"{entry.host} at port {entry.port} belongs to another organization on this host",
                hint="choose another host name, or another port, under How it is reached",
                where="access",
            )
    if EdgeMember.objects.exclude(organization=org).filter(subnet=shared["subnet"]).exists():
        raise ApplyError(
            f"the entry network {shared['subnet']} is taken on this host",
            hint="answer access.entry_lane with another number from 0 to 8191",
            where="access.entry_lane",
        )


def reserve(org: Organization, shared: Shared) -> None:
    """Keep the names for this organization from now on, beside those it has; nothing is routed yet.

    Raises:
        ApplyError: one is somebody else's.
    """
    refuse_taken(org, shared)
    try:
        with transaction.atomic():
            values = {"network": shared["network"], "subnet": shared["subnet"]}
            EdgeMember.objects.get_or_create(organization=org, defaults=values)
            EdgeMember.objects.for_org(org).filter(is_live=False).update(**values)
            for entry in member_of(org.slug, shared).names:
                EntryClaim.objects.get_or_create(organization=org, host=entry.host, port=entry.port, defaults={"tls": entry.tls})
    except IntegrityError:
        refuse_taken(org, shared)
        raise ApplyError("another run reserved the same name just now", hint="apply again", where="access", transient=True) from None


def go_live(org: Organization, shared: Shared) -> None:
    """From now on the edge knows exactly these names of the organization."""
    names = member_of(org.slug, shared).names
    with transaction.atomic():
        EntryClaim.objects.for_org(org).delete()
        EntryClaim.objects.bulk_create(
            EntryClaim(organization=org, host=entry.host, port=entry.port, tls=entry.tls, is_live=True) for entry in names
        )
        EdgeMember.objects.update_or_create(
            organization=org, defaults={"network": shared["network"], "subnet": shared["subnet"], "is_live": True}
        )


def forget(org: Organization) -> None:
    """The organization has no name at the edge any more."""
    with transaction.atomic():
        EntryClaim.objects.for_org(org).delete()
        EdgeMember.objects.for_org(org).delete()


def is_live(org: Organization) -> bool:
    """Whether the edge hands requests on to it."""
    return EdgeMember.objects.for_org(org).filter(is_live=True).exists()


def live_members(*, without: Organization | None = None) -> list[Member]:
    """Every organization the edge hands requests on to, with its live names."""
    rows = EdgeMember.objects.filter(is_live=True).select_related("organization").order_by("organization__slug")
    if without is not None:
        rows = rows.exclude(organization=without)
    claims: dict[int, list[EntryName]] = {}
    for claim in EntryClaim.objects.filter(is_live=True):
        claims.setdefault(claim.organization_id, []).append(EntryName(claim.host, claim.port, claim.tls))
    return [
        Member(
            row.organization.slug, row.network, docker_name(row.organization.slug, "traefik"), tuple(sorted(claims[row.organization_id]))
        )
        for row in rows
        if row.organization_id in claims
    ]
