"""Sharing the host's entry ports: what a deployment does differently, and the edge's own files."""

from __future__ import annotations

import ipaddress
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprints import context
from blueprints.access import WayIn
from blueprints.catalog import TEMPLATES
from blueprints.compose import read_stack
from blueprints.forms import answers_from, groups_for
from blueprints.host_edge import Member, draw_edge, member_of
from blueprints.shared import EntryName, entry_names, refuse_unshareable, subnet_of
from blueprints.strict_yaml import load
from sprocket_v2.errors import PreviewError, RenderError, ResolveError
from tests.blueprints.cases import catalog, rendering, resolution
from tests.orgs.answers import needs

EDGE = "host-edge-0123456789ab"
LOCAL = {"canonical": "localhost", "shared": True, "localhost": {"host": "testers.localhost"}}
FLAT = {"canonical": "lan", "shared": True, "lan": {"host": "192.168.1.5"}}


def member(slug: str, *names: EntryName) -> Member:
    """An organization behind the edge."""
    return Member(slug, f"{slug}_entry", f"{slug}_traefik", names or (EntryName(f"{slug}.localhost", 8080, False),))


def edge(*members: Member) -> dict[str, str]:
    """The edge's files."""
    return draw_edge(EDGE, members, "traefik:v3.7", TEMPLATES)


def test_a_deployment_that_shares_publishes_no_entry_port_and_is_on_an_entry_network() -> None:
    stack = load(rendering(access=LOCAL).files["stack.yml"], "stack.yml")
    traefik = stack["services"]["traefik"]
    assert "ports" not in traefik
    assert set(traefik["networks"]) == {"edge", "entry"}
    assert [name for name, service in stack["services"].items() if "entry" in service["networks"]] == ["traefik"]
    assert stack["networks"]["entry"]["internal"] is True
    assert stack["networks"]["entry"]["ipam"] == {"config": [{"subnet": subnet_of(needs(access=LOCAL))}]}


def test_one_that_does_not_share_is_as_it_always_was() -> None:
    bundle = rendering()
    stack = load(bundle.files["stack.yml"], "stack.yml")
    assert [port["published"] for port in stack["services"]["traefik"]["ports"]] == [8080]
    assert "entry" not in stack["networks"]
    assert "own-ports.yml" not in bundle.files
    assert bundle.blueprint["access"]["shared"] is None
    assert "trustedIPs" not in bundle.files["config/traefik/traefik.yml"]
    assert "OWN_PORTS" not in bundle.files["deploy.sh"]


def test_the_bundle_alone_can_take_ports_of_its_own() -> None:
    overlay = load(rendering(access=FLAT).files["own-ports.yml"], "own-ports.yml")
    ports = [(port["target"], port["published"], port["mode"]) for port in overlay["services"]["traefik"]["ports"]]
    assert ports == [(8080, 8080, "host"), (8081, 8081, "host")]


def test_only_the_edge_is_believed_about_whose_request_it_is() -> None:
    bundle = rendering(access=LOCAL)
    subnet = bundle.blueprint["access"]["shared"]["subnet"]
    points = load(bundle.files["config/traefik/traefik.yml"], "traefik.yml")["entryPoints"]
    assert points["port-8080"]["forwardedHeaders"] == points["port-8080"]["proxyProtocol"] == {"trustedIPs": [subnet]}
    routes = load(bundle.files["config/traefik/routes.yml"], "routes.yml")["http"]
    double, plain = routes["routers"]["localhost-web-shared"], routes["routers"]["localhost-web"]
    assert double["rule"] == f"({plain['rule']}) && ClientIP(`{subnet}`)"
    assert routes["middlewares"][double["middlewares"][0]]["ipAllowList"]["ipStrategy"] == {"depth": 1}
    assert "ipStrategy" not in routes["middlewares"][plain["middlewares"][0]]["ipAllowList"]


def test_every_route_of_every_way_is_a_name_the_edge_knows() -> None:
    local = resolution(access=LOCAL)
    public = WayIn("public", "league.example", "api.league.example", 443, 443, True, True, ("0.0.0.0/0",))
    drawn = replace(local, ways=(*local.ways, public))
    assert entry_names(context.routers(drawn)) == (
        EntryName("api.league.example", 80, False), EntryName("api.league.example", 443, True), EntryName("api.testers.localhost", 8080, False),
        EntryName("league.example", 80, False), EntryName("league.example", 443, True), EntryName("testers.localhost", 8080, False),
    )  # fmt: skip


def test_a_rule_the_edge_cannot_tell_is_refused() -> None:
    with pytest.raises(RenderError, match="cannot tell its rule"):
        entry_names([{"name": "x", "rule": "PathPrefix(`/`)", "entry_point": "port-80", "tls": False}])


def test_one_name_at_one_port_is_not_both_plain_and_tls() -> None:
    router = {"name": "x", "rule": "Host(`a.example`)", "entry_point": "port-443", "tls": True}
    with pytest.raises(ResolveError, match=r"a\.example at port 443 is one way's with TLS and another's without"):
        entry_names([router, {**router, "tls": False}])


def test_tls_under_an_address_cannot_be_shared() -> None:
    way = WayIn("lan", "192.168.1.5", "192.168.1.5", 443, 444, True, False, ("0.0.0.0/0",))
    with pytest.raises(ResolveError, match=r"answers TLS under the address 192\.168\.1\.5"):
        refuse_unshareable(needs(access=FLAT), (way,))
    refuse_unshareable(needs(), (way,))


def test_a_lane_without_sharing_is_refused() -> None:
    with pytest.raises(ValueError, match="entry_lane is 5, yet shared is false"):
        needs(access={**LOCAL, "shared": False, "entry_lane": 5})


