"""A state that was damaged is put back from the copy that the last operation left; one that moved rightly is left alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from provisioning.state_copies import StateCopies
from sprocket_v2.errors import ApplyError

DAMAGES = {
    "truncated": lambda data: data[: len(data) // 2],
    "emptied": lambda data: b"",
    "bit-flipped": lambda data: data.replace(b"redis", b"sedis"),
    "a broken quote": lambda data: data.replace(b'"', b"#", 1),
}


def _state(*names: str) -> bytes:
    return json.dumps({"version": 3, "checkpoint": {"stack": "s", "latest": {"resources": list(names)}}}).encode()


def _written(at: str, *names: str) -> bytes:
    data = json.loads(_state(*names))
    data["checkpoint"]["latest"]["manifest"] = {"time": at}
    return json.dumps(data).encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "state").mkdir()
    found = tmp_path / "state" / "s.json"
    found.write_bytes(_state("redis"))
    return found


@pytest.fixture
def copies(file: Path, tmp_path: Path) -> StateCopies:
    made = StateCopies(file, tmp_path / "copies")
    made.settle()
    return made


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_put_back_and_what_was_found_is_kept(file: Path, copies: StateCopies, damage: str) -> None:
    broken = DAMAGES[damage](file.read_bytes())
    file.write_bytes(broken)
    assert "was put back" in copies.mend()
    assert file.read_bytes() == _state("redis")
    [found] = (file.parent.parent / "copies").glob("found-*.json")
    assert found.read_bytes() == broken
    assert copies.mend() == ""


def test_a_deleted_state_is_put_back(file: Path, copies: StateCopies) -> None:
    file.unlink()
    assert copies.mend() == "the engine's state was gone: the one that the last operation left was put back"
    assert file.read_bytes() == _state("redis")


def test_a_state_that_the_engine_wrote_since_is_left_alone(file: Path, copies: StateCopies) -> None:
    file.write_bytes(_written("2026-11-25T10:00:00.123456789+01:00", "redis"))
    copies.settle()
    by_hand = _written("2026-11-25T09:30:00Z", "redis", "web")
    file.write_bytes(by_hand)
    assert copies.mend() == ""
    assert file.read_bytes() == by_hand
    file.write_bytes(_written("2026-11-25T08:59:00Z", "redis"))
    assert "was put back" in copies.mend()


def test_an_older_state_is_put_back(file: Path, copies: StateCopies) -> None:
    older = file.read_bytes()
    file.write_bytes(_state("redis", "web"))
    copies.settle()
    file.write_bytes(older)
    assert copies.mend() == "the engine's state was another one: the one that the last operation left was put back"
    assert file.read_bytes() == _state("redis", "web")


def test_a_state_that_moved_in_an_operation_that_was_ended_is_left_alone(file: Path, copies: StateCopies) -> None:
    copies.open()
    file.write_bytes(_state("redis", "web"))
    assert copies.mend() == ""
    assert file.read_bytes() == _state("redis", "web")


@pytest.mark.parametrize("own", [True, False], ids=["the engine's own copy", "ours"])
def test_a_state_torn_in_an_operation_that_was_ended_is_put_back_from_the_newest_copy(file: Path, copies: StateCopies, own: bool) -> None:
    copies.open()
    file.write_bytes(b"")
    if own:
        file.with_name("s.json.bak").write_bytes(_state("redis", "web"))
    assert "the newest copy was put back" in copies.mend()
    assert file.read_bytes() == (_state("redis", "web") if own else _state("redis"))


def test_a_copy_that_is_damaged_itself_is_not_used(file: Path, copies: StateCopies) -> None:
    [copy] = (file.parent.parent / "copies").glob("settled-*.json")
    copy.write_bytes(_state("another"))
    assert copies.mend() == ""
    file.write_bytes(b"{")
    with pytest.raises(ApplyError, match="no copy of it") as caught:
        copies.mend()
    assert caught.value.where == str(file)
    assert "taken on" in caught.value.hint


def test_an_operation_that_left_a_torn_state_keeps_the_older_copy(file: Path, copies: StateCopies) -> None:
    copies.open()
    file.write_bytes(b"")
    copies.settle()
    copies.mend()
    assert file.read_bytes() == _state("redis")


def test_nothing_is_asked_of_a_stack_that_was_never_made(tmp_path: Path) -> None:
    assert StateCopies(tmp_path / "none.json", tmp_path / "copies").mend() == ""
