"""What a person can do with plans and runs: keyword-only, typed, one transaction each, the only writers besides the worker.

Roles are asked of orgs.access. A run is a row first; the task that rings the worker is sent after the commit (rule 1).
"""

from __future__ import annotations

import hashlib
import json
import logging
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.db import transaction
from django.db.models.functions import Now

from blueprints.models import Blueprint
from blueprints.rendering import Rendering
from orgs import access
from orgs.actions import record
from orgs.models import Organization
from provisioning import execution, layers, planning, secret_store
from provisioning.docker_door import docker_reader
from provisioning.engine_events import Event
from provisioning.host_edge import actions as host_edge
from provisioning.layers import EngineError, Operate
from provisioning.materials import Basis, material, rendering_of
from provisioning.models import Plan, Run, StackState, next_number
from provisioning.operations import Outcome, Request, run_operation
from provisioning.review import decisions
from provisioning.states import FINISHED, PlanState, RunKind, RunState
from provisioning.verdict import Verdict
from provisioning.verify_estate import verify_bundle
from provisioning.virtual_ips import virtual_ip_warning
from sprocket_v2.errors import ApplyError, PreviewError, SprocketError, StaleError

_log = logging.getLogger(__name__)
OnEvent = Callable[[Event], None]
approve, withdraw = decisions.approve, decisions.withdraw  # actions like the others: callers find them here
NEEDS_PERMISSION = {
    RunKind.PREVIEW: "propose",
    RunKind.APPLY: "apply",
    RunKind.REFRESH: "apply",
    RunKind.DESTROY: "destroy",
    RunKind.VERIFY: "read",
    RunKind.DRIFT: "read",
}


class KeyReusedError(ApplyError):
    """An idempotency key came again with another request (rule 8); a page answers 422."""


@dataclass(frozen=True, slots=True)
class PreviewResult:
    """What an apply would do.

    Attributes:
        basis: `empty-host` when it was made without an engine; then everything is a *create*.
        missing: names of secrets somebody still has to bring before an apply.
        edge: what happens to the host's edge, in words; empty where the deployment has nothing to do with it.
        warning: what will not work on this machine, in words; empty where nothing is known to be in its way.
    """

    basis: Basis
    changes: Mapping[str, int]
    steps: tuple[Mapping[str, Any], ...]
    missing: tuple[str, ...]
    duration_s: float
    edge: str = ""
    warning: str = ""

    @property
    def has_changes(self) -> bool:
        """Whether an apply would do anything."""
        return bool(self.steps)


def preview_now(*, org: Organization, rendering: Rendering, on_event: OnEvent | None = None) -> PreviewResult:
    """Preview a rendering in this process's own child; leaves no row.

    Raises:
        PreviewError: the engine could not say.
    """
    basis: Basis = "live" if planning.seen_live(org.slug, rendering) is not None else "empty-host"
    effect = host_edge.effect_of(org, rendering.blueprint)
    planning.refuse_unfit_layers(org, rendering)
    name = f"preview-{secrets.token_hex(6)}"
    with material(org, rendering, name) as stuff:
        refresh = basis == "live" and planning.may_have_drifted(org, rendering)
        try:
            outcome = layers.preview(stuff, _operate(on_event), basis=basis, keeps_plan=False, refresh=refresh).outcome
        except EngineError as error:
            raise _error_from(PreviewError, error.error) from None
        finally:
            shutil.rmtree(stuff.run_dir, ignore_errors=True)
        missing = tuple(item.name for item in secret_store.missing_secrets(org, stuff.wanted))
    words, warning = effect.words if effect else "", virtual_ip_warning(rendering)
    return PreviewResult(basis, outcome.changes, outcome.steps, missing, outcome.duration_s, words, warning)


def _operate(on_event: OnEvent | None) -> Operate:
    """One engine operation in this process's own child."""

    def operate(request: Request) -> Outcome:
        outcome = run_operation(request, on_event=on_event or (lambda _: None), deadline_s=execution.DEADLINE_S[RunKind.PREVIEW])
        if not outcome.ok:
            raise EngineError(outcome)
        return outcome

    return operate


