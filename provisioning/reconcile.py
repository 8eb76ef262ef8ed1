"""The reconciler: every 15 seconds (a setting) it sends what was not sent and takes back what was lost (rule 1).

It is a thread of every worker's main process: no further process, and it goes on while every pool child is busy and while the broker is
away. Running twice at once is harmless, because every move is a compare-and-set.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from django.conf import settings
from django.db import close_old_connections
from django.db.models import DateTimeField, ExpressionWrapper, Q, Value
from django.db.models.functions import Now

from provisioning import actions, backup_actions, execution, leases, processes
from provisioning.migration import runner as migrations
from provisioning.models import Run
from provisioning.recorder import Recorder
from provisioning.releases.actions import advance_all
from provisioning.review.announcing import deliver_due
from provisioning.review.drift import ask_due
from provisioning.room import has_room_for_rows
from provisioning.states import UNDER_WAY, RunState

LOOK_AT_BACKUPS_EVERY = 20  # passes: five minutes
LOOK_FOR_DRIFT_EVERY = 40
RING_AGAIN_AFTER = timedelta(seconds=4 * settings.SPROCKET_RECONCILE_EVERY_S)  # a minute, unless set
_log = logging.getLogger(__name__)


def reconcile() -> dict[str, int]:
    """One pass. Returns how many runs were sent, taken back, and given up."""
    done = {"taken_back": 0, "given_up": 0, "sent": 0}
    if not has_room_for_rows(settings.DATABASES["default"]):
        _log.error("the disk of the database is full: no run is begun until there is room on it")
        return done
    for run in Run.objects.filter(state__in=UNDER_WAY).select_related("organization"):
        word = _take_back(run)
        if word:
            done[word] += 1
    for run_id in _unsent():
        done["sent"] += actions.ring_for(run_id)
    advance_all()
    deliver_due()  # last: a slow webhook keeps no run waiting
    return done


def _take_back(run: Run) -> str:
    """Requeue a run whose worker is gone, or give it up after three tries; empty when it is well."""
    if leases.is_alive(run.organization_id):
        return ""
    lease = leases.acquire(run.organization, f"reconciler {leases.this_worker()}")
    if lease is None:
        return ""
    try:
        if not _is_dead(run):
            _log.error("run %s: its process group %s does not end", run.pk, run.pid)
            return ""
        return _moved_on(run, lease)
    finally:
        leases.release(lease)


def _moved_on(run: Run, lease: leases.Lease) -> str:
    run.refresh_from_db()
    if run.state not in UNDER_WAY or not Run.objects.filter(pk=run.pk, state=run.state).update(fencing=lease.fencing):
        return ""
    if run.state == RunState.CANCELLING or run.cancel_requested:
        error = {"kind": "cancelled", "message": "cancelled; its worker was gone by then", "hint": "apply again to go on"}
        return "taken_back" if _cancelled(run, lease, error) else ""
    if run.deliveries < execution.MAX_DELIVERIES:
        tries = f"try {run.deliveries + 1} of {execution.MAX_DELIVERIES}"
        Recorder(run, lease).say(f"its worker ({run.worker.partition(' ')[0]}) was lost: another one goes on, {tries}")
        moved = run.move(RunState.QUEUED, under=lease.fencing, sent_at=None, pid=None, mark="")
        return "taken_back" if moved else ""
    error = {"kind": "deliveries", "message": f"its worker was lost {run.deliveries} times", "hint": execution.AGAIN}
    return "given_up" if run.move(RunState.NEEDS_RECOVERY, under=lease.fencing, error=error, pid=None) else ""


def _cancelled(run: Run, lease: leases.Lease, error: dict[str, str]) -> bool:
    if run.state == RunState.RUNNING:
        run.move(RunState.CANCELLING, under=lease.fencing)
    return run.move(RunState.CANCELLED, under=lease.fencing, error=error, pid=None)


def _is_dead(run: Run) -> bool:
    """End the old process group, if anything of it lives; True when nothing does."""
    return run.pid is None or processes.end_group(run.pid, run.mark, grace_s=30.0)


def _unsent() -> list[int]:
    """Queued runs nobody was told about, and those whose bell was rung long ago on a stack nobody works on; oldest first."""
    long_ago = ExpressionWrapper(Now() - Value(RING_AGAIN_AFTER), output_field=DateTimeField())
    lost = Q(sent_at__lt=long_ago) & Q(organization__lease__expires__lte=Now())
    never_begun = Q(sent_at__lt=long_ago) & Q(organization__lease=None)
    waiting = Run.objects.filter(state=RunState.QUEUED)
    waiting.filter(lost | never_begun).update(sent_at=None)
    busy = Run.objects.filter(state__in=UNDER_WAY).values("organization")
    ready = waiting.filter(sent_at=None).exclude(organization__in=busy).order_by("pk")
    return list(ready.values_list("pk", flat=True))


class Reconciler:
    """The thread of a worker."""

    _shared: Reconciler | None = None

    def __init__(self) -> None:
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None

    @classmethod
    def shared(cls) -> Reconciler:
        """The one of this process."""
        cls._shared = cls._shared or cls()
        return cls._shared

    def start(self, every_s: float) -> None:
        """Begin; a second call does nothing."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._go_on, args=(every_s,), daemon=True, name="reconciler")
            self._thread.start()

    def stop(self) -> None:
        """End after the pass in hand."""
        self._stopped.set()
        if self._thread:
            self._thread.join(timeout=5)

    def _go_on(self, every_s: float) -> None:
        passes = 0
        while not self._stopped.is_set():
            close_old_connections()
            try:
                reconcile()
                migrations.reconcile()
                passes += 1
                if passes % LOOK_AT_BACKUPS_EVERY == 2:  # the first soon after a start
                    backup_actions.note_all()
                if passes % LOOK_FOR_DRIFT_EVERY == 0:
                    ask_due()
            except Exception:
                _log.exception("a pass of the reconciler failed; the next one follows")
            finally:
                close_old_connections()
            self._stopped.wait(every_s)
