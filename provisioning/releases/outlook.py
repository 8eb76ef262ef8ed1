"""What an upgrade to the installed templates would do to one organization: no change, clean, or a conflict. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blueprints.diff import Comparison
from blueprints.disruption import DISRUPTIONS
from provisioning.review.page import services_of
from sprocket_v2.errors import NeedsError, SprocketError

NO_CHANGE, CLEAN, CONFLICT, REFUSED, NOT_DEPLOYED = "no change", "clean", "conflict", "refused", "not deployed"


@dataclass(frozen=True, slots=True)
class Outlook:
    """What would happen.

    Attributes:
        state: no change; clean; conflict with the organization's local additions; refused, where the new templates do not take its
            needs for another reason; not deployed.
        before, after: template releases.
        services: one row for each service that changes: its class, the fields that cause it, who notices and for how long.
        files: how many rendered files differ, those that follow from others left out.
        why: of a conflict or a refusal, with what to do.
    """

    state: str
    before: str = ""
    after: str = ""
    services: tuple[Mapping[str, Any], ...] = ()
    files: int = 0
    why: str = ""

    @property
    def worst(self) -> str:
        """The worst class of disruption of all services; empty where none changes, or only the files are known."""
        classes = [str(row["class"]) for row in self.services]
        return max(classes, key=DISRUPTIONS.index, default="")


def outlook_of(before: str, after: str, comparison: Comparison, components: Sequence[Mapping[str, Any]]) -> Outlook:
    """Of two renderings of the same needs.

    Args:
        components: those that differ, as plans show them.
    """
    files = sum(not change.derived for change in comparison.files)
    state = CLEAN if files or components else NO_CHANGE
    return Outlook(state, before, after, tuple(services_of(components)), files)


def refused_by(error: SprocketError, before: str, after: str) -> Outlook:
    """The new templates do not take what the organization has: its local additions, or something else."""
    problems = error.problems if isinstance(error, NeedsError) and error.problems else (error,)
    is_local = any("additions" in f"{problem.where} {problem.message}" for problem in problems)
    return Outlook(CONFLICT if is_local else REFUSED, before, after, why=f"{error.message}. {error.hint}".rstrip(". ") + ".")
