"""Outcomes as people and programs read them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from blueprints.checks.model import SEVERITIES, Outcome, State

STATES: tuple[State, ...] = ("failed", "passed", "not applicable", "not asked")


def in_order(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    """What failed first, the worst before the rest; then what passed, and what had nothing to look at."""
    return tuple(sorted(outcomes, key=lambda o: (STATES.index(o.state), SEVERITIES.index(o.rule.severity), o.rule.id)))


def counts(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many rules are in each state."""
    return {state: sum(outcome.state == state for outcome in outcomes) for state in STATES}


def summary(outcomes: Sequence[Outcome]) -> str:
    """The whole in one sentence."""
    numbers = counts(outcomes)
    worst = [
        f"{n} {severity}" for severity in SEVERITIES if (n := sum(o.state == "failed" and o.rule.severity == severity for o in outcomes))
    ]
    bad = f"{numbers['failed']} failed ({', '.join(worst)})" if worst else "none failed"
    return f"{len(outcomes)} rules: {bad}, {numbers['passed']} passed, {numbers['not applicable']} not applicable, {numbers['not asked']} not asked."


def as_dict(name: str, outcomes: Sequence[Outcome]) -> dict[str, Any]:
    """The JSON shape of the command."""
    return {
        "subject": name,
        "summary": summary(outcomes),
        "counts": counts(outcomes),
        "blocked": any(outcome.state == "failed" and outcome.rule.severity == "block" for outcome in outcomes),
        "rules": [
            {
                "id": outcome.rule.id,
                "severity": outcome.rule.severity,
                "kind": outcome.rule.kind,
                "title": outcome.rule.title,
                "state": outcome.state,
                "reason": outcome.reason,
                "found": [{"where": found.where, "what": found.what} for found in outcome.found],
                "todo": outcome.rule.todo,
            }
            for outcome in in_order(outcomes)
        ],
    }
