"""Brokers that are down, restarted, emptied or frozen: a run is a row, the message only a bell. The file broker, Redis and RabbitMQ, for real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.provisioning.played_plane import PlayedPlane, played_plane
from tests.provisioning.servers import RabbitMQ, Redis, rabbitmq_server, redis_server
from tests.provisioning.small_disks import small_disk

pytestmark = pytest.mark.slow


class Files:
    """The embedded broker, seen as a server: it is down while its folder is a disk without room for one file more."""

    url = ""

    def __init__(self) -> None:
        self.data = Path()
        self._down = ExitStack()

    @property
    def _inbox(self) -> Path:
        return self.data / "broker" / "in"

    def kill(self) -> None:
        self._down.enter_context(small_disk(self._inbox, "size=4k,nr_inodes=1"))

    def start(self) -> None:
        self._down.close()

    def empty(self) -> None:
        for message in self._inbox.glob("*.msg"):
            message.unlink()


@dataclass
class Stage:
    """A plane and its broker."""

    plane: PlayedPlane
    broker: Files | Redis | RabbitMQ


@pytest.fixture(params=["files", "redis", "rabbitmq"])
def stage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Stage]:
    with ExitStack() as stack:
        broker: Files | Redis | RabbitMQ = Files()
        if request.param == "redis":
            broker = stack.enter_context(redis_server())
        if request.param == "rabbitmq":
            broker = stack.enter_context(rabbitmq_server())
        plane = stack.enter_context(played_plane(tmp_path, broker=broker.url))
        if isinstance(broker, Files):
            broker.data = plane.data
            stack.callback(broker.start)
        yield Stage(plane, broker)


def test_a_run_asked_for_while_the_broker_is_down_is_carried_out_when_it_is_back(stage: Stage) -> None:
    plan = stage.plane.planned("web", "bot")
    stage.plane.start_worker()
    stage.broker.kill()
    began = time.monotonic()
    run = stage.plane.asked_to_apply(plan["id"])
    assert time.monotonic() - began < 20, "whoever asked waited for the broker"
    assert stage.plane.brief(run)["state"] == "queued"
    stage.broker.start()
    stage.plane.assert_all_well(run, "web", "bot")
    assert stage.plane.operations().count("apply") == 1


def test_a_broker_restarted_in_the_middle_of_a_run_changes_nothing(stage: Stage) -> None:
    plan = stage.plane.planned("web", "bot", "api", step_s=1.5)
    stage.plane.start_worker()
    run = stage.plane.asked_to_apply(plan["id"])
    stage.plane.wait_for("web")
    stage.broker.kill()
    stage.plane.wait_for("bot")
    stage.broker.start()
    stage.plane.assert_all_well(run, "web", "bot", "api")
    next_run = stage.plane.asked_to_apply(stage.plane.planned("web", "bot", "api", "parser")["id"])
    stage.plane.assert_all_well(next_run, "web", "bot", "api", "parser")
    assert stage.plane.operations().count("apply") == 2


def test_messages_lost_by_the_broker_are_sent_again(stage: Stage) -> None:
    run = stage.plane.asked_to_apply(stage.plane.planned("web")["id"])
    stage.broker.empty()
    stage.plane.start_worker()
    stage.plane.assert_all_well(run, "web")
