"""Notes of fault tests for docs/faults.md: one line of JSON per proof, which `python -m tools.faults` makes the page's rows from."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

NOTES = Path(__file__).resolve().parents[2] / "test-results" / "faults.jsonl"
PROCESSES = "Processes"
WORLD = "Brokers, databases, disks, state"


def note(section: str, fault: str, held: str, seconds: float) -> None:
    """Write down that a fault was done and what held.

    Args:
        section: of the page.
        held: a sentence; the same for every run of one fault.
        seconds: from the fault to the run's end (or to the refusal, where refusing is what is wanted).
    """
    NOTES.parent.mkdir(exist_ok=True)
    line = {"section": section, "fault": fault, "held": held, "seconds": round(seconds, 2), "at": datetime.now(UTC).isoformat()}
    with NOTES.open("a", encoding="utf-8") as file:
        file.write(json.dumps(line) + "\n")
