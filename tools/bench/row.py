"""One row of the benchmark's table, its verdict, and how times are taken. Knows nothing of what is measured."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass


@dataclass(frozen=True, slots=True)
class Row:
    """One thing measured.

    Attributes:
        group: the module it comes from.
        what: in words.
        value: what is judged: a ratio, or a figure in `unit`.
        unit: `x` for a ratio to the limit, else ms, MiB, s.
        goal: the most (with `least`, the range) the value may be.
        least: the least it may be, where the goal is a range.
        ours, peer: what was measured on both sides, with units, as shown.
        limit: what the peer is, in words.
        skipped: why there is no value.
    """

    group: str
    what: str
    value: float = 0.0
    unit: str = "x"
    goal: float = 0.0
    least: float | None = None
    ours: str = ""
    peer: str = ""
    limit: str = ""
    skipped: str = ""

    @property
    def verdict(self) -> str:
        """met, MISSED or not run."""
        if self.skipped:
            return "not run"
        return "met" if (self.least or 0.0) <= self.value <= self.goal else "MISSED"

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return {**asdict(self), "verdict": self.verdict}

    def cells(self) -> tuple[str, ...]:
        """The row as the table shows it."""
        if self.skipped:
            return self.what, "", "", "", "", f"not run: {self.skipped}"
        unit = self.unit if self.unit == "x" else f" {self.unit}"
        goal = f"{self.least:g} to {self.goal:g}{unit}" if self.least is not None else f"<= {self.goal:g}{unit}"
        return self.what, self.ours, f"{self.limit} {self.peer}".strip(), f"{self.value:.3g}{unit}", goal, self.verdict


HEAD = ("what", "ours", "limit (1.0)", "value", "goal", "verdict")


def interleaved(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Least milliseconds of each call, the calls taking turns so that a slow spell of the machine meets all of them."""
    best = dict.fromkeys(calls, float("inf"))
    for call in calls.values():
        call()
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for name, call in calls.items():
                best[name] = min(best[name], elapsed_ms(call))
    finally:
        gc.enable()
    return best


def elapsed_ms(call: Callable[[], object]) -> float:
    """Milliseconds one call takes."""
    begun = time.perf_counter()
    call()
    return (time.perf_counter() - begun) * 1000


def ratio_row(group: str, what: str, ours: float, peer: float, *, goal: float, limit: str) -> Row:
    """A row that compares two times in milliseconds."""
    return Row(group, what, ours / peer, "x", goal, None, ms(ours), ms(peer), limit)


def ms(value: float) -> str:
    """Milliseconds with three significant digits."""
    return f"{value:.3g} ms" if value < 1000 else f"{value / 1000:.3g} s"


def markdown_table(rows: Iterable[Row]) -> str:
    """The rows as a Markdown table with aligned columns."""
    cells = [HEAD, *(row.cells() for row in rows)]
    widths = [max(len(line[i]) for line in cells) for i in range(len(HEAD))]
    lines = [f"| {' | '.join(cell.ljust(width) for cell, width in zip(line, widths, strict=True))} |" for line in cells]
    lines.insert(1, f"|{'|'.join('-' * (width + 2) for width in widths)}|")
    return "\n".join(lines)
