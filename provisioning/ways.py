"""An organization's route matrix with what the last probe found, and the action of probing now."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from blueprints.actions import newest_blueprint
from blueprints.models import Blueprint
from orgs.models import Organization
from provisioning.materials import rendering_of
from provisioning.models import StackState
from provisioning.probe import WAY, check_name, probe
from provisioning.verdict import verdict_from, verdict_of
from sprocket_v2.errors import ApplyError


def route_rows(*, org: Organization) -> tuple[Blueprint | None, list[dict[str, Any]]]:
    """The rows of what is applied, else of the newest blueprint; each with `result`, the last probe's check or None."""
    state = StackState.objects.for_org(org).select_related("applied_blueprint").first()
    applied = state.applied_blueprint if state else None
    blueprint = applied or newest_blueprint(org)
    if blueprint is None:
        return None, []
    checks = (state.last_verdict or {}).get("checks", ()) if state and applied else ()
    results = {check["name"]: check for check in checks if check["name"].startswith(WAY)}
    return blueprint, [{**row, "result": results.get(check_name(row))} for row in rendering_of(blueprint).blueprint.get("routes", ())]


def probe_now(*, org: Organization) -> list[dict[str, Any]]:
    """Try every row here and now; what is found takes its places in the stack's latest verdict.

    Returns:
        The rows, as `route_rows` has them.
    Raises:
        ApplyError: nothing is deployed.
    """
    state = StackState.objects.for_org(org).select_related("applied_blueprint").first()
    if state is None or state.applied_blueprint is None:
        raise ApplyError("nothing is deployed", hint="propose, approve and apply a blueprint first", where=org.slug)
    blueprint = rendering_of(state.applied_blueprint).blueprint
    found = {check.name: check for check in probe(blueprint)}
    if state.last_verdict:
        known = verdict_from(state.last_verdict).checks
        new = [check for name, check in found.items() if name not in {item.name for item in known}]
        verdict = verdict_of([*(found.get(item.name, item) for item in known), *new])
        StackState.objects.for_org(org).update(last_verdict=verdict.as_dict())
    results = {name: asdict(check) for name, check in found.items()}
    return [{**row, "result": results.get(check_name(row))} for row in blueprint.get("routes", ())]
