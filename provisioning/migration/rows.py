"""Rows of migrations: a rehearsal or a cut-over with its lease, and its steps with evidence. Compare-and-set moves; no decisions."""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models.functions import Now

from orgs.models import Organization, OrgQuerySet
from provisioning.migration.states import ENDED, MigrationState, StepState, may_move


def _choices(states: type[Any]) -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in states]


class Migration(models.Model):
    """One rehearsal or cut-over of an estate. The row is the truth, the task carries its id, the lease is in it.

    Attributes:
        organization: whose estate it is. target: the v2 organization, once it is there.
        plan: the migration plan as it was when this began; needs_text and source_text are what it was made of.
        direction: forward, or back.
        sent_at: the outbox; empty means that no task was sent. deliveries: since a step last ended.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="migrations")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=9, choices=[("rehearsal", "rehearsal"), ("cutover", "cutover")])
    target = models.ForeignKey(Organization, null=True, on_delete=models.SET_NULL, related_name="+")
    plan = models.JSONField()
    needs_text = models.TextField()
    needs_digest = models.CharField(max_length=80)
    source_text = models.TextField()
    state = models.CharField(max_length=8, choices=_choices(MigrationState), default=MigrationState.QUEUED)
    direction = models.CharField(max_length=7, choices=[("forward", "forward"), ("back", "back")], default="forward")
    pause_requested = models.BooleanField(default=False)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    sent_at = models.DateTimeField(null=True)
    deliveries = models.PositiveSmallIntegerField(default=0)
    owner = models.CharField(max_length=140, blank=True)
    fencing = models.PositiveBigIntegerField(default=0)
    expires = models.DateTimeField()
    created = models.DateTimeField(auto_now_add=True)
    finished = models.DateTimeField(null=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "number"], name="migration_number"),
            models.UniqueConstraint(fields=["organization"], condition=~models.Q(state__in=sorted(ENDED)), name="one_open_migration"),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id}/{self.kind} {self.number} ({self.state})"

    @property
    def title(self) -> str:
        """As people call it."""
        return f"{'Cut-over' if self.kind == 'cutover' else 'Rehearsal'} {self.number}"

    @property
    def is_ended(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in ENDED

    def move(self, new: str, *, under: int | None = None, **values: Any) -> bool:  # noqa: ANN401 - column values
        """Compare-and-set to another state; False when somebody else was first or our lease is no longer the valid one."""
        if not may_move(self.state, new):
            return False
        if new in ENDED:
            values.setdefault("finished", Now())
        moved = held(self.pk, under).filter(state=self.state).update(state=new, **values)
        if moved:
            self.refresh_from_db()
        return bool(moved)


def held(migration_id: int, under: int | None) -> models.QuerySet[Migration]:
    """The row, where the lease of this number is alive; whoever has no lease names none."""
    rows = Migration.objects.filter(pk=migration_id)
    return rows if under is None else rows.filter(fencing=under, expires__gt=Now())


class MigrationStep(models.Model):
    """One step: what was done, by whom, how long it took, and what was seen.

    Attributes:
        evidence: plain data a check has seen; written while the step works too, so that a repetition knows what was.
        notes: what the step said, newest last: [{"at", "message"}].
        person, reason: who confirmed or accepted it, and why.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    migration = models.ForeignKey(Migration, on_delete=models.CASCADE, related_name="steps")
    position = models.PositiveSmallIntegerField()
    key = models.CharField(max_length=20)
    title = models.CharField(max_length=60)
    who = models.CharField(max_length=8)
    is_final = models.BooleanField(default=False)
    limit_s = models.PositiveIntegerField(default=600)
    state = models.CharField(max_length=8, choices=_choices(StepState), default=StepState.WAITING)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)
    duration_s = models.FloatField(null=True)
    evidence = models.JSONField(default=dict)
    notes = models.JSONField(default=list)
    error = models.JSONField(null=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    reason = models.CharField(max_length=200, blank=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["migration", "position"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["migration", "key"], name="migration_step"),
        ]

    def __str__(self) -> str:
        return f"{self.migration_id}#{self.position} {self.key} ({self.state})"

    def write(self, *, under: int | None = None, **values: Any) -> bool:  # noqa: ANN401 - column values
        """Change columns; under a lease only while it is alive. False when it is not."""
        rows = MigrationStep.objects.filter(pk=self.pk)
        if under is not None:
            rows = rows.filter(models.Exists(held(self.migration_id, under)))
        changed = rows.update(**values)
        if changed:
            self.refresh_from_db()
        return bool(changed)
