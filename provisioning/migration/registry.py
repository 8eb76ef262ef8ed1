"""Step by key: what the machine does, checks, takes back, and does in a rehearsal. Its order and words are blueprints.migration.steps'."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from provisioning.migration import data_steps, estate_steps, v2_steps
from provisioning.migration.work import Evidence, Work

Act = Callable[[Work], Evidence]
CLEAN = "clean"


@dataclass(frozen=True, slots=True)
class MachineStep:
    """One machine step. Each act may be repeated: it looks at what is there first."""

    do: Act
    check: Act = v2_steps.nothing_more
    undo: Act = v2_steps.nothing_more
    rehearse: Act | None = None
    rehearsal_check: Act = v2_steps.nothing_more


def clean(work: Work) -> Evidence:
    """Remove everything a rehearsal has made: its objects in buckets, its container, its files."""
    seen = data_steps.remove_copies(work) if data_steps.pairs(work) and work.evidence_of("buckets") else {}
    if work.needs.database.where == "deployment" and work.evidence_of("prepare").get("blueprint"):
        data_steps.forget_dump(work)
    return seen


_STOP = MachineStep(estate_steps.stop, estate_steps.stopped, estate_steps.start_again, estate_steps.would_stop)
STEPS: Mapping[str, MachineStep] = {
    "prepare": MachineStep(v2_steps.prepare, undo=v2_steps.unprepare, rehearse=v2_steps.prepare),
    "rehearsed": MachineStep(v2_steps.find_rehearsal),
    "freeze": _STOP,
    "drain": MachineStep(estate_steps.drain, estate_steps.drained, rehearse=estate_steps.count_open),
    "quiesce": _STOP,
    "dump": MachineStep(data_steps.dump, data_steps.dumped, data_steps.forget_dump, data_steps.dump),
    "buckets": MachineStep(
        data_steps.copy_buckets,
        data_steps.buckets_are_equal,
        rehearse=data_steps.copy_buckets,
        rehearsal_check=data_steps.buckets_are_equal,
    ),
    "secrets": MachineStep(v2_steps.check_secrets, rehearse=v2_steps.check_secrets),
    "switch": _STOP,
    "deploy": MachineStep(v2_steps.deploy, v2_steps.deployed, v2_steps.take_down, v2_steps.preview),
    "restore": MachineStep(data_steps.restore, data_steps.restored, rehearse=data_steps.restore_scratch),
    "verify": MachineStep(v2_steps.verify, rehearse=v2_steps.estate_is_untouched),
    "retire": MachineStep(estate_steps.retire, estate_steps.retired),
    CLEAN: MachineStep(clean, rehearse=clean),
}
