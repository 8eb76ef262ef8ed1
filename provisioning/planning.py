"""Plans: made by a preview, rechecked before an apply, applied as approved (D5, rule 7). Called under a run's lease."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import transaction

from blueprints.layers import layers_of
from blueprints.models import Blueprint
from blueprints.rendering import MANIFEST, STACK, Rendering
from orgs.models import Organization
from provisioning import layers, secret_store
from provisioning.certificates import refuse_wrong_pairs
from provisioning.docker_door import docker_reader
from provisioning.host_edge.actions import effect_of
from provisioning.layers import Between, Operate, Say, nothing
from provisioning.live import adopted_of, live_fingerprint
from provisioning.materials import Basis, Material, has_state, known_state_digest, material, rendering_of, secret_versions_of
from provisioning.models import Plan, Run, StackState, next_number
from provisioning.operations import Outcome
from provisioning.preflight.result import Result, gathered, refuse_blocks
from provisioning.review.announcing import told_of
from provisioning.review.binding import plan_digest, refuse_moved, seen_now
from provisioning.review.facts import look_at_host, review_of
from provisioning.review.parts import stale_words
from provisioning.states import PlanState, RunKind, RunState
from provisioning.virtual_ips import virtual_ip_warning
from sprocket_v2.errors import PreviewError, SprocketError, StaleError

SINGLE = (("", STACK),)
_NEW_PLAN = "make a new plan and approve that"


def make_plan(
    *,
    org: Organization,
    blueprint: Blueprint,
    author: Any,  # noqa: ANN401 - rows
    name: str,
    operate: Operate,
    say: Say = nothing,
    prove: Callable[[], None] = lambda: None,
) -> Plan:
    """Preview a blueprint and keep what was seen as a plan; without an engine against an empty host, and the plan says so.

    Args:
        name: of the run's folder.
        operate: runs one engine operation to its end.
        say: told which of several stacks it is about.
        prove: raises when the stack is somebody else's by now; asked in the transaction that keeps the plan.
    Raises:
        ApplyError: a secret is missing; nothing was started. PreviewError: an existing service, or the bundle's own stacks, are not fit.
    """
    rendering = rendering_of(blueprint)
    live = seen_live(org.slug, rendering)
    basis: Basis = "live" if live is not None else "empty-host"
    effect = effect_of(org, rendering.blueprint)
    edge = effect.as_dict() if effect else {}
    secret_store.make_ready(org, secret_store.wanted_secrets(rendering.secrets), actor=author)
    _refuse_wrong_certificates(org, rendering)
    checks = [*_looked_outside(org, rendering), *(look_at_host(org, rendering) if basis == "live" else ())]
    refuse_blocks(gathered([check for check in checks if not check.key.startswith("host/")]))  # the machine may be mended until the apply
    if basis == "live" and nothing_moved(org, rendering):
        digest = secret_store.stack_state(org).state_digest
        review = review_of(org, blueprint, rendering, drift=(), checks=checks)
        return _store(
            org,
            blueprint,
            rendering,
            author,
            state_digest=digest,
            live=live or "",
            changes={},
            steps=[],
            edge=edge,
            review=review,
            prove=prove,
        )
    refuse_unfit_layers(org, rendering)
    warning = virtual_ip_warning(rendering) if basis == "live" else ""
    if warning:
        say(warning)
        checks.append(Result("host/virtual-ips", "warn", f"{warning}."))
    drift: Sequence[Mapping[str, Any]] = ()
    with material(org, rendering, name) as stuff:
        if basis == "live" and may_have_drifted(org, rendering):
            drift = layers.over_all("refresh", stuff, operate, say=say).steps
        seen = layers.preview(stuff, operate, basis=basis, say=say)
    outcome = seen.outcome
    return _store(
        org,
        blueprint,
        rendering,
        author,
        state_digest=outcome.state_digest,
        live=live or "",
        changes=dict(outcome.changes),
        steps=[dict(step) for step in outcome.steps],
        basis=basis,
        engine_plan=seen.engine_plan,
        edge=edge,
        review=review_of(org, blueprint, rendering, drift=drift, checks=checks),
        prove=prove,
    )


def refuse_unfit_layers(org: Organization, rendering: Rendering) -> None:
    """Look at the stacks themselves: what they ask of each other is there, and none that was applied would be left behind.

    Raises:
        PreviewError: names the first thing that does not fit.
    """
    if rendering.stacks != SINGLE:
        layers_of(rendering)
    there = what_is_there(org)
    if there is None:
        return
    names = {name for name, _ in rendering.stacks}
    for name, file in Rendering({MANIFEST: there.files.get(path=MANIFEST).text}).stacks:
        if name not in names:
            raise PreviewError(
                f"the deployment's stack {name or org.slug!r} is not in this blueprint, and would be left behind",
                hint=f"remove the deployment first (`sprocket destroy {org.slug}`), or make another organization for this blueprint",
                where=file,
            )


def what_is_there(org: Organization) -> Blueprint | None:
    """The blueprint whose objects are there: the applied one, else one whose apply failed half-way and that was not removed since."""
    state: StackState | None = StackState.objects.for_org(org).select_related("applied_blueprint").first()
    applied: Blueprint | None = state.applied_blueprint if state else None
    if applied:
        return applied
    last: Run | None = (
        Run.objects.for_org(org).filter(kind__in=[RunKind.APPLY, RunKind.DESTROY], plan__isnull=False).order_by("-pk").first()
    )
    removed = Run.objects.for_org(org).filter(kind=RunKind.DESTROY, state=RunState.SUCCEEDED).order_by("-pk").first()
    if last is None or last.plan is None or (removed and removed.pk > last.pk):
        return None
    tried: Blueprint = last.plan.blueprint
    return tried


def _refuse_wrong_certificates(org: Organization, rendering: Rendering) -> None:
    brought = [item for item in secret_store.wanted_secrets(rendering.secrets) if item.name.removesuffix("-key").endswith("-certificate")]
    if brought:
        values = {f"{org.slug}/{item.name}@{item.version}": item.name for item in brought}
        opened = {values[reference]: value for reference, value in secret_store.values_for(org, brought).items()}
        refuse_wrong_pairs(rendering.blueprint["access"]["ways"], opened)


def refuse_unfit(org: Organization, rendering: Rendering) -> None:
    """Look at the machine, and at the services outside that the rendering leans on; nothing is asked where there are none.

    Raises:
        PreviewError: what keeps it from being deployed, in the preflight's words.
    """
    refuse_blocks(gathered([*_looked_outside(org, rendering), *look_at_host(org, rendering)]))


def _looked_outside(org: Organization, rendering: Rendering) -> list[Result]:
    if not rendering.blueprint.get("existing"):
        return []
    from provisioning.preflight.look import existing  # its libraries are needed by few

    return existing(org, rendering)


def recheck(plan: Plan, *, is_first_try: bool) -> Rendering:
    """The plan's rendering, when everything is still what was approved; the state itself is rechecked by the engine's child.

    Args:
        is_first_try: False after an interrupted try, whose own doing has moved objects and state.
    Raises:
        StaleError: names what has moved. Nothing was changed.
    """
    where = f"plan {plan.number}"
    if plan.basis != "live":
        raise StaleError(
            "this plan was made against an empty host, without an engine", hint="make a new plan where Docker runs", where=where
        )
    if plan.state != PlanState.APPROVED:
        raise StaleError(f"the plan is {plan.state}, not approved", hint=plan.reason or "approve it first", where=where)
    rendering = rendering_of(plan.blueprint)
    live = seen_live(plan.organization.slug, rendering)
    if live is None:
        raise StaleError("Docker cannot be reached now", hint="`sprocket doctor` says why; then apply again", where=where, transient=True)
    refuse_moved(plan, rendering, live, is_first_try=is_first_try)
    return rendering


def has_nothing_to_do(plan: Plan, rendering: Rendering) -> bool:
    """Whether the plan has no step, and bundle, state and live objects are where the last apply left them."""
    return not plan.steps and nothing_moved(plan.organization, rendering)


def nothing_moved(org: Organization, rendering: Rendering) -> bool:
    """Compare with what the last apply noted: bundle digest, the state's digest, names, ids, versions and tasks of live objects."""
    state: StackState | None = StackState.objects.for_org(org).first()
    if state is None or not state.live_fingerprint or state.applied_digest != rendering.digest:
        return False
    if not state.state_digest or known_state_digest(org.slug, _names(rendering)) != state.state_digest:
        return False
    return seen_live(org.slug, rendering, with_tasks=True) == state.live_fingerprint


