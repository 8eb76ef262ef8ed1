"""The migration page: what it says before there is anything, the plan, the steps with their evidence, and who may press what."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client

from orgs.models import Membership, Organization
from provisioning.migration import actions
from provisioning.migration.rows import Migration
from provisioning.models import SecretVersion
from tests.blueprints.migration.estates import SOURCE
from tests.provisioning.migration.conftest import Story, needs_text

HOST = {"HTTP_HOST": "localhost"}
PAGE = "/o/demo/migration"


def page(client: Client, person: Any) -> str:
    client.force_login(person)
    return str(client.get(PAGE, **HOST).content.decode())


def asking(org: Organization, alice: Any) -> Migration:
    return actions.carry_on_here(actions.start(org=org, actor=alice, ring=False), on_note=lambda _message: None)


def test_without_an_estate_it_says_what_to_do(demo: Organization, alice: Any, client: Client) -> None:
    assert "There is no estate to move" in page(client, alice)
    assert "Move the estate to v2" not in client.get("/o/demo/", **HOST).content.decode()


def test_before_v2_is_known_needs_are_suggested_from_what_runs(imported: Organization, alice: Any, client: Client) -> None:
    text = page(client, alice)
    assert "domain: league.example.org" in text and "Keep both" in text
    assert "Move the estate to v2" in client.get("/o/demo/", **HOST).content.decode()


def test_what_is_kept_gives_a_plan_and_a_mistake_says_where(imported: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    bad = client.post(f"{PAGE}/settle", {"needs_text": needs_text(), "source_text": "database: {host: db.example.org}"}, **HOST)
    assert bad.status_code == 422 and "migration-source.yaml" in bad.content.decode()
    assert not Organization.objects.filter(slug="league").exists()
    text = client.post(f"{PAGE}/settle", {"needs_text": needs_text(), "source_text": SOURCE}, follow=True, **HOST).content.decode()
    for said in (
        "Before and after",
        "prod-rabbitmq",
        "merge",
        "21 services have none",
        "In the way",
        "5 secrets have to be typed in again",
    ):
        assert said in text, said


def test_a_password_of_the_copy_is_taken_and_never_shown(ready: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    name = "migration-database-password"
    text = client.post(f"{PAGE}/secret", {"name": name, "value": "another-canary-password"}, follow=True, **HOST).content.decode()
    assert "migration-database-password is set (version 2)" in text and "another-canary" not in text
    assert client.post(f"{PAGE}/secret", {"name": "bot-token", "value": "another-canary-password"}, **HOST).status_code == 422
    assert SecretVersion.objects.for_org(ready).filter(secret__name="bot-token").count() == 0


def test_a_person_confirms_and_only_who_may_sees_the_button(
    ready: Organization, alice: Any, bob: Any, client: Client, story: Story
) -> None:
    asking(ready, alice)
    assert "It is done, go on" in page(client, alice)
    text = page(client, bob)
    assert "it takes somebody with that role" in text and "It is done, go on" not in text
    client.force_login(alice)
    assert "Noted. It goes on." in client.post(f"{PAGE}/confirm", {}, follow=True, **HOST).content.decode()
    assert actions.open_migration(ready).state == "queued"
    assert 'hx-trigger="every 2s"' in client.get(f"{PAGE}/state", **HOST).content.decode()


def test_the_point_of_no_return_asks_for_the_name_of_an_owner(ready: Organization, alice: Any, client: Client, story: Story) -> None:
    asking(ready, alice)
    actions.carry_on_here(actions.confirm(org=ready, actor=alice, ring=False), on_note=lambda _message: None)
    assert "Go past the point of no return" in page(client, alice)
    wrong = client.post(f"{PAGE}/confirm", {"typed": "Demo"}, follow=True, **HOST).content.decode()
    assert "not the organization&#x27;s. type exactly: Demo League" in wrong
    assert "It goes on" in client.post(f"{PAGE}/confirm", {"typed": "Demo League"}, follow=True, **HOST).content.decode()


def test_an_operator_may_not_go_past_the_point_of_no_return(
    ready: Organization, alice: Any, bob: Any, client: Client, story: Story
) -> None:
    Membership.objects.filter(user=bob).update(roles=["operator"])
    asking(ready, alice)
    actions.carry_on_here(actions.confirm(org=ready, actor=bob, ring=False), on_note=lambda _message: None)
    assert "Go past the point of no return" not in page(client, bob)
    client.post(f"{PAGE}/confirm", {"typed": "Demo League"}, **HOST)
    assert actions.open_migration(ready).state == "asking"


def test_a_failure_shows_its_words_and_the_ways_on(ready: Organization, alice: Any, client: Client, story: Story) -> None:
    story.fails["do drain"] = "still open after 600 s: open scrims 2"
    asking(ready, alice)
    actions.carry_on_here(actions.confirm(org=ready, actor=alice, ring=False), on_note=lambda _message: None)
    text = page(client, alice)
    for said in ("still open after 600 s: open scrims 2", "Try again", "Take it all back", "Accept and go on"):
        assert said in text, said
    client.post(f"{PAGE}/confirm", {"reason": "both teams agreed"}, **HOST)
    assert "alice: both teams agreed" in page(client, alice)


@pytest.mark.parametrize("what", ["rehearse", "start", "pause", "resume", "back"])
def test_what_cannot_be_done_now_is_said_and_changes_nothing(imported: Organization, alice: Any, client: Client, what: str) -> None:
    client.force_login(alice)
    text = client.post(f"{PAGE}/{what}", follow=True, **HOST).content.decode()
    assert "alert-danger" in text or "alert-error" in text or "messages" in text
    assert Migration.objects.for_org(imported).count() == 0
