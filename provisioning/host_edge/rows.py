"""Rows of the host's edge: itself with its lease, the organizations behind it, the host names they have. No Docker, no decisions.

These are the one place where organizations meet: a name or a lane belongs to one of them, and the database says so.
"""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from orgs.models import Organization, OrgQuerySet


class HostEdge(models.Model):
    """This control plane's edge on its host: one row. The name is longer than a slug can be, so no organization's names begin with it."""

    name = models.CharField(max_length=24, unique=True)
    owner = models.CharField(max_length=140, blank=True)
    fencing = models.PositiveBigIntegerField(default=0)
    expires = models.DateTimeField()

    def __str__(self) -> str:
        return f"{self.name}, lease {self.fencing} by {self.owner or 'nobody'}"


class EdgeMember(models.Model):
    """An organization that shares the entry ports; `is_live` once the edge hands requests on to it."""

    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="edge_member")
    network = models.CharField(max_length=63)
    subnet = models.CharField(max_length=20, unique=True)
    is_live = models.BooleanField(default=False)

    objects = OrgQuerySet.as_manager()

    def __str__(self) -> str:
        return f"{self.organization_id} by {self.network}"


class EntryClaim(models.Model):
    """A host name at an entry port, and whose it is. Reserved before a deployment changes, live once the edge knows it."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    host = models.CharField(max_length=253)
    port = models.PositiveIntegerField()
    tls = models.BooleanField(default=False)
    is_live = models.BooleanField(default=False)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["host", "port"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["host", "port"], name="entry_name"),
        ]

    def __str__(self) -> str:
        return f"{self.host}:{self.port} of {self.organization_id}"
