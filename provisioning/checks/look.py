"""An organization as a subject: its newest blueprint or needs, its records, and on demand the machine and what runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from blueprints.actions import draw_newest, newest_blueprint, rendering_of_row
from blueprints.catalog import load_catalog
from blueprints.checks.facts import Peer
from blueprints.checks.model import Outcome, Subject
from blueprints.checks.registry import run_checks
from blueprints.checks.subjects import subject_of_rendering, unused_inputs
from blueprints.models import Blueprint
from blueprints.rendering import Rendering
from orgs.actions import current_needs, needs_of
from orgs.models import Organization
from orgs.needs import Needs
from provisioning.checks.records import records_of
from provisioning.checks.running import running_of
from provisioning.checks.target import target_of
from provisioning.docker_door import docker_hands
from provisioning.preflight.look import existing

OnStep = Callable[[str], None]


def _silent(_step: str) -> None:
    return


def subject_of_blueprint(blueprint: Blueprint) -> Subject:
    """A stored blueprint with the records of its organization."""
    return _subject(blueprint.organization, rendering_of_row(blueprint), needs_of(blueprint.needs_revision))


def subject_of_organization(org: Organization) -> Subject:
    """The newest blueprint; where there is none yet, the newest needs as they would be rendered.

    Raises:
        NeedsError: there are none either.
    """
    blueprint = newest_blueprint(org)
    if blueprint is not None:
        return subject_of_blueprint(blueprint)
    revision = current_needs(org)
    return _subject(org, draw_newest(org=org), needs_of(revision) if revision else None)


def _subject(org: Organization, rendering: Rendering, needs: Needs | None) -> Subject:
    names = frozenset(str(part["name"]) for part in rendering.blueprint["components"])
    subject = subject_of_rendering(rendering, org.slug, needs=needs, unused_inputs=unused_inputs(load_catalog(), names))
    return replace(subject, records=records_of(org, rendering.secrets))


def with_target(org: Organization, subject: Subject, on_step: OnStep = _silent) -> Subject:
    """The same with the machine behind this process's Docker, and the services outside.

    Raises:
        ApplyError: Docker cannot be reached.
    """
    on_step("asking the machine")
    blueprint = newest_blueprint(org)
    results = existing(org, rendering_of_row(blueprint) if blueprint else draw_newest(org=org))
    peers = [Peer(result.key, "" if result.state != "block" else result.sentence) for result in results]
    return replace(subject, target=target_of(docker_hands(), subject, peers=peers))


def with_running(org: Organization, subject: Subject, *, restart_s: float = 0, on_step: OnStep = _silent) -> Subject:
    """The same with what runs of it.

    Raises:
        ApplyError: Docker cannot be reached.
    """
    return replace(subject, running=running_of(subject, docker_hands(), org.slug, restart_s=restart_s, on_step=on_step))


def look(blueprint: Blueprint) -> tuple[Outcome, ...]:
    """What the rules say of a stored blueprint, for its page; asks neither machine nor deployment."""
    return run_checks(subject_of_blueprint(blueprint))
