"""Looking at an upgrade for all organizations, and rolling it out: begun by a platform admin, carried on by the reconciler.

Every step of it is what a person could do: a blueprint of the needs that are applied, a plan, a yes, an apply.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import IntegrityError, transaction

from blueprints.actions import draw, make_blueprint, rendering_of_row
from blueprints.catalog import load_catalog
from orgs.actions import all_organizations, needs_of, record
from orgs.models import Organization
from provisioning import actions
from provisioning.models import Plan, Run
from provisioning.releases.outlook import CLEAN, NO_CHANGE, NOT_DEPLOYED, Outlook, outlook_of, refused_by
from provisioning.releases.rows import RollOut, RollOutMember
from provisioning.releases.waves import ENDED, MemberState, RollOutState, may_begin, state_of, waves
from provisioning.review.decisions import missing_yes
from provisioning.review.facts import applied_blueprint, changes_of, compared
from provisioning.states import PlanState, RunKind, RunState
from sprocket_v2.errors import ApplyError, DeniedError, SprocketError, StaleError

Say = Callable[[str], None]


def installed_release() -> str:
    """The release of the templates that are here."""
    return load_catalog().release


def outlooks() -> list[tuple[Organization, Outlook]]:
    """Of all organizations, in their order. Leaves no row."""
    return [(org, outlook_for(org)) for org in all_organizations()]


def outlook_for(org: Organization) -> Outlook:
    """What the installed templates would make of the needs that are applied, against what is applied."""
    applied, after = applied_blueprint(org), installed_release()
    if applied is None:
        return Outlook(NOT_DEPLOYED, after=after)
    before = applied.template_release
    if before == after:
        return Outlook(NO_CHANGE, before, after)
    try:
        needs = needs_of(applied.needs_revision)
        drawn = draw(org=org, needs=needs)
    except SprocketError as error:
        return refused_by(error, before, after)
    comparison = compared(rendering_of_row(applied), drawn, needs, needs)
    return outlook_of(before, after, comparison, changes_of(comparison)["components"])


def steps_for(org: Organization) -> Sequence[Mapping[str, Any]]:
    """The engine's steps of an upgrade. Leaves no row.

    Raises:
        PreviewError: the engine could not say.
    """
    applied = applied_blueprint(org)
    if applied is None:
        return ()
    return actions.preview_now(org=org, rendering=draw(org=org, needs=needs_of(applied.needs_revision))).steps


def require_admin(actor: Any) -> None:  # noqa: ANN401 - a user
    """Raise DeniedError for everybody but a platform admin."""
    if not (getattr(actor, "is_active", False) and actor.is_superuser):
        raise DeniedError("rolling out templates is a platform admin's", hint="ask whoever runs this control plane", where="releases")


def begin(*, actor: Any, slugs: Sequence[str], reason: str, via: str = "web") -> RollOut:  # noqa: ANN401
    """Begin a roll-out to these organizations, in this order: the first, then some, then the rest. None means all that are clean.

    Raises:
        DeniedError: no platform admin. ApplyError: no reason, nobody to roll out to, or one that cannot be upgraded. StaleError: one is
            under way.
    """
    require_admin(actor)
    if not reason.strip():
        raise ApplyError("a reason is missing", hint="say what the release brings: every plan of it is approved with that", where="reason")
    seen = {org.slug: (org, outlook) for org, outlook in outlooks()}
    wanted = list(dict.fromkeys(slugs)) or [slug for slug, (_, outlook) in seen.items() if outlook.state == CLEAN]
    for slug in wanted:
        if slug not in seen or seen[slug][1].state != CLEAN:
            state = seen[slug][1].state if slug in seen else "not there"
            why = seen[slug][1].why if slug in seen else ""
            raise ApplyError(f"{slug} is {state}, not clean", hint=why or "`sprocket release status` lists all", where=slug)
    if not wanted:
        raise ApplyError("no organization has anything to upgrade", hint="`sprocket release status` lists all", where="releases")
    try:
        with transaction.atomic():
            roll_out: RollOut = RollOut.objects.create(release=installed_release(), reason=reason.strip()[:300], author=actor)
            for slug, wave in zip(wanted, waves(len(wanted)), strict=True):
                RollOutMember.objects.create(roll_out=roll_out, organization=seen[slug][0], wave=wave)
            record(org=None, actor=actor, what="roll-out begun", detail=f"{roll_out.release}: {', '.join(wanted)}", via=via)
    except IntegrityError:
        raise StaleError("a roll-out is under way", hint="wait for its end, or stop it first", where="releases") from None
    return roll_out


def stop(*, actor: Any, via: str = "web") -> RollOut:  # noqa: ANN401
    """Begin nothing more; an apply that runs comes to its own end.

    Raises:
        DeniedError: no platform admin. StaleError: none is under way.
    """
    require_admin(actor)
    roll_out = RollOut.objects.filter(state=RollOutState.RUNNING).first()
    if roll_out is None:
        raise StaleError("no roll-out is under way", hint="`sprocket release status` shows the last one", where="releases")
    _stop(roll_out, f"Stopped by {actor.get_username()}.")
    record(org=None, actor=actor, what="roll-out stopped", detail=roll_out.release, via=via)
    roll_out.refresh_from_db()
    return roll_out


def _stop(roll_out: RollOut, why: str) -> None:
    RollOut.objects.filter(pk=roll_out.pk, state=RollOutState.RUNNING).update(state=RollOutState.STOPPED, why_stopped=why[:400])


def advance_all() -> None:
    """One pass over what is under way; the reconciler's."""
    for roll_out in RollOut.objects.filter(members__state__in=set(MemberState) - ENDED).distinct()[:5]:
        advance(roll_out)


