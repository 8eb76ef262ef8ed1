"""A plan's rows as parts, the same parts as they are now, and the refusal that names what moved (rule 7, ADR 0026)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from blueprints.catalog import load_catalog
from blueprints.rendering import Rendering
from orgs.actions import current_needs
from orgs.models import Organization
from provisioning.materials import known_state_digest, secret_versions_of
from provisioning.models import Plan, SecretVersion, StackState
from provisioning.review.parts import Parts, SecretSeen, digest_of, moved, stale_words
from sprocket_v2.errors import StaleError

_NEW_PLAN = "make a new plan and approve that; nothing was changed"


def seen_now(org: Organization, rendering: Rendering) -> dict[str, Any]:
    """How the world around a plan is, as the plan keeps it."""
    needs = current_needs(org)
    state: StackState | None = StackState.objects.for_org(org).select_related("applied_blueprint").first()
    return {
        "needs": needs.digest if needs else "",
        "release": load_catalog().release,
        "secrets": _secrets(org, secret_versions_of(rendering)),
        "deployed": state.applied_blueprint.digest if state and state.applied_blueprint else "",
    }


def _secrets(org: Organization, versions: Mapping[str, int]) -> dict[str, dict[str, Any]]:
    """Secret name -> fingerprint of the version named, and the newest version."""
    rows = SecretVersion.objects.for_org(org).filter(secret__name__in=versions).values_list("secret__name", "version", "fingerprint")
    found: dict[str, dict[str, Any]] = {name: {"fingerprint": "", "newest": 0} for name in versions}
    for name, version, fingerprint in rows:
        found[name]["newest"] = max(found[name]["newest"], version)
        if version == versions[name]:
            found[name]["fingerprint"] = fingerprint
    return found


def plan_digest(plan: Plan) -> str:
    """The one digest over everything an approval is bound to."""
    shown = {
        "engine_plan": hashlib.sha256(plan.engine_plan.encode()).hexdigest(),
        "steps": plan.steps,
        "changes": plan.changes,
        "edge": plan.edge,
        "basis": plan.basis,
        "review": plan.review,
    }
    return digest_of(_approved(plan), shown)


def refuse_moved(plan: Plan, rendering: Rendering, live: str, *, is_first_try: bool) -> None:
    """Compare every part with how it is now, then the whole plan with its digest, then with what each yes named.

    Args:
        live: fingerprint of the Docker objects as they are now.
        is_first_try: False after an interrupted try, which moved objects and state by itself, and may have collected secrets.
    Raises:
        StaleError: names every part that moved.
    """
    where = f"plan {plan.number}"
    if not plan.digest:
        raise StaleError("plan is stale: an older release of the control plane made it", hint=_NEW_PLAN, where=where)
    approved = _approved(plan)
    now = _now(plan, rendering, live)
    if not is_first_try:
        made_meanwhile = {name: seen for name, seen in approved.secrets.items() if not seen.newest}
        now = replace(now, live=approved.live, state=approved.state, secrets={**now.secrets, **made_meanwhile})
    names = moved(approved, now)
    if names:
        raise StaleError(stale_words(names), hint=_NEW_PLAN, where=where)
    if plan_digest(plan) != plan.digest:
        raise StaleError("plan is stale: its own row moved since it was made", hint=_NEW_PLAN, where=where)
    if any(approval.digest != plan.digest for approval in plan.approvals.all()):
        raise StaleError("plan is stale: an approval names another digest", hint=_NEW_PLAN, where=where)


def _approved(plan: Plan) -> Parts:
    seen = plan.seen
    secrets = {
        name: SecretSeen(plan.secret_versions.get(name, 0), item["fingerprint"], item["newest"])
        for name, item in seen.get("secrets", {}).items()
    }
    return Parts(
        needs=plan.needs_digest,
        newest_needs=seen.get("needs", ""),
        files=plan.rendering_digest,
        release=plan.template_release,
        release_here=seen.get("release", ""),
        secrets=secrets,
        live=plan.live_fingerprint,
        state=plan.state_digest,
        deployed=seen.get("deployed", ""),
    )


def _now(plan: Plan, rendering: Rendering, live: str) -> Parts:
    """A state that is kept elsewhere counts as unmoved here: the engine's own export decides, before anything changes."""
    org, facts = plan.organization, rendering.blueprint
    seen = seen_now(org, rendering)
    versions = secret_versions_of(rendering)
    return Parts(
        needs=facts["needs_digest"],
        newest_needs=seen["needs"],
        files=rendering.digest,
        release=facts["template_release"],
        release_here=seen["release"],
        secrets={name: SecretSeen(versions[name], item["fingerprint"], item["newest"]) for name, item in seen["secrets"].items()},
        live=live,
        state=known_state_digest(org.slug, [name for name, _ in rendering.stacks]) or plan.state_digest,
        deployed=seen["deployed"],
    )
