"""A process is its number and its start time; a group is ended whole."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from provisioning import processes

SLEEPER = (
    "import signal, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN if sys.argv[1] == 'deaf' else signal.SIG_DFL); time.sleep(60)"
)
PARENT = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {SLEEPER!r}, 'deaf']); print(p.pid, flush=True); p.wait()"


def _start(code: str, *args: str, mark: str) -> subprocess.Popen[str]:
    environment = {**os.environ, processes.MARK: mark}
    return subprocess.Popen([sys.executable, "-c", code, *args], env=environment, start_new_session=True, stdout=subprocess.PIPE, text=True)


def test_a_process_is_known_by_its_start_time() -> None:
    child = _start(SLEEPER, "meek", mark="m1")
    started = processes.start_time_of(child.pid)
    assert processes.is_alive(child.pid, started)
    assert not processes.is_alive(child.pid, "1")
    child.kill()
    child.wait()
    assert not processes.is_alive(child.pid, started)
    assert processes.start_time_of(child.pid) == ""


def test_the_group_is_ended_though_its_leader_was_killed() -> None:
    leader = _start(PARENT, mark="m2")
    assert leader.stdout is not None
    orphan = int(leader.stdout.readline())
    time.sleep(0.3)
    leader.kill()
    leader.wait()
    assert processes.members_of(leader.pid, "m2") == [orphan]
    assert processes.end_group(leader.pid, "m2", grace_s=0.3)
    assert processes.members_of(leader.pid, "m2") == []


def test_a_group_with_another_mark_is_a_strangers_and_is_left_alone() -> None:
    stranger = _start(SLEEPER, "meek", mark="theirs")
    try:
        assert processes.end_group(stranger.pid, "ours", grace_s=0.1)
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_ending_what_is_gone_is_no_error() -> None:
    child = _start("pass", mark="m3")
    child.wait()
    assert processes.end_group(child.pid, "m3", grace_s=0.1)
