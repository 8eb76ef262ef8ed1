"""Who has to say yes to a plan, and with which words. Pure; the rows behind it are read by `decisions`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

MOMENTS = {"waiting": "waits for a yes", "approved": "is approved", "sent-back": "was sent back", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Rules:
    """What an organization asks for. `two_people`: whoever proposed may not be the only one who says yes."""

    two_people: bool = False
    needs_reason: bool = False

    def still_missing(self, proposer: int | None, approvers: Collection[int]) -> str:
        """Why these yeses are not enough; empty when they are.

        Args:
            proposer: None where nobody is behind the plan (a schedule, or somebody who left): then two people have to say yes.
        """
        if not approvers:
            return "nobody has said yes yet"
        if self.two_people and len({*approvers, *([] if proposer is None else [proposer])}) < 2:
            return "a second person has to say yes: this organization asks for two"
        return ""

    def wants_reason(self, warnings: Sequence[str]) -> str:
        """Why a yes needs a reason; empty when it does not."""
        if warnings:
            return f"this plan carries {'a warning' if len(warnings) == 1 else f'{len(warnings)} warnings'}"
        return "this organization asks for one" if self.needs_reason else ""


def warnings_of(review: Mapping[str, Any]) -> list[str]:
    """The sentences of a plan that ask for a reason: checks that warn or block, and data at risk."""
    return list(dict.fromkeys(_warnings(review)))


def _warnings(review: Mapping[str, Any]) -> Iterator[str]:
    for check in review.get("checks", ()):
        if check["state"] in ("warn", "block"):
            yield check["sentence"]
    for volume in review.get("volumes", ()):
        yield f"{volume['volume']}: {volume['why']}"
    yield from review.get("rollback", {}).get("data", ())
