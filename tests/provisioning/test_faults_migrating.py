"""The control plane's own migration, killed in the middle on SQLite and on PostgreSQL: the next start goes on, or says what to do."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.engine.fault_notes import WORLD, note
from tests.provisioning.played_plane import ROOT, PlayedPlane
from tests.provisioning.servers import postgres_server

pytestmark = pytest.mark.slow
# Kills its own process after so many operations have been carried out, in the transaction of a migration that has more to do.
KILLED = """
import os, signal, sys
import django; django.setup()
from django.core.management import call_command
from django.db.migrations import migration
left = int(sys.argv[1])
class Counted(list):
    def __iter__(self):
        global left
        for operation in super().__iter__():
            yield operation
            left -= 1
            if left == 0: os.kill(os.getpid(), signal.SIGKILL)
whole = migration.Migration.apply
def apply(self, *args, **more):
    self.operations = Counted(self.operations)
    return whole(self, *args, **more)
migration.Migration.apply = apply
call_command("migrate", verbosity=0)
"""
SCHEMA = """
from django.db import connection
with connection.cursor() as cursor:
    names = sorted(connection.introspection.table_names(cursor))
    columns = {name: sorted(c.name for c in connection.introspection.get_table_description(cursor, name)) for name in names}
    held = {name: len(connection.introspection.get_constraints(cursor, name)) for name in names}
say([columns, held])
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def fresh(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[PlayedPlane, PlayedPlane]]:
    """A control plane without a database yet, and one whose database was migrated without a fault."""
    with ExitStack() as stack:
        urls = ["", ""]
        if request.param == "postgresql":
            server = stack.enter_context(postgres_server())
            server.run("create database whole", database="postgres")
            urls = [server.url, server.url.removesuffix("sprocket") + "whole"]
        broken, whole = (PlayedPlane(tmp_path / name, database=url) for name, url in zip(("broken", "whole"), urls, strict=True))
        for plane in (broken, whole):
            plane.folder.mkdir()
        whole.django("migrate", "-v0")
        yield broken, whole
        for plane in (broken, whole):
            plane.clean_up()


def _cli(plane: PlayedPlane, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sprocket_v2.cli.main", *words]
    return subprocess.run(command, env=plane.environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)


def test_a_migration_killed_in_the_middle_is_gone_on_with(fresh: tuple[PlayedPlane, PlayedPlane]) -> None:
    broken, whole = fresh
    for operations in (30, 1):
        command = [sys.executable, "-c", KILLED, str(operations)]
        killed = subprocess.run(command, env=broken.environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert killed.returncode == -signal.SIGKILL, killed.stderr
    began = time.monotonic()
    told = _cli(broken, "org", "list")
    if "SPROCKET_DATABASE_URL" in broken.environment:  # a database with an administrator is migrated on purpose
        assert told.returncode == 2
        assert "the database is older than this program" in told.stderr
        assert "python manage.py migrate" in told.stderr
        broken.django("migrate", "-v0")
        told = _cli(broken, "org", "list")
    assert told.returncode == 0, told.stderr
    assert broken.ask(SCHEMA) == whole.ask(SCHEMA)
    kind = "PostgreSQL" if "SPROCKET_DATABASE_URL" in broken.environment else "SQLite"
    held = (
        "the next start goes on by itself"
        if kind == "SQLite"
        else "the next start says how many are missing and to run `migrate`, which goes on"
    )
    note(
        WORLD, f"the control plane's migration killed in the middle, {kind}", f"{held} (`test_faults_migrating`)", time.monotonic() - began
    )
