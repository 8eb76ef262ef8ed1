"""Every route, walked from its table: outsiders, wrong methods, missing tokens, missing roles."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import get_resolver, reverse

from orgs.access import PERMISSIONS
from orgs.models import Organization
from sprocket_v2.routes import ROUTES, Route

TENANT = [route for route in ROUTES if route.tenant]
HOST = {"HTTP_HOST": "localhost"}


def _url(route: Route, slug: str = "demo") -> str:
    values: dict[str, Any] = {"slug": slug} if route.tenant else {}
    if "<int:number>" in route.pattern:
        values["number"] = 1
    if "<str:token>" in route.pattern:
        values["token"] = "nothing"
    return reverse(route.name, kwargs=values)


def _ask(client: Client, route: Route) -> Any:
    return client.post(_url(route), **HOST) if route.methods == ("POST",) else client.get(_url(route), **HOST)


def _id(route: Route) -> str:
    return route.name


def test_there_is_no_pattern_beside_the_table() -> None:
    assert [pattern.name for pattern in get_resolver().url_patterns] == [route.name for route in ROUTES]
    assert len({route.name for route in ROUTES}) == len(ROUTES)


@pytest.mark.parametrize("route", TENANT, ids=_id)
def test_somebody_of_another_organization_gets_404(route: Route, demo: Organization, alice: Any, charlie: Any, client: Client) -> None:
    client.force_login(charlie)
    assert _ask(client, route).status_code == 404


@pytest.mark.parametrize("route", TENANT, ids=_id)
def test_an_organization_that_is_not_there_looks_the_same(route: Route, alice: Any, client: Client) -> None:
    client.force_login(alice)
    answer = client.post(_url(route, "nowhere"), **HOST) if route.methods == ("POST",) else client.get(_url(route, "nowhere"), **HOST)
    assert answer.status_code == 404
    assert b"There is no such page" in answer.content


@pytest.mark.parametrize("route", [route for route in ROUTES if route.permission != "nobody"], ids=_id)
def test_nobody_signed_in_is_sent_to_sign_in(route: Route, demo: Organization, client: Client) -> None:
    answer = _ask(client, route)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/sign-in?next=")


@pytest.mark.parametrize("route", ROUTES, ids=_id)
def test_a_method_that_is_not_in_the_table_is_405(route: Route, demo: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    wrong = "delete" if "POST" in route.methods else "post"
    assert getattr(client, wrong)(_url(route), **HOST).status_code == 405


@pytest.mark.parametrize("route", [route for route in ROUTES if "POST" in route.methods], ids=_id)
def test_no_change_without_its_token(route: Route, demo: Organization, alice: Any) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(alice)
    assert client.post(_url(route), **HOST).status_code == 403


@pytest.mark.parametrize("route", TENANT, ids=_id)
def test_a_volunteer_without_the_role_gets_404(route: Route, demo: Organization, bob: Any, client: Client) -> None:
    client.force_login(bob)
    allowed = route.permission in PERMISSIONS["viewer"] | PERMISSIONS["editor"]
    status = _ask(client, route).status_code
    if not allowed:
        assert status == 404
    elif "<int:number>" not in route.pattern:
        assert status in (200, 302, 404, 422)


@pytest.mark.parametrize(
    "route", [route for route in ROUTES if "GET" in route.methods and "<" not in route.pattern.replace("<str:slug>", "")], ids=_id
)
def test_every_page_has_a_policy_and_no_inline_script_or_style(route: Route, demo: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    answer = client.get(_url(route), **HOST)
    assert "default-src 'self'" in answer["Content-Security-Policy"]
    if answer["Content-Type"].startswith("text/html"):
        text = answer.content.decode()
        assert " style=" not in text
        assert "<style" not in text
        assert all("src=" in part.split(">", 1)[0] for part in text.split("<script")[1:])
        assert "onclick" not in text
