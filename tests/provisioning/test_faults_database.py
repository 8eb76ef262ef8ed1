"""A database that goes away in the middle, many writers at once, clocks that disagree: with real PostgreSQL and real SQLite."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.fault_notes import WORLD, note
from tests.provisioning.played_plane import ROOT, PlayedPlane, played_plane
from tests.provisioning.servers import Postgres, postgres_server

pytestmark = pytest.mark.slow
WRITER = """
import django; django.setup()
from django.db import OperationalError, transaction
from orgs.models import Organization
failed = 0
for _ in range(100):
    try:
        with transaction.atomic():
            org = Organization.objects.get(slug="demo")
            Organization.objects.filter(pk=org.pk).update(name=str(int(org.name) + 1))
    except OperationalError:
        failed += 1
print(failed)
"""
PAGE = """
from django.test import Client
client = Client(raise_request_exception=False)
client.cookies["sprocket_session"] = "x" * 32
answer = client.get("/", HTTP_HOST="127.0.0.1")
say([answer.status_code, answer.content.decode()])
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres_server() as running:
        PlayedPlane(running.folder, database=running.url).django("migrate", "-v0")
        running.run("alter database sprocket rename to migrated", database="postgres")
        yield running


@pytest.fixture
def plane(server: Postgres, tmp_path: Path) -> Iterator[PlayedPlane]:
    server.run("create database sprocket template migrated", database="postgres")
    with played_plane(tmp_path, database=server.url) as made:
        yield made
    server.run("drop database sprocket with (force)", database="postgres")


def test_a_database_that_goes_away_in_the_middle_of_a_run_loses_and_doubles_nothing(server: Postgres, plane: PlayedPlane) -> None:
    services = ("web", "bot", "api", "parser")
    plan = plane.planned(*services, step_s=1.0)
    plane.start_worker()
    run = plane.asked_to_apply(plan["id"])
    plane.wait_for("web")
    began = time.monotonic()
    server.kill()
    time.sleep(4)
    server.start()
    plane.assert_all_well(run, *services, deliveries=2)
    held = "the step in hand is finished; once the database is back the run goes on with the rest (`test_faults_database`)"
    note(WORLD, "PostgreSQL killed in the middle of a run, back after 4 s", held, time.monotonic() - began)
    order = "say(list(RunEvent.objects.filter(run=ID).values_list('seq', flat=True)))"
    seen = plane.ask(order, ID=run)
    assert seen == list(range(1, len(seen) + 1))


def test_whoever_asks_while_the_database_is_away_is_told_what_to_do(server: Postgres, plane: PlayedPlane) -> None:
    server.kill()
    try:
        began = time.monotonic()
        command = [sys.executable, "-m", "sprocket_v2.cli.main", "runs", "demo"]
        told = subprocess.run(command, env=plane.environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        status, page = _page_without_a_database(plane)
        took = time.monotonic() - began
        assert took < 60
    finally:
        server.start()
    assert told.returncode == 2
    for text in (told.stderr, page):
        assert "database" in text
        assert "Traceback" not in text
        assert str(server.port) in text or text is page
    assert "hint:" in told.stderr
    assert status == 503
    assert "sprocket doctor" in page
    held = "pages answer 503, commands end with 2, both with what, where and what next (`test_faults_database`)"
    note(WORLD, "PostgreSQL away when somebody asks", held, took)


def _page_without_a_database(plane: PlayedPlane) -> tuple[int, str]:
    code = f"import json\nimport django; django.setup()\ndef say(value): print(json.dumps(value))\n{PAGE}"
    done = subprocess.run(
        [sys.executable, "-c", code], env=plane.environment, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    status, text = json.loads(done.stdout.splitlines()[-1])
    return int(status), str(text)


def test_eight_writers_of_a_hundred_each_lose_no_write_on_sqlite(tmp_path: Path) -> None:
    with played_plane(tmp_path) as plane:
        _write_from_eight(plane)


def _write_from_eight(plane: PlayedPlane) -> None:
    plane.ask("Organization.objects.update(name='0')")
    command = [sys.executable, "-c", WRITER]
    began = time.monotonic()
    writers = [
        subprocess.Popen(command, env=plane.environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    said = [writer.communicate(timeout=120) for writer in writers]
    assert [out.strip() for out, _ in said] == ["0"] * 8, said
    assert plane.ask("say(Organization.objects.get().name)") == "800"
    held = "no write fails and none is lost (`test_faults_database`)"
    note(WORLD, "SQLite under 8 writers, 100 times read-then-write each", held, time.monotonic() - began)


@pytest.mark.parametrize(
    ("owner", "watcher"), [("0", "3600"), ("3600", "0"), ("-3600", "0")], ids=["watcher-ahead", "owner-ahead", "owner-behind"]
)
def test_a_wrong_clock_takes_no_run_from_its_worker(plane: PlayedPlane, owner: str, watcher: str) -> None:
    """A lease lasts by the database's clock: neither a worker whose clock is an hour off nor one beside it sees it end."""
    services = ("web", "bot", "api", "parser")
    plan = plane.planned(*services, step_s=1.5)
    plane.start_worker(env={"PLAYED_CLOCK_OFF_S": owner})
    run = plane.asked_to_apply(plan["id"])
    plane.wait_for("web")
    plane.start_worker(env={"PLAYED_CLOCK_OFF_S": watcher})  # its reconciler looks each second, the lease is three seconds long
    began = time.monotonic()
    plane.assert_all_well(run, *services)
    assert plane.operations().count("apply") == 1
    held = "leases last by the database's clock: nobody takes the run, it is carried out once (`test_faults_database`)"
    note(WORLD, "clock of a worker an hour ahead or behind, on PostgreSQL", held, time.monotonic() - began)
