"""Removing a deployment: from what is there, after the name was typed, by two people where that is asked for, and looked at afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from django.test import Client

from blueprints.models import Blueprint
from orgs.models import AuditEvent, Membership, Organization
from provisioning import actions
from provisioning.live import LiveObject
from provisioning.models import Run, StackState
from provisioning.review import removal
from provisioning.review.decisions import set_rules
from provisioning.secret_store import stack_state
from provisioning.states import RunState
from sprocket_v2.errors import ApplyError, DeniedError, StaleError
from tests.provisioning.conftest import FakeDocker

Make = Callable[..., Blueprint]
HOST = {"HTTP_HOST": "localhost"}
DATA, NET = LiveObject("volume", "demo_data", "demo_data"), LiveObject("network", "demo_net", "n1")
pytestmark = pytest.mark.usefixtures("token")


@pytest.fixture
def deployed(make_blueprint: Make, demo: Organization, docker: FakeDocker) -> Organization:
    """A service, a network and a volume, of which the version knows none: its bundle is empty."""
    stack_state(demo)
    StackState.objects.update(applied_blueprint=make_blueprint())
    docker.objects = [DATA, NET]
    return demo


@pytest.fixture
def zoe(demo: Organization, django_user_model: Any) -> Any:
    """A second owner."""
    user = django_user_model.objects.create(username="zoe")
    Membership.objects.create(organization=demo, user=user, roles=["owner"])
    return user


def _destroy(org: Organization, actor: Any) -> Run:
    return actions.run_here(actions.destroy(org=org, actor=actor, ring=False))


def test_what_no_state_knows_is_taken_too_and_data_stays(deployed: Organization, docker: FakeDocker, alice: Any) -> None:
    run = _destroy(deployed, alice)
    assert (run.state, run.changes["leftover"]) == (RunState.SUCCEEDED, 2)
    assert (docker.services, docker.objects) == ([], [DATA])
    said = [event.message for event in run.events.all() if event.message]
    assert said[0] == "to go: 1 service, 1 network (2 of them no version has); to stay: 1 volume"
    assert said[-1].startswith("looked: gone are 1 service, 1 network")


def test_orphans_alone_are_removed_where_no_state_is_left(demo: Organization, docker: FakeDocker, alice: Any, data_dir: Any) -> None:
    docker.objects = [NET]
    run = _destroy(demo, alice)
    assert (run.state, run.error) == (RunState.SUCCEEDED, None)
    assert (docker.services, docker.objects) == ([], [])
    again = _destroy(demo, alice)
    assert again.error is not None
    assert again.error["message"] == "nothing is deployed"


def test_a_volume_that_was_to_stay_and_is_gone_fails_the_removal(deployed: Organization, docker: FakeDocker, alice: Any) -> None:
    remove = docker.remove

    def takes_too_much(kind: str, name: str) -> None:
        remove(kind, name)
        docker.objects = []

    docker.remove = takes_too_much  # type: ignore[method-assign]
    run = _destroy(deployed, alice)
    assert run.state == RunState.FAILED
    assert run.error is not None
    assert run.error["message"] == "volume demo_data was to stay and is gone"


def test_another_name_another_inventory_and_another_person_are_refused(
    deployed: Organization, docker: FakeDocker, alice: Any, bob: Any
) -> None:
    with pytest.raises(DeniedError):
        removal.confirm(org=deployed, actor=bob, what="destroy", typed="demo")
    with pytest.raises(ApplyError, match="not confirmed"):
        removal.confirm(org=deployed, actor=alice, what="destroy", typed="dem")
    seen = removal.inventory(deployed).digest
    assert removal.confirm(org=deployed, actor=alice, what="destroy", typed="demo", seen=seen) == ""
    docker.objects.append(replace(NET, name="demo_more", id="n2"))
    with pytest.raises(StaleError, match="something else is there than you looked at"):
        removal.confirm(org=deployed, actor=alice, what="destroy", typed="demo", seen=seen)


def test_two_people_confirm_the_same_inventory(deployed: Organization, docker: FakeDocker, alice: Any, zoe: Any) -> None:
    set_rules(org=deployed, actor=alice, two_people=True, needs_reason=False)

    def yes(actor: Any, what: str = "destroy") -> str:
        return removal.confirm(org=deployed, actor=actor, what=what, typed="demo")

    assert "a second person has to confirm" in yes(alice)
    assert "you were the first" in yes(alice)
    docker.objects.append(replace(NET, name="demo_more", id="n2"))
    assert "a second person" in yes(zoe), "alice said yes to something else: zoe is the first now"
    assert "a second person" in yes(alice, "purge"), "a purge is another act, with two people of its own"
    assert yes(alice) == ""
    assert AuditEvent.objects.filter(what="destroy confirmed", user=alice, detail="asked for by zoe").count() == 1
    assert "a second person" in yes(zoe), "a yes is used once"


def test_the_page_shows_both_lists_and_the_orphans_and_waits_for_the_second(
    deployed: Organization, alice: Any, zoe: Any, bob: Any, charlie: Any, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(actions, "ring_for", lambda _run: True)
    set_rules(org=deployed, actor=alice, two_people=True, needs_reason=False)
    client.force_login(alice)
    text = client.get("/o/demo/remove", **HOST).content.decode()
    for words in ("demo_web", "demo_net", "demo_data", "no version has it", "sprocket purge demo", "asks for two people"):
        assert words in text
    digest = removal.inventory(deployed).digest
    assert client.post("/o/demo/destroy", {"slug": "dem", "digest": digest}, **HOST).status_code == 422
    assert client.post("/o/demo/destroy", {"slug": "demo", "digest": digest}, **HOST)["Location"] == "/o/demo/remove"
    assert not Run.objects.filter(kind="destroy").exists()
    client.force_login(zoe)
    assert "alice asked for this" in " ".join(client.get("/o/demo/remove", **HOST).content.decode().split())
    answer = client.post("/o/demo/destroy", {"slug": "demo", "digest": digest}, **HOST)
    assert answer["Location"] == f"/o/demo/runs/{Run.objects.get(kind='destroy').number}"
    for outsider in (bob, charlie):
        client.force_login(outsider)
        assert client.get("/o/demo/remove", **HOST).status_code == 404
        assert client.post("/o/demo/destroy", {"slug": "demo"}, **HOST).status_code == 404


def test_an_empty_machine_says_what_to_do_next(demo: Organization, docker: FakeDocker, alice: Any, client: Client) -> None:
    docker.services = []
    client.force_login(alice)
    text = client.get("/o/demo/remove", **HOST).content.decode()
    assert "Nothing is there to be removed" in text
    assert "Back to Demo League" in text
