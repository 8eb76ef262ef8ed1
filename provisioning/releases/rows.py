"""Rows of roll-outs: one for each release that is brought to organizations, and each one's place in it. No decisions."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models

from orgs.models import Organization, OrgQuerySet
from provisioning.releases.waves import MemberState, Place, RollOutState


class RollOut(models.Model):
    """A template release on its way to organizations. `reason` is what every plan of it is approved with."""

    release = models.CharField(max_length=80)
    state = models.CharField(max_length=8, choices=[(s.value, s.value) for s in RollOutState], default=RollOutState.RUNNING)
    reason = models.CharField(max_length=300)
    why_stopped = models.CharField(max_length=400, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-pk"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["state"], condition=models.Q(state="running"), name="one_roll_out_at_a_time"),
        ]

    def __str__(self) -> str:
        return f"roll-out of {self.release} ({self.state})"


class RollOutMember(models.Model):
    """One organization of a roll-out: its wave, its plan, its run, and how it ended."""

    roll_out = models.ForeignKey(RollOut, on_delete=models.CASCADE, related_name="members")
    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    wave = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12, choices=[(s.value, s.value) for s in MemberState], default=MemberState.WAITING)
    preview = models.ForeignKey("provisioning.Run", null=True, on_delete=models.SET_NULL, related_name="+")
    plan = models.ForeignKey("provisioning.Plan", null=True, on_delete=models.SET_NULL, related_name="+")
    run = models.ForeignKey("provisioning.Run", null=True, on_delete=models.SET_NULL, related_name="+")
    why = models.CharField(max_length=400, blank=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["pk"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["roll_out", "organization"], name="once_in_a_roll_out"),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id} in roll-out {self.roll_out_id} ({self.state})"

    @property
    def place(self) -> Place:
        """What the waves look at."""
        return Place(self.pk, self.wave, self.state)

    def move(self, new: MemberState, **values: object) -> bool:
        """Compare-and-set: False when somebody else was first."""
        moved = RollOutMember.objects.filter(pk=self.pk, state=self.state).update(state=new, **values)
        if moved:
            self.refresh_from_db()
        return bool(moved)
