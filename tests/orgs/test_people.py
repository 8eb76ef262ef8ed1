"""Signing in: by a link that works once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from orgs import people
from orgs.models import AuditEvent, Membership, Organization, SignInLink
from sprocket_v2.errors import DeniedError, SprocketError

HOST = {"HTTP_HOST": "localhost"}


def _token(link: str) -> str:
    return link.rsplit("/", 1)[1]


def test_a_link_lets_in_once(alice: Any, client: Client) -> None:
    link = f"/sign-in/{_token(people.make_sign_in_link(user=alice))}"
    assert client.get(link, **HOST).status_code == 200
    assert client.get(link, **HOST).status_code == 200, "looking does not use it up"
    assert client.post(link, **HOST).status_code == 302
    assert client.get("/", **HOST).status_code == 200
    other = Client()
    assert other.post(link, **HOST).status_code == 403
    assert other.get("/", **HOST).status_code == 302


def test_only_a_digest_of_the_token_is_kept(alice: Any) -> None:
    token = _token(people.make_sign_in_link(user=alice))
    row = SignInLink.objects.get()
    assert token not in {str(value) for value in vars(row).values()}


def test_an_old_link_lets_nobody_in(alice: Any, client: Client) -> None:
    token = _token(people.make_sign_in_link(user=alice))
    SignInLink.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert client.post(f"/sign-in/{token}", **HOST).status_code == 403
    with pytest.raises(DeniedError, match="too old"):
        people.use_sign_in_link(token)


@pytest.mark.parametrize("name", ["", "Alice", "a b", "x" * 41, "../x"])
def test_a_user_name_has_a_grammar(db: None, name: str) -> None:
    with pytest.raises(SprocketError, match="is no user name"):
        people.create_user(username=name)


def test_people_have_no_password(db: None) -> None:
    assert not people.create_user(username="dora").has_usable_password()


def test_an_invitation_makes_person_membership_link_and_trace(demo: Organization, alice: Any) -> None:
    user, link = people.invite(org=demo, username="dora", roles=["viewer", "operator"], actor=alice)
    assert Membership.objects.for_org(demo).get(user=user).roles == ["viewer", "operator"]
    assert people.find_sign_in_link(_token(link)) is not None
    assert AuditEvent.objects.for_org(demo).filter(what="roles set", detail="dora: viewer, operator").exists()


def test_a_person_without_a_way_to_tell_whose_action_it_is_has_to_be_named(demo: Organization) -> None:
    with pytest.raises(SprocketError, match="whose action"):
        people.person_for_command_line(demo, None)
