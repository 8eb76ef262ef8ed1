"""Who is rolled out to when: one, then some, then all; nothing new begins after the first that did not verify. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class MemberState(StrEnum):
    """Where one organization stands in a roll-out."""

    WAITING = "waiting"
    PLANNING = "planning"
    NEEDS_YES = "needs a yes"
    APPLYING = "applying"
    VERIFIED = "verified"
    FAILED = "failed"


class RollOutState(StrEnum):
    """Where a roll-out stands. Stopped: by a failure, or by a person; whoever was under way then comes to its own end."""

    RUNNING = "running"
    STOPPED = "stopped"
    DONE = "done"


ENDED = frozenset({MemberState.VERIFIED, MemberState.FAILED})


@dataclass(frozen=True, slots=True)
class Place:
    """One organization's place in the order, and where it stands."""

    key: int
    wave: int
    state: str


def waves(count: int) -> list[int]:
    """The wave of each of so many, in their order: the first alone, then a quarter of the rest, then the rest."""
    some = -(-(count - 1) // 4) if count > 1 else 0
    return [1 if i == 0 else 2 if i <= some else 3 for i in range(count)]


def may_begin(places: Sequence[Place]) -> list[int]:
    """Keys of those that may begin now: the waiting ones of the first wave that is not whole yet; nobody after a failure."""
    if any(place.state == MemberState.FAILED for place in places):
        return []
    open_waves = [place.wave for place in places if place.state != MemberState.VERIFIED]
    return [place.key for place in places if open_waves and place.wave == min(open_waves) and place.state == MemberState.WAITING]


def state_of(places: Iterable[Place]) -> RollOutState:
    """How the whole stands."""
    states = [place.state for place in places]
    if MemberState.FAILED in states:
        return RollOutState.STOPPED
    return RollOutState.DONE if all(state == MemberState.VERIFIED for state in states) else RollOutState.RUNNING
