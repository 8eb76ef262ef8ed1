"""A dump's folder on this machine, and the gate before a copy: damaged or too large is refused in words."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from provisioning.migration.database import Connection, problem_with, refuse_little_room
from sprocket_v2.errors import ApplyError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A dump that is whole."""
    sums = []
    for name, data in (("database.dump", b"PGDMP"), ("tables.jsonl", b"{}\n")):
        (tmp_path / name).write_bytes(data)
        sums.append(f"{hashlib.sha256(data).hexdigest()}  {name}\n")
    (tmp_path / "SHA256SUMS").write_text("".join(sums))
    return tmp_path


def test_a_whole_dump_has_no_problem(folder: Path) -> None:
    assert problem_with(folder) == ""


def test_each_damage_is_named(folder: Path) -> None:
    (folder / "database.dump").write_bytes(b"PGDMx")
    assert problem_with(folder) == "the checksum of database.dump is wrong"
    (folder / "database.dump").unlink()
    assert problem_with(folder) == "database.dump is missing"
    (folder / "SHA256SUMS").write_text("")
    assert problem_with(folder) == "its list of checksums is not whole"
    (folder / "SHA256SUMS").write_text("nonsense\n")
    assert problem_with(folder) == "it has no checksums"


def test_what_would_not_fit_is_not_begun() -> None:
    refuse_little_room(5, 5, "here")
    with pytest.raises(ApplyError, match="9 MiB are free, the copy needs 10 MiB"):
        refuse_little_room(9 * 2**20, 9 * 2**20 + 1, "here")


def test_a_connection_does_not_show_its_password() -> None:
    assert "canary" not in repr(Connection("league", "sprocket", password="canary"))
