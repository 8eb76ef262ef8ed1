"""The parent's side of an engine operation: environment, events, stopping, and that nothing is left behind."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from provisioning import operations, processes
from provisioning.engine_events import Event
from provisioning.operations import Outcome, Request, Spare, child_environment, run_operation
from sprocket_v2.errors import SetupError

pytestmark = pytest.mark.slow  # whole programs, one process each
SECRET = "canary-value-0123456789"


@pytest.fixture(autouse=True)
def fake_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "CHILD_MODULE", "tests.provisioning.fake_child")


class Stage:
    """One request over a folder of its own, and what came of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.events: list[Event] = []
        self.group: tuple[int, str, str] = (0, "", "")

    def play(self, play: dict[str, Any], **more: Any) -> Outcome:
        (self.folder / "play.json").write_text(json.dumps(play))
        folder = str(self.folder)
        request = Request(
            op="apply",
            org="demo",
            stack="demo",
            bundle_dir=folder,
            state_url="",
            run_dir=folder,
            pulumi="",
            passphrase="",
            secrets={"a": SECRET},
        )
        options = {"deadline_s": 20.0, "on_start": self._note, **more}
        return run_operation(request, on_event=self.events.append, **options)

    def _note(self, *group: Any) -> None:
        self.group = group

    def leftovers(self) -> list[int]:
        return processes.members_of(self.group[0], self.group[2])


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_the_environment_is_an_allow_list() -> None:
    parent = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "SPROCKET_SECRET_KEY_FILE": "/k",
        "DISCORD_TOKEN": SECRET,
        "DATABASE_URL": SECRET,
        "PYTHONPATH": "/evil",
    }
    child = child_environment(parent, "mark")
    assert set(child) == {"PATH", "HOME", "SPROCKET_OPERATION", "PYTHONPATH", "PYTHONUNBUFFERED"}
    assert SECRET not in json.dumps(child)
    assert child["PYTHONPATH"] != "/evil"


def test_the_child_sees_nothing_else(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_TENANTS_TOKEN", SECRET)
    asked = stage.folder / "asked.jsonl"
    stage.play({"asked": str(asked)})
    assert SECRET not in asked.read_text()


def test_events_come_in_order_and_the_result_becomes_the_outcome(stage: Stage) -> None:
    steps = [{"resource": "service/web", "op": "create"}]
    outcome = stage.play({"events": [{"kind": "log", "message": "one"}], "result": {"steps": steps, "changes": {"create": 3}}})
    assert [event.kind for event in stage.events] == ["stage", "log", "result"]
    assert outcome.ok
    assert outcome.changes == {"create": 3}
    assert list(outcome.steps) == steps
    assert outcome.state_digest == "sha256:state"
    assert stage.leftovers() == []


def test_the_process_group_is_stored_before_the_request_is_sent(stage: Stage) -> None:
    asked = stage.folder / "asked.jsonl"

    def refuse(pid: int, started: str, mark: str) -> None:
        stage.group = (pid, started, mark)
        raise RuntimeError("the row could not be written")

    with pytest.raises(RuntimeError, match="row"):
        stage.play({"asked": str(asked)}, on_start=refuse)
    assert stage.group[1]
    assert not asked.exists()
    assert stage.leftovers() == []


def test_a_child_that_dies_gives_an_outcome_without_secrets(stage: Stage) -> None:
    outcome = stage.play({"die": True})
    assert not outcome.ok
    assert outcome.error is not None
    assert outcome.error["kind"] == "died"
    assert "boom" in outcome.error["message"]
    assert SECRET not in json.dumps(dict(outcome.error))


def test_nothing_is_left_when_a_grandchild_ignores_term(stage: Stage) -> None:
    outcome = stage.play({"grandchild": True})
    assert outcome.ok
    assert stage.leftovers() == []


def test_a_cancel_stops_it_politely(stage: Stage) -> None:
    began = time.monotonic()
    outcome = stage.play({"sleep": 30}, should_stop=lambda: time.monotonic() - began > 0.5)
    assert outcome.error is not None
    assert outcome.error["kind"] == "cancelled"
    assert time.monotonic() - began < 5
    assert stage.leftovers() == []


def test_a_stubborn_child_is_killed_after_its_grace_time(stage: Stage) -> None:
    outcome = stage.play({"sleep": 30, "stubborn": True}, deadline_s=0.5, grace_s=0.5)
    assert outcome.error is not None
    assert outcome.error["kind"] == "deadline"
    assert "not finished within" in outcome.error["message"]
    assert stage.leftovers() == []


def test_a_silent_engine_is_said_to_be_stalled(stage: Stage) -> None:
    outcome = stage.play({"sleep": 1.5}, stall_after_s=0.5)
    assert outcome.ok
    assert "stalled" in [event.kind for event in stage.events]


def test_an_exception_in_a_callback_ends_the_child_too(stage: Stage) -> None:
    def fail() -> bool:
        raise RuntimeError("lease lost")

    with pytest.raises(RuntimeError, match="lease lost"):
        stage.play({"sleep": 30}, should_stop=fail, grace_s=2.0)
    assert stage.leftovers() == []


def test_a_spare_child_is_used_once_and_replaced(stage: Stage) -> None:
    spare = Spare()
    spare.refill()
    try:
        assert stage.play({}, spare=spare).ok
        first = stage.group[0]
        assert stage.play({}, spare=spare).ok
        assert stage.group[0] != first
    finally:
        spare.drop()


def test_a_dropped_spare_leaves_no_process() -> None:
    spare = Spare()
    spare.refill()
    assert spare._child is not None
    pid, mark = spare._child.pid, spare._child.mark
    spare.drop()
    assert processes.members_of(pid, mark) == []


def test_it_refuses_to_begin_on_a_full_disk(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.statvfs(stage.folder)

    class Full:
        f_bavail = 10
        f_frsize = real.f_frsize

    monkeypatch.setattr(os, "statvfs", lambda _path: Full)
    with pytest.raises(SetupError, match="MiB free"):
        stage.play({})
    assert stage.group[0] == 0
