"""`send-back`, `history`, `rollback`, `drift`, `org set`, `org webhook`: what reviewers and owners do."""

from __future__ import annotations

import getpass
import os
from datetime import datetime
from typing import Annotated, Any

import typer

from sprocket_v2.cli.deployments import As, Slug, Yes, actor_for, ask, organization, plan_named
from sprocket_v2.cli.output import DONE, FAILED, is_interactive, out, table
from sprocket_v2.cli.plans import plan_data, plan_words
from sprocket_v2.errors import SetupError, SprocketError, VerifyError

_SWITCH = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}


def register(app: typer.Typer) -> None:
    """Add the commands of this file; those of `org` are added where that group is made."""
    app.command("send-back")(send_back_command)
    app.command("history")(history_command)
    app.command("rollback")(rollback_command)
    app.command("drift")(drift_command)


def send_back_command(
    org: Slug,
    plan: Annotated[int, typer.Argument(help="The plan's number.", metavar="PLAN")],
    text: Annotated[str, typer.Argument(help="What has to change, and why.", metavar="TEXT")],
    at: Annotated[str, typer.Option("--at", help="A line (stack.yml:12), or a step's resource (service/redis).")],
    as_: As = None,
) -> None:
    """Say no to a plan, with a comment at a line of its files or at a step."""
    row = organization(org)
    from provisioning.review.decisions import send_back

    comment = send_back(plan=plan_named(f"{org}/{plan}"), actor=actor_for(row, as_), at=at, text=text, via="cli")
    out.result({"plan": f"{org}/{plan}", "at": comment.anchor, "text": comment.text}, f"Plan {org}/{plan} sent back, at {comment.anchor}.")


def history_command(org: Slug) -> None:
    """Every version of the blueprint, with its plans, approvals, runs and verdicts."""
    row = organization(org)
    from provisioning.review.history import history_of

    versions = history_of(row)
    rows = []
    for v in versions:
        last = next(iter(v.plans), None)
        said = f"plan {last.number} {last.state}" + (f", run {last.run} {last.run_state}" if last.run else "") if last else "no plan"
        mark = "*" if v.is_deployed else ""
        rows.append(
            (
                mark,
                str(v.number),
                f"{v.created:%Y-%m-%d %H:%M}",
                v.author,
                v.message,
                f"needs {v.needs}",
                v.release,
                said,
                last.verdict if last else "",
            )
        )
    head = ("", "version", "made", "by", "why", "needs", "templates", "newest plan", "verdict")
    out.result(versions, table(rows, head) if rows else f"No version yet. `sprocket propose {org}` makes the first.")


def rollback_command(
    org: Slug, number: Annotated[int, typer.Argument(help="The version, as `history` numbers it.", metavar="VERSION")], as_: As = None
) -> None:
    """Make a plan that deploys exactly an earlier version's files; approve and apply it like any other."""
    row = organization(org)
    from provisioning.actions import plan_from
    from provisioning.review.history import ask_rollback

    plan = plan_from(ask_rollback(org=row, number=number, actor=actor_for(row, as_), ring=False))
    out.result(
        plan_data(plan), f"{plan_words(plan)}\n\nPlan {plan.number} goes back to version {number}. `sprocket approve {org}/{plan.number}`"
    )


def org_set(
    org: Slug,
    values: Annotated[list[str], typer.Argument(help="two_people=true|false, needs_reason=true|false.", metavar="NAME=VALUE...")],
    as_: As = None,
) -> None:
    """Set what an approval takes: a second person, a reason."""
    row = organization(org)
    from provisioning.review.decisions import SETTINGS, rules_of, set_rules

    now = rules_of(row)
    wanted = {"two_people": now.two_people, "needs_reason": now.needs_reason}
    for value in values:
        name, _, word = value.partition("=")
        if name not in SETTINGS or word.lower() not in _SWITCH:
            raise SprocketError(f"{value!r} is no setting", hint=f"{' or '.join(SETTINGS)}, then =true or =false", where=org)
        wanted[name] = _SWITCH[word.lower()]
    rules = set_rules(org=row, actor=actor_for(row, as_), via="cli", **wanted)
    words = f"{org}: two people {'yes' if rules.two_people else 'no'}, reason always {'yes' if rules.needs_reason else 'no'}"
    out.result(rules, words)


