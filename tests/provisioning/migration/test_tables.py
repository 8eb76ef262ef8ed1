"""Two counts of a database compared: the table that is not the same is named."""

from __future__ import annotations

from provisioning.migration.tables import Table, as_data, checksum, differences, from_data, lost_rows, read_tables, total_rows

BOTH = {"a.one": Table(3, "17"), "a.two": Table(0, "0")}


def test_lines_of_the_script_are_read_and_what_tools_say_is_not() -> None:
    text = 'pg_restore: note\n{"table" : "a.one", "rows" : 3, "content" : "-99"}\n{"other": 1}\n'
    assert read_tables(text.replace('"table" :', '"table":')) == {"a.one": Table(3, "-99")}


def test_the_same_is_the_same_in_any_order() -> None:
    other = dict(reversed(BOTH.items()))
    assert differences(BOTH, other) == []
    assert checksum(BOTH) == checksum(other) == checksum(from_data(as_data(BOTH)))
    assert total_rows(BOTH) == 3


def test_each_way_of_not_being_the_same_names_the_table() -> None:
    here = {"a.one": Table(3, "18"), "b.new": Table(1, "1")}
    assert differences(BOTH, here) == [
        "a.two is missing",
        "b.new is there and was not before",
        "a.one has the same 3 rows in number and other content",
    ]
    assert differences(BOTH, {**BOTH, "a.one": Table(2, "17")}) == ["a.one has 2 rows, there were 3"]
    assert checksum(BOTH) != checksum(here)


def test_more_rows_are_no_loss_and_fewer_are() -> None:
    assert lost_rows(BOTH, {**BOTH, "a.two": Table(5, "x")}) == []
    assert lost_rows(BOTH, {"a.two": Table(0, "0")}) == ["a.one has 0 rows, 3 were copied"]
