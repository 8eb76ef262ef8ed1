"""Every blueprint of our own generations passes every rule that has something to look at."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any

import pytest

from blueprints.catalog import load_catalog
from blueprints.checks.model import Outcome
from blueprints.checks.registry import failed, run_checks
from blueprints.checks.subjects import subject_of_rendering, unused_inputs
from blueprints.closure import answered_by
from blueprints.lock import Lock, LockedImage
from blueprints.render import render
from blueprints.resolve import Resolution, resolve
from orgs.needs import Features, Needs
from orgs.needs_file import parse_needs
from tests.orgs.answers import needs
from tools.golden import PINNED, ROOT, Case, cases, resolved

# Whether images are locked and who the deputy is are for the machine and the league to say; everything else is ours.
DEPUTY = {"name": "Bob Example", "contact": "bob@example.org"}
ATTACHMENTS = {"schema.sql": b"create schema sprocket;\n", "demo-schema.sql": (ROOT / "orgs" / "demo-schema.sql").read_bytes()}


@lru_cache(maxsize=1)
def locked() -> Lock:
    """Every image of the release by a made-up digest."""
    return Lock({name: LockedImage(image.name, image.tag, PINNED) for name, image in load_catalog().images().items()})


def _failures(resolution: Resolution) -> list[tuple[str, list[str]]]:
    names = frozenset(component.name for component in resolution.components)
    catalog = load_catalog()
    subject = subject_of_rendering(render(resolution, catalog), needs=resolution.needs, unused_inputs=unused_inputs(catalog, names))
    return _said(run_checks(subject))


def _said(outcomes: tuple[Outcome, ...]) -> list[tuple[str, list[str]]]:
    return [(o.rule.id, [f"{found.where}: {found.what}" for found in o.found]) for o in failed(outcomes)]


def _with_deputy(given: Needs) -> Needs:
    return Needs.model_validate({**given.model_dump(mode="json"), "deputy": DEPUTY})


def test_the_demo_is_clean_as_it_is() -> None:
    given = parse_needs((ROOT / "orgs" / "demo.yaml").read_text(), "demo.yaml")
    assert _failures(resolve(given, load_catalog(), Lock(), ATTACHMENTS)) == []


@pytest.mark.parametrize(
    "case", [case for case in cases() if case.component != "local" and not case.component.startswith("legacy-")], ids=lambda case: case.id
)
def test_every_golden_case_is_clean_once_its_images_are_locked(case: Case) -> None:
    given = _with_deputy(resolved(case).needs)
    assert _failures(resolve(given, load_catalog(), locked(), ATTACHMENTS)) == []


@pytest.mark.parametrize("profile", ["v2", "v2-monolith", "v2-bun"])
def test_everything_on_at_once_is_clean(profile: str) -> None:
    answered = answered_by(load_catalog().of(profile).values())
    features: dict[str, Any] = {name: True for name in Features.model_fields if f"features.{name}" in answered}
    given = needs(profile=profile, features=features, deputy=DEPUTY)
    assert _failures(resolve(given, load_catalog(), locked(), ATTACHMENTS)) == []


def test_a_leagues_own_additions_trip_nothing_but_what_they_say_themselves() -> None:
    [case] = [case for case in cases() if case.component == "local"]
    given = _with_deputy(resolved(case).needs)
    assert _failures(resolve(given, load_catalog(), locked(), ATTACHMENTS)) == []


def test_real_applications_without_a_lock_are_a_warning_and_nothing_else() -> None:
    said = dict(_failures(resolve(needs(deputy=DEPUTY), load_catalog(), Lock(), ATTACHMENTS)))
    assert list(said) == ["I34-moving-image"]
    assert any("moving tag main" in line for line in said["I34-moving-image"])


def test_a_league_without_a_deputy_is_told_so() -> None:
    said = dict(_failures(resolve(needs(), load_catalog(), locked(), ATTACHMENTS)))
    assert said == {"I40-deputy": ["deputy: nobody can take over from the owner"]}


def test_no_question_of_any_component_is_asked_in_vain() -> None:
    assert unused_inputs(load_catalog(), frozenset(load_catalog().components)) == {}


def test_a_question_that_changes_nothing_is_found() -> None:
    catalog = load_catalog()
    manifest = catalog.components["web"]
    more = replace(manifest, inputs=(*manifest.inputs, replace(manifest.inputs[0], name="server_ip")))
    spoiled = replace(catalog, components={**catalog.components, "web": more})
    assert unused_inputs(spoiled, frozenset({"web"})) == {"web": ("server_ip",)}
