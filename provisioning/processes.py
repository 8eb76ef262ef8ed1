"""Knowing and ending processes: a process is its number plus its start time, and an engine operation is a whole session.

Pure of Django. Rule 3: after a KILL of the engine its provider lives on, so the whole group is ended, and proved to be gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

MARK = "SPROCKET_OPERATION"
_PROC = Path("/proc")
_START_FIELD = 19  # field 22 of /proc/<pid>/stat, counted behind the command's closing bracket
_SESSION_FIELD = 3


def start_time_of(pid: int) -> str:
    """When a process began, as the system tells it; empty when there is none (a zombie counts as none)."""
    fields = _stat(pid)
    if fields is None:
        return _start_time_by_ps(pid) if not _PROC.is_dir() else ""
    return "" if fields[0] == "Z" else fields[_START_FIELD]


def is_alive(pid: int, started: str) -> bool:
    """Whether this very process runs; its number alone may belong to another one by now."""
    return bool(started) and start_time_of(pid) == started


def runs_as(pid: int, command: str) -> bool:
    """Whether a process lives under that command's name; where the system does not tell names, whether it lives."""
    if not start_time_of(pid):
        return False
    try:
        return (_PROC / str(pid) / "comm").read_text(encoding="utf-8").strip() == command
    except OSError:
        return not _PROC.is_dir()


def members_of(pid: int, mark: str) -> list[int]:
    """The living processes of the session that `pid` led, its leader included, told apart from strangers by their mark.

    Args:
        mark: the value of SPROCKET_OPERATION the operation was started with; every process of it inherits it.
    """
    return [member for member in _session(pid) if _carries(member, mark)]


def end_group(pid: int, mark: str, *, grace_s: float = 30.0) -> bool:
    """End what is left of an operation: TERM, the grace time, then KILL. True when nothing of it lives any more."""
    for sign, patience in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        living = members_of(pid, mark)
        if not living:
            return True
        for member in living:
            send(member, sign)
        if _gone_within(pid, mark, patience):
            return True
    return False


def send(pid: int, sign: signal.Signals) -> None:
    """Send a signal to one process that may be gone."""
    try:
        os.kill(pid, sign)
    except ProcessLookupError:
        return


def _gone_within(pid: int, mark: str, seconds: float) -> bool:
    limit = time.monotonic() + seconds
    while members_of(pid, mark):
        if time.monotonic() > limit:
            return False
        time.sleep(0.02)
    return True


def _session(sid: int) -> Iterator[int]:
    if not _PROC.is_dir():
        yield from _session_by_ps(sid)
        return
    for entry in os.scandir(_PROC):
        if entry.name.isdecimal():
            fields = _stat(int(entry.name))
            if fields and fields[0] != "Z" and fields[_SESSION_FIELD] == str(sid):
                yield int(entry.name)


def _stat(pid: int) -> list[str] | None:
    try:
        text = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _carries(pid: int, mark: str) -> bool:
    """Whether a process has the operation's mark in its environment; on systems that do not tell, the session has to do."""
    try:
        return f"{MARK}={mark}".encode() in (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except FileNotFoundError:
        return not _PROC.is_dir()
    except OSError:
        return False


def _start_time_by_ps(pid: int) -> str:
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False)
    return found.stdout.strip()


def _session_by_ps(sid: int) -> Iterator[int]:
    found = subprocess.run(["ps", "-A", "-o", "pid=,pgid="], capture_output=True, text=True, timeout=5, check=False)
    for line in found.stdout.splitlines():
        pid, _, group = line.strip().partition(" ")
        if group.strip() == str(sid):
            yield int(pid)
