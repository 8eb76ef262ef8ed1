"""What a person can do with migrations: say what v2 is to be, plan, rehearse, start, pause, resume, go back, confirm. The only writers besides the runner."""

from __future__ import annotations

import io
from functools import partial
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Max
from django.db.models.functions import Now
from ruamel.yaml import YAML

from blueprints.actions import draw, resolve_needs
from blueprints.compose import read_stack
from blueprints.estate.ledger import migration_rows
from blueprints.estate_actions import ledger_of, newest_import
from blueprints.migration.model import PERMISSION, MigrationPlan, Row, StepPlan
from blueprints.migration.plan import plan_migration
from blueprints.migration.source import FILE, NEEDS_FILE, Source, parse_source
from blueprints.migration.suggest import suggest_needs
from blueprints.rendering import STACK
from orgs import access
from orgs import actions as org_actions
from orgs.models import Organization
from orgs.needs import Needs
from orgs.needs_file import needs_digest, parse_needs
from provisioning import secret_store
from provisioning.migration import runner
from provisioning.migration.registry import CLEAN
from provisioning.migration.rows import Migration, MigrationStep
from provisioning.migration.states import AT_REST, ENDED, MigrationState, StepState, is_past_return, next_forward
from sprocket_v2.errors import ApplyError, NeedsError, StaleError

MAY_BE_ACCEPTED = frozenset({"drain", "rehearsed"})  # what a person may go on without, with a reason
_CLEAN = StepPlan(
    CLEAN,
    "Remove the copy",
    "Removes the scratch container, its data and the copied objects.",
    "machine",
    "Nothing of the rehearsal is left.",
    "",
)


def rows_of(org: Organization) -> tuple[Row, ...]:
    """The rows of an organization's ledger, decisions included; none where nothing was imported."""
    ledger = ledger_of(org)
    return migration_rows(ledger) if ledger else ()


def has_estate(org: Organization) -> bool:
    """Whether there is something to move."""
    return newest_import(org) is not None


def source_of(org: Organization) -> Source | None:
    """Where the estate's data is; None while nobody has said so."""
    text = org_actions.attachments_of(org).get(FILE)
    return parse_source(text.decode()) if text else None


def target_needs(org: Organization) -> Needs | None:
    """v2's needs as they were settled; None while nobody has."""
    text = org_actions.attachments_of(org).get(NEEDS_FILE)
    return parse_needs(text.decode(), NEEDS_FILE) if text else None


def suggested(org: Organization) -> dict[str, Any]:
    """Needs that fit the estate, for an admin to edit."""
    slug = f"{org.slug[:17]}-v2"
    return suggest_needs(rows_of(org), slug=slug, name=org.name, source=source_of(org))


def suggested_text(org: Organization) -> str:
    """The same as a needs file."""
    text = io.StringIO()
    YAML().dump(suggested(org), text)
    return text.getvalue()


def settle(*, org: Organization, actor: Any, needs_text: str = "", source_text: str = "", via: str = "web") -> None:  # noqa: ANN401 - rows
    """Say what v2 is to be and where the estate's data is. Makes v2's organization, so that its secrets can be typed in; deploys nothing.

    Raises:
        DeniedError, NeedsError: not acceptable, or the slug is somebody else's.
    """
    access.require(actor, org, "destroy")
    with transaction.atomic():
        if source_text:
            parse_source(source_text)
            org_actions.attach(org=org, name=FILE, content=source_text.encode(), actor=actor)
        if needs_text:
            needs = parse_needs(needs_text, NEEDS_FILE)
            if needs.slug == org.slug:
                raise NeedsError(
                    f"slug {needs.slug} is the estate's own", hint="both run beside each other for a while: choose another", where="slug"
                )
            target = Organization.objects.filter(slug=needs.slug).first()
            target = target or org_actions.create_organization(slug=needs.slug, name=needs.name, actor=actor, via=via)
            _require_target(actor, target)
            org_actions.set_needs(org=target, actor=actor, text=needs_text, message=f"migration of {org.slug}", via=via)
            org_actions.attach(org=org, name=NEEDS_FILE, content=needs_text.encode(), actor=actor)
        org_actions.record(org=org, actor=actor, what="migration settled", detail="needs" if needs_text else "source", via=via)


