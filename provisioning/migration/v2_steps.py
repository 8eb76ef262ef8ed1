"""The steps on v2: what has to be there before, deploying it, taking it down again, and whether it works with the estate's data."""

from __future__ import annotations

from blueprints.actions import make_blueprint
from provisioning import actions, secret_store
from provisioning.migration import data_steps, tables
from provisioning.migration.database import Connection, Place
from provisioning.migration.estate_steps import digest_of, fingerprint
from provisioning.migration.rows import Migration
from provisioning.migration.states import MigrationState
from provisioning.migration.work import Evidence, Work
from provisioning.migration.workbench import running_container
from provisioning.models import Plan, Run, StackState
from provisioning.review import decisions
from provisioning.states import FINISHED, PlanState, RunKind, RunState
from provisioning.verdict import Verdict
from sprocket_v2.errors import ApplyError

_POLL_S = 1.0


def prepare(work: Work) -> Evidence:
    """Draw v2's blueprint and look at everything a cut-over would fail on."""
    blueprint = make_blueprint(org=work.target, actor=work.actor, via="cli")
    work.keep(blueprint=blueprint.number, estate=fingerprint(work))
    seen: Evidence = {"secrets": check_secrets(work)["secrets"]}
    if work.needs.database.where == "deployment":
        work.say("looking at the estate's database and at the room for a copy")
        seen |= data_steps.measure(work)
    for pair in data_steps.pairs(work) if _copies_files(work) else ():
        source, target = data_steps.stores(work)
        found = source.objects(pair.source)
        target.objects(pair.target, "sprocket-none/")  # whether it may be listed at all
        seen[f"bucket {pair.source}"] = {"objects": len(found), "bytes": sum(item.size for item in found.values())}
    return seen


def _copies_files(work: Work) -> bool:
    return any(step["key"] == "buckets" for step in work.migration.plan["steps"])


def nothing_more(_work: Work) -> Evidence:
    """The step itself has looked."""
    return {}


def unprepare(work: Work) -> Evidence:
    """Take down the container for the copy; v2's organization stays, without a deployment."""
    if work.needs.database.where == "deployment" and "blueprint" in work.kept:
        data_steps.workbench(work).remove()
    return {}


def find_rehearsal(work: Work) -> Evidence:
    """The newest rehearsal with the same needs."""
    done = Migration.objects.for_org(work.org).filter(kind="rehearsal", state=MigrationState.DONE, needs_digest=work.migration.needs_digest)
    newest = done.first()
    if newest is None:
        hint = f"`sprocket migrate rehearse {work.org.slug}`; or accept with a reason that there was none"
        raise ApplyError("there was no rehearsal with these needs that went well", hint=hint, where="rehearsed")
    took = {step.key: step.duration_s for step in newest.steps.all() if step.duration_s is not None}
    return {"rehearsal": newest.number, "took_s": round(sum(took.values()), 1), "steps": took}


def check_secrets(work: Work) -> Evidence:
    """Every secret somebody has to bring is there; what v2 makes anew is rotated."""
    listed = secret_store.wanted_secrets(work.rendering.secrets)
    missing = [item.name for item in secret_store.missing_secrets(work.target, listed)]
    if missing:
        hint = f"`sprocket secret set {work.target.slug} NAME` sets each"
        raise ApplyError(f"{len(missing)} secrets are missing: {', '.join(missing)}", hint=hint, where=f"secrets of {work.target.slug}")
    kinds = {kind: sorted(item.name for item in listed if item.kind == kind) for kind in ("supplied", "generated")}
    return {"secrets": {"re_entered": kinds["supplied"], "rotated": kinds["generated"]}}


def deploy(work: Work) -> Evidence:
    """Propose, approve and apply, as a person would; a run that is under way already is waited for."""
    state = StackState.objects.for_org(work.target).first()
    under_way = Run.objects.for_org(work.target).filter(kind=RunKind.APPLY).exclude(state__in=FINISHED).first()
    if under_way is not None:
        work.say(f"waiting for run {under_way.number}")
        work.wait_until(lambda: Run.objects.get(pk=under_way.pk).is_finished, every_s=_POLL_S)  # its own row, found above
        return _ended(work, Run.objects.for_org(work.target).get(pk=under_way.pk))
    if state and state.applied_blueprint_id == work.blueprint().pk and state.applied_digest:
        return {"applied": True}
    plan = _approved_plan(work)
    work.say(f"applying plan {plan.number}: {', '.join(f'{count} to {op}' for op, count in plan.changes.items() if op != 'same')}")
    return _ended(work, actions.run_here(actions.apply(plan=plan, actor=work.actor, ring=False)))


