"""Removes every Docker object of a slug: what tests made, and nothing else."""

from __future__ import annotations

import contextlib
import time

from provisioning.providers.swarm.client import connect
from sprocket_v2.errors import ApplyError

LIMIT_S = 90.0


def remove_everything(slug: str) -> None:
    """Services first; the rest once their last tasks are gone."""
    swarm = connect()
    for service in swarm.live_services(slug):
        swarm.remove("service", service.name)
    limit = time.monotonic() + LIMIT_S
    while (found := swarm.live_objects(slug)) and time.monotonic() < limit:
        for item in found:
            with contextlib.suppress(ApplyError):  # in use until its last task is gone
                swarm.remove(item.kind, item.name)
        time.sleep(0.5)
