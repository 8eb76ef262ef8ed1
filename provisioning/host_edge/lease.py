"""The lease on the host's edge: one run changes it at a time, by the database's clock (rule 2). Runs of other organizations wait."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from django.db.models import F
from django.db.models.functions import Now

from provisioning.host_edge.rows import HostEdge
from provisioning.leases import RENEW_EVERY_S, later, this_worker
from sprocket_v2.errors import ApplyError

PATIENCE_S = 180.0
Beat = Callable[[], None]


def edge_row() -> HostEdge:
    """The edge's row, made the first time anybody asks."""
    row = HostEdge.objects.order_by("pk").first()
    if row is None:
        row, _ = HostEdge.objects.get_or_create(pk=1, defaults={"name": f"host-edge-{secrets.token_hex(6)}", "expires": Now()})
        row.refresh_from_db()
    return row


@dataclass
class EdgeLease:
    """A held lease."""

    name: str
    owner: str
    beat: Beat
    _renewed: float = field(default_factory=time.monotonic)

    def tick(self) -> None:
        """Keep it, and the caller's own lease; cheap to call often, and called before every write.

        Raises:
            ApplyError: somebody else has it by now.
        """
        self.beat()
        if time.monotonic() - self._renewed >= RENEW_EVERY_S:
            self.renew()

    def renew(self) -> None:
        """Keep it for another 45 s."""
        self._renewed = time.monotonic()
        if not HostEdge.objects.filter(owner=self.owner, expires__gt=Now()).update(expires=later()):
            raise ApplyError("the host's edge is changed by another run by now", hint="apply again", where="host edge", transient=True)

    def sleep(self, seconds: float) -> None:
        """Wait, holding on."""
        time.sleep(seconds)
        self.tick()


@contextmanager
def edge_lease(beat: Beat = lambda: None, *, patience_s: float = PATIENCE_S) -> Iterator[EdgeLease]:
    """Hold the edge; waits while another run does.

    Raises:
        ApplyError: it did not become free in time.
    """
    row, owner = edge_row(), f"{this_worker()} {secrets.token_hex(4)}"
    limit = time.monotonic() + patience_s
    while not HostEdge.objects.filter(pk=row.pk, expires__lte=Now()).update(owner=owner, fencing=F("fencing") + 1, expires=later()):
        if time.monotonic() > limit:
            raise ApplyError(
                f"the host's edge is being changed by another run for {patience_s:.0f} s",
                hint="apply again when that run has ended",
                where="host edge",
                transient=True,
            )
        time.sleep(0.2)
        beat()
    lease = EdgeLease(row.name, owner, beat)
    try:
        yield lease
    finally:
        HostEdge.objects.filter(pk=row.pk, owner=owner).update(owner="", expires=Now())
