"""Two hundred runs in a row through one worker: what is left behind, and how its memory grows. `make soak`; writes docs/soak.md."""

from __future__ import annotations

import os
import statistics
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from provisioning import processes
from provisioning.materials import KEPT_FOLDERS
from tests.provisioning.played_plane import ROOT, PlayedPlane, played_plane

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3000)]
RUNS = int(os.environ.get("SPROCKET_SOAK_RUNS", "200"))
WARM = 20  # the first runs load what the later ones use
GROWTH = 1.10
ONE = """
kind = "preview" if NUMBER % 2 else "refresh"
blueprint = org.blueprints.order_by("-pk").first() if kind == "preview" else None
run = actions.request_run(org=org, kind=kind, actor=alice, blueprint=blueprint)
limit = time.monotonic() + 60
while not Run.objects.get(pk=run.pk).is_finished and time.monotonic() < limit: time.sleep(0.02)
say(Run.objects.get(pk=run.pk).state)
"""
LEFT = """
limit = time.monotonic() + 10
while leases.is_alive(org.pk) and time.monotonic() < limit: time.sleep(0.05)  # let go of right after the run's end
say({"held": leases.is_alive(org.pk), "unfinished": Run.objects.exclude(state="succeeded").count(), "runs": Run.objects.count(),
     "marks": list(Run.objects.exclude(mark="").values_list("pid", "mark"))})
"""
PAGE = """# Two hundred runs in a row

`make soak` sends {runs} runs through one worker, one after the other: previews and refreshes by turns, each in a child process of its own, on
the file broker and SQLite. The engine is the tests' stand-in with a memory (`tests/provisioning/remembering_child.py`): what is measured is
the control plane's own growth, not Pulumi's. The pool's process is replaced after 50 runs, as delivered.

| day | runs | a run, median | worker's memory after {warm} runs | at the end | growth | processes, work folders and locks left |
|---|---|---|---|---|---|---|
"""


def test_two_hundred_runs_leave_nothing_behind_and_the_worker_does_not_grow(tmp_path: Path) -> None:
    with played_plane(tmp_path) as plane:
        plane.environment["SPROCKET_SPARE_CHILD"] = "1"
        plane.planned("web", "bot", step_s=0.0)
        worker = plane.start_worker()
        first = plane.asked_to_apply(plane.planned("web", "bot", step_s=0.0)["id"])
        assert plane.wait(first)["state"] == "succeeded"
        took, memory = [], []
        for number in range(RUNS):
            began = time.monotonic()
            assert plane.ask(ONE, NUMBER=number) == "succeeded"
            took.append(time.monotonic() - began)
            memory.append(_mebibytes(worker.pid))
        early, late = statistics.median(memory[WARM // 2 : WARM]), statistics.median(memory[-WARM // 2 :])
        _assert_nothing_is_left(plane)
        assert late < early * GROWTH, (early, late)
        _write(RUNS, statistics.median(took), early, late)


def _assert_nothing_is_left(plane: PlayedPlane) -> None:
    left = plane.ask(LEFT)
    assert (left["held"], left["unfinished"]) == (False, 0)
    assert left["runs"] >= RUNS
    living = [processes.members_of(pid, mark) for pid, mark in left["marks"] if pid]
    assert not any(living)
    folders = list((plane.data / "runs").iterdir())
    assert len(folders) <= KEPT_FOLDERS
    inside = {path.name for folder in folders for path in folder.rglob("*")}
    assert not inside & {"bundle", "home", "passphrase", "empty-state"}, inside
    assert list((plane.data / "broker" / "in").iterdir()) == []


def _mebibytes(leader: int) -> float:
    """Memory that the worker's own processes keep: its main process and its pool, without the engine's children."""
    pages = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                is_ours = os.getsid(int(entry.name)) == leader
                pages += int((entry / "statm").read_text().split()[1]) if is_ours else 0
            except (OSError, ProcessLookupError):
                continue
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20


def _write(runs: int, median_s: float, early: float, late: float) -> None:
    file = ROOT / "docs" / "soak.md"
    rows = [line for line in file.read_text().splitlines() if line.startswith("| 2")] if file.is_file() else []
    row = f"| {datetime.now(UTC):%Y-%m-%d} | {runs} | {median_s:.2f} s | {early:.0f} MiB | {late:.0f} MiB | {100 * (late / early - 1):+.1f} % | none |"
    file.write_text(PAGE.format(runs=RUNS, warm=WARM) + "\n".join([*rows, row]) + "\n")
