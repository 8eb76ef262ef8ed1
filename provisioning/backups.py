"""Backups as values: their names, what the deployment says of them, and the copies the control plane keeps. No Docker, no database.

A backup is a folder named after its moment, as templates/components/backup makes it: database.dump, rows.jsonl, about.json, SHA256SUMS.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from sprocket_v2.errors import ApplyError, NeedsError

SUMS = "SHA256SUMS"
FILES = ("about.json", "database.dump", "rows.jsonl", SUMS)
FOLDER = "/backups"
INCOMING = ".incoming"
_NAME = re.compile(r"\A\d{8}T\d{6}Z\Z")
_LINE = re.compile(r"\A(\d{8}T\d{6}Z) (ok|bad|unread) (\d+) ([a-z-]+)\Z")
_SUM = re.compile(r"\A([0-9a-f]{64})  ([a-zA-Z0-9.]+)\Z")
LATE_AFTER = timedelta(hours=2)  # as the service's own health check
_PIECE = 1024 * 1024
_RISKY_OPS = frozenset({"update", "replace", "delete"})
Where = Literal["deployment", "control plane"]


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup.

    Attributes:
        bytes: size of the dump.
        is_good: the checksums fit; None when nobody has looked.
        where: the places that hold it.
    """

    name: str
    bytes: int
    reason: str
    is_good: bool | None
    where: tuple[Where, ...]

    @property
    def taken(self) -> datetime:
        """The moment it was begun."""
        return taken(self.name)


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore found. `live` holds the rows of the running database, where it was looked at."""

    name: str
    rows: Mapping[str, int]
    live: Mapping[str, int]
    took_s: float
    first: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "backup": self.name,
            "took_s": self.took_s,
            "equal": True,
            "rows": dict(self.rows),
            "live": dict(self.live),
            "taken_first": self.first,
        }


def taken(name: str) -> datetime:
    """The moment a backup's name stands for."""
    return datetime.strptime(name, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)


def checked_name(name: str) -> str:
    """The name, if a backup can be called so.

    Raises:
        NeedsError: it cannot; nothing was asked of anybody.
    """
    try:
        if _NAME.match(name):
            taken(name)
            return name
    except ValueError:
        pass
    raise NeedsError(f"no backup is called {name[:40]!r}", hint="names are such as 20300131T040000Z; `sprocket backups ORG` lists them")


def read_listing(text: str) -> list[Backup]:
    """The lines of the script's `list`, `show` or `newest`; other lines are not about backups."""
    found = (_LINE.match(line.strip()) for line in text.splitlines())
    goodness = {"ok": True, "bad": False, "unread": None}
    return [Backup(m[1], int(m[3]), m[4], goodness[m[2]], ("deployment",)) for m in found if m]


def read_rows(text: str) -> dict[str, int]:
    """Table -> rows, from JSON lines; a line that is something else is skipped."""
    items = (json.loads(line) for line in text.splitlines() if line.startswith("{"))
    return {str(item["table"]): int(item["rows"]) for item in items if "table" in item}


def read_took_s(text: str) -> float:
    """How long a restore says it took."""
    items = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    return next((int(item["took_ms"]) / 1000 for item in reversed(items) if "took_ms" in item), 0.0)


