"""The lease on a migration: one worker at a time, numbered, by the database's clock (rule 2), kept alive by a thread of its own.

A step may sit for hours inside one call (a dump), so the call is not asked to keep the lease; a check before every write is.
"""

from __future__ import annotations

import logging
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from django.db import DatabaseError, connection, models
from django.db.models import F, Value
from django.db.models.functions import Now

from provisioning.leases import this_worker
from provisioning.migration.rows import Migration
from sprocket_v2.errors import StaleError

DURATION = timedelta(seconds=45)
RENEW_EVERY_S = 10.0
_log = logging.getLogger(__name__)


class LostError(StaleError):
    """Somebody else carries the migration out by now: this worker writes nothing more."""


class Held:
    """A held lease."""

    def __init__(self, migration_id: int, owner: str, fencing: int) -> None:
        self.migration_id, self.owner, self.fencing = migration_id, owner, fencing
        self.is_lost = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._go_on, daemon=True, name=f"migration {migration_id}")

    def check(self) -> None:
        """Raise LostError once it is somebody else's."""
        if self.is_lost:
            raise LostError("the migration is carried out by another worker by now", hint="look at it there", where=self.owner)

    def renew(self) -> bool:
        """Hold it for another 45 s; False when somebody else has it."""
        mine = Migration.objects.filter(pk=self.migration_id, owner=self.owner, fencing=self.fencing)
        return bool(mine.update(expires=_later()))

    def start(self) -> None:
        """Keep it alive."""
        self._thread.start()

    def stop(self) -> None:
        """Let go at once; one that is not ours any more is left alone."""
        self._stopped.set()
        self._thread.join(timeout=5)
        Migration.objects.filter(pk=self.migration_id, owner=self.owner, fencing=self.fencing).update(expires=Now(), owner="")

    def _go_on(self) -> None:
        while not self._stopped.wait(RENEW_EVERY_S):
            try:
                self.is_lost = self.is_lost or not self.renew()
            except DatabaseError:
                _log.warning("the lease on migration %s was not renewed this time", self.migration_id)
            finally:
                connection.close()


@contextmanager
def hold(migration: Migration) -> Iterator[Held | None]:
    """The lease with a new number, kept until the end of the block; None while somebody else's is alive."""
    owner = f"{this_worker()} {secrets.token_hex(4)}"
    free = Migration.objects.filter(pk=migration.pk, expires__lte=Now())
    if not free.update(owner=owner, fencing=F("fencing") + 1, expires=_later()):
        yield None
        return
    migration.refresh_from_db()
    lease = Held(migration.pk, owner, migration.fencing)
    lease.start()
    try:
        yield lease
    finally:
        lease.stop()


def _later() -> models.ExpressionWrapper[Any]:
    return models.ExpressionWrapper(Now() + Value(DURATION), output_field=models.DateTimeField())
