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


class EstateImport(Unchanging):
    """One reading of somebody's running or described deployment. The newest counts; no secret is in it.

    Attributes:
        sources: of each source its name, what it is, and its size in bytes.
        estate: JSON of `blueprints.estate.store`.
        counts: rows, undecided rows, remarks by severity, secrets in quarantine, as they were when it was kept.
    """

    organization = models.ForeignKey("orgs.Organization", on_delete=models.CASCADE, related_name="estate_imports")
    number = models.PositiveIntegerField()
    sources = models.JSONField()
    estate = models.TextField()
    counts = models.JSONField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "number"], name="estate_import_number"),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id}/import {self.number}"


class LedgerDecision(Unchanging):
    """What somebody decided about a row of the ledger. Rows are only added; the newest of a key counts, over all imports.

    Attributes:
        key: the row's, such as `service/vault`.
    """

    organization = models.ForeignKey("orgs.Organization", on_delete=models.CASCADE, related_name="ledger_decisions")
    key = models.CharField(max_length=700)
    fate = models.CharField(max_length=8)
    reason = models.CharField(max_length=300)
    owner = models.CharField(max_length=80)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return f"{self.organization_id}/{self.key}: {self.fate}"
