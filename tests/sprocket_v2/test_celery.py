"""Celery's settings: an id in a message and nothing else, no results, and a time-out longer than the longest run."""

from __future__ import annotations

from pathlib import Path

import pytest
from celery.signals import worker_ready
from django.conf import LazySettings

from provisioning import tasks
from provisioning.execution import DEADLINE_S
from provisioning.operations import GRACE_S
from provisioning.reconcile import Reconciler
from sprocket_v2 import broker
from sprocket_v2.celery import LONGEST_RUN_S, configuration


def test_without_an_address_messages_are_files_in_the_data_folder(tmp_path: Path) -> None:
    made = configuration("", tmp_path)
    assert made["broker_url"] == f"{broker.ALIAS}://localhost//"
    options = made["broker_transport_options"]
    assert options["polling_interval"] == 0.1
    assert all(Path(options[key]).is_relative_to(tmp_path) for key in ("data_folder_in", "processed_folder", "control_folder"))


@pytest.mark.parametrize("url", ["redis://redis:6379/0", "rediss://redis:6379/0"])
def test_a_redis_message_is_not_given_out_twice_while_the_longest_run_goes_on(tmp_path: Path, url: str) -> None:
    timeout = configuration(url, tmp_path)["broker_transport_options"]["visibility_timeout"]
    assert timeout > max(DEADLINE_S.values()) + GRACE_S
    assert max(DEADLINE_S.values()) < LONGEST_RUN_S


def test_results_are_ignored_and_children_replaced(tmp_path: Path) -> None:
    made = configuration("redis://x", tmp_path)
    assert made["task_ignore_result"]
    assert made["worker_max_tasks_per_child"] > 0
    assert made["worker_prefetch_multiplier"] == 1


@pytest.mark.parametrize("url", ["", "redis://x", "amqp://x"])
def test_a_worker_repairs_by_itself_whatever_its_broker(monkeypatch: pytest.MonkeyPatch, settings: LazySettings, url: str) -> None:
    begun: list[float] = []
    settings.SPROCKET_BROKER_URL = url
    monkeypatch.setattr(Reconciler, "start", lambda _self, every_s: begun.append(every_s))
    worker_ready.send(sender=None)
    assert begun == [15.0]


def test_a_task_takes_a_run_id_only() -> None:
    assert tasks.execute.name == "provisioning.execute"
    with pytest.raises(TypeError):
        tasks.execute.apply_async(args=("1", "a secret"))
