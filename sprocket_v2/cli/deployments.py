"""`preview`, `propose`, `approve`, `apply`, `verify`, `runs`, `run`: the actions of provisioning, in words."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sprocket_v2.cli.django_setup import load_django
from sprocket_v2.cli.output import DONE, FAILED, is_interactive, out, style, table
from sprocket_v2.cli.plans import SIGNS, plan_data, plan_words, reason_for, step_lines
from sprocket_v2.errors import ApplyError, StaleError, VerifyError

if TYPE_CHECKING:
    from provisioning.models import Plan, Run

Slug = Annotated[str, typer.Argument(help="The organization's slug.", metavar="ORG")]
As = Annotated[str | None, typer.Option("--as", help="Whose action it is; default: the only owner, or the platform admin.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this file."""
    app.command("preview")(preview_command)
    app.command("propose")(propose_command)
    app.command("approve")(approve_command)
    app.command("apply")(apply_command)
    app.command("verify")(verify_command)
    app.command("runs")(runs_command)
    run = typer.Typer(help="One run.", no_args_is_help=True)
    run.command("show")(run_show)
    run.command("follow")(run_follow)
    app.add_typer(run, name="run")


def organization(slug: str) -> Any:  # noqa: ANN401 - orgs.models.Organization
    """The organization of this slug, for an admin at the machine."""
    load_django()
    from orgs.actions import get_organization

    return get_organization(slug)


def actor_for(org: Any, name: str | None) -> Any:  # noqa: ANN401 - rows
    """The person an action on the command line is recorded for."""
    from orgs.people import person_for_command_line

    return person_for_command_line(org, name)


def newest_blueprint(org: Any, actor: Any) -> Any:  # noqa: ANN401 - rows
    """The blueprint of the newest needs, made if it is not there yet."""
    from blueprints.actions import current_blueprint

    return current_blueprint(org=org, actor=actor)


def progress_line(event: Any) -> None:  # noqa: ANN401 - provisioning.engine_events.Event
    """One engine event on standard error."""
    if event.kind in ("resource-done", "resource-failed"):
        mark = style("failed", "red") if event.kind == "resource-failed" else style(SIGNS.get(event.op, event.op), "green")
        out.progress(f"  {mark} {event.resource}" + (f"  {event.message}" if event.message else ""))
    elif event.kind in ("stage", "diagnostic", "log") and event.message:
        out.progress(f"  {event.message}")


def preview_command(
    org: Slug,
    as_: As = None,
    code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 when there are changes.")] = False,
) -> None:
    """Say what an apply would do. Leaves no trace."""
    row = organization(org)
    from blueprints.actions import draw_newest
    from provisioning.actions import preview_now

    result = preview_now(org=row, rendering=draw_newest(org=row), on_event=None)
    words = [step_lines(result.steps)]
    if result.basis == "empty-host":
        words.append("basis: empty-host. Docker was not reachable, so everything is shown as new; this can be read, not applied.")
    if result.edge:
        words.append(result.edge)
    if result.warning:
        words.append(f"{result.warning}.")
    if result.missing:
        words.append(f"Missing secrets: {', '.join(result.missing)}. `sprocket secret set {org} NAME` sets one.")
    out.result(result, "\n".join(words))
    raise typer.Exit(FAILED if code and result.has_changes else DONE)


def propose_command(org: Slug, as_: As = None) -> None:
    """Preview the newest blueprint and keep it as a plan somebody can approve."""
    row = organization(org)
    plan = _propose(row, actor_for(row, as_))
    words = f"{plan_words(plan)}\n\nPlan {plan.number} proposed. `sprocket approve {org}/{plan.number}`"
    out.result(plan_data(plan), words)


def _propose(org: Any, actor: Any) -> Plan:  # noqa: ANN401 - rows
    from provisioning.actions import propose

    return propose(org=org, blueprint=newest_blueprint(org, actor), actor=actor)


def plan_named(name: str) -> Plan:
    """A plan by ORG/NUMBER."""
    slug, _, number = name.partition("/")
    org = organization(slug)
    from provisioning.models import Plan

    found = Plan.objects.for_org(org).filter(number=int(number) if number.isdecimal() else -1).first()
    if found is None:
        raise ApplyError(f"no plan {name!r}", hint=f"`sprocket propose {slug}` makes one; plans are called ORG/NUMBER")
    plan: Plan = found
    return plan


