"""The page of the checks: every rule with what it found, filters, and who may look."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from blueprints import actions as blueprint_actions
from blueprints.checks.registry import RULES
from blueprints.models import Blueprint, BlueprintFile
from orgs import actions as org_actions
from orgs.models import Organization
from tests.orgs.answers import answers

HOST = {"HTTP_HOST": "localhost"}
pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.fixture
def blueprint(demo: Organization, alice: Any, client: Client) -> Blueprint:
    """One without a deputy, looked at by Alice."""
    given = answers(slug="demo", applications="stand-in", access={"localhost": {"host": "demo.localhost", "port": 8080}})
    org_actions.set_needs(org=demo, actor=alice, data=given)
    client.force_login(alice)
    return blueprint_actions.make_blueprint(org=demo, actor=alice)


def _page(client: Client, query: str = "", number: int = 1) -> Any:
    return client.get(f"/o/demo/blueprints/{number}/checks{query}", **HOST)


def test_every_rule_is_there_with_its_incident_and_what_failed_stands_first(client: Client, blueprint: Blueprint) -> None:
    page = _page(client)
    text = page.content.decode()
    assert page.status_code == 200
    assert all(f'id="{rule.id}"' in text for rule in RULES)
    assert "nobody can take over from the owner" in text
    assert "Incident 7: PostgreSQL ran in Docker, and nothing backed it up." in text
    assert text.index("<strong>failed</strong>") < text.index("<strong>passed</strong>") < text.index("<strong>not applicable</strong>")


def test_filters_leave_out_the_others(client: Client, blueprint: Blueprint) -> None:
    text = _page(client, "?state=failed&severity=warning&kind=lint").content.decode()
    assert 'id="I40-deputy"' in text
    assert text.count('<li id="I') == 1
    assert "No rule is like that" in _page(client, "?state=failed&kind=probe").content.decode()


def test_the_blueprints_page_leads_there(client: Client, blueprint: Blueprint) -> None:
    assert 'href="/o/demo/blueprints/1/checks"' in client.get("/o/demo/blueprints/1", **HOST).content.decode()


def test_a_blueprint_that_cannot_be_read_is_said_and_not_a_fault(client: Client, blueprint: Blueprint) -> None:
    BlueprintFile.objects.filter(blueprint=blueprint, path="stack.yml").update(text="services: [")
    page = _page(client)
    assert page.status_code == 422
    assert "not YAML" in page.content.decode()


def test_charlie_and_a_number_that_is_none_get_the_same_answer(client: Client, blueprint: Blueprint, charlie: Any) -> None:
    assert _page(client, number=9).status_code == 404
    client.force_login(charlie)
    assert _page(client).status_code == 404
