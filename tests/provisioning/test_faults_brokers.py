"""Brokers that are down, restarted, emptied or frozen: a run is a row, the message only a bell. The file broker, Redis and RabbitMQ, for real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.engine.fault_notes import WORLD, note
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
    name: str
    services: list[str] = field(default_factory=list)
    applies: int = 0

    def planned(self, *more: str, step_s: float = 0.3) -> int:
        """A plan that adds these."""
        self.services += more
        return int(self.plane.planned(*self.services, step_s=step_s)["id"])

    def assert_all_well(self, run: int) -> None:
        """One delivery, one apply, each thing once."""
        self.applies += 1
        self.plane.assert_all_well(run, *self.services)
        assert self.plane.operations().count("apply") == self.applies

    def note(self, fault: str, held: str, since: float) -> None:
        note(WORLD, f"{self.name} {fault}", f"{held} (`test_faults_brokers`)", time.monotonic() - since)


@pytest.fixture(scope="module", params=["files", "redis", "rabbitmq"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """One deployment for all tests on a broker; each adds something to it."""
    with ExitStack() as stack:
        broker: Files | Redis | RabbitMQ = Files()
        if request.param == "redis":
            broker = stack.enter_context(redis_server())
        if request.param == "rabbitmq":
            broker = stack.enter_context(rabbitmq_server())
        plane = stack.enter_context(played_plane(tmp_path_factory.mktemp("plane"), broker=broker.url))
        if isinstance(broker, Files):
            broker.data = plane.data
            stack.callback(broker.start)
        plane.start_worker()
        yield Stage(plane, broker, {"files": "the embedded broker", "redis": "Redis", "rabbitmq": "RabbitMQ"}[request.param])


def test_a_run_asked_for_while_the_broker_is_down_is_carried_out_when_it_is_back(stage: Stage) -> None:
    plan = stage.planned("web", "bot")
    stage.broker.kill()
    began = time.monotonic()
    run = stage.plane.asked_to_apply(plan)
    assert time.monotonic() - began < 20, "whoever asked waited for the broker"
    assert stage.plane.brief(run)["state"] == "queued"
    back = time.monotonic()
    stage.broker.start()
    stage.assert_all_well(run)
    stage.note("down when a run is asked for", "the run is a row; the worker's reconciler rings once the broker is back", back)


def test_a_broker_restarted_in_the_middle_of_a_run_changes_nothing(stage: Stage) -> None:
    plan = stage.planned("api", "parser", "replays", step_s=1.5)
    run = stage.plane.asked_to_apply(plan)
    stage.plane.wait_for("api")
    began = time.monotonic()
    stage.broker.kill()
    stage.plane.wait_for("parser")
    stage.broker.start()
    stage.assert_all_well(run)
    stage.note("restarted in the middle of a run", "the run does not notice; the next one is heard", began)
    stage.assert_all_well(stage.plane.asked_to_apply(stage.planned("after")))


def test_messages_lost_by_the_broker_are_sent_again(stage: Stage) -> None:
    stage.plane.stop_worker()
    run = stage.plane.asked_to_apply(stage.planned("queued"))
    began = time.monotonic()
    stage.broker.empty()
    stage.plane.start_worker()
    stage.assert_all_well(run)
    stage.note("emptied before a worker heard", "the reconciler rings again", began)


@pytest.mark.parametrize("stage", ["redis", "rabbitmq"], indirect=True)  # a folder cannot be frozen
def test_a_broker_that_answers_nothing_keeps_nobody_waiting(stage: Stage) -> None:
    assert not isinstance(stage.broker, Files)
    plan = stage.planned("frozen")
    stage.broker.freeze()
    try:
        began = time.monotonic()
        run = stage.plane.asked_to_apply(plan)
        assert time.monotonic() - began < 15, "whoever asked waited for the broker"
    finally:
        back = time.monotonic()
        stage.broker.thaw()
    stage.assert_all_well(run)
    stage.note("takes connections and answers nothing", "whoever asks waits under 15 s, and the run is sent once it answers", back)
