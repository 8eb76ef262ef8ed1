"""The container for the copy by itself: a damaged dump is refused, content that differs is found, and nobody can reach its server."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from provisioning.migration.database import Connection, Place
from provisioning.migration.tables import differences
from provisioning.migration.workbench import DUMP, SCRATCH, Workbench
from provisioning.providers.swarm.client import connect
from sprocket_v2.errors import ApplyError
from tests.engine.legacy import docker
from tests.engine.ports import gateway

pytestmark = pytest.mark.engine
LEAGUE = Connection("league", "sprocket")
ROWS = "create table player (id int, name text); insert into player select i, 'player ' || i from generate_series(1, 500) i; create table a_row (a_row int)"


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    """A workbench whose server has a database of its own."""
    bench = Workbench(connect(), f"m{secrets.token_hex(4)}-migration-1", "postgres:15-bookworm", memory_mib=300)
    try:
        made = bench.make()
        for database, text in (("postgres", "create database league"), ("league", ROWS)):
            code, said = connect().run_in(made.container, ["psql", "-Xq", "-U", "sprocket", "-d", database, "-c", text])
            assert code == 0, said
        yield made
    finally:
        bench.remove()
    assert connect().find("service", bench.name) is None


def test_what_is_loaded_is_what_was_dumped_and_a_changed_row_is_found(place: Place) -> None:
    counted = place.dump(LEAGUE, DUMP, limit_s=60)
    assert {name: table.rows for name, table in counted.items()} == {"public.a_row": 0, "public.player": 500}
    assert differences(counted, place.load(SCRATCH, DUMP, limit_s=60)) == []
    change = "update player set name = 'player x' where id = 77"
    connect().run_in(place.container, ["psql", "-Xq", "-U", "sprocket", "-d", SCRATCH.name, "-c", change])
    assert differences(counted, place.tables(SCRATCH, limit_s=60)) == ["public.player has the same 500 rows in number and other content"]


def test_a_damaged_dump_is_refused_before_anything_is_made_of_it(place: Place) -> None:
    place.dump(LEAGUE, DUMP, limit_s=60)
    place.ask("drop", SCRATCH)
    connect().run_in(place.container, ["sh", "-c", f"printf x | dd of={DUMP}/database.dump bs=1 seek=700 conv=notrunc status=none"])
    with pytest.raises(ApplyError, match="the checksum of the dump is wrong: it is damaged and was not used"):
        place.load(SCRATCH, DUMP, limit_s=60)
    listed = connect().run_in(
        place.container, ["psql", "-XqAt", "-U", "sprocket", "-d", "postgres", "-c", "select datname from pg_database"]
    )[1]
    assert SCRATCH.name not in listed.split()


def test_its_server_listens_to_nobody(place: Place) -> None:
    listening = "cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | grep -c ':1538 .* 0A' || true"  # 5432, in state LISTEN
    assert connect().run_in(place.container, ["sh", "-c", listening])[1].strip() == "0"


def test_a_password_is_in_no_list_of_processes_while_it_is_used(place: Place) -> None:
    everything = ["sh", "-c", "cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ 2>/dev/null | tr '\\0' ' '"]
    with socket.create_server(("0.0.0.0", 0)) as silent, ThreadPoolExecutor(1) as pool:  # takes the connection and says nothing
        database = Connection("league", "sprocket", gateway(), silent.getsockname()[1], password="canary-in-standard-input")
        asking = pool.submit(place.size, database)
        seen, limit = "", time.monotonic() + 8
        while "psql -X" not in seen and time.monotonic() < limit:
            seen = connect().run_in(place.container, everything)[1]
        with pytest.raises(ApplyError, match="size: "):
            asking.result(timeout=30)
    assert "psql -X" in seen and "PGPASSFILE=" in seen
    assert "canary" not in seen
    assert "canary" not in docker("service", "inspect", place.name)[1]


def test_an_object_of_the_same_name_that_is_not_ours_is_left_alone() -> None:
    name = f"m{secrets.token_hex(4)}-migration-1"
    docker("volume", "create", f"{name}_work")
    try:
        with pytest.raises(ApplyError, match="is there and is not the migration's"):
            Workbench(connect(), name, "postgres:15-bookworm").make()
    finally:
        docker("volume", "rm", f"{name}_work")
        connect().remove("network", name)
