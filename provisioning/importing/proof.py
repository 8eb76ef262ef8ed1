"""The proof that taking an estate over changes nothing: what an apply would do, every difference by field, every normalisation by rule. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from provisioning.importing.normalise import RULES

_HARMLESS = frozenset({"import", "same"})  # objects that enter the state, and objects that are in it and stay


@dataclass(frozen=True, slots=True)
class Proof:
    """What a preview of an estate found.

    Attributes:
        steps: kind of step -> how many resources.
        differences: resource -> fields by which what runs differs from what was read; the step's kind where it names no field.
        normalised: rule -> how often it was applied while the estate was read.
    """

    steps: Mapping[str, int]
    differences: Mapping[str, tuple[str, ...]]
    normalised: Mapping[str, int]

    @property
    def holds(self) -> bool:
        """Whether nothing would change."""
        return not self.differences

    def words(self) -> str:
        """The proof for a person to read."""
        counted = ", ".join(f"{count} {step}" for step, count in self.steps.items()) or "no step"
        lines = [f"{'0 changes' if self.holds else f'{len(self.differences)} would change'}: {counted}"]
        lines += [f"  {resource}: {', '.join(fields)}" for resource, fields in self.differences.items()]
        lines += [f"  {rule.id} {self.normalised[rule.id]} times: {rule.title}" for rule in RULES if rule.id in self.normalised]
        return "\n".join(lines)


def proof_of(changes: Mapping[str, int], steps: Iterable[Mapping[str, Any]], normalised: Mapping[str, int]) -> Proof:
    """The proof from a preview's counts and steps.

    Args:
        steps: as in engine_events.Step; the unchanged may be left out.
    """
    differences = {
        str(step["resource"]): tuple(str(name) for name in step.get("fields") or ()) or (str(step["op"]),)
        for step in steps
        if step["op"] not in _HARMLESS
    }
    return Proof(dict(changes), differences, dict(normalised))
