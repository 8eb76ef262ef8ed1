"""Disks that are full: for the work folder, for the state, for the database. Small file systems in memory, filled up for real."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.fault_notes import WORLD, note
from tests.provisioning.played_plane import PlayedPlane, played_plane
from tests.provisioning.small_disks import fill, small_disk

pytestmark = pytest.mark.slow


@pytest.fixture
def plane(tmp_path: Path) -> Iterator[PlayedPlane]:
    with played_plane(tmp_path) as made:
        yield made


@pytest.mark.parametrize("folder", ["runs", "state"])
def test_an_apply_without_room_is_refused_before_anything_starts(plane: PlayedPlane, folder: str) -> None:
    plan = plane.planned("web")
    plane.start_worker()
    with small_disk(plane.data / folder, "size=50m,nr_inodes=1000"):
        began = time.monotonic()
        refused = plane.wait(plane.asked_to_apply(plan["id"]))
        error = refused["error"]
        assert (refused["state"], error["hint"]) == ("failed", "make room on this disk, then apply again")
        assert error["message"].endswith(" MiB free for state, 100 MiB are needed")
        assert error["where"].startswith(str(plane.data / folder))
        assert plane.made() == []
        held = "refused before anything starts, with the folder and what is free; the same plan is applied when there is room (`test_faults_disks`)"
        note(WORLD, f"disk full for {'the work folder' if folder == 'runs' else 'the state'}", held, time.monotonic() - began)
    plane.assert_all_well(plane.asked_to_apply(plan["id"]), "web")


def test_a_full_disk_of_the_database_stops_no_run_for_good(tmp_path: Path) -> None:
    services = ("web", "bot", "api", "parser")
    with small_disk(tmp_path / "small", "size=40m") as small, played_plane(tmp_path, database=f"sqlite:///{small}/db.sqlite3") as plane:
        plan = plane.planned(*services, step_s=1.0)
        plane.start_worker()
        run = plane.asked_to_apply(plan["id"])
        plane.wait_for("web")
        filler = fill(small)
        time.sleep(12)
        filler.unlink()
        began = time.monotonic()
        plane.assert_all_well(run, *services, deliveries=2)  # however long the disk was full, it was begun again once
        held = "no run is begun without room for its rows; the interrupted one goes on, once, when there is some (`test_faults_disks`)"
        note(WORLD, "disk full for SQLite in the middle of a run", held, time.monotonic() - began)
