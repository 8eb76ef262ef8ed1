"""What a person can do with an estate that runs: take it over, look what that would change, let it go. The only writers."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from blueprints.actions import make_blueprint
from blueprints.catalog import load_catalog
from blueprints.estate.model import Estate, Item
from blueprints.estate.store import write_estate
from blueprints.models import Blueprint
from orgs import access
from orgs.actions import attach, current_needs, needs_of, record, set_needs
from orgs.models import Organization
from orgs.needs import Needs
from provisioning import secret_store
from provisioning.actions import preview_now
from provisioning.importing.live import LEFT, LiveEstate, is_adoptable, read_live
from provisioning.importing.proof import Proof, proof_of
from provisioning.materials import rendering_of, state_url
from provisioning.models import Plan, Run, StackState
from provisioning.providers.swarm.client import connect
from provisioning.states import FINISHED, PlanState
from sprocket_v2.errors import ApplyError, StaleError

RECORD = "estate.json"


@dataclass(frozen=True, slots=True)
class Adoption:
    """What was taken over.

    Attributes:
        taken: kind -> how many objects.
        left: names that were read and not taken over, with the reason.
        normalised: rule -> how often it was applied.
        unknown: how many secrets and configs have a value that nobody gave us.
    """

    blueprint: Blueprint
    taken: Mapping[str, int]
    left: Mapping[str, str]
    normalised: Mapping[str, int]
    unknown: int


def look(*, org: Organization, docker_host: str = "", name: str = "live", formerly: str = "", only: str = "") -> LiveEstate:
    """Read the swarm as an organization would take it over. Changes nothing.

    Args:
        formerly: an organization that another control plane had, and whose labels what runs still carries.
        only: a pattern of service names.
    Raises:
        ApplyError: the engine cannot be reached, or the pattern is none, or `formerly` is an organization of this control plane.
    """
    if formerly and Organization.objects.filter(slug=formerly).exclude(pk=org.pk).exists():
        raise ApplyError(f"{formerly} is an organization of this control plane", hint="un-adopt or remove it there first", where=formerly)
    try:
        re.compile(only)
    except re.error as error:
        raise ApplyError(f"{only!r} is no pattern: {error}", hint="such as prod-.*", where="only") from None
    mine = {org.slug, formerly} - {""}
    return read_live(connect(docker_host), secret_store.sealer().withhold_key(org.slug), name, mine=mine, only=only)


def require_same_engine(docker_host: str) -> None:
    """An estate is taken over on the engine that previews and applies then use.

    Raises:
        ApplyError: it is another one, or one of the two cannot be reached.
    """
    if docker_host and connect(docker_host).machine()["info"]["ID"] != connect().machine()["info"]["ID"]:
        raise ApplyError(
            f"{docker_host} is not the engine that previews and applies use",
            hint=f"give DOCKER_HOST={docker_host} to this command, the pages and the workers; --engine alone is for --dry-run",
            where="engine",
        )


def adopt(*, org: Organization, live: LiveEstate, actor: Any, via: str = "web") -> Adoption:  # noqa: ANN401 - rows
    """Keep a live estate as the organization's, and draw its blueprint: what runs, by the engine's ids.

    Raises:
        DeniedError: the person may not. StaleError: the organization deploys services of its own. ApplyError: nothing can be taken over.
    """
    access.require(actor, org, "propose")
    revision = current_needs(org)
    needs = needs_of(revision) if revision else _least_needs(org, actor)
    if needs.estate is None and StackState.objects.for_org(org).filter(applied_blueprint__isnull=False).exists():
        raise StaleError(
            f"{org.slug} deploys services of its own",
            hint="take the estate over as another organization: `sprocket import live --as NAME`",
            where=org.slug,
        )
    estate, left = taken_over(live)
    if not estate.of("service"):
        hint = "is it the right engine, and does --only match whole names? `sprocket adopt ORG --dry-run` shows what is there"
        raise ApplyError("there is no service to take over", hint=hint, where=org.slug)
    with transaction.atomic():
        attach(org=org, name=RECORD, content=write_estate(estate, with_texts=False).encode(), actor=actor)
        if needs.estate != RECORD:
            data = {**needs.model_dump(mode="json"), "estate": RECORD}
            set_needs(org=org, actor=actor, data=data, message="taken over as it runs", via=via)
        blueprint = make_blueprint(org=org, actor=actor, via=via)
        counts = {kind: len(estate.of(kind)) for kind in ("service", "network", "volume", "config", "secret")}
        words = ", ".join(f"{count} {kind}s" for kind, count in counts.items())
        record(org=org, actor=actor, what="estate taken over", detail=words, via=via)
    return Adoption(blueprint, counts, left, live.normalised, counts["config"] + counts["secret"])


def prove(*, org: Organization, adoption: Adoption) -> Proof:
    """Preview what was taken over, and say what would change. Leaves no row and changes nothing.

    Raises:
        PreviewError: the engine could not say. ApplyError: Docker cannot be reached, so nothing can be compared.
    """
    result = preview_now(org=org, rendering=rendering_of(adoption.blueprint))
    if result.basis != "live":
        raise ApplyError(
            "Docker cannot be reached, so nothing can be compared",
            hint="previews and applies use DOCKER_HOST; `sprocket doctor` says more",
            where=org.slug,
        )
    return proof_of(result.changes, result.steps, adoption.normalised)


def _least_needs(org: Organization, actor: Any) -> Needs:  # noqa: ANN401 - rows
    """What has to be said of an organization nobody has described yet: what it deploys stands in its record."""
    who = {"name": actor.get_username() if actor else org.name, "contact": "not said yet"}
    access_ = {"canonical": "localhost", "localhost": {"host": f"{org.slug}.localhost"}}
    layered = next(name for name, profile in load_catalog().profiles.items() if profile.has_layers)
    answers = {"name": org.name, "slug": org.slug, "owner": who, "games": ["rocket-league"], "profile": layered, "access": access_}
    return Needs.model_validate(answers)


def taken_over(live: LiveEstate) -> tuple[Estate, dict[str, str]]:
    """The part of an estate that can be looked after, and why the rest is left."""
    kept = tuple(item for item in live.estate.items if item.kind == "route" or is_adoptable(item, live.estate, live.managed))
    names = {(item.kind, item.name) for item in kept}
    left = {f"{item.kind} {item.name}": _why_left(item, live.managed) for item in live.estate.items if (item.kind, item.name) not in names}
    services = {item.name for item in kept if item.kind == "service"}
    routes = tuple(item for item in kept if item.kind != "route" or item.facts.get("service") in services)
    return replace(live.estate, items=routes), left


def _why_left(item: Item, managed: Mapping[str, str]) -> str:
    if item.name in managed:
        return f"belongs to {managed[item.name]}"
    if item.kind == "service":
        return str(item.facts.get(LEFT, "it could not be read"))
    return "no service uses it"


def is_taken_over(org: Organization) -> bool:
    """Whether the organization looks after an estate that it did not make."""
    return _needs_with_estate(org) is not None


def _needs_with_estate(org: Organization) -> Needs | None:
    revision = current_needs(org)
    needs = needs_of(revision) if revision else None
    return needs if needs is not None and needs.estate is not None else None


def un_adopt(*, org: Organization, actor: Any, via: str = "web") -> None:  # noqa: ANN401 - rows
    """Forget an estate: its record and the engine's state go, and what runs goes on as it is.

    Raises:
        DeniedError: the person may not. StaleError: nothing was taken over, or somebody works on its stacks.
    """
    access.require(actor, org, "destroy")
    needs = _needs_with_estate(org)
    if needs is None:
        raise StaleError(f"{org.slug} has taken nothing over", hint="`sprocket import live --as ORG` does", where=org.slug)
    busy = Run.objects.for_org(org).exclude(state__in=FINISHED).first()
    if busy is not None:
        raise StaleError(
            f"run {busy.number} is not finished", hint="wait for it or cancel it, then let the estate go", where=org.slug, transient=True
        )
    with transaction.atomic():
        set_needs(org=org, actor=actor, data={**needs.model_dump(mode="json"), "estate": None}, message="no longer looked after", via=via)
        Plan.objects.for_org(org).filter(state__in=[PlanState.PROPOSED, PlanState.APPROVED]).update(
            state=PlanState.STALE, reason="the estate is no longer looked after"
        )
        StackState.objects.for_org(org).update(
            state_digest="", live_fingerprint="", applied_digest="", applied_blueprint=None, last_verdict=None
        )
        record(org=org, actor=actor, what="estate let go", detail=org.slug, via=via)
        transaction.on_commit(lambda: _forget_state(org.slug))


def _forget_state(slug: str) -> None:
    """The engine's state of a local folder; one in S3 stays, and a new import finds nothing in it that is not there."""
    url = urlsplit(state_url(slug))
    if url.scheme == "file":
        shutil.rmtree(Path(url.path), ignore_errors=True)
