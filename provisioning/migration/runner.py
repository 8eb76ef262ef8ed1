"""Carries a migration out: one step after another under a lease, each repeatable, until it is done, asks a person, is paused, or fails.

Nothing is decided from memory: before each step the rows are read again, so a crash costs no more than the step it was in.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import DateTimeField, ExpressionWrapper, F, Q, Value
from django.db.models.functions import Now

from provisioning.migration.lease import Held, LostError, hold
from provisioning.migration.registry import CLEAN, STEPS
from provisioning.migration.rows import Migration, MigrationStep
from provisioning.migration.states import MigrationState, StepState, next_back, next_forward
from provisioning.migration.work import Evidence, Work
from sprocket_v2.errors import SprocketError

RING_AGAIN_AFTER = timedelta(seconds=4 * settings.SPROCKET_RECONCILE_EVERY_S)  # a minute, unless set
MAX_DELIVERIES = 3  # of one step; a step that takes its worker down every time is not tried for ever
OnNote = Callable[[str], None]
_log = logging.getLogger(__name__)


def carry_out(migration_id: int, *, on_note: OnNote = lambda _message: None) -> None:
    """Carry a migration on. A duplicate delivery, a foreign lease or one that rests is a no-op."""
    migration = Migration.objects.select_related("organization", "target", "author").filter(pk=migration_id).first()
    if migration is None or migration.state != MigrationState.QUEUED:
        return
    with hold(migration) as lease:
        if lease is not None and _taken(migration, lease):
            _Course(migration, lease, on_note).to_its_end()


def _taken(migration: Migration, lease: Held) -> bool:
    if migration.deliveries >= MAX_DELIVERIES:
        error = {"message": f"its worker was lost {migration.deliveries} times in this step", "hint": "look at the machine, then resume"}
        for step in migration.steps.filter(state=StepState.RUNNING):
            step.write(under=lease.fencing, state=StepState.FAILED, finished=Now(), error=error)
        migration.move(MigrationState.FAILED, under=lease.fencing)
        return False
    return migration.move(MigrationState.RUNNING, under=lease.fencing, deliveries=F("deliveries") + 1)


class _Course:
    """One migration under one lease."""

    def __init__(self, migration: Migration, lease: Held, on_note: OnNote) -> None:
        self.migration, self.lease, self.on_note = migration, lease, on_note

    def to_its_end(self) -> None:
        """Until there is nothing to do, or somebody else has to do something. Only a lost lease ends without a word."""
        try:
            while self._goes_on():
                pass
        except LostError:
            _log.warning("migration %s lost its lease", self.migration.pk)

    def _goes_on(self) -> bool:
        self.migration.refresh_from_db()
        steps = list(self.migration.steps.all())
        back = self.migration.direction == "back"
        step = next_back(steps) if back else next_forward(steps)
        if step is None:
            self._move(MigrationState.UNDONE if back else MigrationState.DONE)
            return False
        if self.migration.pause_requested:
            self._write(step, state=StepState.PAUSED if step.state == StepState.WAITING else step.state)
            self._move(MigrationState.PAUSED, pause_requested=False)
            return False
        if back:
            return self._act(step, self._undo, StepState.UNDONE)
        if step.who != "machine":
            self._write(step, state=StepState.WAITING)
            self._move(MigrationState.ASKING)
            return False
        return self._act(step, self._do, StepState.DONE)

    def _act(self, step: MigrationStep, act: Callable[[Work], Evidence], after: StepState) -> bool:
        """Do one thing with one step and write its end; False when it failed."""
        self._write(step, state=StepState.RUNNING, started=Now(), finished=None, error=None)
        self.on_note(f"{step.title}{' (back)' if after == StepState.UNDONE else ''}")
        work, began = Work(self.migration, step, self.lease, self.on_note), time.monotonic()
        try:
            evidence = act(work)
        except LostError:
            raise
        except SprocketError as error:
            self._failed(step, error.as_dict(), time.monotonic() - began)
            return False
        except Exception as error:
            hint = "this is a fault of the control plane: please report it"
            self._failed(step, {"message": type(error).__name__, "hint": hint, "where": step.key}, time.monotonic() - began)
            raise
        took = round(time.monotonic() - began, 2)
        self._write(step, state=after, finished=Now(), duration_s=took, evidence={**step.evidence, **evidence})
        Migration.objects.filter(pk=self.migration.pk, fencing=self.lease.fencing).update(deliveries=1)
        return True

    def _do(self, work: Work) -> Evidence:
        machine = STEPS[work.step.key]
        if work.is_rehearsal and machine.rehearse:
            seen = machine.rehearse(work)
            work.keep(**seen)
            return {**seen, **machine.rehearsal_check(work)}
        seen = machine.do(work)
        work.keep(**seen)
        return {**seen, **machine.check(work)}

    def _undo(self, work: Work) -> Evidence:
        if work.step.key not in STEPS or work.is_rehearsal:
            return {}
        return {"undone": STEPS[work.step.key].undo(work)}

    def _failed(self, step: MigrationStep, error: dict[str, Any], took: float) -> None:
        self._write(step, state=StepState.FAILED, finished=Now(), duration_s=round(took, 2), error=error)
        if self.migration.kind == "rehearsal":
            self._clean_up(step)
        self._move(MigrationState.FAILED)

    def _clean_up(self, failed: MigrationStep) -> None:
        """A rehearsal that fails leaves nothing of its copy."""
        last = self.migration.steps.get(key=CLEAN)
        if failed.key == CLEAN:
            return
        try:
            seen = STEPS[CLEAN].do(Work(self.migration, last, self.lease, self.on_note))
            self._write(last, evidence={**seen, "after_failure": True})
        except LostError:
            raise
        except SprocketError as error:
            self._write(last, error=error.as_dict())

    def _write(self, step: MigrationStep, **values: Any) -> None:  # noqa: ANN401 - columns
        if not step.write(under=self.lease.fencing, **values):
            raise LostError("the lease is lost", hint="another worker took it over", where=str(self.migration))

    def _move(self, state: MigrationState, **values: Any) -> None:  # noqa: ANN401
        if not self.migration.move(state, under=self.lease.fencing, **values):
            raise LostError("the lease is lost", hint="another worker took it over", where=str(self.migration))


def ring_for(migration_id: int) -> bool:
    """Send the task of a migration that waits unsent; False when the broker did not take it (the next pass tries again)."""
    from provisioning.tasks import migrate  # Celery is not needed by a command line that carries out its own

    if not Migration.objects.filter(pk=migration_id, state=MigrationState.QUEUED, sent_at=None).update(sent_at=Now()):
        return False
    try:
        migrate.delay(migration_id)
    except Exception as error:
        _log.warning("migration %s was not sent: %s", migration_id, type(error).__name__)
        Migration.objects.filter(pk=migration_id, state=MigrationState.QUEUED).update(sent_at=None)
        return False
    return True


def reconcile() -> int:
    """Take back what lost its worker, and send what was not sent; how many. Running twice at once is harmless."""
    gone = Migration.objects.filter(state=MigrationState.RUNNING, expires__lte=Now())
    taken = gone.update(state=MigrationState.QUEUED, sent_at=None)
    long_ago = ExpressionWrapper(Now() - Value(RING_AGAIN_AFTER), output_field=DateTimeField())
    waiting = Migration.objects.filter(state=MigrationState.QUEUED, expires__lte=Now())
    waiting.filter(sent_at__lt=long_ago).update(sent_at=None)
    unsent = waiting.filter(Q(sent_at=None)).values_list("pk", flat=True)
    return taken + sum(ring_for(pk) for pk in list(unsent))
