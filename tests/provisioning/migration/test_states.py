"""What comes next, forward and back, from the states of the steps alone."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from provisioning.migration.states import ENDED, MOVES, MigrationState, is_past_return, may_move, next_back, next_forward


@dataclass
class Step:
    key: str
    state: str = "waiting"
    is_final: bool = False


def test_forward_goes_to_the_first_that_is_not_over_and_tries_a_failed_one_again() -> None:
    steps = [Step("a", "done"), Step("b", "skipped"), Step("c", "failed"), Step("d")]
    found = next_forward(steps)
    assert found is steps[2]
    assert next_forward([Step("a", "done")]) is None


def test_back_goes_to_the_last_that_was_touched_a_running_one_included() -> None:
    steps = [Step("a", "done"), Step("b", "running"), Step("c")]
    assert next_back(steps) is steps[1]
    steps[1].state = "undone"
    assert next_back(steps) is steps[0]
    assert next_back([Step("a", "undone"), Step("b")]) is None


def test_the_point_of_no_return_counts_once_it_is_done() -> None:
    assert not is_past_return([Step("a", "done"), Step("x", "waiting", is_final=True)])
    assert is_past_return([Step("a", "done"), Step("x", "done", is_final=True)])


@pytest.mark.parametrize("old", list(MigrationState))
def test_what_has_ended_moves_nowhere_and_everything_else_can_go_on(old: MigrationState) -> None:
    assert bool(MOVES[old]) == (old not in ENDED)
    assert not may_move(old, old)
