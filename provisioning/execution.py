"""Carrying out a run: take the lease, check what was approved, run the engine in its child, verify, write the end. Called by tasks."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from blueprints.compose import read_stack
from blueprints.models import Blueprint
from blueprints.rendering import STACK, Rendering
from orgs.models import Organization
from provisioning import backup_actions, layers, leases, planning, secret_store, spares
from provisioning.clearing import clear
from provisioning.collect import collect
from provisioning.docker_door import docker_hands, docker_reader
from provisioning.engine_events import Event
from provisioning.host_edge import actions as host_edge
from provisioning.host_edge.claims import Shared, shared_of
from provisioning.inventory import counted, inventory_of, wrong_after
from provisioning.layers import EngineError
from provisioning.live import adopted_of, live_fingerprint
from provisioning.materials import all_state_copies, drop_old_folders, material, rendering_of, state_copies
from provisioning.models import Plan, Run, StackState
from provisioning.operations import Outcome, Request, Verb, run_operation
from provisioning.recorder import LeaseLostError, Recorder
from provisioning.review import drift
from provisioning.review.announcing import announce
from provisioning.review.observed import differences, mismatch_error
from provisioning.room import has_room_for_rows
from provisioning.states import PlanState, RunKind, RunState
from provisioning.verify_estate import verify_bundle
from sprocket_v2.errors import ApplyError, SprocketError, StaleError

MAX_DELIVERIES = 3
DIED = "died"  # how an outcome's error says that the engine, or a part of it, is gone
DEADLINE_S = {RunKind.PREVIEW: 300.0, RunKind.APPLY: 3000.0, RunKind.REFRESH: 600.0, RunKind.DESTROY: 1200.0, RunKind.DRIFT: 300.0}
AGAIN = "its events say where it ended: mend what they name, then ask for the same again; it goes on from there"
_log = logging.getLogger(__name__)


def execute_run(run_id: int, *, on_event: Callable[[Event], None] | None = None) -> None:
    """Carry out one run. A duplicate delivery, a foreign lease or a finished run is a no-op (rules 2, 15).

    Args:
        on_event: also told each event, for a command line that follows along.
    """
    run = Run.objects.select_related("organization", "plan", "blueprint").filter(pk=run_id).first()
    if run is None or run.state != RunState.QUEUED:
        return
    lease = leases.acquire(run.organization, leases.this_worker()) if has_room_for_rows(settings.DATABASES["default"]) else None
    if lease is None:
        Run.objects.filter(pk=run.pk, state=RunState.QUEUED).update(sent_at=None)  # the reconciler rings again
        return
    try:
        while _taken(run, lease):
            _Execution(run, lease, Recorder(run, lease, on_event)).to_the_end()
            if run.state != RunState.QUEUED:
                break
    finally:
        leases.release(lease)
        drop_old_folders(run.organization)
        spares.refill()


def _taken(run: Run, lease: leases.Lease) -> bool:
    """Queued to running, under our lease; False when there is nothing to do."""
    if run.cancel_requested:
        run.move(RunState.CANCELLED)
        return False
    if run.deliveries >= MAX_DELIVERIES:
        error = {
            "kind": "deliveries",
            "message": f"tried {run.deliveries} times without an end",
            "hint": AGAIN,
        }
        run.move(RunState.NEEDS_RECOVERY, error=error)
        return False
    return run.move(
        RunState.RUNNING,
        deliveries=F("deliveries") + 1,
        fencing=lease.fencing,
        worker=lease.owner,
        started=Now(),
        heartbeat=Now(),
        pid=None,
        mark="",
    )


class _Execution:
    """One run under one lease."""

    def __init__(self, run: Run, lease: leases.Lease, recorder: Recorder) -> None:
        self.run, self.lease, self.recorder = run, lease, recorder
        self.org = run.organization

    def to_the_end(self) -> None:
        """Do it and write the end, whatever it is. Only a lost lease ends without a word: somebody else writes then."""
        try:
            self._mend_states()
            getattr(self, f"_{self.run.kind}")()
        except LeaseLostError:
            _log.warning("run %s lost its lease", self.run.pk)
        except EngineError as error:
            if not self._goes_on(error.error):
                self._failed(error.error, is_certain=error.outcome.has_result)
        except SprocketError as error:
            kind = "stale" if isinstance(error, StaleError) else "refused"
            self._failed({"kind": kind, **error.as_dict()})
        except Exception as error:
            hint = "this is a fault of the control plane: please report it with the run's number"
            self._failed({"kind": "fault", "message": type(error).__name__, "hint": hint, "where": f"run {self.run.number}"})
            raise

    # Kinds

    def _preview(self) -> None:
        if self.run.blueprint is None:
            raise ApplyError("this run has no blueprint", hint="propose a blueprint again", where=f"run {self.run.number}")
        plan = planning.make_plan(
            org=self.org,
            blueprint=self.run.blueprint,
            author=self.run.requested_by,
            name=self._folder,
            operate=self._operate,
            say=self.recorder.say,
            prove=self._prove_lease,
        )
        if plan.is_empty:
            self._skip_apply(plan)
        self._ended(RunState.SUCCEEDED, plan=plan, changes=plan.changes)

    def _skip_apply(self, plan: Plan) -> None:
        """A plan without changes was looked at by the engine: what an apply would note is noted here, and nobody has to ask for one."""
        rendering = rendering_of(plan.blueprint)
        if secret_store.stack_state(self.org).applied_blueprint and planning.seen_live(self.org.slug, rendering) == plan.live_fingerprint:
            self._remember(
                applied_blueprint=plan.blueprint,
                applied_digest=plan.rendering_digest,
                state_digest=plan.state_digest,
                live_fingerprint=planning.seen_live(self.org.slug, rendering, with_tasks=True) or "",
            )

    def _apply(self) -> None:
        plan = self.run.plan
        if plan is None:
            raise ApplyError("the plan of this run is gone", hint="make a new plan", where=f"run {self.run.number}")
        try:
            is_first_try = self.run.deliveries == 1
            rendering = planning.recheck(plan, is_first_try=is_first_try)
            shared = shared_of(rendering.blueprint)
            host_edge.prepare(org=self.org, blueprint=rendering.blueprint, beat=self.recorder.beat, say=self.recorder.say)
            if planning.has_nothing_to_do(plan, rendering):
                self._nothing_to_do(plan, shared)
                return
            planning.refuse_unfit(self.org, rendering)
            with material(self.org, rendering, self._folder) as stuff:
                secret_store.make_ready(self.org, stuff.wanted, actor=self.run.requested_by)
                self._backup_first(plan, rendering)
                outcome, predicted = planning.apply_plan(
                    plan,
                    stuff,
                    self._operate,
                    is_first_try=is_first_try,
                    say=self.recorder.say,
                    after=lambda layer: self._collect(rendering, layer),
                )
        except StaleError as error:
            if not isinstance(error, LeaseLostError) and not error.transient:
                self._move_plan(plan, PlanState.STALE, reason=error.message)
            raise
        except EngineError as error:
            self._apply_failed(plan, error)
            raise
        self._applied(plan, rendering, outcome, differences(predicted, outcome.steps))

    def _refresh(self) -> None:
        blueprint = secret_store.stack_state(self.org).applied_blueprint
        outcome = self._without_plan("refresh", blueprint)
        self._remember(state_digest=outcome.state_digest, live_fingerprint="")
        self._ended(RunState.SUCCEEDED, changes=dict(outcome.changes))

    def _destroy(self) -> None:
        blueprint = secret_store.stack_state(self.org).applied_blueprint or self.run.blueprint or _last_tried(self.org)
        rendering = rendering_of(blueprint) if blueprint else None
        before = inventory_of(docker_reader(), self.org.slug, rendering)
        if rendering is None and not before.goes:
            raise ApplyError("nothing is deployed", hint="propose, approve and apply a blueprint first", where=self.org.slug)
        self.recorder.say(f"to go: {counted(before.goes)}; to stay: {counted(before.stays)}")
        host_edge.leave(org=self.org, beat=self.recorder.beat, say=self.recorder.say)
        outcome = self._without_plan("destroy", blueprint) if blueprint else Outcome(ok=True)
        left = inventory_of(docker_reader(), self.org.slug, rendering).goes
        clear(docker_hands(), left, beat=self.recorder.beat, say=self.recorder.say)
        wrong = wrong_after(before, inventory_of(docker_reader(), self.org.slug, rendering))
        self._remember(state_digest=outcome.state_digest, live_fingerprint="", applied_digest="", applied_blueprint=None, last_verdict=None)
        stale = Plan.objects.for_org(self.org).filter(state__in=[PlanState.PROPOSED, PlanState.APPROVED])
        stale.update(state=PlanState.STALE, reason="the deployment was removed meanwhile")
        changes = {**outcome.changes, **({"leftover": len(left)} if left else {})}
        if wrong:
            hint = "look at it (`docker service ls`, `docker volume ls`), then remove the deployment again: it takes what is left"
            more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
            self._ended(RunState.FAILED, error={"kind": "removal", "message": f"{wrong[0]}{more}", "hint": hint}, changes=changes)
            return
        self.recorder.say(f"looked: gone are {counted(before.goes)}; still there are {counted(before.stays)}")
        self._ended(RunState.SUCCEEDED, changes=changes)

    def _verify(self) -> None:
        blueprint = secret_store.stack_state(self.org).applied_blueprint
        if blueprint is None:
            raise ApplyError("nothing is deployed", hint="propose, approve and apply a blueprint first", where=self.org.slug)
        rendering = rendering_of(blueprint)
        verdict = verify_bundle(rendering, docker_reader(), beat=self.recorder.beat)
        self._remember(last_verdict=verdict.as_dict())
        if _has_backups(rendering):
            backup_actions.note(self.org)
        self._ended(RunState.SUCCEEDED, verdict=verdict.as_dict())

    def _drift(self) -> None:
        found = drift.look(self.org, self._folder, self._operate, self.recorder.say)
        with transaction.atomic():
            self._remember()  # nothing but that it is our lease
            drift.keep(self.org, self.run, found)
        self._ended(RunState.SUCCEEDED, changes={"drifted": len(found)} if found else {})

    # Parts of them

    @property
    def _folder(self) -> str:
        """One for each try: a worker that comes back late must not remove, or write over, what its successor reads."""
        return f"{self.run.pk}/{self.lease.fencing}-{self.run.deliveries}"

    def _operate(self, request: Request) -> Outcome:
        """One engine operation, followed to its end; raises EngineError when it did not go well."""
        copies = state_copies(self.org.slug, request.stack) if request.op != "preview" else None
        if copies:
            copies.open()
        outcome = run_operation(
            request,
            on_event=self.recorder.take,
            deadline_s=DEADLINE_S[RunKind(self.run.kind)],
            should_stop=self.recorder.should_stop,
            on_start=self._started if request.layer else self.recorder.started,
            spare=spares.current(),
        )
        self.recorder.flush()
        if copies and outcome.has_result:
            copies.settle()
        if not outcome.ok:
            raise EngineError(outcome)
        return outcome

    def _mend_states(self) -> None:
        """Nobody else works on these stacks now, so a state that is not the one the last operation left is a damaged one."""
        for copies in all_state_copies(self.org.slug):
            words = copies.mend()
            if words:
                self.recorder.say(words)

    def _started(self, pid: int, started: str, mark: str) -> None:
        """While one layer's child works, the next one's begins with its imports."""
        self.recorder.started(pid, started, mark)
        spares.refill()

    def _without_plan(self, op: Verb, blueprint: Blueprint | None) -> Outcome:
        if blueprint is None:
            raise ApplyError("nothing is deployed", hint="propose, approve and apply a blueprint first", where=self.org.slug)
        try:
            with material(self.org, rendering_of(blueprint), self._folder) as stuff:
                return layers.over_all(op, stuff, self._operate, say=self.recorder.say)
        except EngineError as error:
            self._remember(state_digest=error.outcome.state_digest, live_fingerprint="", applied_digest="")
            raise

    def _collect(self, rendering: Rendering, layer: str) -> None:
        if layer:
            collect(self.org, rendering, layer, docker_reader(), beat=self.recorder.beat, say=self.recorder.say)

    def _nothing_to_do(self, plan: Plan, shared: Shared | None) -> None:
        """Bundle, state and live objects are where the last apply left them: the engine stays off."""
        self.recorder.say("nothing has moved since the last apply: the engine was not needed")
        if shared:
            host_edge.join(org=self.org, shared=shared, beat=self.recorder.beat, say=self.recorder.say)
        self._move_plan(plan, PlanState.APPLIED)
        verdict = secret_store.stack_state(self.org).last_verdict
        self._ended(RunState.SUCCEEDED, verdict=verdict, changes=plan.changes)

    def _backup_first(self, plan: Plan, rendering: Rendering) -> None:
        """The database and what migrates it are not touched before a backup was tried."""
        if _has_backups(rendering) and STACK in rendering.files:
            services = read_stack(rendering.files[STACK], self.org.slug).services
            risky = [f"service/{key}" for key, service in services.items() if key == "postgres" or service.stage == "jobs"]
            said = backup_actions.before_apply(self.org, plan.steps, [*risky, "volume/postgres_data"], self.recorder.beat)
            if said:
                self.recorder.say(said)

    def _applied(self, plan: Plan, rendering: Rendering, outcome: Outcome, unlike: tuple[str, ...]) -> None:
        edge_error = self._join_edge(shared_of(rendering.blueprint))
        self.recorder.say("looking whether it works")
        verdict = verify_bundle(rendering, docker_reader(), beat=self.recorder.beat)
        self._remember(
            applied_blueprint=plan.blueprint,
            applied_digest=rendering.digest,
            state_digest=outcome.state_digest,
            live_fingerprint=live_fingerprint(docker_reader(), self.org.slug, adopted_of(rendering.files), with_tasks=True),
            last_verdict=verdict.as_dict(),
        )
        if _has_backups(rendering):
            backup_actions.note(self.org)
        self._move_plan(plan, PlanState.APPLIED)
        values: dict[str, Any] = {"verdict": verdict.as_dict(), "changes": dict(outcome.changes)}
        loud = mismatch_error(unlike, plan.number) if unlike else edge_error
        if loud:
            self._ended(RunState.FAILED, error=loud, **values)
            return
        if verdict.runs == "failed":
            error = {"kind": "verdict", "message": f"applied, but it {verdict.runs_text}", "hint": "the checks below say what to look at"}
            self._ended(RunState.FAILED, error=error, **values)
            return
        self._ended(RunState.SUCCEEDED, **values)

    def _join_edge(self, shared: Shared | None) -> dict[str, Any] | None:
        """Behind the host's edge, where it shares the entry ports; else, or when that went well, None. What was applied stays."""
        if shared is None:
            return None
        try:
            host_edge.join(org=self.org, shared=shared, beat=self.recorder.beat, say=self.recorder.say)
        except LeaseLostError:
            raise
        except SprocketError as error:
            return {"kind": "edge", **error.as_dict()}
        return None

    def _apply_failed(self, plan: Plan, error: EngineError) -> None:
        moved = error.outcome.state_digest != plan.state_digest
        if error.error.get("kind") != DIED and (error.error.get("kind") == "stale" or moved):
            reason = error.error["message"] if not moved else "its apply ended half-way; what was done stays"
            self._move_plan(plan, PlanState.STALE, reason=reason)
        self._remember(state_digest=error.outcome.state_digest, live_fingerprint="", applied_digest="")

    def _move_plan(self, plan: Plan, state: PlanState, *, reason: str = "") -> None:
        """Move the plan, under our lease only: whoever took the stack over may be applying it."""
        with transaction.atomic():
            self._prove_lease()
            plan.move(state, reason=reason)

    def _prove_lease(self) -> None:
        if not self.run.write(under=self.lease.fencing, heartbeat=Now()):
            raise LeaseLostError("the lease is lost", hint="another worker took the stack over")

    def _remember(self, **values: Any) -> None:  # noqa: ANN401 - columns of StackState
        """Note what is known of the stack, under our lease only."""
        with transaction.atomic():
            self._prove_lease()
            secret_store.stack_state(self.org)
            StackState.objects.for_org(self.org).update(updated=Now(), **values)

    # Ends

    def _goes_on(self, error: dict[str, Any]) -> bool:
        """Whether it is tried again at once, under the same lease: the engine died, which is nobody's mistake, and tries are left."""
        self.run.refresh_from_db()
        if error.get("kind") != DIED or self.run.deliveries >= MAX_DELIVERIES:
            return False
        try:
            self.recorder.say(f"{error['message']}: it goes on, try {self.run.deliveries + 1} of {MAX_DELIVERIES}")
        except LeaseLostError:
            return True  # somebody else goes on
        return self.run.move(RunState.QUEUED, under=self.lease.fencing, sent_at=Now(), pid=None, mark="")

    def _failed(self, error: dict[str, Any], *, is_certain: bool = True) -> None:
        self.run.refresh_from_db()
        if self.run.state == RunState.CANCELLING and error.get("kind") == DIED:
            self._ended(RunState.CANCELLED, error={**error, "kind": "cancelled"})
        elif not is_certain and self.run.kind in {RunKind.APPLY, RunKind.REFRESH, RunKind.DESTROY}:
            self._ended(RunState.NEEDS_RECOVERY, error=error)
        elif error.get("kind") == "cancelled":
            self._ended(RunState.CANCELLED, error=error)
        else:
            self._ended(RunState.FAILED, error=error)

    def _ended(self, state: RunState, **values: Any) -> None:  # noqa: ANN401 - columns of Run
        """Write the end. A cancel that came too late is overtaken by what really happened."""
        try:
            self.recorder.flush()
        except LeaseLostError:
            return
        self.run.refresh_from_db()
        if state == RunState.CANCELLED and self.run.state == RunState.RUNNING:
            self.run.move(RunState.CANCELLING, under=self.lease.fencing)
        moved = self.run.move(state, under=self.lease.fencing, pid=None, **values)
        if not moved:
            self.run.refresh_from_db()
            moved = self.run.move(state, under=self.lease.fencing, pid=None, **values)
        if moved and self.run.plan and self.run.kind == RunKind.APPLY and state in (RunState.FAILED, RunState.NEEDS_RECOVERY):
            announce(self.run.plan, "failed", (self.run.error or {}).get("message", ""))


def _has_backups(rendering: Rendering) -> bool:
    return any(part["name"] == "backup" for part in rendering.blueprint.get("components", ()))


def _last_tried(org: Organization) -> Blueprint | None:
    """The blueprint of the newest apply: one that failed half-way has left things that can be removed."""
    run = Run.objects.for_org(org).filter(kind=RunKind.APPLY, plan__isnull=False).order_by("-pk").first()
    return run.plan.blueprint if run and run.plan else None