def _require_target(actor: Any, target: Organization) -> None:  # noqa: ANN401
    """Somebody else's organization looks as if the slug were taken."""
    if not access.may(actor, target, "destroy"):
        raise NeedsError(f"slug {target.slug} is taken", hint="choose another", where="slug")


def set_copy_secret(*, org: Organization, name: str, value: str, actor: Any, via: str = "web") -> int:  # noqa: ANN401
    """Keep a password the copy needs, sealed; its version.

    Raises:
        DeniedError. ApplyError: too short, or not one the copy needs.
    """
    access.require(actor, org, "secrets")
    source = source_of(org)
    if source is None or name not in source.secrets:
        wanted = ", ".join(source.secrets) if source else "none before the source is described"
        raise ApplyError(f"the copy needs no secret {name!r}", hint=f"one of: {wanted}", where=name)
    return secret_store.set_secret(org=org, name=name, value=value, actor=actor, via=via).version


def plan_of(*, org: Organization, needs: Needs | None = None) -> MigrationPlan:
    """The plan as things are now. Leaves no row.

    Args:
        needs: for a look at what others would give; else those that were settled.
    Raises:
        NeedsError: nothing was settled.
    """
    needs = needs or target_needs(org)
    if needs is None:
        hint = f"`sprocket migrate suggest {org.slug} > v2.yaml`, edit it, then `sprocket migrate plan {org.slug} --to v2.yaml`"
        raise NeedsError("nobody has said yet what v2 is to be", hint=hint, where=org.slug)
    target = Organization.objects.filter(slug=needs.slug).first() or Organization(slug=needs.slug, name=needs.name)
    known = {*secret_store.secret_versions(org), *(secret_store.secret_versions(target) if target.pk else ())}
    basis = target if target.pk else org
    stack = read_stack(draw(org=basis, needs=needs).files[STACK], needs.slug)
    return plan_migration(
        rows_of(org),
        resolve_needs(org=basis, needs=needs),
        stack,
        source=source_of(org),
        slug=org.slug,
        name=org.name,
        known_secrets=known,
    )


# --- beginning


def rehearse(*, org: Organization, actor: Any, ring: bool = True, memory_mib: int = 0, via: str = "web") -> Migration:  # noqa: ANN401
    """Try everything that can be tried on a copy beside the estate, which is only read.

    Args:
        memory_mib: keep the copy in memory, at most so much; 0 for a volume on disk.
        ring: False when the caller carries it out itself with `carry_on_here`.
    """
    access.require(actor, org, "apply")
    plan = plan_of(org=org)
    steps = [*(step for step in plan.steps if step.rehearsed), _CLEAN]
    return _begin(org, actor, "rehearsal", plan, steps, ring=ring, via=via, memory_mib=memory_mib)


def start(*, org: Organization, actor: Any, ring: bool = True, via: str = "web") -> Migration:  # noqa: ANN401
    """Begin the cut-over. Nothing of the estate stops before a person has confirmed the step `announce`."""
    access.require(actor, org, "destroy")
    plan = plan_of(org=org)
    return _begin(org, actor, "cutover", plan, list(plan.steps), ring=ring, via=via)


