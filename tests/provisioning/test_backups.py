"""Backups as values: names, what the script says, the copies kept here, ages, and the tar streams that carry them."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from provisioning import backups
from provisioning.providers.swarm import tar_stream
from sprocket_v2.errors import ApplyError, NeedsError

NAME = "20300131T040000Z"
CONTENT = {
    "about.json": b'{"reason": "by-hand"}',
    "database.dump": b"PGDMP" + bytes(range(256)) * 40,
    "rows.jsonl": b'{"table" : "a.b", "rows" : 3}\n',
}


def files(**changes: bytes) -> dict[str, bytes]:
    """A backup's files with their checksums, some spoiled afterwards."""
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in CONTENT.items()).encode()
    return {**CONTENT, backups.SUMS: sums, **changes}


def coming(content: dict[str, bytes]) -> Iterator[tuple[str, Iterator[bytes]]]:
    """As they arrive: in pieces."""
    for name, data in content.items():
        yield name, iter([data[:7], data[7:]])


@pytest.mark.parametrize(
    "name", ["", "..", "20300131T040000Z/..", "20300131T040000Z\n", "2030-01-31", "20301331T040000Z", "x; id", "--help", "newest"]
)
def test_only_a_moment_is_a_backups_name(name: str) -> None:
    with pytest.raises(NeedsError):
        backups.checked_name(name)
    assert backups.checked_name(NAME) == NAME


def test_the_listing_is_read_and_everything_else_in_it_is_left_out() -> None:
    text = f"{NAME} ok 123 scheduled\nWARNING: something\n20300130T040000Z bad 0 unknown\n{NAME} ok 12 x; id\n"
    assert backups.read_listing(text) == [
        backups.Backup(NAME, 123, "scheduled", True, ("deployment",)),
        backups.Backup("20300130T040000Z", 0, "unknown", False, ("deployment",)),
    ]


def test_rows_and_time_are_read_from_a_restores_lines() -> None:
    text = 'restoring\n{"table" : "a.b", "rows" : 3}\n{"table" : "odd \\"name", "rows" : 0}\n{"equal": true, "took_ms": 1500}\n'
    assert backups.read_rows(text) == {"a.b": 3, 'odd "name': 0}
    assert backups.read_took_s(text) == 1.5


def test_a_copy_is_kept_whole_private_and_listed(tmp_path: Path) -> None:
    place = backups.keep(tmp_path / "league", NAME, coming(files()))
    assert {path.name: path.read_bytes() for path in place.iterdir()} == files()
    assert {path.stat().st_mode & 0o077 for path in (place, *place.iterdir())} == {0}
    assert backups.kept(tmp_path / "league") == [backups.Backup(NAME, len(CONTENT["database.dump"]), "by-hand", True, ("control plane",))]


@pytest.mark.parametrize(
    ("spoiled", "problem"),
    [
        ({"database.dump": b"PGDMPx"}, "the checksum of database.dump is wrong"),
        ({backups.SUMS: b""}, "its list of checksums is not whole"),
        ({backups.SUMS: b"nonsense\n"}, "its list of checksums is not whole"),
        ({backups.SUMS: b"\xff"}, "it has no checksums"),
    ],
)
def test_what_does_not_arrive_whole_is_not_kept(spoiled: dict[str, bytes], problem: str, tmp_path: Path) -> None:
    with pytest.raises(ApplyError) as caught:
        backups.keep(tmp_path, NAME, coming(files(**spoiled)))
    assert caught.value.message == f"backup {NAME} did not arrive whole: {problem}"
    assert list(tmp_path.iterdir()) == []


def test_a_missing_file_is_named_and_a_strange_one_is_not_written(tmp_path: Path) -> None:
    without = {name: data for name, data in files().items() if name != "rows.jsonl"}
    with pytest.raises(ApplyError, match=r"rows\.jsonl is missing"):
        backups.keep(tmp_path, NAME, coming(without))
    place = backups.keep(tmp_path, NAME, coming({**files(), "../outside": b"x", "extra": b"x"}))
    assert sorted(path.name for path in place.iterdir()) == sorted(backups.FILES)
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_a_copy_that_rots_on_the_disk_is_listed_as_wrong(tmp_path: Path) -> None:
    place = backups.keep(tmp_path, NAME, coming(files()))
    (place / "database.dump").write_bytes(CONTENT["database.dump"][:-1])
    assert [backup.is_good for backup in backups.kept(tmp_path)] == [False]


