"""File changes as text: what `diff -u` would say, and two columns that hold every line once."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from blueprints.diff import FileChange
from blueprints.diff_text import CONTEXT, Piece, Row, side_by_side, unified

_lines = st.lists(st.sampled_from(["a", "b", "c d", "", "memory: 1", "memory: 2"]), max_size=25)


def change(old: str, new: str, kind: str = "changed") -> FileChange:
    """A change of the file f.yml."""
    return FileChange("f.yml", kind, False, old, new)


def text(lines: list[str]) -> str:
    """Lines as a file."""
    return "".join(f"{line}\n" for line in lines)


def test_a_changed_line_has_its_neighbours_around_it() -> None:
    old = text([str(n) for n in range(1, 11)])
    assert unified(change(old, old.replace("5\n", "five\n"))) == (
        "--- a/f.yml\n+++ b/f.yml\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n"
    )


def test_a_new_file_comes_from_nowhere_and_a_removed_one_goes_there() -> None:
    assert unified(change("", "a\n", "added")) == "--- /dev/null\n+++ b/f.yml\n@@ -0,0 +1 @@\n+a\n"
    assert unified(change("a\n", "", "removed")) == "--- a/f.yml\n+++ /dev/null\n@@ -1 +0,0 @@\n-a\n"


def test_equal_files_have_no_diff() -> None:
    assert unified(change("a\n", "a\n")) == ""
    assert side_by_side(change("a\n", "a\n")) == ()


@given(_lines, _lines)
def test_patch_makes_the_new_file_from_the_old_one(old: list[str], new: list[str]) -> None:
    written = unified(change(text(old), text(new)))
    if old == new:
        assert written == ""
        return
    assert _patched(text(old), written) == text(new)


def _patched(old: str, diff: str) -> str:
    """Apply a unified diff, strictly."""
    source, result, at = old.splitlines(), [], 0
    for line in diff.splitlines()[2:]:
        if line.startswith("@@"):
            start, _, count = line.split()[1][1:].partition(",")
            begin = int(start) - (count != "0")
            result += source[at:begin]
            at = begin
        elif line[0] == "+":
            result.append(line[1:])
        else:
            assert source[at] == line[1:]
            result += [source[at]] if line[0] == " " else []
            at += 1
    return text([*result, *source[at:]])


def test_the_real_patch_takes_it(tmp_path: Path) -> None:
    old, new = text([str(n) for n in range(40)]), text([str(n) for n in range(3, 43) if n != 20])
    (tmp_path / "f.yml").write_text(old)
    (tmp_path / "d").write_text(unified(change(old, new)))
    git = ["git", "apply", "--unsafe-paths", "-p1", "d"]
    subprocess.run(git, cwd=tmp_path, check=True, capture_output=True)
    assert (tmp_path / "f.yml").read_text() == new


def test_a_changed_word_is_marked_on_both_sides() -> None:
    (row,) = side_by_side(change("memory: 128 MiB\n", "memory: 256 MiB\n"))
    assert row == Row(
        "changed",
        1,
        (Piece("memory: ", False), Piece("128", True), Piece(" MiB", False)),
        1,
        (Piece("memory: ", False), Piece("256", True), Piece(" MiB", False)),
    )


def test_far_lines_are_folded_and_counted() -> None:
    old = text([str(n) for n in range(100)])
    rows = side_by_side(change(old, old.replace("50\n", "fifty\n")))
    assert [(row.kind, row.hidden) for row in rows if row.kind == "fold"] == [("fold", 50 - CONTEXT), ("fold", 49 - CONTEXT)]
    assert [row.old_number for row in rows if row.kind != "fold"] == [48, 49, 50, 51, 52, 53, 54]


@given(_lines, _lines)
def test_two_columns_hold_every_line_of_each_side_once_and_in_order(old: list[str], new: list[str]) -> None:
    rows = side_by_side(change(text(old), text(new)))
    hidden = sum(row.hidden for row in rows)
    left = [(row.old_number, "".join(p.text for p in row.old)) for row in rows if row.old_number]
    right = [(row.new_number, "".join(p.text for p in row.new)) for row in rows if row.new_number]
    assert [n for n, _ in left] == sorted({n for n, _ in left})
    assert all(old[n - 1] == line for n, line in left)
    assert all(new[n - 1] == line for n, line in right)
    if rows:
        assert len(left) + hidden == len(old)
        assert len(right) + hidden == len(new)
