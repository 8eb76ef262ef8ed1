"""Every move between states is in one table; nothing else is allowed."""

from __future__ import annotations

from itertools import product

import pytest

from provisioning.states import FINISHED, RUN_MOVES, PlanState, RunState, plan_may_move, run_may_move

RUN_TABLE = """
queued -> running cancelled failed needs-recovery
running -> succeeded failed cancelling queued needs-recovery
cancelling -> cancelled succeeded failed needs-recovery
needs-recovery -> queued failed cancelled
succeeded ->
failed ->
cancelled ->
"""
PLAN_TABLE = """
proposed -> approved sent-back stale withdrawn
approved -> applied sent-back stale withdrawn
sent-back -> withdrawn
applied ->
stale ->
withdrawn ->
"""


def _pairs(table: str) -> set[tuple[str, str]]:
    rows = [line.split("->") for line in table.strip().splitlines()]
    return {(old.strip(), new) for old, allowed in rows for new in allowed.split()}


@pytest.mark.parametrize(("old", "new"), list(product(RunState, RunState)))
def test_a_run_moves_as_the_table_says(old: RunState, new: RunState) -> None:
    assert run_may_move(old, new) == ((old.value, new.value) in _pairs(RUN_TABLE))


@pytest.mark.parametrize(("old", "new"), list(product(PlanState, PlanState)))
def test_a_plan_moves_as_the_table_says(old: PlanState, new: PlanState) -> None:
    assert plan_may_move(old, new) == ((old.value, new.value) in _pairs(PLAN_TABLE))


def test_finished_states_lead_nowhere_and_every_other_can_finish() -> None:
    assert {state.value for state in FINISHED} == {"succeeded", "failed", "cancelled"}
    assert all(RUN_MOVES[state] & FINISHED or state in FINISHED for state in RunState)


def test_it_refuses_a_state_nobody_knows() -> None:
    with pytest.raises(ValueError, match="lost"):
        run_may_move("queued", "lost")