def test_two_places_are_one_line_and_good_only_when_both_are() -> None:
    def at(name: str, good: bool, where: Any) -> backups.Backup:
        return backups.Backup(name, 1, "scheduled", good, (where,))

    older = "20300130T040000Z"
    merged = backups.together([at(NAME, True, "deployment")], [at(NAME, False, "control plane"), at(older, True, "control plane")])
    assert [(b.name, b.is_good, b.where) for b in merged] == [
        (NAME, False, ("deployment", "control plane")),
        (older, True, ("control plane",)),
    ]


@pytest.mark.parametrize(
    ("minutes", "words"), [(0, "0 minutes"), (1, "1 minute"), (119, "119 minutes"), (120, "2 hours"), (2879, "47 hours"), (2880, "2 days")]
)
def test_an_age_in_words(minutes: int, words: str) -> None:
    assert backups.age_words(timedelta(minutes=minutes)) == words


def test_a_page_says_nothing_none_seen_fresh_or_late() -> None:
    part = {"name": "backup", "inputs": {"every_minutes": 1440, "hour": 4}}
    now = datetime(2030, 1, 31, 5, tzinfo=UTC)
    seen = {"name": NAME, "bytes": 2**21, "seen": "2030-01-31T04:59:00+00:00"}
    assert backups.page_facts([{"name": "web"}], None, now) == {}
    assert backups.page_facts([part], None, now)["name"] == ""
    fresh = backups.page_facts([part], seen, now)
    assert (fresh["age"], fresh["size"], fresh["seen"], fresh["late"]) == ("60 minutes", "2.0 MiB", "1 minute", False)
    assert backups.page_facts([part], seen, now + timedelta(hours=25, seconds=1))["late"]


@pytest.mark.parametrize(
    ("op", "resource", "risky"),
    [
        ("update", "service/postgres", True),
        ("replace", "service/api_migrate", True),
        ("delete", "service/postgres", True),
        ("create", "service/postgres", False),
        ("same", "service/postgres", False),
        ("update", "service/web", False),
    ],
)
def test_a_plan_is_risky_when_it_touches_what_holds_or_migrates_the_data(op: str, resource: str, risky: bool) -> None:
    assert backups.is_risky([{"op": op, "resource": resource}], ["service/postgres", "service/api_migrate"]) is risky


@pytest.mark.parametrize("size", [0, 1, 511, 512, 513, 700_000])
def test_a_tar_stream_comes_back_byte_for_byte_whatever_the_pieces(size: int, tmp_path: Path) -> None:
    data = bytes(i * 31 % 251 for i in range(size))
    (tmp_path / "file").write_bytes(data)
    stream = b"".join(tar_stream.pack(".incoming", {"database.dump": tmp_path / "file", "rows.jsonl": tmp_path / "file"}))
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        assert archive.getnames() == [".incoming", ".incoming/database.dump", ".incoming/rows.jsonl"]
        assert {item.mode for item in archive if item.isfile()} == {0o600}
    for piece in (100, 70_001):
        pieces = (stream[at : at + piece] for at in range(0, len(stream), piece))
        assert [(name, b"".join(parts)) for name, parts in tar_stream.unpack(pieces)] == [("database.dump", data), ("rows.jsonl", data)]


def test_packing_holds_one_piece_at_a_time(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x" * (3 * tar_stream.PIECE))
    assert max(len(piece) for piece in tar_stream.pack("a", {"b": tmp_path / "file"})) == tar_stream.PIECE


def test_about_json_of_another_make_is_no_fault(tmp_path: Path) -> None:
    place = backups.keep(tmp_path, NAME, coming(files()))
    (place / "about.json").write_text(json.dumps([]))
    [found] = backups.kept(tmp_path)
    assert (found.reason, found.is_good) == ("unknown", False)