def org_webhook(
    org: Slug,
    descriptor: Annotated[int | None, typer.Option("--fd", help="Read the address from this file descriptor, such as 0.")] = None,
    remove: Annotated[bool, typer.Option("--remove", help="Forget it.")] = False,
    as_: As = None,
) -> None:
    """Set the webhook (Discord format) that hears of plans. Its address is a secret: asked for without echo, never an argument."""
    row = organization(org)
    from provisioning.review.decisions import set_webhook

    if remove:
        url = ""
    elif descriptor is not None:
        url = os.fdopen(os.dup(descriptor), encoding="utf-8").read().strip()
    elif is_interactive():
        url = getpass.getpass("  webhook address: ").strip()
    else:
        raise SetupError("there is no terminal to ask on", hint=f"sprocket org webhook {org} --fd 0 < FILE", where="webhook")
    if not url and not remove:
        raise SetupError("no address was given", hint="`--remove` forgets the one that is set", where="webhook")
    set_webhook(org=row, actor=actor_for(row, as_), url=url, via="cli")
    out.result({"org": org, "webhook": not remove}, f"The webhook of {org} is {'removed' if remove else 'set'}.")


def drift_command(
    org: Slug,
    dismiss_until: Annotated[
        datetime | None, typer.Option("--dismiss-until", formats=["%Y-%m-%d"], help="Say that what was found is known, until this day.")
    ] = None,
    adopt: Annotated[
        bool, typer.Option("--adopt", help="Draft needs that say what was done by hand, and save them once you said yes.")
    ] = False,
    code: Annotated[bool, typer.Option("--exit-code", help="Exit 1 when something differs.")] = False,
    yes: Yes = False,
    as_: As = None,
) -> None:
    """Look whether what runs is still what was applied. Changes nothing that runs."""
    row = organization(org)
    actor = actor_for(row, as_)
    if adopt:
        _adopt(row, actor, yes)
        return
    from provisioning.actions import request_run, run_here
    from provisioning.review.drift import dismiss, standing

    if dismiss_until:
        report = dismiss(org=row, actor=actor, until=dismiss_until.date(), via="cli")
        out.result({"dismissed_until": report.dismissed_until}, f"Dismissed until {report.dismissed_until}.")
        return
    run = run_here(request_run(org=row, kind="drift", actor=actor, ring=False))
    if str(run.state) != "succeeded":
        error = run.error or {}
        raise VerifyError(str(error.get("message", "the look failed")), hint=str(error.get("hint", "")), where=org)
    now = standing(row)
    found = now.report.differences if now.report else []
    rows = [(d["kind"], d["resource"], ", ".join(d["fields"]), d.get("at", "")) for d in found]
    out.result(
        {"state": now.state, "differences": found},
        now.words + (f"\n{table(rows, ('', 'resource', 'fields', 'last changed (UTC)'))}" if rows else ""),
    )
    raise typer.Exit(FAILED if code and found else DONE)


def _adopt(row: Any, actor: Any, yes: bool) -> None:  # noqa: ANN401 - rows
    """Show the draft, ask, save it as a revision of the needs."""
    from provisioning.review.adoption import adopt, digest_of, draft_for

    draft = draft_for(row)
    said = [(d.resource, d.what, d.key, d.new, d.note) for d in draft.said]
    unsaid = [(d.resource, d.what, d.why) for d in draft.unsaid]
    words = [table(said, ("resource", "what", "answer", "becomes", ""))] if said else ["Nothing that differs can be said in the needs."]
    words += [f"No need can say:\n{table(unsaid, ('resource', 'what', 'why'))}"] if unsaid else []
    data: dict[str, Any] = {"said": draft.said, "unsaid": draft.unsaid, "revision": None}
    if said:
        out.progress("\n\n".join(words))
        ask(yes, f"Save these needs of {row.slug}?")
        revision, _ = adopt(org=row, actor=actor, seen=digest_of(draft), via="cli")
        data["revision"] = revision.number
        words = [f"Needs saved as revision {revision.number}. `sprocket propose {row.slug}`: what is in them stays as it runs."]
    out.result(data, "\n\n".join(words))
