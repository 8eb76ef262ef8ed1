"""Two organizations behind one entry port of one host: both work, neither sees the other, and each comes and goes alone."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from provisioning.host_edge.effects import GAP_S
from provisioning.providers.swarm.client import connect
from tests.engine.sharing import Outside, SharedHost, Watch, neighbour, shared_host

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SharedHost]:
    with shared_host(tmp_path_factory.mktemp("shared")) as shared:
        yield shared


@pytest.fixture(scope="module")
def first(host: SharedHost) -> SharedHost:
    """The first organization, deployed and alone behind the edge."""
    plan = host.plan(host.one, host.needs(host.one))
    assert plan["edge"]["op"] == "start", plan
    done = host.apply(plan["id"])
    assert done["state"] == "succeeded", done["error"]
    assert "starting the host's edge" in done["said"]
    return host


@pytest.fixture(scope="module")
def both(first: SharedHost, record_gap: list[float]) -> SharedHost:
    """Both; while the second came, the first was asked all the time."""
    plan = first.plan(first.two, first.needs(first.two))
    assert plan["edge"]["op"] == "restart"
    assert plan["edge"]["others"] == 1
    assert first.one not in plan["edge"]["words"]
    with Watch(first, f"{first.one}.localhost") as watch:
        done = first.apply(plan["id"])
    assert done["state"] == "succeeded", done["error"]
    record_gap.append(watch.longest_gap_s)
    return first


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    with neighbour() as found:
        yield found


@pytest.fixture(scope="module")
def record_gap() -> list[float]:
    return []


def test_both_are_verified_by_their_names_through_one_port(both: SharedHost) -> None:
    code = "from provisioning.actions import verify_now\nsay(verify_now(org=Organization.objects.get(slug=WHO)).as_dict())"
    for slug in (both.one, both.two):
        verdict = both.plane.ask(code, WHO=slug)
        assert [check for check in verdict["checks"] if check["state"] == "failed"] == []
        assert any(check["name"] == "route/edge" and check["state"] == "ok" for check in verdict["checks"])
    swarm = connect()
    published = {slug: [port for s in swarm.live_services(slug) for port in s.published_ports] for slug in (both.one, both.two, both.edge)}
    assert published == {both.one: [], both.two: [], both.edge: [both.port]}


def test_while_the_second_came_the_first_was_away_no_longer_than_the_plan_said(both: SharedHost, record_gap: list[float]) -> None:
    print(f"gap of the first organization while the second joined: {record_gap[0]:.2f} s")
    assert 0 < record_gap[0] <= GAP_S


def test_a_foreign_host_is_404(both: SharedHost) -> None:
    assert both.get("nobody.localhost") == 404
    assert both.get(f"x.{both.one}.localhost") == 404
    assert both.get(f"{both.one}.localhost") == 302


def test_neither_reaches_the_others_parts_from_its_containers(both: SharedHost) -> None:
    swarm = connect()
    for mine, theirs in ((both.one, both.two), (both.two, both.one)):
        for component in ("traefik", "web", "api"):
            container = both.container(mine, component)
            assert _parts_seen(container, mine, both.port) >= {f"web in {mine}_edge", f"api in {mine}_edge", f"traefik in {mine}_edge"}
            assert _parts_seen(container, theirs, both.port) == set(), f"seen from {mine}'s {component}"
            for name in (f"{theirs}_traefik", f"{theirs}_web", f"{theirs}_api"):
                assert swarm.run_in(container, ["getent", "hosts", name])[0] != 0, f"{mine}'s {component} knows the name {name}"


def test_a_forged_client_address_does_not_pass_an_allow_list(both: SharedHost, outside: Outside) -> None:
    """The way in is for this machine only; a neighbour's machine claims to be this one, in every header there is."""
    host = f"{both.one}.localhost"
    assert outside.get(both.port, host) == 403
    for claim in ("X-Forwarded-For: 127.0.0.1", "X-Real-Ip: 127.0.0.1", "Forwarded: for=127.0.0.1", "X-Forwarded-For: 10.0.0.1, 127.0.0.1"):
        assert outside.get(both.port, host, claim) == 403, claim
    assert outside.get(both.port, "nobody.localhost") == 404  # the edge's own answer: its requests do arrive
    assert both.get(host) == 302


