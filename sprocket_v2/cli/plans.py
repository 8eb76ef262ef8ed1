"""A plan in words and as JSON, for every command that shows one; and the reason an approval may have to give."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import typer

from sprocket_v2.cli.output import is_interactive, table

if TYPE_CHECKING:
    from provisioning.models import Plan

SIGNS = {"create": "+", "delete": "-", "update": "~", "replace": "±", "same": "=", "import": "<"}


def step_lines(steps: Any) -> str:  # noqa: ANN401 - JSON
    """The engine's steps as a table."""
    rows = [(SIGNS.get(s["op"], "?"), s["op"], s["resource"], ", ".join(s.get("fields") or ())) for s in steps if s["op"] != "same"]
    return table(rows, ("", "step", "resource", "because of")) if rows else "Nothing to do: it is as the blueprint says."


def plan_data(plan: Plan) -> dict[str, Any]:
    """A plan as JSON: `digest` is what an approval names."""
    return {
        "plan": f"{plan.organization.slug}/{plan.number}", "state": str(plan.state), "basis": plan.basis, "changes": plan.changes,
        "steps": plan.steps, "edge": plan.edge, "digest": plan.digest, "files_digest": plan.rendering_digest, "review": plan.review,
        "comments": [{"at": c.anchor, "text": c.text, "by": c.author.get_username() if c.author else ""} for c in plan.comments.all()],
    }  # fmt: skip


def plan_words(plan: Plan) -> str:
    """What a reviewer has to know, then the steps."""
    return "\n".join([*_plan_lines(plan), step_lines(plan.steps), *([plan.edge["words"]] if plan.edge.get("words") else [])])


def _plan_lines(plan: Plan) -> Iterator[str]:
    from provisioning.review.rules import warnings_of

    review = plan.review
    if review.get("rollback"):
        yield f"Goes back to version {review['rollback']['to']}."
    summary = review.get("summary", {})
    for title, key in (("what changes", "what"), ("who notices", "who"), ("for how long", "how_long"), ("how to undo", "undo")):
        if summary.get(key):
            yield f"{title:<13} {summary[key]}"
    before, after = (review.get("price", {}).get(side) or {} for side in ("before", "after"))
    if after:
        yield f"{'a month':<13} {_usd(before)} before, {_usd(after)} after"
    for drift in review.get("drift", ()):
        yield f"drift         {drift['resource']}: {', '.join(drift['fields']) or drift['op']}"
    for comment in plan.comments.all():
        yield f"comment       {comment.anchor}: {comment.text}"
    for warning in warnings_of(review):
        yield f"warning       {warning}"


def _usd(size: dict[str, Any]) -> str:
    price = size.get("monthly_usd")
    return f"{price} USD" if price is not None else "unknown" if size else "nothing"


def reason_for(plan: Plan, given: str) -> str:
    """The reason of an approval, asked for on a terminal where the plan needs one and none was given."""
    from provisioning.review.decisions import rules_of
    from provisioning.review.rules import warnings_of

    why = rules_of(plan.organization).wants_reason(warnings_of(plan.review)) if not plan.is_empty else ""
    if given or not why or not is_interactive():
        return given
    return str(typer.prompt(f"A reason is needed, since {why}. Why is it fine", err=True))
