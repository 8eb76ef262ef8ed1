"""The needs form and its panel in every generation: the choice, what a yes brings, what comes along, placeholders."""

from __future__ import annotations

import html
from typing import Any

import pytest
from django.test import Client

from blueprints.catalog import load_catalog
from blueprints.forms import answers_from, groups_for, without_defaults
from blueprints.resolve import resolve
from orgs import actions as org_actions
from orgs.models import NeedsRevision, Organization
from orgs.needs_file import needs_from, parse_needs
from tests.blueprints.test_pages import DEMO, HOST, SCHEMA, _posted

PROFILES = sorted(load_catalog().profiles)


def _text(profile: str, *features: str) -> str:
    wanted = "".join(f"  {name}: true\n" for name in features)
    return DEMO + f"profile: {profile}\n" + (f"features:\n{wanted}" if wanted else "")


def _sent(text: str) -> dict[str, Any]:
    catalog, needs = load_catalog(), parse_needs(text)
    components = tuple(c.name for c in resolve(needs, catalog, None, {"demo-schema.sql": SCHEMA}).components)
    return _posted(groups_for(needs.model_dump(mode="json"), catalog, components, {}))


@pytest.fixture
def league(demo: Organization, alice: Any, client: Client) -> Organization:
    """The demo organization with its needs, and Alice signed in."""
    org_actions.attach(org=demo, name="demo-schema.sql", content=SCHEMA, actor=alice)
    org_actions.set_needs(org=demo, actor=alice, text=DEMO)
    client.force_login(alice)
    return demo


@pytest.mark.parametrize("profile", PROFILES)
def test_a_form_sent_back_as_it_was_shown_gives_equal_needs_in_every_generation(profile: str) -> None:
    catalog, needs = load_catalog(), parse_needs(_text(profile, "scrims"))
    components = tuple(c.name for c in resolve(needs, catalog, None, {"demo-schema.sql": SCHEMA}).components)
    groups = groups_for(needs.model_dump(mode="json"), catalog, components, {})
    data = without_defaults({**answers_from(_posted(groups), groups), "slug": needs.slug}, catalog, components)
    assert needs_from(data, "form") == needs


def test_the_form_says_beside_each_feature_what_it_brings(league: Organization, client: Client) -> None:
    page = html.unescape(client.get("/o/demo/needs", **HOST).content.decode())
    assert "Brings Replay parser; with it MinIO (Replay parser needs it; Submissions needs it)" in page
    assert '<option value="v2-monolith">Sprocket v2, one process</option>' in page


def test_the_panel_tells_what_comes_along_before_anything_is_saved(league: Organization, client: Client) -> None:
    sent = {**_sent(DEMO), "features.replays": ["on"]}
    panel = html.unescape(client.post("/o/demo/needs/panel", sent, **HOST).content.decode())
    assert panel.count("comes along") == 2
    assert "with Replays = yes" in panel
    assert NeedsRevision.objects.for_org(league).count() == 1


def test_the_panel_lists_placeholders_and_does_not_ask_for_them(league: Organization, client: Client) -> None:
    sent = {**_sent(DEMO), "profile": ["v2-monolith"], "discord.bot": []}
    panel = html.unescape(client.post("/o/demo/needs/panel", sent, **HOST).content.decode())
    asked, _, filled = panel.partition("Filled in for you")
    for title in ("Google client ID", "InfluxDB token", "Discord bot token", "Object storage access key"):
        assert title in filled
        assert title not in asked


def test_another_generation_is_chosen_in_the_form_and_kept(league: Organization, client: Client) -> None:
    answer = client.post("/o/demo/needs/save", {**_sent(DEMO), "profile": ["v2-monolith"]}, **HOST)
    assert answer.status_code == 302
    assert NeedsRevision.objects.for_org(league).latest("number").data["profile"] == "v2-monolith"


def test_a_feature_the_chosen_generation_has_not_is_marked_beside_its_question(league: Organization, client: Client) -> None:
    sent = {**_sent(_text("v2", "replays")), "profile": ["v2-bun"]}
    answer = client.post("/o/demo/needs/save", sent, **HOST)
    assert answer.status_code == 422
    page = html.unescape(answer.content.decode())
    question = page.partition('data-key="features.replays"')[2].partition("data-key=")[0]
    assert "for profile v2-bun" in question
    assert "disabled" not in question
