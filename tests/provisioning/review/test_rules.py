"""Who has to say yes, and when a reason is needed."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.review.rules import Rules, warnings_of

ALICE, BOB, CAROL = 1, 2, 3
TWO = Rules(two_people=True)


@pytest.mark.parametrize(
    ("rules", "proposer", "approvers", "is_enough"),
    [
        (Rules(), ALICE, [], False),
        (Rules(), ALICE, [ALICE], True),
        (Rules(), ALICE, [BOB], True),
        (TWO, ALICE, [], False),
        (TWO, ALICE, [ALICE], False),
        (TWO, ALICE, [BOB], True),
        (TWO, ALICE, [ALICE, BOB], True),
        (TWO, None, [BOB], False),
        (TWO, None, [BOB, CAROL], True),
    ],
)
def test_the_yeses_are_counted_by_the_rules(rules: Rules, proposer: int | None, approvers: list[int], is_enough: bool) -> None:
    assert (rules.still_missing(proposer, approvers) == "") is is_enough


@pytest.mark.parametrize(
    ("rules", "warnings", "words"),
    [
        (Rules(), [], ""),
        (Rules(), ["a"], "this plan carries a warning"),
        (Rules(), ["a", "b"], "this plan carries 2 warnings"),
        (Rules(needs_reason=True), [], "this organization asks for one"),
        (Rules(needs_reason=True), ["a"], "this plan carries a warning"),
    ],
)
def test_a_warning_always_asks_for_a_reason(rules: Rules, warnings: list[str], words: str) -> None:
    assert rules.wants_reason(warnings) == words


def test_warnings_are_what_warns_or_blocks_and_data_at_risk_or_left_behind() -> None:
    def check(state: str) -> dict[str, Any]:
        return {"state": state, "sentence": f"{state}."}

    review = {
        "checks": [check(state) for state in ("pass", "note", "warn", "block", "warn")],
        "volumes": [{"volume": "demo_data", "why": "image changes"}],
        "rollback": {"to": 1, "data": ["Data stays."]},
    }
    assert warnings_of(review) == ["warn.", "block.", "demo_data: image changes", "Data stays."]
    assert warnings_of({}) == []
