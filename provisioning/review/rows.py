"""Rows of reviewing: an organization's rules, comments on a plan, announcements that wait to be sent, what drift was found. No decisions.

Whose webhook it is lives in the secret store under `WEBHOOK`; no row here holds an address.
"""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from orgs.models import Organization, OrgQuerySet

WEBHOOK = "review-webhook"


class ReviewRules(models.Model):
    """What an organization asks of an approval beyond the role. No row: nothing more."""

    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="review_rules")
    two_people = models.BooleanField(default=False)
    needs_reason = models.BooleanField(default=False)

    objects = OrgQuerySet.as_manager()

    def __str__(self) -> str:
        return f"rules of {self.organization_id}: two people {self.two_people}, reason {self.needs_reason}"


class PlanComment(models.Model):
    """What a reviewer says about a line of a file or a step of the engine, when a plan is sent back."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    plan = models.ForeignKey("provisioning.Plan", on_delete=models.CASCADE, related_name="comments")
    anchor = models.CharField(max_length=240)  # `stack.yml:12`, or a step's resource such as `service/redis`
    text = models.TextField()
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]

    def __str__(self) -> str:
        return f"comment on plan {self.plan_id} at {self.anchor}"


class Announcement(models.Model):
    """The outbox of the webhook: what is to be said of a plan, how often it was tried, and when it may be tried again."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="announcements")
    plan = models.ForeignKey("provisioning.Plan", on_delete=models.CASCADE, related_name="+")
    moment = models.CharField(max_length=12)
    detail = models.CharField(max_length=300, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    due = models.DateTimeField()
    sent = models.DateTimeField(null=True)
    problem = models.CharField(max_length=200, blank=True)
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["sent", "due"], name="announcement_outbox")]

    def __str__(self) -> str:
        return f"plan {self.plan_id} {self.moment}, tried {self.attempts} times"


class DriftReport(models.Model):
    """What one look at the running objects found to differ from what was applied. `differences` is empty where all is in sync."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    run = models.OneToOneField("provisioning.Run", on_delete=models.CASCADE, related_name="drift_report")
    blueprint = models.ForeignKey("blueprints.Blueprint", null=True, on_delete=models.SET_NULL, related_name="+")
    differences = models.JSONField(default=list)
    dismissed_until = models.DateField(null=True)
    dismissed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-pk"]

    def __str__(self) -> str:
        return f"drift of {self.organization_id}: {len(self.differences)} differences"


class RemovalRequest(models.Model):
    """The first person's yes to a removal where an organization asks for two; `used` once it led to one, or another took its place.

    `digest` is that of the inventory the person looked at.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    what = models.CharField(max_length=8, choices=[("destroy", "destroy"), ("purge", "purge")])
    digest = models.CharField(max_length=80)
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    confirmed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    used = models.BooleanField(default=False)
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-pk"]

    def __str__(self) -> str:
        return f"{self.what} of {self.organization_id}, asked for by {self.asked_by_id}"
