"""All a plan's page shows beside the engine's steps, as plain data that the plan keeps and its digest covers.

Put together once, when the plan is made: what a reviewer read stays what the reviewer read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from blueprints.actions import rendering_of_row
from blueprints.catalog import load_catalog
from blueprints.diff import Comparison, compare, file_changes
from blueprints.diff_words import Summary, summarise
from blueprints.models import Blueprint
from blueprints.rendering import STACK, Rendering
from blueprints.strict_yaml import load
from orgs.actions import needs_of
from orgs.models import Organization
from orgs.needs import Needs
from provisioning import secret_store
from provisioning.asking import addresses_of
from provisioning.docker_door import docker_hands
from provisioning.live import adopted_of
from provisioning.models import Plan, StackState
from provisioning.preflight.host import host_results, images_of, name_results, read_host
from provisioning.preflight.known import findings
from provisioning.preflight.result import Result, gathered
from provisioning.review.rolling_back import data_left
from provisioning.states import PlanState
from sprocket_v2.errors import SprocketError

Steps = Iterable[Mapping[str, Any]]


def review_of(org: Organization, blueprint: Blueprint, rendering: Rendering, *, drift: Steps, checks: Sequence[Result]) -> dict[str, Any]:
    """The page's facts for a plan of this blueprint.

    Args:
        drift: what a reading of the live objects found to differ from what was applied.
        checks: results of looks at the machine and at services outside.
    """
    before = applied_blueprint(org)
    old = rendering_of_row(before) if before else None
    comparison = _compared(old, rendering, _needs(before), _needs(blueprint))
    return {
        "from": before.number if before else None,
        "summary": asdict(_summary(comparison, rendering)),
        **_changes(comparison),
        "volumes": [{"volume": volume, "why": _why(e)} for c in comparison.components for e in c.effects for volume in e.volumes],
        "price": {"before": _size(old), "after": _size(rendering)},
        "secrets": _secrets(org, old, rendering),
        "drift": [{"resource": s["resource"], "op": s["op"], "fields": list(s.get("fields") or ())} for s in drift if s["op"] != "same"],
        "checks": [asdict(result) for result in gathered([*checks, *findings(rendering)]).results],
        "rollback": _rollback(org, before, blueprint, old, rendering),
    }


def _compared(old: Rendering | None, new: Rendering, old_needs: Needs | None, new_needs: Needs | None) -> Comparison:
    """As `compare`; of an estate's several stacks the files only, since its services are as somebody else made them."""
    if STACK in new.files and (old is None or STACK in old.files):
        return compare(old, new, old_needs, new_needs, load_catalog().option_titles())
    changes = file_changes(old.files if old else {}, new.files, ())
    return Comparison(old.digest if old else "", new.digest, needs=None, components=(), files=changes)


def _summary(comparison: Comparison, rendering: Rendering) -> Summary:
    if comparison.is_same or STACK in rendering.files:
        return summarise(comparison)
    shown = sum(not file.derived for file in comparison.files)
    asked = "The steps below say what that does to which service."
    return Summary(f"{shown} {'file differs' if shown == 1 else 'files differ'}. {asked}", asked, asked, summarise(comparison).undo)


def applied_blueprint(org: Organization) -> Blueprint | None:
    """What was applied last, as far as is known."""
    state: StackState | None = StackState.objects.for_org(org).select_related("applied_blueprint__needs_revision").first()
    return state.applied_blueprint if state else None


def _needs(blueprint: Blueprint | None) -> Needs | None:
    """The answers behind a blueprint; None where this release no longer takes them."""
    try:
        return needs_of(blueprint.needs_revision) if blueprint else None
    except SprocketError:
        return None