def propose(*, org: Organization, blueprint: Blueprint, actor: Any, on_event: OnEvent | None = None) -> Plan:  # noqa: ANN401 - rows
    """Preview a blueprint here and now, and keep it as a plan.

    Raises:
        DeniedError, ApplyError (a secret is missing), PreviewError, StaleError (somebody works on the stack).
    """
    return plan_from(request_run(org=org, kind=RunKind.PREVIEW, actor=actor, blueprint=blueprint, ring=False), on_event=on_event)


def plan_from(run: Run, *, on_event: OnEvent | None = None) -> Plan:
    """Carry a preview out here and now; the plan it makes.

    Raises:
        ApplyError, PreviewError, StaleError: it made none, in the run's own words.
    """
    done = run_here(run, on_event=on_event)
    if done.plan is None:
        raise _error_from(PreviewError, done.error)
    return done.plan


def apply(*, plan: Plan, actor: Any, idempotency_key: str = "", ring: bool = True) -> Run:  # noqa: ANN401
    """Ask for an approved plan to be applied; while its run is not finished, asking again gives that run.

    A run that needs recovery goes on from where it is, with two more tries.
    """
    org = plan.organization
    access.require(actor, org, "apply")
    known = _known(org, idempotency_key, _digest_of(RunKind.APPLY, None, plan))
    if known:
        return known
    missing = decisions.missing_yes(plan) if plan.state in (PlanState.PROPOSED, PlanState.APPROVED) else ""
    if plan.state != PlanState.APPROVED or missing:
        hint = plan.reason or missing or ("approve it first" if plan.state == PlanState.PROPOSED else "make a new plan")
        raise StaleError(f"the plan is {plan.state}, not approved", hint=hint, where=f"plan {plan.number}")
    with transaction.atomic():
        Organization.objects.select_for_update().get(pk=org.pk)  # a double click waits here, and finds the first one's run
        open_run: Run | None = Run.objects.for_org(org).filter(plan=plan, kind=RunKind.APPLY).exclude(state__in=FINISHED).first()
        if open_run is None:
            return request_run(org=org, kind=RunKind.APPLY, actor=actor, plan=plan, idempotency_key=idempotency_key, ring=ring)
        if open_run.state == RunState.NEEDS_RECOVERY and open_run.move(
            RunState.QUEUED, deliveries=1, error=None, cancel_requested=False, sent_at=None if ring else Now()
        ):
            record(org=org, actor=actor, what="apply asked for again", detail=f"run {open_run.number}", via="web" if ring else "cli")
            if ring:
                transaction.on_commit(partial(ring_for, open_run.pk))
    return open_run


def destroy(*, org: Organization, actor: Any, idempotency_key: str = "", ring: bool = True) -> Run:  # noqa: ANN401
    """Ask for the deployment to be removed; volumes that are to be kept stay."""
    return request_run(org=org, kind=RunKind.DESTROY, actor=actor, idempotency_key=idempotency_key, ring=ring)


def is_deployed(org: Organization) -> bool:
    """Whether something was applied and not destroyed since, even half-way."""
    last = Run.objects.for_org(org).filter(kind__in=[RunKind.APPLY, RunKind.DESTROY]).first()
    return last is not None and not (last.kind == RunKind.DESTROY and last.state == RunState.SUCCEEDED)


def request_run(
    *,
    org: Organization,
    kind: str,
    actor: Any,  # noqa: ANN401
    blueprint: Blueprint | None = None,
    plan: Plan | None = None,
    idempotency_key: str = "",
    ring: bool = True,
) -> Run:
    """Write a run's row and, after the commit, ring the worker.

    Args:
        kind: preview (needs `blueprint`), apply (needs `plan`), refresh, destroy, verify or drift.
        ring: False when the caller carries it out itself with `run_here`.
    Raises:
        DeniedError: the person may not. KeyReusedError: the key came with another request before.
    """
    access.require(actor, org, NEEDS_PERMISSION[RunKind(kind)])
    for thing in (blueprint, plan):
        if thing is not None and thing.organization_id != org.pk:
            raise ApplyError("belongs to another organization", hint="choose one of this organization's", where=org.slug)
    digest = _digest_of(kind, blueprint, plan)
    with transaction.atomic():
        known = _known(org, idempotency_key, digest)
        if known:
            return known
        run = Run.objects.create(
            organization=org,
            number=next_number(Run, org),
            kind=kind,
            blueprint=blueprint or (plan.blueprint if plan else None),
            plan=plan,
            requested_by=actor,
            idempotency_key=idempotency_key,
            request_digest=digest,
            sent_at=None if ring else Now(),
        )
        record(org=org, actor=actor, what=f"{kind} asked for", detail=f"run {run.number}", via="web" if ring else "cli")
        if ring:
            transaction.on_commit(partial(ring_for, run.pk))
    run.refresh_from_db()
    return run


