"""Whether there is room on the disks a run writes to. Asked before it begins: half a state, or half a run's events, is worse than no run."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from sprocket_v2.errors import SetupError

_LEAST_FOR_STATE = 100 * 2**20
_LEAST_FOR_ROWS = 16 * 2**20


def free_bytes(folder: Path) -> int:
    """What may still be written there."""
    room = os.statvfs(folder)
    return room.f_bavail * room.f_frsize


def refuse_full_disk(folder: Path, *, last_bytes: int = 0) -> None:
    """Refuse to begin when the state may not be written to its end (rule 9).

    Args:
        last_bytes: how large the state was last time; 0 for a folder that holds none.
    Raises:
        SetupError: less than 100 MiB, or than five times the last state, is free there.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    free, needed = free_bytes(folder), max(_LEAST_FOR_STATE, 5 * last_bytes)
    if free < needed:
        raise SetupError(
            f"{free // 2**20} MiB free for state, {needed // 2**20} MiB are needed",
            hint="make room on this disk, then apply again",
            where=str(folder),
        )


def has_room_for_rows(database: dict[str, Any]) -> bool:
    """Whether a run's events can be written; a database that is elsewhere looks after its own disk.

    A run that is begun all the same fails at its first larger write, and after the third time somebody has to look at it.

    Args:
        database: an entry of Django's DATABASES.
    """
    if not str(database["ENGINE"]).endswith("sqlite3"):
        return True
    folder = Path(str(database["NAME"])).parent
    return not folder.is_dir() or free_bytes(folder) >= _LEAST_FOR_ROWS
