"""One, then some, then all; nothing begins after the first that did not verify; and what an upgrade would do, from two renderings."""

from __future__ import annotations

import pytest

from provisioning.releases.outlook import CLEAN, CONFLICT, NO_CHANGE, REFUSED, outlook_of, refused_by
from provisioning.releases.waves import MemberState, Place, RollOutState, may_begin, state_of, waves
from provisioning.review.facts import changes_of, compared
from sprocket_v2.errors import NeedsError, ResolveError, SprocketError
from tests.blueprints.cases import rendering


@pytest.mark.parametrize(
    ("count", "expected"),
    [(0, []), (1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (6, [1, 2, 2, 3, 3, 3]), (9, [1, 2, 2, 3, 3, 3, 3, 3, 3])],
)
def test_the_first_is_alone_then_a_quarter_then_the_rest(count: int, expected: list[int]) -> None:
    assert waves(count) == expected


def _places(*states: str) -> list[Place]:
    return [Place(key, wave, state) for key, (wave, state) in enumerate(zip(waves(len(states)), states, strict=True))]


@pytest.mark.parametrize(
    ("states", "begins", "whole"),
    [
        ("waiting waiting waiting waiting waiting waiting", [0], "running"),
        ("applying waiting waiting waiting waiting waiting", [], "running"),
        ("verified waiting waiting waiting waiting waiting", [1, 2], "running"),
        ("verified verified waiting waiting waiting waiting", [2], "running"),
        ("verified verified verified waiting waiting waiting", [3, 4, 5], "running"),
        ("verified failed waiting waiting waiting waiting", [], "stopped"),
        ("verified failed applying waiting waiting waiting", [], "stopped"),
        ("verified verified verified verified verified verified", [], "done"),
    ],
)
def test_a_wave_begins_once_the_former_is_whole_and_nothing_after_a_failure(states: str, begins: list[int], whole: str) -> None:
    places = _places(*states.split())
    assert may_begin(places) == begins
    assert state_of(places) == RollOutState(whole)


def test_one_that_needs_a_yes_holds_the_next_wave() -> None:
    assert may_begin(_places(MemberState.NEEDS_YES, "waiting", "waiting")) == []


def test_an_upgrade_is_told_by_service_with_its_class_and_the_field() -> None:
    old, new = rendering(), rendering(options={"redis": {"memory_mib": 512}})
    comparison = compared(old, new, None, None)
    found = outlook_of("1", "2", comparison, changes_of(comparison)["components"])
    assert (found.state, found.worst, found.before, found.after) == (CLEAN, "restart", "1", "2")
    [row] = found.services
    assert row["service"] == "redis"
    assert "memory" in " ".join(row["because"])
    same = compared(old, old, None, None)
    nothing = outlook_of("1", "2", same, changes_of(same)["components"])
    assert (nothing.state, nothing.services, nothing.files, nothing.worst) == (NO_CHANGE, (), 0, "")


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (ResolveError("service web is the release's", hint="rename it", where="additions.services.web"), CONFLICT),
        (
            NeedsError("two problems", hint="", where="x", problems=(NeedsError("a", hint="", where="additions.environment.api.A"),)),
            CONFLICT,
        ),
        (SprocketError("no such profile", hint="choose one", where="profile"), REFUSED),
    ],
)
def test_what_the_templates_do_not_take_is_a_conflict_where_local_additions_are_in_the_way(error: SprocketError, state: str) -> None:
    found = refused_by(error, "1", "2")
    assert found.state == state
    assert error.message in found.why
