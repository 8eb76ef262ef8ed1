"""Blueprints as rows: immutable revisions of an organization's rendering. Fields and short queries only."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from orgs.models import OrgQuerySet, Unchanging


class Blueprint(Unchanging):
    """Needs, rendering and its digest. A plan is made of it; approval belongs to the plan."""

    organization = models.ForeignKey("orgs.Organization", on_delete=models.CASCADE, related_name="blueprints")
    number = models.PositiveIntegerField()
    needs_revision = models.ForeignKey("orgs.NeedsRevision", on_delete=models.PROTECT, related_name="blueprints")
    digest = models.CharField(max_length=80)
    template_release = models.CharField(max_length=80)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "number"], name="blueprint_number"),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id}/blueprint {self.number}"


class BlueprintFile(models.Model):
    """One rendered file."""

    blueprint = models.ForeignKey(Blueprint, on_delete=models.CASCADE, related_name="files")
    path = models.CharField(max_length=200)
    sha256 = models.CharField(max_length=64)
    text = models.TextField()

    class Meta:
        ordering: ClassVar[list[str]] = ["path"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["blueprint", "path"], name="blueprint_file_path"),
        ]

    def __str__(self) -> str:
        return self.path
