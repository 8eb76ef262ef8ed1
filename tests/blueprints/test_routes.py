"""The route matrix: one row for each component people reach, by each way in, whole rows compared."""

from __future__ import annotations

from typing import Any

from blueprints.catalog import load_catalog
from blueprints.context import routers
from blueprints.lock import Lock, LockedImage
from blueprints.resolve import Resolution, resolve
from blueprints.routes import Route, routes
from tests.orgs.answers import needs

PINNED = "sha256:" + "0123456789abcdef" * 4
EVERY = {
    "canonical": "public",
    "public": {"domain": "league.example.org", "email": "a@example.org"},
    "localhost": {"host": "a.localhost"},
    "lan": {"host": "box.lan", "certificate": "own"},
    "vpn": {"host": "100.64.0.9", "port": 9000, "api_port": 9001},
}


def resolution(access: dict[str, Any], **changes: Any) -> Resolution:
    catalog = load_catalog()
    lock = Lock({name: LockedImage(image.name, image.tag, PINNED) for name, image in catalog.images().items()})
    return resolve(needs(access=access, **changes), catalog, lock)


def matrix(access: dict[str, Any], **changes: Any) -> dict[tuple[str, str], Route]:
    return {(row.way, row.component): row for row in routes(resolution(access, **changes))}


def test_every_host_by_every_way_has_its_address_port_and_certificate() -> None:
    found = {key: (row.url, row.entry_point, row.tls, row.certificate, row.canonical) for key, row in matrix(EVERY).items()}
    assert found == {
        ("public", "api"): ("https://api.league.example.org", "port-443", True, "staging", True),
        ("public", "web"): ("https://league.example.org", "port-443", True, "staging", True),
        ("localhost", "api"): ("http://api.a.localhost:8080", "port-8080", False, "", False),
        ("localhost", "web"): ("http://a.localhost:8080", "port-8080", False, "", False),
        ("lan", "api"): ("https://box.lan:8081", "port-8081", True, "own", False),
        ("lan", "web"): ("https://box.lan:8080", "port-8080", True, "own", False),
        ("vpn", "api"): ("http://100.64.0.9:9001", "port-9001", False, "", False),
        ("vpn", "web"): ("http://100.64.0.9:9000", "port-9000", False, "", False),
    }


def test_dns_records_are_asked_for_where_there_is_something_to_make() -> None:
    found = {key: (row.dns.type, row.dns.name) for key, row in matrix(EVERY).items()}
    assert found["public", "api"] == ("A", "api.league.example.org")
    assert found["lan", "web"] == ("A", "box.lan")
    assert {found[way, "web"][0] for way in ("localhost", "vpn")} == {"none"}
    tailnet = matrix({"canonical": "vpn", "vpn": {"host": "box.tail1.ts.net"}})["vpn", "web"]
    assert (tailnet.dns.type, tailnet.dns.value) == ("none", "the tailnet answers for it (MagicDNS)")


def test_callbacks_are_registered_on_the_canonical_way_alone_and_every_site_is_an_origin() -> None:
    rows = matrix(EVERY, login=["discord", "steam"])
    assert {key: dict(row.callbacks) for key, row in rows.items() if row.callbacks} == {
        ("public", "api"): {
            "discord": "https://api.league.example.org/login",
            "steam": "https://api.league.example.org/authentication/steam/login",
        }
    }
    assert [row.cors_origin for row in rows.values() if row.cors_origin] == [
        "https://league.example.org", "http://a.localhost:8080", "https://box.lan:8080", "http://100.64.0.9:9000",
    ]  # fmt: skip


def test_a_component_an_address_cannot_carry_has_a_row_that_says_why() -> None:
    row = matrix({"canonical": "lan", "lan": {"host": "192.168.1.20"}}, features={"dashboards": True, "machine_metrics": True})[
        "lan", "grafana"
    ]
    assert (row.router, row.url, row.port) == ("", "", 0)
    assert row.why_not == "192.168.1.20 has no names beneath it, and Grafana needs one of its own"


def test_traefik_has_one_router_for_each_row_it_can_reach_and_the_redirect() -> None:
    resolved = resolution(EVERY)
    names = [router["name"] for router in routers(resolved)]
    assert names == [*(row.router for row in routes(resolved)), "public-api-redirect", "public-web-redirect"]
    assert [router["resolver"] for router in routers(resolved) if router["name"].startswith(("lan", "vpn"))] == [""] * 4