def may_have_drifted(org: Organization, rendering: Rendering) -> bool:
    """Whether there is a state, and the live objects are not as the last operation noted them: then the state has to be read anew,
    or the preview would call *same* what somebody removed by hand."""
    state: StackState | None = StackState.objects.for_org(org).first()
    if state is None or not has_state(org.slug, _names(rendering)):
        return False
    return not state.live_fingerprint or seen_live(org.slug, rendering, with_tasks=True) != state.live_fingerprint


def _names(rendering: Rendering) -> list[str]:
    return [name for name, _ in rendering.stacks]


def apply_plan(
    plan: Plan, stuff: Material, operate: Operate, *, is_first_try: bool, say: Say = nothing, after: Between = nothing
) -> tuple[Outcome, Sequence[Mapping[str, Any]]]:
    """Apply exactly what was approved; the outcome, and the steps that were predicted for this try.

    A first try needs the state and the live objects that were approved. After an interrupted try both have moved by what it had
    done: then the rest is previewed again, and has to be part of what was approved.

    Raises:
        StaleError: something else would happen.
    """
    engine_plan, state_digest = plan.engine_plan, plan.state_digest
    if is_first_try:
        refuse_moved_objects(plan, stuff.rendering)
        _refuse_moved_states(plan, stuff)
        predicted: Sequence[Mapping[str, Any]] = plan.steps
    else:
        rest = layers.preview(stuff, operate, say=say, holds_lease=True)
        refuse_other_steps(plan.steps, rest.outcome.steps)
        engine_plan, state_digest, predicted = rest.engine_plan, rest.outcome.state_digest, rest.outcome.steps
    return layers.apply(stuff, operate, engine_plan, state_digest, say=say, after=after), predicted


