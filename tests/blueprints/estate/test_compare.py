"""The legacy layout against v2: every one of the 22 has a fate and a reason; the same against itself is the same."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from django.test import Client

from blueprints.catalog import load_catalog
from blueprints.estate.compare import compare_estates
from blueprints.estate.sides import reference_side
from blueprints.migration.rules import read_rules
from orgs.models import Organization

ROOT = Path(__file__).resolve().parents[3]


def test_every_one_of_the_22_has_a_fate_and_a_reason() -> None:
    catalog = load_catalog()
    found = compare_estates(reference_side("legacy-22", catalog), reference_side("v2", catalog), read_rules())
    assert found.headline == "22 services become 7."
    old = [pair for pair in found.services if pair.before]
    assert len(old) == 22
    assert all(pair.why for pair in old), [pair.role for pair in old if not pair.why]
    stays = {pair.role for pair in old if pair.after}
    assert stays == {"web", "api", "bot", "redis", "proxy"}
    reasons = {pair.role: pair.why for pair in old}
    assert reasons["web"] == "Players use the site; v2 serves it from one container."
    assert "Nobody asks for a status page" in " ".join(reasons.values())
    counts = {kind.title: (kind.before, kind.after) for kind in found.kinds}
    assert counts["Secret paths"] == (24, 0)
    assert counts["Volumes"] == (16, 4)
    assert counts["Routes"] == (15, 2)


def test_another_text_of_a_file_or_another_setting_is_a_difference() -> None:
    side = reference_side("v2", load_catalog())
    for kind in ("config", "service"):
        items = list(side.estate.items)
        at = next(i for i, item in enumerate(items) if item.kind == kind)
        item = items[at]
        changed = replace(item.service, user="somebody") if item.service else None
        items[at] = replace(item, service=changed, facts={**item.facts, "text": "another text"})
        found = compare_estates(side, replace(side, estate=replace(side.estate, items=tuple(items))), read_rules())
        assert not found.is_same
        assert found.in_detail


def test_the_same_against_itself_is_the_same() -> None:
    catalog = load_catalog()
    side = reference_side("v2", catalog)
    found = compare_estates(side, side, read_rules())
    assert found.is_same
    assert {pair.fate for pair in found.services} == {"same"}


def test_the_command_says_it_with_exit_codes() -> None:
    command = [sys.executable, "-m", "sprocket_v2.cli.main", "--json", "diff", "profile:legacy-22", "profile:v2"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    assert json.loads(done.stdout)["headline"] == "22 services become 7."


@pytest.mark.django_db
def test_the_page_shows_it_and_nobody_sees_anothers(client: Client, alice: object, demo: Organization) -> None:
    client.force_login(alice)  # type: ignore[arg-type]
    page = client.get(f"/o/{demo.slug}/compare/estates?a=profile:legacy-22&b=profile:v2", HTTP_HOST="localhost")
    assert page.status_code == 200
    assert "22 services become 7." in page.content.decode()
    other = client.get(f"/o/{demo.slug}/compare/estates?a=blueprint:other/1&b=profile:v2", HTTP_HOST="localhost")
    assert "cannot be compared" in other.content.decode()
