"""The embedded broker: whole messages only, each once, in private folders."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Empty

import pytest
from kombu import Connection
from kombu.exceptions import ChannelError

from sprocket_v2 import broker

_spawn = multiprocessing.get_context("spawn")


def _connect(data_dir: Path) -> Connection:
    broker.register()
    broker.Transport.global_state.clear()  # kombu remembers bindings per process; here each test has a folder of its own
    return Connection(f"{broker.ALIAS}://", transport_options=broker.embedded_options(data_dir))


def _publish(data_dir: Path, first: int, count: int) -> None:
    with _connect(data_dir) as connection:
        queue = connection.SimpleQueue("runs")
        for number in range(first, first + count):
            queue.put({"run": number, "padding": "x" * 20_000})
        queue.close()


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[Connection]:
    with _connect(tmp_path) as opened:
        yield opened


def test_a_message_comes_out_as_it_went_in(connection: Connection) -> None:
    queue = connection.SimpleQueue("runs")
    queue.put({"run": 7})
    message = queue.get(timeout=2)
    assert message.payload == {"run": 7}
    message.ack()
    with pytest.raises(Empty):
        queue.get(block=False)


def test_messages_come_in_the_order_they_were_put(connection: Connection) -> None:
    queue = connection.SimpleQueue("runs")
    for number in range(20):
        queue.put(number)
    assert [queue.get(timeout=2).payload for _ in range(20)] == list(range(20))


def test_a_reader_never_sees_half_a_message(connection: Connection, tmp_path: Path) -> None:
    """A message being written does not have a message's name until it is whole."""
    seen: set[str] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            for file in (tmp_path / "broker" / "in").glob("*.msg"):
                if file.stat().st_size < 20_000:
                    seen.add(file.name)

    watcher = threading.Thread(target=watch)
    watcher.start()
    _publish(tmp_path, 0, 100)
    stop.set()
    watcher.join()
    assert seen == set()
    assert len(list((tmp_path / "broker" / "in").iterdir())) == 100


def test_two_publishing_processes_lose_and_double_nothing(connection: Connection, tmp_path: Path) -> None:
    processes = [_spawn.Process(target=_publish, args=(tmp_path, first, 100)) for first in (0, 100)]
    for process in processes:
        process.start()
    queue = connection.SimpleQueue("runs")
    got: list[int] = []
    limit = time.monotonic() + 30
    while len(got) < 200 and time.monotonic() < limit:
        try:
            got.append(queue.get(timeout=5).payload["run"])
        except Empty:
            continue
    for process in processes:
        process.join(timeout=10)
    assert sorted(got) == list(range(200))


def test_the_folders_are_private(connection: Connection, tmp_path: Path) -> None:
    connection.SimpleQueue("runs").put(1)
    for folder in (tmp_path / "broker", *(tmp_path / "broker").iterdir()):
        assert folder.stat().st_mode & 0o077 == 0
    [message] = (tmp_path / "broker" / "in").glob("*.msg")
    assert message.stat().st_mode & 0o077 == 0


def test_what_was_processed_long_ago_is_swept(tmp_path: Path) -> None:
    broker.embedded_options(tmp_path)
    processed = tmp_path / "broker" / "processed"
    (processed / "old.msg").write_text("{}")
    (processed / "new.msg").write_text("{}")
    os.utime(processed / "old.msg", (0, 0))
    broker.embedded_options(tmp_path)
    assert [file.name for file in processed.iterdir()] == ["new.msg"]


def test_a_folder_that_is_gone_is_an_error_and_leaves_no_part(connection: Connection, tmp_path: Path) -> None:
    queue = connection.SimpleQueue("runs")
    (tmp_path / "broker" / "in").rmdir()
    with pytest.raises(ChannelError, match="cannot add a message"):
        queue.put(1)
