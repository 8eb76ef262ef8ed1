"""`sprocket serve --with-worker` as a whole program: what is left when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from provisioning import processes
from tests.engine.ports import free_port

pytestmark = pytest.mark.slow


def test_a_worker_beside_the_pages_ends_when_their_process_is_killed(tmp_path: Path) -> None:
    port = free_port()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPROCKET_", "DJANGO_"))}
    environment = {**kept, "SPROCKET_DATA_DIR": str(tmp_path), "SPROCKET_PULUMI": "/bin/true", "SPROCKET_SPARE_CHILD": "0"}
    command = [sys.executable, "-m", "sprocket_v2.cli.main", "serve", "--port", str(port), "--with-worker"]
    root = Path(__file__).resolve().parents[2]
    pages = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        _until(lambda: len(_workers(tmp_path)) > 1, "no worker was started")
        pages.send_signal(signal.SIGKILL)
        pages.wait(timeout=10)
        _until(lambda: not _workers(tmp_path), "its worker went on without it")
    finally:
        for pid in (pages.pid, *_workers(tmp_path)):
            processes.send(pid, signal.SIGKILL)


def _workers(data: Path) -> list[int]:
    """The worker's processes, told by their data folder."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                is_ours = f"SPROCKET_DATA_DIR={data}".encode() in (entry / "environ").read_bytes().split(b"\0")
                found += [int(entry.name)] if is_ours and b"celery" in (entry / "cmdline").read_bytes() else []
            except OSError:
                continue
    return found


def _until(is_so: object, otherwise: str) -> None:
    assert callable(is_so)
    limit = time.monotonic() + 60
    while not is_so():
        assert time.monotonic() < limit, otherwise
        time.sleep(0.2)
