"""Taking what somebody did by hand into the needs: the draft, and saving it. Which answers say it is decided in adopting.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blueprints.actions import draw
from blueprints.catalog import load_catalog
from blueprints.compose import ServiceArgs
from blueprints.layers import layers_of
from blueprints.rendering import Rendering
from orgs import access
from orgs.actions import current_needs, set_needs
from orgs.models import NeedsRevision, Organization
from orgs.needs_file import needs_digest, needs_from
from provisioning.docker_door import docker_hands
from provisioning.live import adopted_of
from provisioning.materials import rendering_of
from provisioning.review.adopting import Draft, Seen, draft_of
from provisioning.review.facts import applied_blueprint
from sprocket_v2.errors import ApplyError, StaleError


def draft_for(org: Organization) -> Draft:
    """The newest needs with what runs otherwise than it was applied, as far as needs can say it. Changes nothing.

    Raises:
        ApplyError: nothing is deployed, Docker cannot be read, or the services were taken over as they are.
    """
    blueprint, revision = applied_blueprint(org), current_needs(org)
    if blueprint is None or revision is None:
        raise ApplyError("nothing is deployed", hint="propose, approve and apply a blueprint first", where=org.slug)
    if revision.data.get("estate"):
        raise ApplyError(
            "this deployment was taken over as it runs: its record says what it is, not the needs",
            hint="import it again: the import reads what runs now",
            where=org.slug,
        )
    rendering = rendering_of(blueprint)
    seen = Seen(org.slug, services_of(rendering), _live(org.slug, rendering), revision.data)
    return draft_of(seen, load_catalog(), lambda answers: services_of(draw(org=org, needs=needs_from(dict(answers), "draft"))))


def services_of(rendering: Rendering) -> dict[str, ServiceArgs]:
    """The services of all stacks of a rendering, by their key."""
    return {key: args for layer in layers_of(rendering) for key, args in layer.stack.services.items()}


def _live(slug: str, rendering: Rendering) -> Mapping[str, ServiceArgs]:
    from provisioning.providers.swarm.service import read_args  # it brings the Docker SDK along

    hands = docker_hands()
    names = [service.name for service in hands.live_services(slug, adopted_of(rendering.files))]
    found = {name: hands.find("service", name) for name in names}
    return {name: read_args(hands, data) for name, data in found.items() if data is not None}


def digest_of(draft: Draft) -> str:
    """What is saved has to be what was read: the digest of the draft's answers."""
    return needs_digest(needs_from(dict(draft.answers), "draft"))


def adopt(*, org: Organization, actor: Any, seen: str = "", via: str = "web") -> tuple[NeedsRevision, Draft]:  # noqa: ANN401 - a user
    """Save the draft as a revision of the needs.

    Args:
        seen: digest of the draft that was looked at; empty takes the one that is found now.
    Raises:
        DeniedError: no editor. StaleError: it is another draft by now. ApplyError: there is nothing to save.
    """
    access.require(actor, org, "edit")
    draft = draft_for(org)
    if not draft.said:
        why = f"{draft.unsaid[0].what}: {draft.unsaid[0].why}" if draft.unsaid else f"`sprocket drift {org.slug}` looks again"
        raise ApplyError("nothing was done by hand that the needs can say", hint=why, where=org.slug)
    if seen and seen != digest_of(draft):
        raise StaleError("what runs has changed since you looked", hint="look at the new draft, then save it", where=org.slug)
    said = ", ".join(dict.fromkeys(f"{item.resource} {item.what}" for item in draft.said))
    revision = set_needs(org=org, actor=actor, data=draft.answers, message=f"adopted from what runs: {said}", source="draft", via=via)
    return revision, draft
