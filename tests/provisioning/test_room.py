"""Room on the disks a run writes to, and what is kept of older runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orgs.models import Organization
from provisioning import materials, room
from provisioning.models import Run
from provisioning.states import RunState
from sprocket_v2.errors import SetupError

MIB = 2**20


def test_a_large_state_needs_five_times_its_size(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda _folder: 200 * MIB)
    room.refuse_full_disk(tmp_path, last_bytes=40 * MIB)
    with pytest.raises(SetupError, match="200 MiB free for state, 205 MiB are needed"):
        room.refuse_full_disk(tmp_path, last_bytes=41 * MIB)


@pytest.mark.parametrize(("engine", "free", "fits"), [("sqlite3", 15 * MIB, False), ("sqlite3", 16 * MIB, True), ("postgresql", 0, True)])
def test_only_a_file_of_ours_is_asked_for_room(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, engine: str, free: int, fits: bool) -> None:
    monkeypatch.setattr(room, "free_bytes", lambda _folder: free)
    assert room.has_room_for_rows({"ENGINE": f"django.db.backends.{engine}", "NAME": tmp_path / "db.sqlite3"}) is fits


def test_folders_of_older_runs_go_and_those_of_unfinished_ones_stay(demo: Organization, data_dir: Path) -> None:
    made: list[Any] = []
    for number in range(1, materials.KEPT_FOLDERS + 4):
        state = RunState.NEEDS_RECOVERY if number == 2 else RunState.SUCCEEDED
        made.append(Run.objects.create(organization=demo, number=number, kind="apply", state=state).pk)
        (data_dir / "runs" / str(made[-1])).mkdir(parents=True)
    materials.drop_old_folders(demo)
    assert sorted(int(path.name) for path in (data_dir / "runs").iterdir()) == sorted([made[1], *made[3:]])
