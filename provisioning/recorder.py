"""Writes a run's events as rows, in batches, under the run's lease; and keeps the lease alive while the engine works."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from django.db import models, transaction
from django.db.models.functions import Now
from django.utils.dateparse import parse_datetime

from provisioning import leases
from provisioning.engine_events import Event
from provisioning.models import Run, RunEvent
from sprocket_v2.errors import StaleError

BATCH = 50
FLUSH_EVERY_S = 0.3
ASK_EVERY_S = 1.0
_AT_ONCE = frozenset({"stage", "resource-failed", "summary", "stalled", "result"})


class LeaseLostError(StaleError):
    """Somebody else holds the stack by now: this worker may write nothing more."""


class Recorder:
    """Events in, rows out. Every batch is written together with a check of the lease's number (rule 2)."""

    def __init__(self, run: Run, lease: leases.Lease, on_event: Callable[[Event], None] | None = None) -> None:
        self._run, self._lease, self._watch = run, lease, on_event
        self._waiting: list[RunEvent] = []
        self._seq = run.events.aggregate(last=models.Max("seq"))["last"] or 0
        self._flushed = self._renewed = self._asked = time.monotonic()

    def take(self, event: Event) -> None:
        """One event of the engine."""
        if self._watch:
            self._watch(event)
        self._seq += 1
        data: dict[str, Any] = dict(event.data) if event.kind != "result" else {"ok": event.data.get("ok")}
        if event.fields:
            data["fields"] = list(event.fields)
        self._waiting.append(
            RunEvent(
                organization_id=self._run.organization_id,
                run=self._run,
                seq=self._seq,
                at=parse_datetime(event.at) or datetime.now(UTC),
                kind=event.kind,
                resource=event.resource[:120],
                component=event.component[:80],
                op=event.op[:24],
                message=event.message,
                data=data,
            )
        )
        if event.kind in _AT_ONCE or len(self._waiting) >= BATCH:
            self.flush()

    def say(self, message: str) -> None:
        """A stage of our own, outside the engine."""
        self.take(Event(seq=0, at=datetime.now(UTC).isoformat(), kind="stage", message=message))

    def flush(self) -> None:
        """Write what waits.

        Raises:
            LeaseLostError: nothing was written.
        """
        self._flushed = time.monotonic()
        if not self._waiting:
            return
        rows, self._waiting = self._waiting, []
        with transaction.atomic():
            if not self._run.write(under=self._lease.fencing, heartbeat=Now()):
                raise _lost(self._run)
            RunEvent.objects.bulk_create(rows)

    def beat(self) -> None:
        """Renew the lease every ten seconds and flush now and then; cheap to call often.

        Raises:
            LeaseLostError: the lease is somebody else's.
        """
        now = time.monotonic()
        if now - self._renewed >= leases.RENEW_EVERY_S:
            self._renewed = now
            if not (leases.renew(self._lease) and self._run.write(under=self._lease.fencing, heartbeat=Now())):
                raise _lost(self._run)
        if now - self._flushed >= FLUSH_EVERY_S:
            self.flush()

    def should_stop(self) -> bool:
        """Whether somebody asked to cancel; asked of the database once a second. Beats as well."""
        self.beat()
        now = time.monotonic()
        if now - self._asked < ASK_EVERY_S:
            return False
        self._asked = now
        return Run.objects.filter(pk=self._run.pk, cancel_requested=True).exists()

    def started(self, pid: int, started: str, mark: str) -> None:
        """Store which process group works for this run, before it works (rule 3)."""
        if not self._run.write(under=self._lease.fencing, pid=pid, pid_started=started, mark=mark):
            raise _lost(self._run)


def _lost(run: Run) -> LeaseLostError:
    return LeaseLostError(
        f"run {run.number} lost its lease", hint="another worker took it over; look at the run there", where=f"run {run.number}"
    )