def _begin(
    org: Organization,
    actor: Any,  # noqa: ANN401
    kind: str,
    plan: MigrationPlan,
    steps: list[StepPlan],
    *,
    ring: bool,
    via: str,
    **more: Any,  # noqa: ANN401
) -> Migration:
    if plan.blockers:
        first, rest = plan.blockers[0], plan.blockers[1:]
        more_words = f"; and: {'; '.join(blocker.message for blocker in rest)}" if rest else ""
        raise ApplyError(f"{first.message}{more_words}", hint=" ".join(b.hint for b in plan.blockers), where=f"migration of {org.slug}")
    needs, target = target_needs(org), Organization.objects.filter(slug=plan.target).first()
    if needs is None or target is None:
        raise NeedsError("v2's organization is not there", hint="settle the needs again", where=org.slug)
    _require_target(actor, target)
    files = org_actions.attachments_of(org)
    try:
        with transaction.atomic():
            number = (Migration.objects.for_org(org).aggregate(last=Max("number"))["last"] or 0) + 1
            migration = Migration.objects.create(
                organization=org,
                number=number,
                kind=kind,
                target=target,
                plan={**plan.as_dict(), **more},
                needs_text=files[NEEDS_FILE].decode(),
                needs_digest=needs_digest(needs),
                source_text=files[FILE].decode(),
                author=actor,
                expires=Now(),
                sent_at=None if ring else Now(),
            )
            MigrationStep.objects.bulk_create(
                MigrationStep(
                    organization=org, migration=migration, position=position, key=step.key, title=step.title, who=step.who,
                    is_final=step.is_final, limit_s=step.limit_s,
                )
                for position, step in enumerate(steps, 1)
            )  # fmt: skip
            org_actions.record(org=org, actor=actor, what=f"migration: {kind} begun", detail=f"{number}, to {target.slug}", via=via)
            _ring(migration, ring=ring)
    except IntegrityError:
        open_one = newest(org)
        raise StaleError(
            f"{open_one.title} is {open_one.state}" if open_one else "another one was begun at this moment",
            hint="one at a time: bring it to its end, or take it back",
            where=f"migration of {org.slug}",
        ) from None
    migration.refresh_from_db()
    return migration


def newest(org: Organization) -> Migration | None:
    """The migration made last."""
    found: Migration | None = Migration.objects.for_org(org).select_related("target", "author").first()
    return found


def open_migration(org: Organization) -> Migration:
    """The one that has not ended.

    Raises:
        StaleError: there is none.
    """
    found: Migration | None = Migration.objects.for_org(org).exclude(state__in=ENDED).first()
    if found is None:
        raise StaleError("no migration is going on", hint=f"`sprocket migrate start {org.slug}`", where=org.slug)
    return found


# --- while it goes on


def pause(*, org: Organization, actor: Any, via: str = "web") -> Migration:  # noqa: ANN401
    """Stop after the step in hand."""
    access.require(actor, org, "apply")
    migration = open_migration(org)
    if migration.state in AT_REST:
        raise StaleError(f"it is {migration.state}", hint="it rests already; resume goes on", where=str(migration))
    Migration.objects.for_org(org).filter(pk=migration.pk).update(pause_requested=True)
    return _noted(migration, actor, "pause asked for", via)


def resume(*, org: Organization, actor: Any, ring: bool = True, via: str = "web") -> Migration:  # noqa: ANN401
    """Go on at the step it rests at; a failed one is tried again."""
    access.require(actor, org, "apply")
    migration = _laid_down(open_migration(org))
    if migration.state == MigrationState.ASKING:
        step = next_forward(list(migration.steps.all()))
        raise StaleError(
            f"it waits for a person: {step.title if step else ''}", hint=f"`sprocket migrate confirm {org.slug}`", where=str(migration)
        )
    if migration.state not in AT_REST:
        raise StaleError(f"it is {migration.state}", hint=f"`sprocket migrate status {org.slug}` shows where", where=str(migration))
    _requeue(migration, ring=ring)
    return _noted(migration, actor, "resumed", via)


def back(*, org: Organization, actor: Any, ring: bool = True, via: str = "web") -> Migration:  # noqa: ANN401
    """Take every step back, the last first. Not after the point of no return, and not while a step is at work.

    Raises:
        StaleError: past the point of no return, or running.
    """
    access.require(actor, org, "destroy")
    migration = _laid_down(open_migration(org))
    if is_past_return(list(migration.steps.all())):
        raise StaleError(
            "the point of no return lies behind", hint="new data is in v2 only; go on, and mend what is wrong there", where=str(migration)
        )
    if migration.state not in AT_REST:
        raise StaleError(f"it is {migration.state}", hint=f"`sprocket migrate pause {org.slug}` first", where=str(migration))
    _requeue(migration, ring=ring, direction="back")
    return _noted(migration, actor, "way back begun", via)


