"""The table of faults: measured rows replace older ones, the others stay."""

from __future__ import annotations

from tools.faults import page, percentile

BEFORE = """# Faults

Words.

## Processes

| fault | what held | time to recovery |
|---|---|---|
| a kill | nothing is lost | 9.0 s (2026-01-01) |
| b kill | nothing is lost | 8.0 s (2026-01-01) |
"""


def _note(fault: str, seconds: float, section: str = "Processes") -> dict[str, object]:
    return {"section": section, "fault": fault, "held": "it goes on", "seconds": seconds, "at": "2026-11-25T10:00:00+00:00"}


def test_what_was_measured_anew_replaces_its_row_and_the_rest_stays() -> None:
    text = page(BEFORE, [_note("a kill", 2.04)])
    assert "| a kill | it goes on | 2.0 s (2026-11-25) |\n| b kill | nothing is lost | 8.0 s (2026-01-01) |\n" in text
    assert text.startswith("# Faults\n\nWords.\n\n## Processes\n\n| fault |")


def test_sections_and_rows_are_in_alphabetical_order() -> None:
    text = page(BEFORE, [_note("a full disk", 1, "Brokers, databases, disks, state"), _note("a b kill", 1)])
    assert text.index("## Brokers") < text.index("## Processes")
    assert text.index("| a b kill") < text.index("| a kill") < text.index("| b kill")


def test_many_measurements_are_told_by_half_nineteen_of_twenty_and_all() -> None:
    text = page(BEFORE, [_note("a kill", float(seconds)) for seconds in range(20, 0, -1)])
    assert "20 times: half within 10.5 s, 95 % within 19.0 s, all within 20.0 s (2026-11-25)" in text


def test_a_page_made_again_from_the_same_notes_is_the_same() -> None:
    notes = [_note("a kill", 1), _note("a kill", 3)]
    assert page(page(BEFORE, notes), notes) == page(BEFORE, notes)


def test_the_95th_percentile_of_twenty_is_the_nineteenth() -> None:
    assert percentile([float(n) for n in range(1, 21)], 0.95) == 19.0
