"""The ways in as addresses: origins, ports, who is let through, and the names Traefik answers to inside."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from blueprints.access import WayIn, aliases, ways_in
from tests.orgs.answers import needs


def ways(**given: Any) -> tuple[WayIn, ...]:
    """The ways in of an organization with these."""
    return ways_in(needs(access={"canonical": next(iter(given)), **given}).access)


ORIGINS: list[tuple[str, dict[str, Any], tuple[str, str, str]]] = [
    ("localhost", {"host": "a.localhost"}, ("http://a.localhost:8080", "http://api.a.localhost:8080", "api.a.localhost:8080")),
    ("localhost", {"host": "a.localhost", "port": 80}, ("http://a.localhost", "http://api.a.localhost", "api.a.localhost")),
    ("lan", {"host": "192.168.1.5"}, ("http://192.168.1.5:8080", "http://192.168.1.5:8081", "192.168.1.5:8081")),
    ("lan", {"host": "box.lan", "port": 80, "api_port": 81}, ("http://box.lan", "http://box.lan:81", "box.lan:81")),
    ("vpn", {"host": "m.ts.example", "port": 443}, ("http://m.ts.example:443", "http://m.ts.example:8081", "m.ts.example:8081")),
    ("public", {"domain": "a.example", "email": "a@a.example"}, ("https://a.example", "https://api.a.example", "api.a.example")),
]


@pytest.mark.parametrize(("way", "given", "origins"), ORIGINS)
def test_an_origin_names_its_port_only_where_it_is_not_the_schemes_own(
    way: str, given: dict[str, Any], origins: tuple[str, str, str]
) -> None:
    (found,) = ways(**{way: given})
    assert (found.web_origin, found.api_origin, found.api_address) == origins
    assert found.way == way


def test_the_canonical_way_is_first() -> None:
    assert [way.way for way in ways(vpn={"host": "m.ts.example"}, localhost={"host": "a.localhost"})] == ["vpn", "localhost"]


@pytest.mark.parametrize(
    ("way", "given", "inside", "outside"),
    [
        ("localhost", {"host": "a.localhost"}, ["127.0.0.1", "172.18.0.1", "10.0.1.7"], ["192.168.1.9", "100.64.0.1", "8.8.8.8"]),
        ("lan", {"host": "10.0.0.2"}, ["192.168.1.9", "10.9.9.9", "172.18.0.1"], ["100.64.0.1", "8.8.8.8"]),
        ("vpn", {"host": "100.64.0.2"}, ["100.101.102.103", "172.18.0.1"], ["192.168.1.9", "8.8.8.8"]),
        ("public", {"domain": "a.example", "email": "a@a.example"}, ["8.8.8.8", "192.168.1.9"], []),
    ],
)
def test_each_way_lets_through_its_own_requests_and_the_machines(
    way: str, given: dict[str, Any], inside: list[str], outside: list[str]
) -> None:
    (found,) = ways(**{way: given})
    ranges = [ipaddress.ip_network(item) for item in found.allowed]

    def is_in(address: str) -> bool:
        return any(ipaddress.ip_address(address) in item for item in ranges)

    assert [address for address in inside if not is_in(address)] == []
    assert [address for address in outside if is_in(address)] == []


def test_traefik_answers_inside_to_every_public_name_once_and_to_no_address() -> None:
    found = ways(
        localhost={"host": "a.localhost"},
        lan={"host": "192.168.1.5"},
        vpn={"host": "m.ts.example"},
        public={"domain": "a.example", "email": "a@a.example"},
    )
    assert aliases(found, ("", "api", "")) == ("a.localhost", "api.a.localhost", "m.ts.example", "a.example", "api.a.example")
