"""What programs answer, as values: a secret store's status, ages of figures, sizes. Pure."""

from __future__ import annotations

import csv
import io
import json
import re
from datetime import datetime

from blueprints.checks.facts import Store

_UNITS = {"": 1, "b": 1, "k": 1000, "kb": 1024, "m": 1000**2, "mb": 1024**2, "g": 1000**3, "gb": 1024**3}  # Redis' own


def store_in(service: str, text: str, restarted_s: float | None) -> Store | None:
    """A secret store by the JSON of `bao status`; None where it says something else."""
    try:
        data = json.loads(text[text.index("{") :])
        return Store(service, bool(data["initialized"]), bool(data["sealed"]), restarted_s)
    except (ValueError, KeyError, TypeError):
        return None


def ages_in(text: str, now: datetime) -> dict[str, float]:
    """Measurement -> seconds since its newest value, of `influx query --raw`: tables of CSV, with comments before each."""
    lines = "\n".join(line for line in text.splitlines() if line.strip() and not line.startswith("#"))
    found: dict[str, float] = {}
    head: list[str] = []
    for row in csv.reader(io.StringIO(lines)):
        if "_measurement" in row and "_time" in row:
            head = row
            continue
        given = dict(zip(head, row, strict=False))
        try:
            age = (now - datetime.fromisoformat(given["_time"].replace("Z", "+00:00"))).total_seconds()
        except (KeyError, ValueError):
            continue
        name = given["_measurement"]
        found[name] = min(age, found.get(name, age))
    return found


def size_of(text: str) -> str:
    """A size as Redis writes it, in bytes; any other text as it is."""
    found = re.fullmatch(r"(\d+)([kmg]?b?)", text.lower())
    return str(int(found[1]) * _UNITS[found[2]]) if found and found[2] in _UNITS else text