def _changes(comparison: Comparison) -> dict[str, Any]:
    return {
        "needs": [asdict(need) for need in comparison.needs or ()] if comparison.old_digest else [],
        "files": [{"path": f.path, "change": f.change, "derived": f.derived, "local": f.local} for f in comparison.files],
        "components": [
            {
                "name": c.name, "title": c.title, "change": c.change, "disruption": c.disruption, "interruption": c.interruption,
                "noticed_by": c.noticed_by, "gap_s": c.gap_s, "keeps": list(c.keeps), "local": c.local,
                "services": [{"service": e.service, "disruption": e.disruption, "because": list(e.because)} for e in c.effects],
            }
            for c in comparison.components
        ],
    }  # fmt: skip


def _why(effect: Any) -> str:  # noqa: ANN401 - a ServiceEffect
    return f"its data is at risk, since {', '.join(effect.because)} of {effect.service} changes"


def _size(rendering: Rendering | None) -> dict[str, Any] | None:
    return rendering.blueprint.get("size") if rendering else None


def _secrets(org: Organization, old: Rendering | None, new: Rendering) -> list[dict[str, Any]]:
    """Each secret by the first digits of its keyed fingerprint: what it was, what it becomes, and changed, same, new or missing."""
    before = _fingerprints(org, old) if old else {}
    after = _fingerprints(org, new)
    titles = {name: str(entry.get("title", name)) for name, entry in new.secrets.items()}
    rows = []
    for name, (version, fingerprint) in after.items():
        was = before.get(name)
        state = "missing" if not fingerprint else "new" if was is None else "same" if was[1] == fingerprint else "changed"
        rows.append(
            {"name": name, "title": titles[name], "version": version, "before": was[1] if was else "", "after": fingerprint, "state": state}
        )
    return rows


def _fingerprints(org: Organization, rendering: Rendering) -> dict[str, tuple[int, str]]:
    wanted = secret_store.wanted_secrets(rendering.secrets)
    full = secret_store.fingerprints_for(org, wanted)
    return {item.name: (item.version, "" if full[item.name] == "0" * 64 else full[item.name][:12]) for item in wanted}


def _rollback(org: Organization, before: Blueprint | None, blueprint: Blueprint, old: Rendering | None, new: Rendering) -> dict[str, Any]:
    """Empty unless the plan goes back to an earlier version."""
    if before is None or old is None or blueprint.number >= before.number:
        return {}
    applied = Plan.objects.for_org(org).filter(state=PlanState.APPLIED, blueprint__number__gt=blueprint.number).select_related("blueprint")
    between = {plan.blueprint_id: plan.blueprint for plan in applied.order_by("number")}
    return {"to": blueprint.number, "data": list(data_left(old, new, [rendering_of_row(row) for row in between.values()]))}


def look_at_host(org: Organization, rendering: Rendering) -> list[Result]:
    """The machine as this rendering needs it, and its public names.

    Raises:
        ApplyError: Docker does not answer.
    """
    images = images_of(rendering.lock)
    services = _services(rendering)
    own = {name for kind, name in adopted_of(rendering.files) if kind == "service"}
    own |= {str(service["x-sprocket"]["name"]) for service in services if (service.get("x-sprocket") or {}).get("name")}
    host = read_host(docker_hands(), org.slug, own, _ports(services), {image.reference for image in images}, _folders(services))
    needed = int(rendering.blueprint.get("size", {}).get("needed_mib", 0))
    ways = rendering.blueprint.get("access", {}).get("ways", ())
    return [*host_results(host, images, needed), *name_results(ways, addresses_of)]


def _services(rendering: Rendering) -> list[Mapping[str, Any]]:
    stacks = [load(rendering.files[path], path) or {} for _, path in rendering.stacks]
    return [service for stack in stacks for service in (stack.get("services") or {}).values()]


def _ports(services: Iterable[Mapping[str, Any]]) -> list[int]:
    """Entry ports the services publish."""
    return sorted({int(port["published"]) for service in services for port in service.get("ports") or () if isinstance(port, Mapping)})


def _folders(services: Iterable[Mapping[str, Any]]) -> list[str]:
    """Paths of the machine that the services mount."""
    mounts = (mount for service in services for mount in service.get("volumes") or () if isinstance(mount, Mapping))
    return sorted({str(mount["source"]) for mount in mounts if mount.get("type") == "bind"})
