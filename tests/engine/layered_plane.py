"""A control plane whose organization has a bundle of three layers, put into its database as a rendering would be."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provisioning.providers.swarm.client import connect
from tests.engine.deployed import ControlPlane
from tests.layered import LayeredBundle

MAKE = """
from orgs.people import create_user
alice = create_user(username="alice", admin=True)
org_actions.create_organization(slug=SLUG, name="Layered League", actor=alice)
"""
STORE = """
import hashlib
from blueprints.models import Blueprint, BlueprintFile
from orgs.models import NeedsRevision
from blueprints.rendering import digest_of
number = Blueprint.objects.for_org(org).count() + 1
needs = NeedsRevision.objects.create(organization=org, number=number, text="", data={}, digest="sha256:needs", author=alice)
row = Blueprint.objects.create(organization=org, number=number, needs_revision=needs, digest=digest_of(FILES["blueprint.json"]), template_release="1")
BlueprintFile.objects.bulk_create(BlueprintFile(blueprint=row, path=p, text=t, sha256=digest_of(t)[7:]) for p, t in FILES.items())
"""
PROPOSE = """
seen = []
plan = actions.propose(org=org, blueprint=row, actor=alice, on_event=seen.append)
say({"id": plan.pk, "changes": plan.changes, "steps": {s["resource"]: s["op"] for s in plan.steps}, "state": plan.state_digest,
     "asked": sum(e.kind == "result" for e in seen)})
"""
APPLY = """
plan = actions.approve(plan=Plan.objects.get(pk=ID), actor=alice, reason="an estate of tests")
run = actions.run_here(actions.apply(plan=plan, actor=alice, ring=False))
state = StackState.objects.for_org(org).get()
say({**brief(run), "events": [e.message or e.resource for e in run.events.all()], "digest": state.state_digest, "applied": state.applied_digest,
     "plan_state": Plan.objects.get(pk=ID).state})
"""
RUN = "run = actions.run_here(actions.request_run(org=org, kind=KIND, actor=alice, ring=False)); say({**brief(run), 'events': [e.message or e.resource for e in run.events.all()]})"


ALONE = """
from provisioning.materials import material, rendering_of
from provisioning.operations import run_operation
with material(org, rendering_of(row), "alone") as stuff:
    outcome = run_operation(stuff.request("apply", layer=LAYER, holds_lease=True), on_event=lambda event: None, deadline_s=60.0)
say({"ok": outcome.ok, "error": outcome.error})
"""


class LayeredPlane:
    """The bundle, and what is done with it."""

    def __init__(self, plane: ControlPlane) -> None:
        self.plane = plane
        self.slug = plane.slug
        self.bundle = LayeredBundle(plane.slug)

    def proposed(self) -> dict[str, Any]:
        """A plan of the bundle as it is now."""
        found: dict[str, Any] = self.plane.ask(f"{STORE}\n{PROPOSE}", FILES=dict(self.bundle.rendering().files))
        return found

    def applied(self, plan: dict[str, Any]) -> dict[str, Any]:
        """A plan approved and applied."""
        found: dict[str, Any] = self.plane.ask(APPLY, ID=plan["id"])
        return found

    def applied_alone(self, layer: str) -> dict[str, Any]:
        """One layer of the bundle as it is now, without those before it; how that ended."""
        found: dict[str, Any] = self.plane.ask(f"{STORE}\n{ALONE}", FILES=dict(self.bundle.rendering().files), LAYER=layer)
        return found

    def run(self, kind: str) -> dict[str, Any]:
        """A run without a plan."""
        found: dict[str, Any] = self.plane.ask(RUN, KIND=kind)
        return found

    def versions(self) -> dict[str, int]:
        """Service key -> version of its specification."""
        return {service.name.removesuffix(f"-{self.slug}"): service.version for service in connect().live_services(self.slug)}


@contextlib.contextmanager
def layered_plane(folder: Path) -> Iterator[LayeredPlane]:
    """A control plane with nothing applied yet; leaves nothing behind."""
    plane = ControlPlane(folder / "data")
    try:
        plane.migrate()
        plane.ask(MAKE)
        yield LayeredPlane(plane)
    finally:
        plane.clean_up()