def advance(roll_out: RollOut, *, here: bool = False, say: Say = lambda _: None) -> None:
    """Take note of what ended, and begin what may begin. Doing it twice at once is harmless: keys and compare-and-set moves.

    Args:
        here: carry the runs out in this process, for a command line.
    """
    step = _Step(roll_out, here, say)
    for member in step.members(MemberState.APPLYING):
        step.settle(member)
    if step.is_stopped():
        return
    for member in step.members(MemberState.PLANNING, MemberState.NEEDS_YES):
        step.apply(member)
    for key in may_begin([member.place for member in step.members(*MemberState)]):
        step.plan(next(member for member in step.members(MemberState.WAITING) if member.pk == key))
    step.is_stopped()


class _Step:
    """One pass over one roll-out."""

    def __init__(self, roll_out: RollOut, here: bool, say: Say) -> None:
        self.roll_out, self.here, self.say = roll_out, here, say

    def members(self, *states: MemberState) -> list[RollOutMember]:
        rows = self.roll_out.members.select_related("organization", "preview", "plan", "run", "roll_out__author")
        return list(rows.filter(state__in=states))

    def is_stopped(self) -> bool:
        """Whether nothing more may begin; the roll-out's row says so, and why."""
        state = state_of(member.place for member in self.members(*MemberState))
        if state == RollOutState.STOPPED:
            bad = self.members(MemberState.FAILED)[0]
            _stop(self.roll_out, f"{bad.organization.slug}: {bad.why}")
        elif state == RollOutState.DONE:
            RollOut.objects.filter(pk=self.roll_out.pk, state=RollOutState.RUNNING).update(state=state)
        elif self.roll_out.release != installed_release():
            _stop(self.roll_out, f"other templates are here now ({installed_release()}).")
        self.roll_out.refresh_from_db()
        return self.roll_out.state != RollOutState.RUNNING

    def plan(self, member: RollOutMember) -> None:
        """A blueprint of the needs that are applied, by the new templates, and its preview."""
        org, author = member.organization, self.roll_out.author
        applied = applied_blueprint(org)
        if applied is None:
            self._failed(member, "it is not deployed any more")
            return
        try:
            blueprint = make_blueprint(org=org, actor=author, revision=applied.needs_revision)
            run = actions.request_run(
                org=org, kind=RunKind.PREVIEW, actor=author, blueprint=blueprint, idempotency_key=self._key("preview"), ring=not self.here
            )
        except SprocketError as error:
            self._failed(member, f"{error.message}. {error.hint}")
            return
        if member.move(MemberState.PLANNING, preview=run):
            self.say(f"{org.slug}: planning")
            self._carried_out(member, run)

    def apply(self, member: RollOutMember) -> None:
        """Say yes to the plan once it is there, and apply it once the yeses are enough."""
        preview = member.preview
        if preview is None or not preview.is_finished:
            return
        plan = preview.plan
        if plan is None or preview.state != RunState.SUCCEEDED:
            self._failed(member, _words_of(preview))
            return
        try:
            self._approved(member, plan)
        except SprocketError as error:
            self._failed(member, f"{error.message}. {error.hint}")

    def _approved(self, member: RollOutMember, plan: Plan) -> None:
        author = self.roll_out.author
        if plan.is_empty or plan.state == PlanState.APPLIED:
            member.move(MemberState.VERIFIED, plan=plan, why="nothing to do")
            return
        if plan.state == PlanState.PROPOSED:
            plan = actions.approve(plan=plan, actor=author, digest=plan.digest, reason=self.roll_out.reason)
        if plan.state != PlanState.APPROVED and missing_yes(plan):
            member.move(MemberState.NEEDS_YES, plan=plan, why=missing_yes(plan))
            return
        run = actions.apply(plan=plan, actor=author, idempotency_key=self._key("apply"), ring=not self.here)
        if member.move(MemberState.APPLYING, plan=plan, run=run, why=""):
            self.say(f"{member.organization.slug}: applying plan {plan.number}")
            self._carried_out(member, run)
            if self.here:
                self.settle(member)

    def settle(self, member: RollOutMember) -> None:
        """Verified, or failed: by the run's end and its verdict."""
        run = Run.objects.filter(pk=member.run_id).first() if member.run_id else None
        if run is None:
            self._failed(member, "its run is gone")
        elif run.is_finished or run.state == RunState.NEEDS_RECOVERY:
            usable = (run.verdict or {}).get("usable", {})
            if run.state != RunState.SUCCEEDED or usable.get("state") == "failed":
                self._failed(member, _words_of(run) if run.state != RunState.SUCCEEDED else str(usable.get("text")))
            elif member.move(MemberState.VERIFIED, why=""):
                self.say(f"{member.organization.slug}: verified")

    def _carried_out(self, member: RollOutMember, run: Run) -> None:
        if self.here and run.state == RunState.QUEUED:
            try:
                actions.run_here(run)
            except SprocketError as error:
                self._failed(member, f"{error.message}. {error.hint}")
            member.refresh_from_db()

    def _key(self, what: str) -> str:
        return f"roll-out {self.roll_out.pk} {what}"

    def _failed(self, member: RollOutMember, why: str) -> None:
        if member.move(MemberState.FAILED, why=why[:400]):
            self.say(f"{member.organization.slug}: failed: {why}")


def _words_of(run: Run) -> str:
    error = run.error or {}
    return f"run {run.number} {run.state}: {error.get('message', 'without a reason')}. {error.get('hint', '')}".rstrip(". ") + "."
