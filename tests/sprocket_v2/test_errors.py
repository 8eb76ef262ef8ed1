"""Errors: what they say, and that every kind has an exit code."""

from __future__ import annotations

import pytest

from sprocket_v2 import errors
from sprocket_v2.cli.output import exit_code
from sprocket_v2.errors import NeedsError, SprocketError

CODES = {
    "NeedsError": 2, "EstateError": 2, "CatalogError": 2, "ResolveError": 2, "RenderError": 2, "SetupError": 2,
    "PreviewError": 1, "ApplyError": 1, "VerifyError": 1, "DeniedError": 4, "StaleError": 5,
}  # fmt: skip
KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SprocketError) and kind is not SprocketError]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_has_the_exit_code_of_the_design(kind: type[SprocketError]) -> None:
    assert exit_code(kind("it went wrong")) == CODES[kind.__name__]


def test_an_error_is_where_and_what_and_its_hint_is_apart() -> None:
    error = SprocketError("memory is 64", hint="raise it", where="redis.yaml:12")
    assert str(error) == "redis.yaml:12: memory is 64"
    assert str(SprocketError("memory is 64")) == "memory is 64"
    assert error.as_dict() == {
        "error": "SprocketError",
        "message": "memory is 64",
        "hint": "raise it",
        "where": "redis.yaml:12",
        "transient": False,
    }


def test_only_an_error_that_says_so_may_be_tried_again() -> None:
    assert SprocketError("x").transient is False
    assert SprocketError("x", transient=True).transient is True


def test_needs_errors_hold_every_problem_and_one_alone_holds_itself() -> None:
    alone = NeedsError("a")
    assert alone.problems == (alone,)
    both = NeedsError("a (and 1 more)", problems=(NeedsError("a"), NeedsError("b")))
    assert [problem.message for problem in both.problems] == ["a", "b"]
