"""Rows of provisioning: plans and approvals, runs and their events, leases, sealed secrets, and what is known of each stack.

Fields, constraints, short queries and compare-and-set moves; no engine, no Docker, no decisions.
"""

from __future__ import annotations

from typing import Any, ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from orgs.models import Organization, OrgQuerySet
from provisioning.host_edge.rows import EdgeMember, EntryClaim, HostEdge  # noqa: F401 - Django looks for rows here
from provisioning.migration.rows import Migration, MigrationStep  # noqa: F401 - and here
from provisioning.releases.rows import RollOut, RollOutMember  # noqa: F401 - and here
from provisioning.review.rows import Announcement, DriftReport, PlanComment, RemovalRequest, ReviewRules  # noqa: F401
from provisioning.states import FINISHED, PlanState, RunKind, RunState, plan_may_move, run_may_move


class PlanQuerySet(OrgQuerySet):
    """Plans; the engine's own plan is large and rarely wanted."""

    def light(self) -> PlanQuerySet:
        """Without the engine's plan."""
        return self.defer("engine_plan")


def _choices(states: type[Any]) -> list[tuple[str, str]]:
    return [(state.value, state.value) for state in states]


class Plan(models.Model):
    """What an approval is bound to (D5): needs, files, template release, engine plan, state, secret versions, live objects.

    `seen` is how else the world was when it was made (newest needs, release here, secrets, what was deployed), `review` all that its
    page shows beside the steps, and `digest` one digest over everything (ADR 0026).
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="plans")
    number = models.PositiveIntegerField()
    blueprint = models.ForeignKey("blueprints.Blueprint", on_delete=models.PROTECT, related_name="plans")
    needs_digest = models.CharField(max_length=80)
    rendering_digest = models.CharField(max_length=80)
    template_release = models.CharField(max_length=80)
    engine_plan = models.TextField(blank=True)
    state_digest = models.CharField(max_length=80)
    secret_versions = models.JSONField(default=dict)
    live_fingerprint = models.CharField(max_length=80, blank=True)
    basis = models.CharField(max_length=12, choices=[("live", "live"), ("empty-host", "empty-host")], default="live")
    changes = models.JSONField(default=dict)
    steps = models.JSONField(default=list)
    edge = models.JSONField(default=dict)
    seen = models.JSONField(default=dict)
    review = models.JSONField(default=dict)
    digest = models.CharField(max_length=80, blank=True)
    state = models.CharField(max_length=12, choices=_choices(PlanState), default=PlanState.PROPOSED)
    reason = models.TextField(blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = PlanQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-number"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "number"], name="plan_number"),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id}/plan {self.number} ({self.state})"

    @property
    def is_applicable(self) -> bool:
        """A plan made without an engine can be read and compared, not applied."""
        return self.basis == "live" and self.state in (PlanState.PROPOSED, PlanState.APPROVED)

    @property
    def is_empty(self) -> bool:
        """Nothing would change, the host's edge included: nobody has to approve or apply that."""
        return self.basis == "live" and not self.steps and self.edge.get("op", "stays") == "stays"

    def move(self, new: str, *, reason: str = "") -> bool:
        """Compare-and-set; False when somebody else was first or the move is not allowed."""
        if not plan_may_move(self.state, new):
            return False
        moved = Plan.objects.filter(pk=self.pk, state=self.state).update(state=new, reason=reason)
        if moved:
            self.state, self.reason = new, reason
        return bool(moved)


