"""What verify found: checks, and the verdict in two lines, *runs* and *usable*. Pure values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Literal

CheckState = Literal["ok", "failed", "skipped", "warning"]
Line = Literal["runs", "usable"]


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at.

    Attributes:
        name: `<what>/<which>`, the same on every run.
        detail: what was found, in words.
        hint: what to do when it is not ok.
        line: which line of the verdict it belongs to.
    """

    name: str
    title: str
    state: CheckState
    detail: str = ""
    hint: str = ""
    line: Line = "runs"


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks. Only `is_green` may be shown as plain green."""

    checks: tuple[Check, ...]
    at: str

    @property
    def runs(self) -> CheckState:
        """The first line's state."""
        return _worst(check for check in self.checks if check.line == "runs")

    @property
    def usable(self) -> CheckState:
        """The second line's state; never ok while the first is failed."""
        state = _worst(check for check in self.checks if check.line == "usable")
        return "skipped" if self.runs == "failed" and state != "failed" else state

    @property
    def is_green(self) -> bool:
        """It runs, and people can use it."""
        return self.runs in {"ok", "warning"} and self.usable == "ok"

    @property
    def runs_text(self) -> str:
        """The first line in words."""
        failed = [check for check in self.checks if check.line == "runs" and check.state == "failed"]
        if failed:
            return f"does not run: {failed[0].title}" + (f" (and {len(failed) - 1} more)" if len(failed) > 1 else "")
        warned = [check for check in self.checks if check.line == "runs" and check.state == "warning"]
        return f"runs; {warned[0].detail}" if warned else "runs"

    @property
    def usable_text(self) -> str:
        """The second line in words."""
        if self.runs == "failed":
            return "not usable while it does not run"
        bad = [check for check in self.checks if check.line == "usable" and check.state != "ok"]
        if not bad:
            return "usable"
        return f"not yet usable: {bad[0].detail}" if bad[0].state != "skipped" else f"not known to be usable: {bad[0].detail}"

    def as_dict(self) -> dict[str, Any]:
        """Plain data, as stored with a run and shown by `--json`."""
        return {
            "at": self.at,
            "runs": {"state": self.runs, "text": self.runs_text},
            "usable": {"state": self.usable, "text": self.usable_text},
            "green": self.is_green,
            "checks": [asdict(check) for check in self.checks],
        }


def verdict_of(checks: Iterable[Check]) -> Verdict:
    """A verdict of now."""
    return Verdict(tuple(checks), datetime.now(UTC).isoformat(timespec="seconds"))


def verdict_from(data: Mapping[str, Any]) -> Verdict:
    """A verdict from its plain data."""
    return Verdict(tuple(Check(**check) for check in data["checks"]), str(data["at"]))


def _worst(checks: Iterable[Check]) -> CheckState:
    """failed before warning before ok; nothing looked at counts as skipped."""
    states = {check.state for check in checks}
    order: tuple[CheckState, ...] = ("failed", "warning", "ok")
    return next((state for state in order if state in states), "skipped")
