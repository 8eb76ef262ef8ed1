"""Backups of a real deployment: taken by themselves, refused when damaged, and the league back after everything was purged."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from provisioning.providers.swarm.client import connect
from tests.engine.deployed import ROOT, ControlPlane, deployed_plane

pytestmark = pytest.mark.engine
ROWS = """
create table sprocket.backup_probe (id int primary key, said text);
insert into sprocket.backup_probe select i, 'row ' || i from generate_series(1, 5000) i;
create table "odd ""name"."it's; drop table x" (a int); insert into "odd ""name"."it's; drop table x" values (1), (2);
"""


class League(ControlPlane):
    """The deployed organization, asked through the command `sprocket` and through SQL."""

    def cli(self, *words: str, code: int = 0) -> Any:
        """What a command answers as JSON."""
        command = [sys.executable, "-m", "sprocket_v2.cli.main", *words, "--json"]
        done = subprocess.run(command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout)

    def inside(self, service: str, *command: str) -> str:
        """What a command in a service's container prints."""
        [container] = [t.container for s in connect().live_services(self.slug) if s.name == f"{self.slug}_{service}" for t in s.running]
        code, text = connect().run_in(container, command, timeout_s=60)
        assert code == 0, text
        return text

    def sql(self, text: str) -> str:
        """What the database answers."""
        return self.inside(
            "postgres", "psql", "-X", "-q", "-At", "-v", "ON_ERROR_STOP=1", "-U", "sprocket", "-d", "sprocket", "-c", text
        ).strip()

    def rows(self) -> dict[str, int]:
        """Rows of every table, counted here and not by the backup."""
        tables = self.sql(
            "select format('%I.%I', schemaname, tablename), schemaname || '.' || tablename from pg_tables"
            " where schemaname not in ('pg_catalog', 'information_schema')"
        )
        return {name: int(self.sql(f"select count(*) from {quoted}")) for quoted, name in (line.split("|") for line in tables.splitlines())}

    def running(self) -> set[str]:
        """Services whose wanted tasks run."""
        return {s.name.split("_", 1)[1] for s in connect().live_services(self.slug) if not s.is_job and len(s.running) >= s.wanted > 0}


@pytest.fixture(scope="module")
def league(tmp_path_factory: pytest.TempPathFactory) -> Iterator[League]:
    """A deployment of this module's own: its database is replaced, and it is purged."""
    with deployed_plane(tmp_path_factory.mktemp("league")) as plane:
        plane.__class__ = League
        assert isinstance(plane, League)
        plane.sql('create schema "odd ""name"; ' + ROWS.strip())
        yield plane


def test_the_first_backup_is_made_by_itself_and_is_good(league: League) -> None:
    first = _wait_for_backups(league, 1)[-1]
    assert (first["reason"], first["checksum_ok"], first["where"]) == ("scheduled", True, ["deployment"])


def test_a_backup_now_is_checked_kept_and_private(league: League) -> None:
    made = league.cli("backup", league.slug, "--copy")
    assert made["checksum_ok"] and made["reason"] == "by-hand" and made["where"] == ["deployment", "control plane"]
    folder = league.data / "backups" / league.slug / made["name"]
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=folder, check=True, capture_output=True)
    assert {path.stat().st_mode & 0o077 for path in (folder, *folder.iterdir())} == {0}
    assert made["name"] in [item["name"] for item in league.cli("backups", league.slug)]
    noted = league.ask("say(StackState.objects.for_org(org).get().backups)")
    assert (noted["name"], noted["bytes"]) == (made["name"], made["bytes"])


def test_a_restore_to_scratch_counts_every_table_and_says_how_long_it_took(league: League) -> None:
    made = league.cli("backup", league.slug)
    league.sql("insert into sprocket.backup_probe values (0, 'later')")
    tried = league.cli("restore", league.slug, made["name"], "--to", "scratch")
    assert tried["took_s"] > 0
    assert tried["live"] == league.rows()
    assert tried["rows"] == {**league.rows(), "sprocket.backup_probe": 5000}
    assert tried["rows"]["odd \"name.it's; drop table x"] == 2
    league.sql("delete from sprocket.backup_probe where id = 0")
    assert league.sql("select datname from pg_database where datname like 'sprocket\\_%'") == ""


def test_a_damaged_backup_is_refused_and_nothing_is_touched(league: League) -> None:
    made = league.cli("backup", league.slug)
    before, running = league.rows(), league.running()
    league.inside("backup", "sh", "-c", 'printf x | dd of="/backups/$0/database.dump" bs=1 seek=900 conv=notrunc status=none', made["name"])
    for to in ("scratch", "live"):
        [error] = league.cli("restore", league.slug, made["name"], "--to", to, "--yes", code=1)["errors"]
        assert error["message"] == f"the checksum of backup {made['name']} is wrong: it is damaged, and nothing was touched"
        assert "choose another" in error["hint"]
    [listed] = [item for item in league.cli("backups", league.slug) if item["name"] == made["name"]]
    assert listed["checksum_ok"] is False
    assert (league.rows(), league.running()) == (before, running)
    league.inside("backup", "rm", "-r", f"/backups/{made['name']}")


