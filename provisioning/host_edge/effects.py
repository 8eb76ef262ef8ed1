"""What a plan says about the host's edge: what happens to it, and for how long the others behind it do not answer. Pure.

Others are counted, never named: a tenant does not learn who else is on the machine.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

# Measured from outside at 20 requests a second while a second organization joined, see ADR 0011.
GAP_S = 4
Op = Literal["start", "restart", "stays", "remove"]


@dataclass(frozen=True, slots=True)
class EdgeEffect:
    """What an apply or a destroy does to the edge.

    Attributes:
        others: organizations behind it beside this one.
        gap_s: how long those do not answer.
    """

    op: Op
    others: int
    gap_s: int
    words: str

    def as_dict(self) -> dict[str, Any]:
        """As a plan keeps it."""
        return asdict(self)


def joining(*, others: int, is_there: bool, is_as_wanted: bool) -> EdgeEffect:
    """An organization that shares the entry ports is applied."""
    if not is_there:
        return EdgeEffect("start", others, 0, f"The host's edge is started and takes the entry ports. {_behind(others)}")
    if is_as_wanted:
        return EdgeEffect("stays", others, 0, "The host's edge stays as it is.")
    return _restart(others, "take this change in")


def leaving(*, others: int) -> EdgeEffect:
    """An organization stops sharing, or is removed."""
    if not others:
        return EdgeEffect("remove", 0, 0, "The host's edge is removed: nobody else is behind it.")
    return _restart(others, "let this organization go")


def _restart(others: int, why: str) -> EdgeEffect:
    if not others:
        return EdgeEffect(
            "restart", 0, 0, f"The host's edge restarts to {why}: up to {GAP_S} s without an answer. Nobody else is behind it."
        )
    whom = "1 other organization on this host does" if others == 1 else f"{others} other organizations on this host do"
    return EdgeEffect("restart", others, GAP_S, f"The host's edge restarts to {why}: for up to {GAP_S} s {whom} not answer.")


def _behind(others: int) -> str:
    if not others:
        return "Nobody else is behind it."
    return f"{others} other organization{'s are' if others > 1 else ' is'} behind it."
