"""The states of migrations and their steps, the moves between them, and what comes next. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol, TypeVar


class MigrationState(StrEnum):
    """Where a migration stands. `asking` waits for a person, `paused` because one asked for it."""

    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    ASKING = "asking"
    FAILED = "failed"
    DONE = "done"
    UNDONE = "undone"


class StepState(StrEnum):
    """Where a step stands."""

    WAITING = "waiting"
    RUNNING = "running"
    PAUSED = "paused"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"
    SKIPPED = "skipped"


MOVES: dict[MigrationState, frozenset[MigrationState]] = {
    MigrationState.QUEUED: frozenset({MigrationState.RUNNING, MigrationState.PAUSED, MigrationState.FAILED}),
    MigrationState.RUNNING: frozenset(set(MigrationState) - {MigrationState.RUNNING}),
    MigrationState.PAUSED: frozenset({MigrationState.QUEUED}),
    MigrationState.ASKING: frozenset({MigrationState.QUEUED}),
    MigrationState.FAILED: frozenset({MigrationState.QUEUED}),
    MigrationState.DONE: frozenset(),
    MigrationState.UNDONE: frozenset(),
}
ENDED = frozenset(state for state, moves in MOVES.items() if not moves)
AT_REST = frozenset({MigrationState.PAUSED, MigrationState.ASKING, MigrationState.FAILED})
_OVER = frozenset({StepState.DONE, StepState.SKIPPED})
_TOUCHED = frozenset({StepState.RUNNING, StepState.PAUSED, StepState.DONE, StepState.FAILED, StepState.SKIPPED})


class Stepping(Protocol):
    """What is asked of a step's row."""

    state: str
    is_final: bool


S = TypeVar("S", bound=Stepping)


def may_move(old: str, new: str) -> bool:
    """Whether a migration may go from one state to another."""
    return MigrationState(new) in MOVES[MigrationState(old)]


def next_forward(steps: Sequence[S]) -> S | None:
    """The first step that is not over; None when all are."""
    return next((step for step in steps if step.state not in _OVER), None)


def next_back(steps: Sequence[S]) -> S | None:
    """The last step that was touched and not taken back; None when all are."""
    return next((step for step in reversed(steps) if step.state in _TOUCHED), None)


def is_past_return(steps: Sequence[Stepping]) -> bool:
    """Whether the point of no return lies behind."""
    return any(step.is_final and step.state in _OVER for step in steps)
