"""The draft on its page and saved as needs: exactly what was looked at, by an editor, and nobody else's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from blueprints.actions import make_blueprint
from orgs.actions import attach, set_needs
from orgs.models import Organization
from provisioning.models import StackState
from provisioning.review import adoption
from provisioning.secret_store import stack_state
from sprocket_v2.errors import ApplyError, DeniedError, StaleError
from tests.blueprints.cases import SQL
from tests.orgs.answers import LEAST

HOST = {"HTTP_HOST": "localhost"}
pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.fixture
def by_hand(demo: Organization, alice: Any, monkeypatch: pytest.MonkeyPatch) -> Organization:
    """Deployed; then somebody gave redis a value, and the bot a new label."""
    attach(org=demo, name="schema.sql", content=SQL, actor=alice)
    given = {**LEAST, "slug": "demo", "discord": {"bot": True}, "access": {"localhost": {"host": "demo.localhost"}}}
    set_needs(org=demo, actor=alice, data=given)
    row = make_blueprint(org=demo, actor=alice)
    stack_state(demo)
    StackState.objects.update(applied_blueprint=row)
    live = {args.name: args for args in adoption.services_of(adoption.rendering_of(row)).values()}
    live["demo_redis"] = replace(live["demo_redis"], environment={**live["demo_redis"].environment, "EXTRA": "1"})
    live["demo_bot"] = replace(live["demo_bot"], labels={**live["demo_bot"].labels, "by-hand": "yes"})
    monkeypatch.setattr(adoption, "_live", lambda _slug, _rendering: live)
    return demo


def test_the_draft_is_the_newest_needs_with_what_was_done_by_hand(by_hand: Organization) -> None:
    draft = adoption.draft_for(by_hand)
    assert [item.key for item in draft.said] == ["additions.environment.redis.EXTRA"]
    assert [item.resource for item in draft.unsaid] == ["service/bot"]
    assert draft.answers["additions"]["environment"] == {"redis": {"EXTRA": "1"}}


def test_it_is_saved_by_an_editor_as_it_was_looked_at(by_hand: Organization, alice: Any, charlie: Any) -> None:
    seen = adoption.digest_of(adoption.draft_for(by_hand))
    with pytest.raises(DeniedError):
        adoption.adopt(org=by_hand, actor=charlie)
    with pytest.raises(StaleError, match="has changed since you looked"):
        adoption.adopt(org=by_hand, actor=alice, seen="sha256:another")
    revision, _ = adoption.adopt(org=by_hand, actor=alice, seen=seen)
    assert (revision.number, revision.digest) == (2, seen)
    assert "service/redis environment.EXTRA was added" in revision.message
    assert adoption.draft_for(by_hand).said == (), "the newest needs say it by now"


def test_nothing_deployed_and_nothing_to_say_are_said(demo: Organization, by_hand: Organization, alice: Any) -> None:
    adoption.adopt(org=by_hand, actor=alice)
    with pytest.raises(ApplyError, match="nothing was done by hand that the needs can say") as caught:
        adoption.adopt(org=by_hand, actor=alice)
    assert "labels say whose a service is" in caught.value.hint
    StackState.objects.update(applied_blueprint=None)
    with pytest.raises(ApplyError, match="nothing is deployed"):
        adoption.draft_for(demo)


def test_an_estate_is_imported_again_instead(by_hand: Organization, monkeypatch: pytest.MonkeyPatch) -> None:
    taken_over = type("Revision", (), {"data": {"estate": "estate.json"}})()
    monkeypatch.setattr(adoption, "current_needs", lambda _org: taken_over)
    with pytest.raises(ApplyError, match="taken over as it runs") as caught:
        adoption.draft_for(by_hand)
    assert "import it again" in caught.value.hint


def test_the_page_shows_both_lists_and_saves_or_opens_the_form(by_hand: Organization, alice: Any, charlie: Any, client: Client) -> None:
    client.force_login(alice)
    text = client.get("/o/demo/drift/adopt", **HOST).content.decode()
    for words in ("additions.environment.redis.EXTRA", "No need can say", "labels say whose", "Save these needs", "Change them first"):
        assert words in text
    form = client.get("/o/demo/drift/adopt/form", **HOST).content.decode()
    assert "A draft" in form
    assert "EXTRA" in form
    assert client.post("/o/demo/drift/adopt/save", {"digest": "sha256:old"}, **HOST).status_code == 422
    digest = adoption.digest_of(adoption.draft_for(by_hand))
    assert client.post("/o/demo/drift/adopt/save", {"digest": digest}, **HOST)["Location"] == "/o/demo/"
    assert "Nothing to adopt" in client.get("/o/demo/drift/adopt", **HOST).content.decode()
    client.force_login(charlie)
    for path in ("adopt", "adopt/form"):
        assert client.get(f"/o/demo/drift/{path}", **HOST).status_code == 404
    assert client.post("/o/demo/drift/adopt/save", **HOST).status_code == 404
