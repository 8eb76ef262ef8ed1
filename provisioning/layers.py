"""One engine operation on an organization, over all of its stacks: in order, stopped at the first that fails, removed in reverse.

The only place that knows there may be several. Each layer is an operation of its own in a child of its own (rule 3); what comes back is
one outcome: changes added up, steps in order, one state digest over all, so that a plan, an approval and a run are bound to the whole.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from provisioning.materials import Basis, Material
from provisioning.operations import Outcome, Request, Verb
from provisioning.recorder import LeaseLostError
from provisioning.state import digest_over
from sprocket_v2.errors import SprocketError, StaleError

Operate = Callable[[Request], Outcome]
Say = Callable[[str], None]
Between = Callable[[str], None]
_MANY = "layers"  # the key that tells an engine plan of several stacks from the engine's own


class EngineError(Exception):
    """An operation that did not go well, with its outcome."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__((outcome.error or {}).get("message", "the engine failed"))
        self.outcome = outcome
        self.error: dict[str, Any] = dict(outcome.error or {})


@dataclass(frozen=True, slots=True)
class Previewed:
    """What a preview of all layers found.

    Attributes:
        engine_plan: what an apply is bound to. Of a single stack the engine's own plan, else for each layer its plan and state digest.
    """

    outcome: Outcome
    engine_plan: str = ""


def nothing(_: str) -> None:
    """Nobody listens, and there is nothing to do."""


def preview(
    stuff: Material,
    operate: Operate,
    *,
    basis: Basis = "live",
    keeps_plan: bool = True,
    say: Say = nothing,
    **more: Any,  # noqa: ANN401 - fields of Request
) -> Previewed:
    """Preview all layers.

    Args:
        keeps_plan: False where nobody will apply it.
    Raises:
        EngineError: one could not be previewed.
    """
    plans: dict[str, str] = {}
    done = _Done()
    for layer in stuff.layers:
        plan_file = stuff.folder(layer) / "engine-plan.json"
        request = stuff.request("preview", layer=layer, basis=basis, plan_out=str(plan_file) if keeps_plan else "", **more)
        done.take(layer, _operated(request, operate, done, stuff, say))
        if keeps_plan:
            plans[layer] = plan_file.read_text(encoding="utf-8")
            plan_file.unlink()
    return Previewed(done.outcome(), _kept(plans, done.digests) if keeps_plan else "")


def apply(
    stuff: Material, operate: Operate, engine_plan: str, state_digest: str, *, say: Say = nothing, after: Between = nothing
) -> Outcome:
    """Apply all layers, each bound to what was approved of it. The first that fails ends it; what was done stays done.

    Args:
        engine_plan: as `preview` gave it; empty where nothing was to be done.
        state_digest: over all layers, as it was when the plan was made.
        after: called with a layer's name once it is up, before the next begins; an error of it ends the apply there.
    Raises:
        EngineError: one failed; its outcome is about all layers. LeaseLostError: somebody else works on the stacks.
    """
    plans = _plans(engine_plan, stuff.layers, state_digest)
    done = _Done({layer: plan.state_digest for layer, plan in plans.items()})
    for layer in stuff.layers:
        plan = plans[layer]
        plan_file = _written(stuff.folder(layer) / "engine-plan.json", plan.text)
        request = stuff.request(
            "apply", layer=layer, holds_lease=True, plan_in=str(plan_file or ""), expected_state_digest=plan.state_digest
        )
        done.take(layer, _operated(request, operate, done, stuff, say))
        try:
            after(layer)
        except LeaseLostError:
            raise
        except SprocketError as error:
            raise EngineError(done.ended_by(error)) from error
    return done.outcome()


def over_all(op: Verb, stuff: Material, operate: Operate, *, say: Say = nothing) -> Outcome:
    """Refresh all layers, or destroy them: the last applied goes first, for it leans on the former ones.

    Raises:
        EngineError: one failed; its outcome is about all layers.
    """
    done = _Done(dict.fromkeys(stuff.layers, ""))
    for layer in reversed(stuff.layers) if op == "destroy" else stuff.layers:
        request = stuff.request(op, layer=layer, holds_lease=True)
        done.take(layer, _operated(request, operate, done, stuff, say))
    return done.outcome()


class _Done:
    """The outcomes so far, and what is known of the states of the layers that were not reached."""

    def __init__(self, digests: Mapping[str, str] | None = None) -> None:
        self.digests = dict(digests or {})
        self._outcomes: list[Outcome] = []

    def take(self, layer: str, outcome: Outcome) -> None:
        self.digests[layer] = outcome.state_digest
        self._outcomes.append(outcome)

    def outcome(self) -> Outcome:
        """All of them as one; how it ended is how the last one ended."""
        if len(self._outcomes) == 1 and set(self.digests) == {""}:
            return self._outcomes[0]
        changes: dict[str, int] = {}
        for outcome in self._outcomes:
            for op, count in outcome.changes.items():
                changes[op] = changes.get(op, 0) + count
        steps = tuple(step for outcome in self._outcomes for step in outcome.steps)
        took = round(sum(outcome.duration_s for outcome in self._outcomes), 3)
        return replace(self._outcomes[-1], changes=changes, steps=steps, state_digest=digest_over(self.digests), duration_s=took)

    def ended_by(self, error: SprocketError) -> Outcome:
        """All of them, though the last one went well, ended by something that follows it."""
        kind = "stale" if isinstance(error, StaleError) else "failed"
        words = {"kind": kind, "message": error.message, "hint": error.hint, "where": error.where}
        return replace(self.outcome(), ok=False, error=words)


def _operated(request: Request, operate: Operate, done: _Done, stuff: Material, say: Say) -> Outcome:
    """One layer's operation; its failure is told as one of the whole."""
    if request.layer:
        say(f"{request.layer}, {stuff.layers.index(request.layer) + 1} of {len(stuff.layers)}")
    try:
        return operate(request)
    except EngineError as error:
        done.take(request.layer, error.outcome)
        raise EngineError(done.outcome()) from error


@dataclass(frozen=True, slots=True)
class _LayerPlan:
    """What was approved of one layer."""

    text: str
    state_digest: str


def _kept(plans: Mapping[str, str], digests: Mapping[str, str]) -> str:
    if set(plans) == {""}:
        return plans[""]
    layers = {layer: {"state_digest": digests[layer], "plan": json.loads(text)} for layer, text in plans.items()}
    return json.dumps({_MANY: layers}, separators=(",", ":"))


def _plans(engine_plan: str, layers: tuple[str, ...], state_digest: str) -> dict[str, _LayerPlan]:
    if layers == ("",):
        return {"": _LayerPlan(engine_plan, state_digest)}
    kept = json.loads(engine_plan)[_MANY] if engine_plan else {}
    empty = _LayerPlan("", "")
    return {
        layer: _LayerPlan(json.dumps(kept[layer]["plan"]), str(kept[layer]["state_digest"])) if layer in kept else empty for layer in layers
    }


def _written(path: Path, text: str) -> Path | None:
    if not text:
        return None
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.write_text(text, encoding="utf-8")
    path.chmod(0o600)
    return path