def test_a_name_that_is_none_reaches_no_shell(league: League) -> None:
    for name in ("../../etc", "x; id", "20260101T000000Z/..", "--help-me"):
        league.cli("restore", league.slug, "--to", "scratch", "--", name, code=2)
    [error] = league.cli("restore", league.slug, "20010101T000000Z", "--to", "scratch", code=1)["errors"]
    assert error["message"] == "there is no backup 20010101T000000Z"


def test_a_backup_goes_live_and_the_applications_come_back(league: League) -> None:
    made, before = league.cli("backup", league.slug), league.rows()
    league.sql("delete from sprocket.backup_probe where id > 10; create table sprocket.made_later (a int)")
    done = league.cli("restore", league.slug, made["name"], "--to", "live", "--yes")
    assert done["rows"] == before
    assert league.rows() == before
    assert done["verdict"]["green"], done["verdict"]
    first = next(item for item in league.cli("backups", league.slug) if item["name"] == done["taken_first"])
    assert (first["reason"], first["checksum_ok"]) == ("before-restore", True)
    assert {"api", "bot", "web", "postgres", "backup"} <= league.running()
    assert league.sql("select datname from pg_database where datname like 'sprocket\\_%'") == ""


def test_a_schedule_of_one_minute_makes_one_each_minute_and_keeps_as_many_as_were_asked_for(league: League) -> None:
    often = (
        league.needs()
        + "options:\n  backup:\n    every_minutes: 1\n    keep_days: 1\n    keep_at_least: 1\n  postgres:\n    memory_mib: 384\n"
    )
    _set_needs(league, often)
    league.cli("apply", league.slug, "--yes", "--reason", "stand-ins are fine here")
    # The same apply touches the database's service, so a backup was taken before it.
    [before] = [item for item in league.cli("backups", league.slug) if item["reason"] == "before-apply"]
    assert before["checksum_ok"]
    began = time.time()
    found = _wait_for_backups(league, 2, reason="scheduled", since=began, limit_s=150)
    moments = sorted(item["taken"] for item in found if item["reason"] == "scheduled")[-2:]
    assert all(item["checksum_ok"] for item in found)
    assert moments[0][:16] != moments[1][:16]
    # Retention, by the same script: one of long ago goes when the next one is good, one that is damaged counts for nothing.
    newest = found[0]["name"]
    league.inside("backup", "cp", "-r", f"/backups/{newest}", "/backups/20010101T000000Z")
    league.inside("backup", "sh", "/backup/backup.sh", "now", "by-hand")
    assert "20010101T000000Z" not in [item["name"] for item in league.cli("backups", league.slug)]
    _set_needs(league, league.needs())
    league.cli("apply", league.slug, "--yes", "--reason", "stand-ins are fine here")


def test_a_backup_that_fails_makes_the_service_unhealthy_and_leaves_the_last_good_one(league: League) -> None:
    good = league.cli("backup", league.slug)["name"]
    league.inside("backup", "sh", "-c", "mv /private/pgpass /private/away; printf '*:*:*:*:wrong\\n' > /private/pgpass")
    [error] = league.cli("backup", league.slug, code=1)["errors"]
    assert "password authentication failed" in error["message"]
    [container] = [t.container for s in connect().live_services(league.slug) if s.name.endswith("_backup") for t in s.running]
    code, said = connect().run_in(container, ["sh", "/backup/backup.sh", "health"])
    assert code == 1
    assert "the last backup failed" in said
    assert next(item for item in league.cli("backups", league.slug) if item["name"] == good)["checksum_ok"]
    league.inside("backup", "mv", "/private/away", "/private/pgpass")
    league.cli("backup", league.slug)
    assert connect().run_in(container, ["sh", "/backup/backup.sh", "health"])[0] == 0


def test_after_a_purge_and_a_new_deployment_the_league_is_back(league: League) -> None:
    before = league.rows()
    gone = league.cli("destroy", league.slug, "--yes")
    assert [f"{league.slug}_backup_data", f"{league.slug}_postgres_data"] == sorted(
        item["name"] for item in gone["stayed"] if item["name"].endswith(("postgres_data", "backup_data"))
    )
    gone = league.cli("purge", league.slug, "--yes")
    assert f"{league.slug}_postgres_data" in gone["volumes"]
    assert f"{league.slug}_backup_data" in gone["volumes"]
    assert list(connect().live_objects(league.slug)) == []
    [kept] = [item for item in league.cli("backups", league.slug) if item["name"] == gone["backup"]]
    assert (kept["checksum_ok"], kept["where"], kept["reason"]) == (True, ["control plane"], "before-destroy")
    league.cli("apply", league.slug, "--yes", "--reason", "stand-ins are fine here")
    assert league.rows() != before
    done = league.cli("restore", league.slug, gone["backup"], "--to", "live", "--yes")
    assert league.rows() == before == done["rows"]
    assert done["verdict"]["green"], done["verdict"]


def _set_needs(league: League, text: str) -> None:
    league.ask("org_actions.set_needs(org=org, actor=alice, text=TEXT); say(None)", TEXT=text)


def _wait_for_backups(league: League, count: int, *, reason: str = "", since: float = 0.0, limit_s: float = 60) -> list[dict[str, Any]]:
    limit = time.monotonic() + limit_s
    while True:
        found = [item for item in league.cli("backups", league.slug) if item["reason"].startswith(reason)]
        if len([item for item in found if time.time() - item["age_s"] >= since - 1]) >= count:
            return found
        assert time.monotonic() < limit, found
        time.sleep(1)
