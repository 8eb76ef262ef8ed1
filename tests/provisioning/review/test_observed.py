"""What was predicted against what happened."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.review.observed import differences, mismatch_error


def step(op: str, resource: str = "service/web", *fields: str) -> dict[str, Any]:
    return {"op": op, "resource": resource, "fields": list(fields)}


@pytest.mark.parametrize(
    ("predicted", "observed", "said"),
    [
        ([], [], ()),
        ([step("create")], [step("create")], ()),
        ([step("same")], [], ()),
        ([step("update", "service/web", "a", "b")], [step("update", "service/web", "b", "a")], ()),
        ([step("create")], [], ("service/web: create was predicted and did not happen",)),
        ([], [step("delete")], ("service/web: delete, which was not predicted",)),
        ([step("update")], [step("replace")], ("service/web: update was predicted, replace happened",)),
        (
            [step("update", "service/web", "image")],
            [step("update", "service/web", "command")],
            ("service/web: update of image was predicted, of command happened",),
        ),
    ],
)
def test_each_resource_that_differs_is_a_sentence(predicted: list[Any], observed: list[Any], said: tuple[str, ...]) -> None:
    assert differences(predicted, observed) == said


def test_a_long_list_is_cut_and_says_so() -> None:
    found = differences([], [step("create", f"service/s{number}") for number in range(11)])
    error = mismatch_error(found, 7)
    assert error["message"].startswith("applied, but not as predicted: service/s0: create")
    assert error["message"].endswith("; and 3 more")
    assert (error["kind"], error["where"]) == ("mismatch", "plan 7")
