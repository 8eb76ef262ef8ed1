"""The states of plans and runs and every move allowed between them, in one table each. Pure."""

from __future__ import annotations

from enum import StrEnum


class PlanState(StrEnum):
    """Where a plan stands."""

    PROPOSED = "proposed"
    APPROVED = "approved"
    APPLIED = "applied"
    SENT_BACK = "sent-back"
    STALE = "stale"
    WITHDRAWN = "withdrawn"


class RunState(StrEnum):
    """Where a run stands (rule 1)."""

    QUEUED = "queued"
    RUNNING = "running"
    CANCELLING = "cancelling"
    NEEDS_RECOVERY = "needs-recovery"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class RunKind(StrEnum):
    """What a run does."""

    PREVIEW = "preview"
    APPLY = "apply"
    REFRESH = "refresh"
    DESTROY = "destroy"
    VERIFY = "verify"
    DRIFT = "drift"


PLAN_MOVES: dict[PlanState, frozenset[PlanState]] = {
    PlanState.PROPOSED: frozenset({PlanState.APPROVED, PlanState.SENT_BACK, PlanState.STALE, PlanState.WITHDRAWN}),
    PlanState.APPROVED: frozenset({PlanState.APPLIED, PlanState.SENT_BACK, PlanState.STALE, PlanState.WITHDRAWN}),
    PlanState.SENT_BACK: frozenset({PlanState.WITHDRAWN}),
    PlanState.APPLIED: frozenset(),
    PlanState.STALE: frozenset(),
    PlanState.WITHDRAWN: frozenset(),
}

RUN_MOVES: dict[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.CANCELLED, RunState.FAILED, RunState.NEEDS_RECOVERY}),
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLING, RunState.QUEUED, RunState.NEEDS_RECOVERY}),
    RunState.CANCELLING: frozenset({RunState.CANCELLED, RunState.SUCCEEDED, RunState.FAILED, RunState.NEEDS_RECOVERY}),
    RunState.NEEDS_RECOVERY: frozenset({RunState.QUEUED, RunState.FAILED, RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}

FINISHED = frozenset(state for state, moves in RUN_MOVES.items() if not moves)
UNDER_WAY = frozenset({RunState.RUNNING, RunState.CANCELLING})


def plan_may_move(old: str, new: str) -> bool:
    """Whether a plan may go from one state to another."""
    return PlanState(new) in PLAN_MOVES[PlanState(old)]


def run_may_move(old: str, new: str) -> bool:
    """Whether a run may go from one state to another."""
    return RunState(new) in RUN_MOVES[RunState(old)]