def _approved_plan(work: Work) -> Plan:
    """A plan of the blueprint with as many yeses as v2's organization asks for; one that waits for another person is waited for."""
    waiting = Plan.objects.for_org(work.target).filter(blueprint=work.blueprint(), state__in=[PlanState.PROPOSED, PlanState.APPROVED])
    plan: Plan | None = waiting.first()
    if plan is None:
        work.say("asking for a plan")
        plan = actions.propose(org=work.target, blueprint=work.blueprint(), actor=work.actor)
    if plan.state == PlanState.PROPOSED:
        reason = f"{work.migration.kind} {work.migration.number} of {work.org.slug}, confirmed step by step"
        plan = decisions.approve(plan=plan, actor=work.actor, reason=reason, via="cli")
    if missing := decisions.missing_yes(plan):
        hint = f"`sprocket approve {work.target.slug}/{plan.number}` by somebody else, then resume"
        raise ApplyError(f"plan {plan.number} is not approved: {missing}", hint=hint, where=work.target.slug)
    return plan


def _ended(work: Work, run: Run) -> Evidence:
    if run.state != RunState.SUCCEEDED:
        message = (run.error or {}).get("message", "it did not succeed")
        hint = f"`sprocket run show {work.target.slug}/{run.number}` says more; then resume, or go back"
        raise ApplyError(f"run {run.number}: {message}", hint=hint, where=work.target.slug)
    return {"run": run.number, "applied": True}


def deployed(work: Work) -> Evidence:
    """Its verdict is good."""
    return _good(work, actions.verify_now(org=work.target))


def _good(work: Work, verdict: Verdict) -> Evidence:
    if verdict.runs == "failed":
        failed = [check.title for check in verdict.checks if check.state == "failed"]
        raise ApplyError(
            f"v2 {verdict.runs_text}: {', '.join(failed[:3])}", hint=f"`sprocket verify {work.target.slug}`", where=work.target.slug
        )
    return {"verdict": verdict.runs_text}


def take_down(work: Work) -> Evidence:
    """Remove v2; its volumes stay."""
    if not actions.is_deployed(work.target):
        return {}
    run = actions.run_here(actions.destroy(org=work.target, actor=work.actor, ring=False))
    return _ended(work, run)


def preview(work: Work) -> Evidence:
    """What an apply would do; leaves no trace."""
    found = actions.preview_now(org=work.target, rendering=work.rendering)
    work.say(f"would make {sum(count for op, count in found.changes.items() if op != 'same')} things")
    return {"changes": dict(found.changes), "took_s": found.duration_s}


def verify(work: Work) -> Evidence:
    """v2 works, and no table has fewer rows than were copied."""
    seen: Evidence = {}
    if work.needs.database.where == "deployment":
        service = work.database_service()
        container = running_container(work.swarm, service.name)
        place = Place(work.swarm, container, service.name)
        place.arrive()
        try:
            database = Connection(service.environment["POSTGRES_DB"], service.environment["POSTGRES_USER"])
            now = place.tables(database, limit_s=work.budget_s)
        finally:
            place.leave()
        before = tables.from_data(work.evidence_of("dump")["tables"])
        lost = tables.lost_rows(before, now)
        if lost:
            raise ApplyError(f"rows are missing: {'; '.join(lost[:3])}", hint="go back; the estate's database has them all", where="verify")
        seen = {"rows": tables.total_rows(now), "rows_copied": tables.total_rows(before), "tables": len(now)}
    return {**seen, **_good(work, actions.verify_now(org=work.target))}


def estate_is_untouched(work: Work) -> Evidence:
    """The estate's objects have the ids and versions they had before the rehearsal."""
    before, now = dict(work.evidence_of("prepare")["estate"]), fingerprint(work)
    changed = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if changed:
        hint = "the rehearsal changes nothing there: look who did, then rehearse again"
        raise ApplyError(f"changed meanwhile: {', '.join(changed[:5])}", hint=hint, where="estate")
    return {"objects": len(now), "before": digest_of(before), "after": digest_of(now)}
