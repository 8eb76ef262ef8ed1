"""Engine tests that share something run on one worker: seen by running pytest-xdist, since its own grouping once did nothing unnoticed."""

from __future__ import annotations

import subprocess
import sys
from collections import defaultdict
from pathlib import Path

from tests.engine.groups import TOGETHER, group_of
from tools.run_tests import GROUPS

ROOT = Path(__file__).resolve().parents[2]
WHERE = """
import os, pathlib, time, pytest
@pytest.mark.parametrize("number", range(4))
def test_it(number):
    time.sleep(0.02)
    with (pathlib.Path(__file__).parent / "seen").open("a") as seen:
        seen.write(f"{os.environ['PYTEST_XDIST_WORKER']} {pathlib.Path(__file__).stem}\\n")
"""


def test_files_that_share_something_run_on_one_worker(tmp_path: Path) -> None:
    files = [*TOGETHER["deployed"][:2], *TOGETHER["machine"][:2], "test_one", "test_two"]
    for file in files:
        (tmp_path / f"{file}.py").write_text(WHERE)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:django",
        "-c",
        "/dev/null",
        f"--rootdir={tmp_path}",
        *GROUPS["engine"][1],
        str(tmp_path),
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    workers = defaultdict(set)
    for line in (tmp_path / "seen").read_text().splitlines():
        worker, file = line.split()
        workers[group_of(f"{file}.py::test_it")].add(worker)
    assert {group: len(found) for group, found in workers.items()} == {"deployed": 1, "machine": 1, "test_one": 1, "test_two": 1}
    assert set.union(*workers.values()) == {"gw0", "gw1"}


def test_every_file_that_is_named_exists() -> None:
    assert [file for files in TOGETHER.values() for file in files if not (ROOT / "tests" / "engine" / f"{file}.py").is_file()] == []
