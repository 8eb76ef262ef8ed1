"""Writes the rows of docs/faults.md from what fault tests noted: `python -m tools.faults`, after `make soak`. Rows not measured anew stay."""

from __future__ import annotations

import json
import math
import statistics
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "faults.md"
NOTES = ROOT / "test-results" / "faults.jsonl"
_TABLE = "| fault | what held | time to recovery |"
_RULE = "|---|---|---|"
Rows = dict[str, dict[str, str]]


def main() -> int:
    """Put the notes' rows into the page; says whether it changed."""
    notes = [json.loads(line) for line in NOTES.read_text(encoding="utf-8").splitlines()] if NOTES.is_file() else []
    before = PAGE.read_text(encoding="utf-8")
    text = page(before, notes)
    PAGE.write_text(text, encoding="utf-8")
    print(f"{'as it was' if text == before else 'rewritten'}: {PAGE.relative_to(ROOT)}, from {len(notes)} notes")
    return 0


def page(text: str, notes: Iterable[Mapping[str, Any]]) -> str:
    """The page with the notes' rows in place of the older ones of the same faults; sections and rows in alphabetical order."""
    head, *parts = text.split("\n## ")
    rows: Rows = {part.partition("\n")[0].strip(): _rows_of(part) for part in parts}
    found: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for note in notes:
        found.setdefault((note["section"], note["fault"]), []).append(note)
    for (section, fault), several in found.items():
        rows.setdefault(section, {})[fault] = f"| {fault} | {several[-1]['held']} | {_times(several)} |"
    sections = [f"## {name}\n\n{_TABLE}\n{_RULE}\n" + "\n".join(rows[name][fault] for fault in sorted(rows[name])) for name in sorted(rows)]
    return head.rstrip() + "\n\n" + "\n\n".join(sections) + "\n"


def percentile(sorted_seconds: list[float], share: float) -> float:
    """The smallest value that at least this share of all does not exceed."""
    return sorted_seconds[math.ceil(share * len(sorted_seconds)) - 1]


def _rows_of(section: str) -> dict[str, str]:
    lines = [line for line in section.splitlines() if line.startswith("| ") and line != _TABLE]
    return {line.split(" | ")[0].removeprefix("| "): line for line in lines}


def _times(notes: list[Mapping[str, Any]]) -> str:
    """How long it took, how often that was tried, and when last."""
    took, day = sorted(float(note["seconds"]) for note in notes), max(str(note["at"]) for note in notes)[:10]
    if len(took) == 1:
        return f"{took[0]:.1f} s ({day})"
    words = f"{len(took)} times: half within {statistics.median(took):.1f} s"
    many = f", 95 % within {percentile(took, 0.95):.1f} s" if len(took) >= 20 else ""
    return f"{words}{many}, all within {took[-1]:.1f} s ({day})"


if __name__ == "__main__":
    sys.exit(main())
