"""Locks and pending operations of a run that was ended: whose they are, and what is dropped."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning.stack_recovery import owner_at_work, settle
from provisioning.state import pending_in

PENDING = {"type": "creating", "resource": {"urn": "urn:pulumi:demo::sprocket::sprocket:swarm:Service::service/redis"}}


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A living process of the engine's name."""
    name = shutil.copy(shutil.which("sleep") or "/bin/sleep", tmp_path / "pulumi")
    process = subprocess.Popen([name, "60"])
    yield process
    process.kill()
    process.wait()


def _locked(folder: Path, pid: int, hostname: str = "") -> str:
    locks = folder / ".pulumi" / "locks" / "organization" / "sprocket" / "demo"
    locks.mkdir(parents=True)
    (locks / "one.json").write_text(json.dumps({"pid": pid, "username": "alice", "hostname": hostname or socket.gethostname()}))
    (locks / "torn.json").write_text('{"pid": ')
    return folder.as_uri()


def _stored(folder: Path, **deployment: Any) -> str:
    file = folder / ".pulumi" / "stacks" / "sprocket" / "demo.json"
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"checkpoint": {"latest": deployment}}))
    return folder.as_uri()


def test_a_lock_of_a_living_engine_has_an_owner(tmp_path: Path, engine: subprocess.Popen[bytes]) -> None:
    owner = owner_at_work(_locked(tmp_path, engine.pid), "sprocket", "demo")
    assert owner is not None
    assert (owner.pid, owner.username) == (engine.pid, "alice")


def test_a_lock_of_a_dead_process_has_none(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    assert owner_at_work(_locked(tmp_path, gone.pid), "sprocket", "demo") is None


def test_a_number_that_belongs_to_another_program_by_now_is_nobodys(tmp_path: Path) -> None:
    other = subprocess.Popen(["sleep", "60"])
    try:
        assert owner_at_work(_locked(tmp_path, other.pid), "sprocket", "demo") is None
    finally:
        other.kill()
        other.wait()


def test_a_lock_of_another_machine_is_left_to_the_lease(tmp_path: Path, engine: subprocess.Popen[bytes]) -> None:
    assert owner_at_work(_locked(tmp_path, engine.pid, "elsewhere"), "sprocket", "demo") is None


def test_a_state_with_nothing_pending_costs_no_process(tmp_path: Path) -> None:
    calls: list[tuple[str, ...]] = []
    settle(_stored(tmp_path, resources=[]), "sprocket", "demo", lambda *args: calls.append(args) or "", calls.append, tmp_path)  # type: ignore[func-returns-value, arg-type]
    assert calls == []


def test_what_was_pending_is_dropped_kept_beside_and_told(tmp_path: Path) -> None:
    imported: list[dict[str, Any]] = []
    said: list[str] = []

    def cli(*args: str) -> str:
        if args[:2] == ("stack", "import"):
            imported.append(json.loads(Path(args[3]).read_text()))
        return json.dumps({"version": 3, "deployment": {"resources": ["kept"], "pending_operations": [PENDING]}})

    settle(_stored(tmp_path, pending_operations=[PENDING]), "sprocket", "demo", cli, said.append, tmp_path)
    assert imported == [{"version": 3, "deployment": {"resources": ["kept"]}}]
    assert pending_in(json.loads((tmp_path / "state-unsettled.json").read_text())["deployment"]) == ["creating service/redis"]
    assert said == ["the last run was ended while creating service/redis: looked for by name and label, and taken on where it is there"]