def run_here(run: Run, *, on_event: OnEvent | None = None) -> Run:
    """Carry a run out in this process, for the command line: the same execution as a worker's.

    Raises:
        StaleError: somebody else works on the stack; the run is withdrawn.
    """
    execution.execute_run(run.pk, on_event=on_event)
    run = Run.objects.select_related("plan", "organization", "blueprint").get(pk=run.pk)
    if run.state == RunState.QUEUED:
        run.move(
            RunState.CANCELLED,
            error={"kind": "busy", "message": "somebody else works on this stack", "hint": "wait for that run, then try again"},
        )
        raise StaleError(
            "somebody else works on this stack",
            hint="`sprocket runs` shows who; try again when it is done",
            where=run.organization.slug,
            transient=True,
        )
    return run


def cancel(*, run: Run, actor: Any) -> Run:  # noqa: ANN401
    """Ask a run to stop: a waiting one never starts, a running one finishes the step in hand (rule 4)."""
    access.require(actor, run.organization, NEEDS_PERMISSION[RunKind(run.kind)])
    words = "given up; what is done stays done" if run.state == RunState.NEEDS_RECOVERY else "cancelled before it began"
    if run.move(RunState.CANCELLED, error={"kind": "cancelled", "message": words, "hint": ""}):
        return run
    Run.objects.filter(pk=run.pk).exclude(state__in=FINISHED).update(cancel_requested=True)
    run.refresh_from_db()
    if run.state == RunState.RUNNING:
        run.move(RunState.CANCELLING)
    run.refresh_from_db()
    return run


def verify_now(*, org: Organization) -> Verdict:
    """Look at the deployment here and now; the verdict is kept as the stack's latest.

    Raises:
        VerifyError, ApplyError: Docker cannot be read, or nothing is deployed.
    """
    state = StackState.objects.for_org(org).select_related("applied_blueprint").first()
    if state is None or state.applied_blueprint is None:
        raise ApplyError("nothing is deployed", hint="propose, approve and apply a blueprint first", where=org.slug)
    rendering = rendering_of(state.applied_blueprint)
    verdict = verify_bundle(rendering, docker_reader())
    StackState.objects.for_org(org).update(last_verdict=verdict.as_dict())
    return verdict


def ring_for(run_id: int) -> bool:
    """Send the task of a run that waits unsent; False when the broker did not take it (the reconciler tries again)."""
    from provisioning.tasks import execute  # Celery is not needed by a command line that carries out its own runs

    if not Run.objects.filter(pk=run_id, state=RunState.QUEUED, sent_at=None).update(sent_at=Now()):
        return False
    try:
        execute.delay(run_id)
    except Exception as error:
        _log.warning("run %s was not sent: %s", run_id, type(error).__name__)
        Run.objects.filter(pk=run_id, state=RunState.QUEUED).update(sent_at=None)
        return False
    return True


def _known(org: Organization, key: str, digest: str) -> Run | None:
    """The run an earlier request with this key made."""
    run = Run.objects.for_org(org).filter(idempotency_key=key).first() if key else None
    if run and run.request_digest != digest:
        raise KeyReusedError("this key was used for another request", hint="reload the page and try again", where=f"run {run.number}")
    return run


def _digest_of(kind: str, blueprint: Blueprint | None, plan: Plan | None) -> str:
    text = json.dumps([str(kind), blueprint.pk if blueprint else None, plan.pk if plan else None])
    return hashlib.sha256(text.encode()).hexdigest()


def _error_from(kind: type[SprocketError], error: Mapping[str, Any] | None) -> SprocketError:
    """A run's stored error as an exception again."""
    data = error or {"message": "ended without a reason", "hint": "look at the run's events"}
    wanted: type[SprocketError] = {"stale": StaleError, "conflict": StaleError}.get(str(data.get("kind")), kind)
    return wanted(str(data["message"]), hint=str(data.get("hint", "")), where=str(data.get("where", "")))