@given(st.integers(0, 8191), st.integers(0, 8191))
def test_two_lanes_share_no_address(one: int, other: int) -> None:
    first, second = (ipaddress.IPv4Network(subnet_of(needs(access={**LOCAL, "entry_lane": lane}))) for lane in (one, other))
    assert first.subnet_of(ipaddress.IPv4Network("198.18.0.0/15"))
    assert first.overlaps(second) == (one == other)


def test_a_slugs_lane_is_always_the_same() -> None:
    assert subnet_of(needs(access=LOCAL)) == subnet_of(needs(access=LOCAL, name="Another name"))
    assert subnet_of(needs(access=LOCAL)) != subnet_of(needs(access=LOCAL, slug="others"))


def test_the_edge_is_on_the_members_entry_networks_and_publishes_their_ports() -> None:
    files = edge(member("two"), member("one", EntryName("one.example", 443, True), EntryName("one.example", 80, False)))
    stack = read_stack(files["stack.yml"], EDGE, is_host_edge=True)
    traefik = stack.services["traefik"]
    assert {network.name for network in traefik.networks} == {f"{EDGE}_out", "one_entry", "two_entry"}
    assert {part.name: part.external for part in stack.networks} == {f"{EDGE}_out": False, "one_entry": True, "two_entry": True}
    assert [port.published for port in traefik.ports] == [80, 443, 8080]
    assert traefik.name == f"{EDGE}_traefik"
    assert traefik.mounts == ()
    assert traefik.secrets == ()


def test_no_other_file_may_be_on_networks_that_are_not_its_own() -> None:
    with pytest.raises(PreviewError, match="network 'one_entry' is not the organization's own"):
        read_stack(edge(member("one"))["stack.yml"], EDGE)


def test_plain_requests_go_by_host_and_tls_by_server_name_unopened() -> None:
    files = edge(member("one", EntryName("one.example", 443, True), EntryName("one.example", 80, False)))
    routes = load(files["config/routes.yml"], "routes.yml")
    assert routes["http"]["routers"] == {"one-2": {"rule": "Host(`one.example`)", "entryPoints": ["port-80"], "service": "one-80"}}
    assert routes["http"]["services"]["one-80"]["loadBalancer"]["servers"] == [{"url": "http://one_traefik:80"}]
    assert routes["tcp"]["routers"]["one-1"] == {
        "rule": "HostSNI(`one.example`)", "entryPoints": ["port-443"], "service": "one-443", "tls": {"passthrough": True},
    }  # fmt: skip
    assert routes["tcp"]["serversTransports"]["client-address"] == {"proxyProtocol": {"version": 2}}
    points = load(files["config/traefik.yml"], "traefik.yml")["entryPoints"]
    assert all(points[name]["allowACMEByPass"] is True for name in ("port-80", "port-443"))
    assert not any("trustedIPs" in str(point) for point in points.values())


def test_the_same_members_give_the_same_bytes_in_any_order() -> None:
    assert edge(member("one"), member("two")) == edge(member("two"), member("one"))


def test_a_new_member_changes_routes_and_networks_and_leaves_the_ports_file_alone() -> None:
    alone, both = edge(member("one")), edge(member("one"), member("two"))
    assert {path for path in both if alone[path] != both[path]} == {"stack.yml", "config/routes.yml"}


@pytest.mark.parametrize(
    ("bad", "words"),
    [
        (member("one", EntryName("a`) || PathPrefix(`/", 80, False)), "not a host name"),
        (member("one", EntryName("*.example", 80, False)), "not a host name"),
        (member("one", EntryName("one.example", 0, False)), "entry port 0"),
        (member("one", EntryName("one.example", 19000, False)), "entry port 19000"),
        (member("One"), "not a slug"),
        (Member("one", "two_entry", "one_traefik", (EntryName("one.example", 80, False),)), "not one's"),
        (Member("one", "one_entry", "two_traefik", (EntryName("one.example", 80, False),)), "not one's"),
    ],
)
def test_what_does_not_obey_its_grammar_never_reaches_a_rule(bad: Member, words: str) -> None:
    with pytest.raises(RenderError, match=words):
        edge(bad)


def test_two_members_with_one_name_are_refused() -> None:
    same = EntryName("a.localhost", 8080, False)
    with pytest.raises(RenderError, match=r"a\.localhost:8080 is one's and two's"):
        edge(member("one", same), member("two", same))


@pytest.mark.parametrize("access", [LOCAL, FLAT])
def test_a_member_is_what_its_bundle_says(access: dict[str, Any]) -> None:
    shared = rendering(access=access).blueprint["access"]["shared"]
    found = member_of("testers", shared)
    assert (found.network, found.proxy) == ("testers_entry", "testers_traefik")
    assert len(found.names) == 2
    assert edge(found)["stack.yml"]


def test_the_form_keeps_a_lane_somebody_was_asked_for() -> None:
    groups = groups_for({"access": {**LOCAL, "entry_lane": 7}}, catalog(), (), {})
    (group,) = [group for group in groups if group.name == "access"]
    shown = {question.key: (question.kind, question.value) for question in group.questions}
    assert shown["access.shared"] == ("yes-no", True)
    assert shown["access.entry_lane"] == ("number", 7)
    posted = {"access.canonical": ["localhost"], "access.shared": ["on"], "access.entry_lane": ["7"]}
    assert answers_from(posted, (group,))["access"] == {"canonical": "localhost", "shared": True, "entry_lane": 7}
    assert answers_from({**posted, "access.entry_lane": [""]}, (group,))["access"] == {"canonical": "localhost", "shared": True}
