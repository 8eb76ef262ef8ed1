"""Copies of a stack's state file, apart from it and each under the checksum of its bytes, so that a damaged state is put back (rule 9).

For local states only: a store elsewhere keeps its own versions. Plain files, no engine, no database; called under the stack's lease.
A copy is *settled* while the state has to be exactly that, and *open* from the beginning of an operation that changes it until its end.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import time
from datetime import UTC, datetime
from pathlib import Path

from sprocket_v2.errors import ApplyError

_SETTLED, _OPEN = "settled-", "open-"


class StateCopies:
    """The copies of one state file.

    Args:
        file: where the engine keeps the state.
        folder: for the copies of this state and no other.
    """

    def __init__(self, file: Path, folder: Path) -> None:
        self._file, self._folder = file, folder

    def settle(self) -> None:
        """An operation has ended: the state is right as it is now. What cannot be read is not, and its older copy is kept."""
        data = _read(self._file)
        if data is not None and not _is_state(data):
            return
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        older = [*self._folder.glob(f"{_SETTLED}*.json"), *self._folder.glob(f"{_OPEN}*.json")]
        if data is not None:
            kept = self._folder / f"{_SETTLED}{_checksum(data)}.json"
            _write(kept, data)
            older = [path for path in older if path != kept]
        for path in older:
            path.unlink()

    def open(self) -> None:
        """An operation begins that changes the state: from now on it may be another one than the copy."""
        for path in self._folder.glob(f"{_SETTLED}*.json"):
            path.rename(path.with_name(path.name.replace(_SETTLED, _OPEN)))

    def mend(self) -> str:
        """Put the state back where it is damaged, gone, or older than the one the last operation left; what was done, in words, or nothing.

        Raises:
            ApplyError: it cannot be read, and there is no copy of it.
        """
        found = _read(self._file)
        settled, opened = self._whole(_SETTLED), self._whole(_OPEN)
        if settled and found != settled:
            if _is_state(found) and _time_of(found) > _time_of(settled):
                return ""  # somebody ran the engine by hand: a plan made before that is refused, and the next one sees it
            return self._put_back(settled, f"{_what_is_wrong(found)}: the one that the last operation left was put back")
        if _is_state(found) or (found is None and not opened):
            return ""
        engines_own = _read(self._file.with_name(f"{self._file.name}.bak"))
        for copy in (engines_own, opened):
            if copy and _is_state(copy):
                return self._put_back(
                    copy, f"{_what_is_wrong(found)}: the newest copy was put back; what it does not know is found by name"
                )
        raise ApplyError(
            "the engine's state cannot be read, and there is no copy of it",
            hint="put the file back from a backup; or move it away and apply again: what runs is found by name and label, and taken on",
            where=str(self._file),
        )

    def _whole(self, kind: str) -> bytes | None:
        """A copy whose checksum is right."""
        for path in self._folder.glob(f"{kind}*.json"):
            data = _read(path)
            if data and _checksum(data) == path.stem.removeprefix(kind):
                return data
        return None

    def _put_back(self, data: bytes, words: str) -> str:
        if self._file.exists():
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            shutil.copyfile(self._file, self._folder / f"found-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.json")
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _write(self._file, data)
        return words


def _what_is_wrong(found: bytes | None) -> str:
    if found is None:
        return "the engine's state was gone"
    return "the engine's state was another one" if _is_state(found) else "the engine's state could not be read"


def _is_state(data: bytes | None) -> bool:
    """Whether the engine could read it."""
    try:
        return "latest" in json.loads(data or b"")["checkpoint"]
    except (ValueError, KeyError, TypeError):
        return False


def _time_of(data: bytes | None) -> datetime:
    """When the engine wrote it; the beginning of time where it does not say."""
    try:
        found = datetime.fromisoformat(json.loads(data or b"")["checkpoint"]["latest"]["manifest"]["time"])
        return found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, KeyError, TypeError):
        return datetime.min.replace(tzinfo=UTC)


def _checksum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _read(path: Path) -> bytes | None:
    with contextlib.suppress(FileNotFoundError):
        return path.read_bytes()
    return None


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all."""
    part = path.with_name(f".{path.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fsync(stream.fileno())
    part.replace(path)