class Approval(models.Model):
    """Somebody's yes to exactly one plan, by its digest."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    plan = models.ForeignKey(Plan, on_delete=models.CASCADE, related_name="approvals")
    digest = models.CharField(max_length=80, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["plan", "author"], name="one_approval_per_person"),
        ]

    def __str__(self) -> str:
        return f"approval of plan {self.plan_id}"


class Run(models.Model):
    """One execution of preview, apply, refresh, destroy or verify. The row is the truth; the queue is only a bell (rule 1).

    `sent_at` is the outbox: empty means the task was not sent. `fencing` is the number of the lease it runs under: every write
    of the worker names it. `pid`, `pid_started` and `mark` tell the child's process group for certain.
    """

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="runs")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=8, choices=_choices(RunKind))
    state = models.CharField(max_length=16, choices=_choices(RunState), default=RunState.QUEUED)
    blueprint = models.ForeignKey("blueprints.Blueprint", null=True, on_delete=models.PROTECT, related_name="runs")
    plan = models.ForeignKey(Plan, null=True, on_delete=models.SET_NULL, related_name="runs")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    idempotency_key = models.CharField(max_length=80, blank=True)
    request_digest = models.CharField(max_length=80, blank=True)
    sent_at = models.DateTimeField(null=True)
    deliveries = models.PositiveSmallIntegerField(default=0)
    fencing = models.PositiveBigIntegerField(default=0)
    worker = models.CharField(max_length=120, blank=True)
    heartbeat = models.DateTimeField(null=True)
    pid = models.PositiveIntegerField(null=True)
    pid_started = models.CharField(max_length=40, blank=True)
    mark = models.CharField(max_length=40, blank=True)
    cancel_requested = models.BooleanField(default=False)
    changes = models.JSONField(default=dict)
    verdict = models.JSONField(null=True)
    error = models.JSONField(null=True)
    created = models.DateTimeField(auto_now_add=True)
    started = models.DateTimeField(null=True)
    finished = models.DateTimeField(null=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["-id"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "number"], name="run_number"),
            models.UniqueConstraint(
                fields=["organization", "idempotency_key"], condition=~Q(idempotency_key=""), name="run_idempotency_key"
            ),
        ]
        indexes: ClassVar[list[models.Index]] = [models.Index(fields=["state", "sent_at"], name="run_outbox")]

    def __str__(self) -> str:
        return f"{self.organization_id}/run {self.number} {self.kind} ({self.state})"

    @property
    def is_finished(self) -> bool:
        """Nothing more will happen to it."""
        return self.state in FINISHED

    def move(self, new: str, *, under: int | None = None, **values: Any) -> bool:  # noqa: ANN401 - column values
        """Compare-and-set to another state; False when somebody else was first, or our lease is no longer the valid one.

        Args:
            under: the number of our lease; checked in the same statement against run and lease (rule 2).
        """
        if not run_may_move(self.state, new):
            return False
        if new in FINISHED:
            values.setdefault("finished", Now())
        moved = self._mine(under).filter(state=self.state).update(state=new, **values)
        if moved:
            self.refresh_from_db()
        return bool(moved)

    def write(self, *, under: int, **values: Any) -> bool:  # noqa: ANN401 - column values
        """Change columns under our lease; False when the lease is no longer ours."""
        return bool(self._mine(under).update(**values))

    def _mine(self, under: int | None) -> models.QuerySet[Run]:
        rows = Run.objects.filter(pk=self.pk)
        if under is None:
            return rows
        held = StackLease.objects.filter(organization=models.OuterRef("organization"), fencing=under, expires__gt=Now())
        return rows.filter(models.Exists(held), fencing=under)


class RunEvent(models.Model):
    """One thing that happened during a run, in order. Masked before it came here."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    at = models.DateTimeField()
    kind = models.CharField(max_length=20)
    resource = models.CharField(max_length=120, blank=True)
    component = models.CharField(max_length=80, blank=True)
    op = models.CharField(max_length=24, blank=True)
    message = models.TextField(blank=True)
    data = models.JSONField(default=dict)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["run", "seq"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["run", "seq"], name="event_seq"),
        ]

    def __str__(self) -> str:
        return f"{self.run_id}#{self.seq} {self.kind} {self.resource}"


class StackLease(models.Model):
    """Who works on an organization's stack; one row each, never deleted. Its clock is the database's."""

    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="lease")
    owner = models.CharField(max_length=120, blank=True)
    fencing = models.PositiveBigIntegerField(default=0)
    expires = models.DateTimeField()

    objects = OrgQuerySet.as_manager()

    def __str__(self) -> str:
        return f"lease {self.fencing} of {self.organization_id} by {self.owner or 'nobody'}"


class Secret(models.Model):
    """A secret of an organization, by name. Values are versions."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="secrets")
    name = models.CharField(max_length=63)
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["organization", "name"], name="secret_name"),
        ]

    def __str__(self) -> str:
        return f"{self.organization_id}/{self.name}"


class SecretVersion(models.Model):
    """One value, sealed; shown to nobody. The fingerprint is keyed: it tells a change and nothing else."""

    organization = models.ForeignKey(Organization, on_delete=models.CASCADE, related_name="+")
    secret = models.ForeignKey(Secret, on_delete=models.CASCADE, related_name="versions")
    version = models.PositiveIntegerField()
    sealed = models.BinaryField()
    fingerprint = models.CharField(max_length=64)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created = models.DateTimeField(auto_now_add=True)

    objects = OrgQuerySet.as_manager()

    class Meta:
        ordering: ClassVar[list[str]] = ["secret", "-version"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["secret", "version"], name="secret_version"),
        ]

    def __str__(self) -> str:
        return f"{self.secret_id}@{self.version}"


class StackState(models.Model):
    """What is known of an organization's stack since its last run."""

    organization = models.OneToOneField(Organization, on_delete=models.CASCADE, related_name="stack_state")
    sealed_passphrase = models.BinaryField()
    state_digest = models.CharField(max_length=80, blank=True)
    applied_blueprint = models.ForeignKey("blueprints.Blueprint", null=True, on_delete=models.SET_NULL, related_name="+")
    applied_digest = models.CharField(max_length=80, blank=True)
    live_fingerprint = models.CharField(max_length=80, blank=True)
    last_verdict = models.JSONField(null=True)
    backups = models.JSONField(null=True)  # name and bytes of the newest one, and when that was seen
    updated = models.DateTimeField(auto_now=True)

    objects = OrgQuerySet.as_manager()

    def __str__(self) -> str:
        return f"stack of {self.organization_id}"


def next_number(model: type[Plan | Run], org: Organization) -> int:
    """The next number of an organization's plans or runs; call it inside the transaction that inserts the row."""
    last = model.objects.for_org(org).aggregate(last=models.Max("number"))["last"]
    return int(last or 0) + 1