def test_applied_again_nothing_changes(both: SharedHost) -> None:
    before = {slug: [s.version for s in connect().live_services(slug)] for slug in (both.one, both.two, both.edge)}
    for slug in (both.one, both.two):
        plan = both.plan(slug)
        assert plan["steps"] == []
        assert plan["edge"]["op"] == "stays"
        assert both.apply(plan["id"])["state"] == "succeeded"
    assert {slug: [s.version for s in connect().live_services(slug)] for slug in before} == before


def test_a_name_of_another_organization_is_refused_before_anything_happens(both: SharedHost) -> None:
    needs = both.needs(both.two).replace(f"host: {both.two}.localhost", f"host: {both.one}.localhost")
    code = (
        "org = Organization.objects.get(slug=WHO)\nfrom sprocket_v2.errors import SprocketError\n"
        "try:\n"
        "    org_actions.set_needs(org=org, actor=alice, text=NEEDS, message='mine now')\n"
        "    actions.propose(org=org, blueprint=newest(), actor=alice); said = 'proposed'\n"
        "except SprocketError as error: said = error.message\n"
        "org_actions.set_needs(org=org, actor=alice, text=BACK, message='back')\nsay(said)"
    )
    said = both.plane.ask(code, WHO=both.two, NEEDS=needs, BACK=both.needs(both.two))
    assert "belongs to another organization" in said or "is taken" in said


def test_an_edge_that_was_removed_by_hand_comes_back_with_an_apply(both: SharedHost) -> None:
    edge = both.edge
    connect().remove("service", f"{edge}_traefik")
    plan = both.plan(both.one)
    assert plan["edge"]["op"] == "start"
    assert both.apply(plan["id"])["state"] == "succeeded"
    assert both.get(f"{both.two}.localhost") == 302


def test_one_goes_and_the_other_goes_on_then_the_edge_goes_too(both: SharedHost) -> None:
    edge = both.edge
    with Watch(both, f"{both.two}.localhost") as watch:
        done = both.destroy(both.one)
    assert done["state"] == "succeeded", done["error"]
    print(f"gap of the second organization while the first went: {watch.longest_gap_s:.2f} s")
    assert watch.longest_gap_s <= GAP_S
    assert both.get(f"{both.one}.localhost") == 404
    assert both.get(f"{both.two}.localhost") == 302
    assert both.destroy(both.two)["state"] == "succeeded"
    assert connect().live_services(edge) == []
    assert connect().live_objects(edge) == []


def _parts_seen(container: str, slug: str, entry_port: int) -> set[str]:
    """Which parts of an organization answer as themselves to a container, at any address they have in any network.

    What they say is looked at: where this was made, a connection to any address whatever is taken by something outside.
    """
    seen = set()
    host = f"{slug}.localhost"
    for component, port, path, marker in (
        ("traefik", entry_port, "/auth/login", "Sign in with Discord"),
        ("web", 3000, "/auth/login", "Sign in with Discord"),
        ("api", 3001, "/healthz", '"status"'),
    ):
        service = next(s for s in connect().live_services(slug) if s.name == f"{slug}_{component}")
        for network, address in _networks(service.running[0].container).items():
            script = f"exec 3<>/dev/tcp/{address}/{port}; printf 'GET {path} HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n' >&3; cat <&3"
            _, said = connect().run_in(container, ["timeout", "2", "bash", "-c", script])
            if marker in said:
                seen.add(f"{component} in {network}")
    return seen


def _networks(container: str) -> dict[str, str]:
    form = "{{range $name, $net := .NetworkSettings.Networks}}{{$name}} {{$net.IPAddress}}\n{{end}}"
    done = subprocess.run(["docker", "inspect", "-f", form, container], capture_output=True, text=True, check=True, timeout=20)
    pairs = [line.split() for line in done.stdout.splitlines()]
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
