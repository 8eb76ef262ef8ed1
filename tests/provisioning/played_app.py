"""The control plane's Celery application on a played world: the remembering child for an engine, a Docker that answers from memory.

For worker processes of the fault tests (`celery -A tests.provisioning.played_app worker`) and for the short programs beside them. Everything
else in such a process is the product's: rows, leases, broker, reconciler, recorder, outbox.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta

import django
from django.utils import timezone

django.setup()

import sprocket_v2.celery
from provisioning import docker_door, execution, operations, reconcile
from provisioning.live import LiveService, LiveTask
from provisioning.verdict import Check, verdict_of
from tests.provisioning.conftest import FakeDocker

app = sprocket_v2.celery.app
_docker = FakeDocker([LiveService("demo_web", "s1", 7, "web:1", 1, False, (LiveTask("t1", "running", "running"),))])

operations.CHILD_MODULE = "tests.provisioning.remembering_child"
docker_door._connect = lambda: _docker  # type: ignore[assignment]
execution.verify_bundle = lambda *_args, **_more: verdict_of([Check("service/demo_web", "Web", "ok")])

reconcile.RING_AGAIN_AFTER = timedelta(seconds=4)  # not a minute: a test that takes a message away waits for this

# A machine whose clock is wrong. libfaketime would be more honest, and cannot be had: under it this Python's sleeps fail or never end.
_OFF_S = float(os.environ.get("PLAYED_CLOCK_OFF_S", "0"))
if _OFF_S:
    _time, _now = time.time, timezone.now
    time.time = lambda: _time() + _OFF_S
    timezone.now = lambda: _now() + timedelta(seconds=_OFF_S)
