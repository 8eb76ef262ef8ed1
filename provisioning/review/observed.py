"""What an apply was to do against what it did, step by step. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

Step = Mapping[str, Any]
_SHOWN = 8


def differences(predicted: Sequence[Step], observed: Sequence[Step]) -> tuple[str, ...]:
    """One sentence for each resource with which something else was done than was said; empty when the apply kept its word.

    The changed fields of an update are compared too: the same step for another reason is another step.
    """
    return tuple(_differences(_by_resource(predicted), _by_resource(observed)))


def _by_resource(steps: Sequence[Step]) -> dict[str, Step]:
    return {str(step["resource"]): step for step in steps if step["op"] != "same"}


def _differences(predicted: Mapping[str, Step], observed: Mapping[str, Step]) -> Iterator[str]:
    for resource in dict.fromkeys((*predicted, *observed)):
        said, did = predicted.get(resource), observed.get(resource)
        if said is None and did is not None:
            yield f"{resource}: {did['op']}, which was not predicted"
        elif did is None and said is not None:
            yield f"{resource}: {said['op']} was predicted and did not happen"
        elif said is not None and did is not None and said["op"] != did["op"]:
            yield f"{resource}: {said['op']} was predicted, {did['op']} happened"
        elif said is not None and did is not None and said["op"] == "update" and _fields(said) != _fields(did):
            yield f"{resource}: update of {_words(said)} was predicted, of {_words(did)} happened"


def _fields(step: Step) -> frozenset[str]:
    return frozenset(step.get("fields") or ())


def _words(step: Step) -> str:
    return ", ".join(sorted(_fields(step))) or "nothing named"


def mismatch_error(found: Sequence[str], plan: int) -> dict[str, str]:
    """The run's error for differences; what was done stays done."""
    more = f"; and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return {
        "kind": "mismatch",
        "message": f"applied, but not as predicted: {'; '.join(found[:_SHOWN])}{more}",
        "hint": "what was done stays; make a new plan, which shows where it stands now, and report this run: the preview was wrong",
        "where": f"plan {plan}",
    }