PlanName = Annotated[str, typer.Argument(help="ORG/NUMBER, as `propose` printed it.", metavar="PLAN")]


Reason = Annotated[str, typer.Option("--reason", help="Why it is fine; needed where the plan carries a warning.")]


def approve_command(
    plan: PlanName,
    reason: Reason = "",
    digest: Annotated[str, typer.Option("--digest", help="Of the plan you looked at; refused when it is another one.")] = "",
    as_: As = None,
) -> None:
    """Say yes to exactly this plan."""
    row = plan_named(plan)
    from provisioning.actions import approve
    from provisioning.review.decisions import missing_yes

    done = approve(plan=row, actor=actor_for(row.organization, as_), digest=digest, reason=reason_for(row, reason), via="cli")
    words = f"Plan {plan} ({done.digest[:19]}) approved. `sprocket apply {plan}`"
    out.result(plan_data(done), words if str(done.state) == "approved" else f"Noted for plan {plan}; {missing_yes(done)}.")


def apply_command(
    what: Annotated[
        str, typer.Argument(help="An approved plan (ORG/NUMBER), or ORG to propose, show, ask, approve and apply.", metavar="PLAN|ORG")
    ],
    yes: Yes = False,
    reason: Reason = "",
    as_: As = None,
) -> None:
    """Make it so, and verify it."""
    from_plan = "/" in what
    plan = plan_named(what) if from_plan else None
    row = plan.organization if plan else organization(what)
    actor = actor_for(row, as_)
    from provisioning.actions import apply, approve, run_here

    if plan is None:
        plan = _propose(row, actor)
        out.progress(plan_words(plan))
        if not plan.is_empty:
            ask(yes, f"Apply this to {row.slug}?")
            plan = approve(plan=plan, actor=actor, reason=reason_for(plan, reason), via="cli")
    if plan.is_empty:
        out.result(plan_data(plan), f"Nothing to do for plan {row.slug}/{plan.number}: it approved itself, and nothing was applied.")
        return
    run = run_here(apply(plan=plan, actor=actor, ring=False), on_event=progress_line)
    finish(run)


def ask(yes: bool, question: str) -> None:
    """Go on only with a yes."""
    if yes:
        return
    if not is_interactive():
        raise StaleError("not confirmed: there is no terminal to ask on", hint="add --yes")
    if not typer.confirm(question, err=True):
        raise StaleError("not confirmed", hint="nothing was changed")


def finish(run: Run) -> None:
    """Print a finished run and end with its exit code."""
    out.result(run_data(run), run_words(run))
    if str(run.state) != "succeeded":
        error = run.error or {}
        raise typer.Exit(5 if error.get("kind") in ("stale", "conflict") else FAILED)


def run_data(run: Run) -> dict[str, Any]:
    """A run as JSON."""
    return {"run": f"{run.organization.slug}/{run.number}", "kind": run.kind, "state": str(run.state), "changes": run.changes,
            "verdict": run.verdict, "error": run.error, "created": run.created, "started": run.started, "finished": run.finished}  # fmt: skip


def run_words(run: Run) -> str:
    """A run in words: state, error with its hint, verdict."""
    colour = {"succeeded": "green", "failed": "red", "cancelled": "yellow"}.get(str(run.state), "cyan")
    lines = [f"Run {run.organization.slug}/{run.number} ({run.kind}): {style(str(run.state), colour)}"]
    if run.error:
        lines += [f"  {run.error.get('where') or ''} {run.error['message']}".rstrip(), f"  hint: {run.error.get('hint', '')}"]
    if run.verdict:
        lines += verdict_lines(run.verdict)
    return "\n".join(lines)


def verdict_lines(verdict: dict[str, Any]) -> list[str]:
    """The verdict's two lines, then every check that is not plainly fine."""
    from provisioning.verdict import verdict_from

    whole = verdict_from(verdict)
    marks = {"ok": style("✓", "green"), "warning": style("!", "yellow"), "failed": style("✗", "red"), "skipped": style("-", "dim")}
    lines = [f"  {marks[str(whole.runs)]} {whole.runs_text}", f"  {marks[str(whole.usable)]} {whole.usable_text}"]
    return lines + [
        f"    {check.state}: {check.title}. {check.detail} {check.hint}".rstrip() for check in whole.checks if check.state != "ok"
    ]