def confirm(*, org: Organization, actor: Any, typed: str = "", reason: str = "", ring: bool = True, via: str = "web") -> Migration:  # noqa: ANN401
    """Say that a person's step is done; at the point of no return by typing the organization's name. A failed step that may be
    gone on without is accepted with a reason.

    Raises:
        DeniedError: not this person's step. StaleError: nothing waits for one. NeedsError: the name or the reason is missing.
    """
    migration = open_migration(org)
    step = next_forward(list(migration.steps.all()))
    if step is None or migration.direction == "back" or migration.state not in (MigrationState.ASKING, MigrationState.FAILED):
        raise StaleError(
            f"it is {migration.state}, and waits for nobody", hint=f"`sprocket migrate status {org.slug}`", where=str(migration)
        )
    is_accepted = migration.state == MigrationState.FAILED
    if is_accepted and step.key not in MAY_BE_ACCEPTED:
        raise StaleError(f"{step.title} failed, and cannot be gone on without", hint="mend it and resume, or go back", where=step.key)
    access.require(actor, org, "destroy" if is_accepted else PERMISSION[step.who])
    if is_accepted and not reason.strip():
        raise NeedsError("accepting it needs a reason", hint="say what is lost and who agreed", where="reason")
    if step.is_final and typed.strip() != org.name:
        raise NeedsError("the name typed is not the organization's", hint=f"type exactly: {org.name}", where="name")
    state = StepState.SKIPPED if is_accepted else StepState.DONE
    with transaction.atomic():
        if (
            not MigrationStep.objects.for_org(org)
            .filter(pk=step.pk, state=step.state)
            .update(state=state, person=actor, reason=reason.strip()[:200], started=Now(), finished=Now())
        ):
            raise StaleError("somebody else was first", hint="look again", where=step.key)
        _requeue(migration, ring=ring)
    return _noted(migration, actor, f"{step.key} {'accepted' if is_accepted else 'confirmed'}", via, reason.strip())


def carry_on_here(migration: Migration, *, on_note: runner.OnNote) -> Migration:
    """Carry it on in this process, for the command line: the same as a worker does."""
    runner.carry_out(migration.pk, on_note=on_note)
    migration.refresh_from_db()
    return migration


def _laid_down(migration: Migration) -> Migration:
    """Brought to rest where nobody carries it on any more: its worker is gone, or never came. For people without a worker."""
    alone = Migration.objects.for_org(migration.organization).filter(
        pk=migration.pk, state__in=[MigrationState.RUNNING, MigrationState.QUEUED], expires__lte=Now()
    )
    if alone.update(state=MigrationState.PAUSED):
        migration.refresh_from_db()
    return migration


def _requeue(migration: Migration, *, ring: bool, **values: Any) -> None:  # noqa: ANN401 - columns
    with transaction.atomic():
        sent = None if ring else Now()
        if not migration.move(MigrationState.QUEUED, sent_at=sent, deliveries=0, pause_requested=False, **values):
            raise StaleError(f"it is {migration.state}", hint="wait for its step to end", where=str(migration))
        _ring(migration, ring=ring)


def _ring(migration: Migration, *, ring: bool) -> None:
    if ring:
        transaction.on_commit(partial(runner.ring_for, migration.pk))


def _noted(migration: Migration, actor: Any, what: str, via: str, more: str = "") -> Migration:  # noqa: ANN401
    detail = f"{migration.kind} {migration.number}" + (f": {more}" if more else "")
    org_actions.record(org=migration.organization, actor=actor, what=f"migration: {what}"[:60], detail=detail, via=via)
    migration.refresh_from_db()
    return migration
