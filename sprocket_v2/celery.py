"""The Celery application: tasks carry a run's number only, results are ignored, the database is the truth.

Without SPROCKET_BROKER_URL messages are files in the data folder (broker.py); with it, any broker Celery knows.
"""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

from celery import Celery
from celery.signals import worker_process_init, worker_process_shutdown, worker_ready, worker_shutdown

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sprocket_v2.settings")

from django.conf import settings

from sprocket_v2 import broker

LONGEST_RUN_S = 3600
ENDS_WITH_PARENT = "SPROCKET_ENDS_WITH_PARENT"  # set for a worker that its parent holds a pipe to
RECONCILE_EVERY_S: float = settings.SPROCKET_RECONCILE_EVERY_S
_PATIENCE_S = 3.0  # whoever asks for a run waits no longer for a broker that takes connections and says nothing
_REDIS = {
    "visibility_timeout": 2 * LONGEST_RUN_S,
    "socket_connect_timeout": _PATIENCE_S,
    "socket_timeout": _PATIENCE_S,  # above the second for which a waiting worker lets Redis think
}
_AMQP = {"read_timeout": _PATIENCE_S, "write_timeout": _PATIENCE_S}


def configuration(broker_url: str, data_dir: Path) -> dict[str, Any]:
    """Celery's settings for an embedded (empty address) or a real broker."""
    common = {
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,  # a worker outlives its broker, however long that is away
        "task_publish_retry_policy": {
            "max_retries": 1,
            "interval_start": 0,
        },  # for a connection that went stale; else the reconciler sends it
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": False,  # the reconciler decides, by the run's row
        "worker_prefetch_multiplier": 1,
        "worker_max_tasks_per_child": 50,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "task_default_queue": "runs",
        "task_serializer": "json",
        "accept_content": ["json"],
        "timezone": "UTC",
        "enable_utc": True,
    }
    if not broker_url:
        broker.register()
        return {**common, "broker_url": f"{broker.ALIAS}://localhost//", "broker_transport_options": broker.embedded_options(data_dir)}
    options = dict(_REDIS) if broker_url.startswith(("redis", "rediss")) else dict(_AMQP)
    return {**common, "broker_url": broker_url, "broker_transport_options": options}


app = Celery("sprocket_v2", set_as_current=True)
app.conf.update(configuration(settings.SPROCKET_BROKER_URL, Path(settings.SPROCKET_DATA_DIR)))
app.autodiscover_tasks(["provisioning"])


@worker_ready.connect
def _begin_reconciling(**_: Any) -> None:  # noqa: ANN401 - Celery's signal
    """A worker repairs by itself, in a thread: no second process, no broker, and it goes on while the pool is busy."""
    from provisioning.reconcile import Reconciler

    Reconciler.shared().start(RECONCILE_EVERY_S)
    if os.environ.get(ENDS_WITH_PARENT):
        threading.Thread(target=_end_with_the_parent, daemon=True).start()


def _end_with_the_parent() -> None:
    """Standard input ends with the parent, however that ends: then the run in hand is finished, and no other is begun."""
    while os.read(0, 1024):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


@worker_shutdown.connect
def _end_reconciling(**_: Any) -> None:  # noqa: ANN401
    from provisioning.reconcile import Reconciler

    Reconciler.shared().stop()


@worker_process_init.connect
def _keep_a_spare(**_: Any) -> None:  # noqa: ANN401
    from provisioning import spares

    spares.keep()


@worker_process_shutdown.connect
def _drop_the_spare(**_: Any) -> None:  # noqa: ANN401
    from provisioning import spares

    spares.drop()