def verify_command(org: Slug) -> None:
    """Look at the running deployment and say whether it works. Changes nothing."""
    row = organization(org)
    from provisioning.actions import verify_now

    verdict = verify_now(org=row)
    rows = [(str(check.state), check.title, check.detail) for check in verdict.checks]
    words = f"{table(rows, ('', 'check', 'seen'))}\n\n{verdict.runs_text}\n{verdict.usable_text}"
    out.result(verdict.as_dict(), words)
    if str(verdict.runs) == "failed":
        raise VerifyError("the deployment does not run", hint="the failed checks above say what to do", where=org)


def runs_command(org: Annotated[str | None, typer.Argument(help="Only this organization's.", metavar="[ORG]")] = None) -> None:
    """List the newest runs."""
    load_django()
    from orgs.actions import all_organizations
    from provisioning.models import Run

    orgs = [organization(org)] if org else list(all_organizations())
    runs = [run for one in orgs for run in Run.objects.for_org(one).select_related("organization")[:20]]
    runs.sort(key=lambda run: run.created, reverse=True)
    rows = [(f"{r.organization.slug}/{r.number}", r.kind, str(r.state), f"{r.created:%Y-%m-%d %H:%M:%S} UTC") for r in runs[:50]]
    out.result(
        [run_data(run) for run in runs[:50]],
        table(rows, ("run", "kind", "state", "asked for")) if rows else "No runs yet. `sprocket apply ORG` makes one.",
    )


RunName = Annotated[str, typer.Argument(help="ORG/NUMBER, or ORG for the newest.", metavar="RUN")]


def _run(name: str) -> Run:
    slug, _, number = name.partition("/")
    org = organization(slug)
    from provisioning.models import Run

    rows = Run.objects.for_org(org).select_related("organization")
    found = rows.filter(number=int(number)).first() if number.isdecimal() else rows.first()
    if found is None:
        raise ApplyError(f"no run {name!r}", hint=f"`sprocket runs {slug}` lists them")
    run: Run = found
    return run


def run_show(run: RunName) -> None:
    """A run, its events and its verdict."""
    row = _run(run)
    events = list(row.events.order_by("seq"))
    lines = [f"{e.at:%H:%M:%S} {e.kind:<16} {e.op:<8} {e.resource} {e.message}".rstrip() for e in events]
    data = {
        **run_data(row),
        "events": [{"seq": e.seq, "at": e.at, "kind": e.kind, "op": e.op, "resource": e.resource, "message": e.message} for e in events],
    }
    out.result(data, "\n".join([*lines, "", run_words(row)]))


def run_follow(run: RunName, limit_s: Annotated[int, typer.Option("--limit", help="Give up after this many seconds.")] = 3600) -> None:
    """Print a run's events as they come, until it ends."""
    row = _run(run)
    follow(
        row, limit_s, lambda event: out.progress(f"{event.at:%H:%M:%S} {event.kind} {event.op} {event.resource} {event.message}".rstrip())
    )
    row.refresh_from_db()
    finish(row)


def follow(run: Run, limit_s: float, show: Callable[[Any], None]) -> None:
    """Read a run's event rows until it is finished.

    Raises:
        StaleError: not finished within the limit.
    """
    import time

    seen, begun = 0, time.monotonic()
    while True:
        finished = _is_finished(run)
        for event in run.events.filter(seq__gt=seen).order_by("seq"):
            seen = event.seq
            show(event)
        if finished:
            return
        if time.monotonic() - begun > limit_s:
            raise StaleError(
                f"run {run.number} is not finished after {limit_s:.0f} s", hint="is a worker there? `sprocket doctor`", transient=True
            )
        time.sleep(0.2)


def _is_finished(run: Run) -> bool:
    run.refresh_from_db()
    return run.is_finished


def export_bundle(slug: str, to: Path) -> None:
    """Write an organization's newest blueprint as a bundle folder; the first is made of its needs."""
    row = organization(slug)
    from blueprints.actions import newest_blueprint as newest_stored
    from blueprints.actions import rendering_of_row
    from blueprints.rendering import write_bundle

    rendering = rendering_of_row(newest_stored(row) or newest_blueprint(row, actor_for(row, None)))
    write_bundle(rendering, to)
    out.result(
        {"out": str(to), "digest": rendering.digest},
        f"{len(rendering.files)} files in {to}. Next: sprocket bundle fill {to}, then sh {to}/deploy.sh",
    )
