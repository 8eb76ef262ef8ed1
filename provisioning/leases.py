"""The lease on an organization's stack: one run at a time, numbered, by the database's clock (rule 2). Nothing else writes StackLease."""

from __future__ import annotations

import os
import secrets
import socket
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db import models
from django.db.models import F, Value
from django.db.models.functions import Now

from orgs.models import Organization
from provisioning.models import StackLease

DURATION = timedelta(seconds=settings.SPROCKET_LEASE_S)  # 45 s, unless set
RENEW_EVERY_S = settings.SPROCKET_LEASE_S / 4.5  # may fail to come three times


@dataclass(frozen=True, slots=True)
class Lease:
    """A held lease. The number only ever grows, so that a worker that comes back late is told apart from its successor."""

    org_id: int
    owner: str
    fencing: int


def this_worker() -> str:
    """What a lease calls its owner: machine and process."""
    return f"{socket.gethostname()}:{os.getpid()}"


def acquire(org: Organization, owner: str) -> Lease | None:
    """The lease with a new number; None while somebody else's is alive."""
    StackLease.objects.get_or_create(organization=org, defaults={"expires": Now()})
    owner = f"{owner} {secrets.token_hex(4)}"  # two threads of one process are two owners
    free = StackLease.objects.for_org(org).filter(expires__lte=Now())
    if not free.update(owner=owner, fencing=F("fencing") + 1, expires=later()):
        return None
    mine = StackLease.objects.for_org(org).filter(owner=owner).first()
    return Lease(org.pk, owner, mine.fencing) if mine else None


def renew(lease: Lease) -> bool:
    """Hold it for its whole length again; False when somebody else has it by now."""
    return bool(_held(lease).update(expires=later()))


def release(lease: Lease) -> None:
    """Let go at once; a lease that is no longer ours is left alone."""
    _held(lease).update(expires=Now(), owner="")


def is_alive(org_id: int) -> bool:
    """Whether anybody holds the stack now."""
    return StackLease.objects.filter(organization_id=org_id, expires__gt=Now()).exists()


def _held(lease: Lease) -> models.QuerySet[StackLease]:
    return StackLease.objects.filter(organization_id=lease.org_id, owner=lease.owner, fencing=lease.fencing)


def later() -> models.ExpressionWrapper[Any]:
    """When a lease that is taken or renewed now ends, by the database's clock."""
    return models.ExpressionWrapper(Now() + Value(DURATION), output_field=models.DateTimeField())