def _refuse_moved_states(plan: Plan, stuff: Material) -> None:
    """A plan of several stacks without a step was made without the engine, so no engine plan of theirs holds their digests."""
    if not plan.engine_plan and len(stuff.layers) > 1 and known_state_digest(stuff.org.slug, stuff.layers) != plan.state_digest:
        raise StaleError(stale_words(("the engine's state",)), hint=_NEW_PLAN, where=f"plan {plan.number}")


def refuse_moved_objects(plan: Plan, rendering: Rendering) -> None:
    """Raise StaleError when a Docker object was changed, made or removed since the plan was made."""
    if seen_live(plan.organization.slug, rendering) != plan.live_fingerprint:
        raise StaleError(
            stale_words(("the running objects",)), hint=f"somebody changed them by hand: {_NEW_PLAN}", where=f"plan {plan.number}"
        )


def refuse_other_steps(approved: list[Mapping[str, Any]], rest: tuple[Mapping[str, Any], ...]) -> None:
    """Raise StaleError when the rest of an interrupted apply has a step nobody approved.

    What was approved as *create* or *replace* may by now be there and need an update; nothing else may differ.
    """
    allowed = {str(step["resource"]): str(step["op"]) for step in approved}
    for step in rest:
        was, now = allowed.get(str(step["resource"])), str(step["op"])
        if was != now and not (was in {"create", "replace"} and now in {"create", "update", "replace", "delete"}):
            raise StaleError(f"{now} {step['resource']} is left to do, and was not approved", hint=_NEW_PLAN, where=str(step["resource"]))


def seen_live(slug: str, rendering: Rendering, *, with_tasks: bool = False) -> str | None:
    """The fingerprint of the organization's live objects, those included that the rendering adopts; None when Docker cannot be reached."""
    try:
        return live_fingerprint(docker_reader(), slug, adopted_of(rendering.files), with_tasks=with_tasks)
    except SprocketError:
        return None


def _store(
    org: Organization,
    blueprint: Blueprint,
    rendering: Rendering,
    author: Any,  # noqa: ANN401
    *,
    state_digest: str,
    live: str,
    changes: dict[str, int],
    steps: list[dict[str, Any]],
    edge: dict[str, Any],
    review: dict[str, Any],
    prove: Callable[[], None],
    basis: Basis = "live",
    engine_plan: str = "",
) -> Plan:
    facts = rendering.blueprint
    with transaction.atomic():
        prove()
        plan = Plan(
            organization=org,
            number=next_number(Plan, org),
            blueprint=blueprint,
            needs_digest=facts["needs_digest"],
            rendering_digest=rendering.digest,
            template_release=facts["template_release"],
            engine_plan=engine_plan,
            state_digest=state_digest,
            secret_versions=dict(secret_versions_of(rendering)),
            live_fingerprint=live,
            basis=basis,
            changes=changes,
            steps=steps,
            edge=edge,
            seen=seen_now(org, rendering),
            review=review,
            author=author,
        )
        plan.digest = plan_digest(plan)
        plan.state = PlanState.APPROVED if plan.is_empty else PlanState.PROPOSED
        plan.save()
        told_of(plan)
    return plan
