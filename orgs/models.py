"""Organizations, who belongs to them in which roles, what they said they need, and who did what. Fields and short queries only."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models

from orgs.grammar import slug as check_slug

MAX_ATTACHMENT = 480 * 1024


class OrgQuerySet(models.QuerySet[Any]):
    """Rows that belong to one organization are reached through `for_org` only."""

    def for_org(self, org: Organization) -> Self:
        """Only this organization's rows."""
        return self.filter(organization=org)


class Unchanging(models.Model):
    """A row that is written once."""

    class Meta:
        abstract = True

    def save(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - Django's signature
        """Insert only."""
        if not self._state.adding:
            raise ValidationError(f"{self} never changes; add a new one")
        super().save(*args, **kwargs)


def validate_slug(value: str) -> None:
    """The grammar of `orgs.grammar.slug`, for Django's forms and models."""
    try:
        check_slug(value)
    except ValueError as error:
        raise ValidationError(str(error)) from None


class Organization(models.Model):
    """A tenant. Its slug is part of every Docker name, so it never changes."""

    slug = models.CharField(max_length=20, unique=True, validators=[validate_slug])
    name = models.CharField(max_length=60)
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["slug"]

    def __str__(self) -> str:
        return self.slug


class Membership(models.Model):
    """Somebody's roles in an organization: a set, not a ladder."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    roles = models.JSONField(default=list)
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "user"], name="one_membership_each"),
        ]

    def __str__(self) -> str:
        return f"{self.user_id} in {self.organization_id}: {', '.join(self.roles)}"


class NeedsRevision(Unchanging):
    """One immutable answer to all questions: the text as it was given, and its digest."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="needs_revisions")
    number = models.PositiveIntegerField()
    text = models.TextField()
    data = models.JSONField()
    digest = models.CharField(max_length=80)
    message = models.CharField(max_length=200, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "number"], name="needs_revision_number"),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id}/needs {self.number}"


class Attachment(models.Model):
    """A file the needs name, such as starting data. The newest of a name counts."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="attachments")
    name = models.CharField(max_length=100)
    sha256 = models.CharField(max_length=64)
    content = models.BinaryField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return f"{self.organization_id}/{self.name}"


class SignInLink(models.Model):
    """A one-time way in. Only the digest of its token is kept."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    token_sha256 = models.CharField(max_length=64, unique=True)
    expires = models.DateTimeField()
    used = models.DateTimeField(null=True)
    created = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"sign-in link of {self.user_id}"


class AuditEvent(models.Model):
    """Who did what, when, by which way. Never a secret value."""

    organization = models.ForeignKey(Organization, null=True, on_delete=models.CASCADE, related_name="audit_events")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    what = models.CharField(max_length=60)
    detail = models.CharField(max_length=200, blank=True)
    via = models.CharField(max_length=8, default="web")
    at = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.what}"