def age_words(age: timedelta) -> str:
    """An age as people say it."""
    minutes = max(0, int(age.total_seconds() // 60))
    for size, word in ((2880, 1440), (120, 60)):
        if minutes >= size:
            return f"{minutes // word} {'days' if word == 1440 else 'hours'}"
    return f"{minutes} minute{'' if minutes == 1 else 's'}"


def size_words(size: int) -> str:
    """A size as people say it."""
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 1024:.1f} KiB"


def page_facts(components: Iterable[Mapping[str, Any]], seen: Mapping[str, Any] | None, now: datetime) -> dict[str, Any]:
    """What an organization's page says of its backups; nothing where the deployment makes none.

    Args:
        components: of the applied blueprint.json.
        seen: StackState.backups.
    """
    part = next((component for component in components if component["name"] == "backup"), None)
    if part is None:
        return {}
    facts: dict[str, Any] = {"every_minutes": part["inputs"]["every_minutes"], "hour": part["inputs"]["hour"], "name": ""}
    if seen and "seen" in seen:
        facts["seen"] = age_words(now - datetime.fromisoformat(str(seen["seen"])))
    if seen and seen.get("name"):
        age = now - taken(str(seen["name"]))
        late = age > timedelta(minutes=int(facts["every_minutes"])) + LATE_AFTER
        facts |= {"name": seen["name"], "taken": taken(str(seen["name"])), "age": age_words(age), "late": late}
        facts["size"] = size_words(int(seen["bytes"]))
    return facts


def is_risky(steps: Iterable[Mapping[str, Any]], risky: Iterable[str]) -> bool:
    """Whether a plan's steps touch one of these resources while it is there."""
    names = set(risky)
    return any(step.get("op") in _RISKY_OPS and step.get("resource") in names for step in steps)


# --- copies of the control plane's own


def problem_with(folder: Path) -> str:
    """What is wrong with a backup's folder; empty when every file is what its checksum says."""
    try:
        lines = (folder / SUMS).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return "it has no checksums"
    sums = {match[2]: match[1] for match in map(_SUM.match, lines) if match}
    if sorted(sums) != sorted(set(FILES) - {SUMS}) or len(lines) != len(sums):
        return "its list of checksums is not whole"
    for name, wanted in sums.items():
        try:
            is_right = _digest(folder / name) == wanted
        except OSError:
            return f"{name} is missing"
        if not is_right:
            return f"the checksum of {name} is wrong"
    return ""


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
    return digest.hexdigest()


def kept(folder: Path) -> list[Backup]:
    """The copies in a folder, newest first, each read through."""
    names = sorted((path.name for path in folder.glob("*Z") if _NAME.match(path.name)), reverse=True)
    return [_kept(folder / name) for name in names]


def _kept(folder: Path) -> Backup:
    try:
        about = json.loads((folder / "about.json").read_text(encoding="utf-8"))
        reason, size = str(about["reason"]), (folder / "database.dump").stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        reason, size = "unknown", 0
    return Backup(folder.name, size, reason, not problem_with(folder), ("control plane",))


def keep(folder: Path, name: str, files: Iterable[tuple[str, Iterator[bytes]]]) -> Path:
    """Write a backup that comes as streams: checked whole, on the disk, then in place under its name.

    Raises:
        ApplyError: what came is not what its checksums say; nothing is left of it.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    coming = folder / f".{name}.{os.getpid()}"
    shutil.rmtree(coming, ignore_errors=True)
    coming.mkdir(mode=0o700)
    try:
        for file, pieces in files:
            if file in FILES:
                _write(coming / file, pieces)
        problem = problem_with(coming)
        if problem:
            raise ApplyError(
                f"backup {name} did not arrive whole: {problem}", hint="make another: `sprocket backup ORG --copy`", where=str(folder)
            )
        place = folder / name
        shutil.rmtree(place, ignore_errors=True)
        coming.rename(place)
        _sync(folder)
    finally:
        shutil.rmtree(coming, ignore_errors=True)
    return place


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        path.chmod(0o600)
        for piece in pieces:
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def together(deployed: Sequence[Backup], kept_here: Sequence[Backup]) -> list[Backup]:
    """Both places' backups, newest first; one that is in both is good when both copies are."""
    merged = {backup.name: backup for backup in deployed}
    for copy in kept_here:
        other = merged.get(copy.name)
        if other is None:
            merged[copy.name] = copy
        else:
            is_good = copy.is_good is True and other.is_good is True
            merged[copy.name] = Backup(other.name, other.bytes, other.reason, is_good, (*other.where, *copy.where))
    return [merged[name] for name in sorted(merged, reverse=True)]
