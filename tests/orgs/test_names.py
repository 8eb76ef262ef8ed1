"""A name that another organization answers to is refused when needs are saved, without saying whose it is."""

from __future__ import annotations

from typing import Any

import pytest

from orgs.actions import create_organization, current_needs, set_needs
from orgs.models import Organization
from orgs.names import refuse_taken_names
from orgs.needs import Access
from sprocket_v2.errors import NeedsError
from tests.orgs.answers import answers

PUBLIC = {"domain": "league.example.org", "email": "a@example.org"}


def access(**ways: Any) -> Access:
    return Access.model_validate({"canonical": next(iter(ways)), **ways})


TAKEN: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"public": PUBLIC}, {"public": PUBLIC}, 'access.public.domain: "league.example.org" is taken'),
    (
        {"public": {**PUBLIC, "domain": "api.league.example.org"}},
        {"public": PUBLIC},
        'access.public.domain: "api.league.example.org" is taken',
    ),
    ({"public": {**PUBLIC, "domain": "example.org"}}, {"public": PUBLIC}, 'access.public.domain: "example.org" is taken'),
    (
        {"localhost": {"host": "a.localhost", "port": 9999}},
        {"localhost": {"host": "a.localhost"}},
        'access.localhost.host: "a.localhost" is taken',
    ),
    (
        {"lan": {"host": "10.0.0.5"}},
        {"lan": {"host": "10.0.0.5", "port": 9000, "api_port": 8080}},
        'access.lan.port: "10.0.0.5:8080" is taken',
    ),
    ({"vpn": {"host": "box.ts.net", "port": 9000}}, {"vpn": {"host": "box.ts.net"}}, 'access.vpn.api_port: "box.ts.net:8081" is taken'),
]
FREE: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"public": PUBLIC}, {"public": {**PUBLIC, "domain": "other.example.org"}}),
    ({"public": PUBLIC}, {"public": {**PUBLIC, "domain": "myleague.example.org"}}),
    ({"public": {**PUBLIC, "domain": "otherleague.example.org"}}, {"public": PUBLIC}),
    ({"localhost": {"host": "a.localhost"}}, {"localhost": {"host": "b.localhost"}}),
    ({"lan": {"host": "10.0.0.5"}}, {"lan": {"host": "10.0.0.5", "port": 9000, "api_port": 9001}}),
    ({"lan": {"host": "10.0.0.5"}}, {"vpn": {"host": "box.ts.net"}}),
]


@pytest.mark.parametrize(("ours", "theirs", "message"), TAKEN)
def test_a_taken_name_is_refused(ours: dict[str, Any], theirs: dict[str, Any], message: str) -> None:
    with pytest.raises(NeedsError) as caught:
        refuse_taken_names(access(**ours), [access(**theirs).model_dump(mode="json")])
    assert caught.value.message == message


@pytest.mark.parametrize(("ours", "theirs"), FREE)
def test_a_free_name_is_not(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    refuse_taken_names(access(**ours), [{}, access(**theirs).model_dump(mode="json")])


@pytest.mark.django_db
def test_saving_needs_says_that_a_domain_is_taken_and_not_by_whom(demo: Organization, alice: Any, charlie: Any) -> None:
    public = {"canonical": "public", "public": PUBLIC}
    secretive = create_organization(slug="secretive", name="Secretive League", actor=charlie)
    set_needs(org=secretive, actor=charlie, data=answers(slug="secretive", name="Secretive League", access=public))
    with pytest.raises(NeedsError) as caught:
        set_needs(org=demo, actor=alice, data=answers(slug="demo", access=public))
    said = f"{caught.value.message}{caught.value.hint}{caught.value.where}".lower()
    assert "is taken" in said
    assert "secretive" not in said


@pytest.mark.django_db
def test_a_name_somebody_gave_up_and_ones_own_are_free(demo: Organization, alice: Any, charlie: Any) -> None:
    other = create_organization(slug="second", name="Second", actor=charlie)
    public = {"canonical": "public", "public": PUBLIC}
    set_needs(org=other, actor=charlie, data=answers(slug="second", access=public))
    set_needs(org=other, actor=charlie, data=answers(slug="second", access={"localhost": {"host": "other.localhost"}}))
    set_needs(org=demo, actor=alice, data=answers(slug="demo", access=public))
    set_needs(org=demo, actor=alice, data=answers(slug="demo", access=public, expected_members=7))
    found = current_needs(demo)
    assert found is not None
    assert found.data["expected_members"] == 7
