"""The four ways in, with the real Traefik on the real engine: verified, applied again without a change, destroyed, purged.

`public` gets its certificates from a real ACME server, which validates each name by TLS-ALPN through the published port 443.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning.asking import request, served_certificate
from provisioning.providers.swarm.client import connect
from tests.certificates import Authority, make_authority
from tests.engine.acme import Pebble, pebble
from tests.engine.deployed import ControlPlane, deployed_plane
from tests.engine.ports import free_port, gateway

pytestmark = [pytest.mark.engine, pytest.mark.timeout(900)]

CHECKS = """
state = StackState.objects.for_org(org).first()
say({check["name"]: [check["state"], check["detail"]] for check in state.last_verdict["checks"]})
"""
LAN, VPN, DOMAIN = "league.lan", "box.tail1234.ts.net", "league.example.org"


def checks_of(plane: ControlPlane) -> dict[str, tuple[str, str]]:
    """The newest verdict: name -> state, detail."""
    return {name: (state, detail) for name, (state, detail) in plane.ask(CHECKS).items()}


def applied_again(plane: ControlPlane) -> dict[str, Any]:
    """Another preview and apply of the newest needs; the plan's changes."""
    plan = plane.planned()
    changes: dict[str, Any] = plane.ask("say(Plan.objects.get(pk=ID).changes)", ID=plan)
    done = plane.wait(plane.asked_to_apply(plan))
    assert done["state"] == "succeeded", done
    return changes


def containers(plane: ControlPlane) -> dict[str, list[str]]:
    """Service -> running containers."""
    return {s.name: sorted(t.container for t in s.running) for s in connect().live_services(plane.slug) if not s.is_job}


def destroyed_and_purged(plane: ControlPlane) -> None:
    """Destroying keeps the volumes, purging removes them."""
    before = {item.name for item in connect().live_objects(plane.slug) if item.kind == "volume"}
    assert f"{plane.slug}_traefik_certificates" in before
    run = plane.ask("say(brief(actions.destroy(org=org, actor=alice)))")
    done = plane.wait(run["id"])
    assert done["state"] == "succeeded", done
    kept = {(item.kind, item.name) for item in connect().live_objects(plane.slug)}
    assert kept == {("volume", name) for name in before}
    assert set(plane.ask("from provisioning.purge import purge\nsay(purge(org=org, actor=alice))")) == before
    assert not connect().live_objects(plane.slug)


def site_reaches_api(plane: ControlPlane) -> dict[str, Any]:
    """The site's own call to the API by its public name, made inside its container."""
    task = next(s for s in connect().live_services(plane.slug) if s.name == f"{plane.slug}_web").running[0]
    code, output = connect().run_in(task.container, ["curl", "http://127.0.0.1:3000/__standin/api"])
    assert code == 0, output
    found: dict[str, Any] = json.loads(output)
    return found


# localhost and lan: an address with the organization's own certificate is canonical


@pytest.fixture(scope="module")
def lan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlPlane, Authority, dict[str, int]]]:
    """Two ways at once: this machine's address with a certificate of its own, and localhost in plain HTTP."""
    folder = tmp_path_factory.mktemp("lan")
    ports = {"web": free_port(), "api": free_port(), "local": free_port()}
    own = make_authority(folder, [gateway(), LAN])
    access = (
        f"access:\n  canonical: lan\n  lan:\n    host: {gateway()}\n    port: {ports['web']}\n    api_port: {ports['api']}\n"
        f"    certificate: own\n  localhost:\n    host: wayin.localhost\n    port: {ports['local']}\n"
    )
    brought = {"lan-certificate": own.certificate.read_text().strip(), "lan-certificate-key": own.key.read_text().strip()}
    with deployed_plane(folder, access=access, secrets_too=brought) as plane:
        yield plane, own, ports


def test_a_lan_address_shows_its_own_certificate_and_localhost_answers_in_plain_http(
    lan: tuple[ControlPlane, Authority, dict[str, int]],
) -> None:
    plane, own, ports = lan
    checks = checks_of(plane)
    for name in ("way/lan/web", "way/lan/api", "way/localhost/web", "way/localhost/api", "inside/web-api"):
        assert checks[name][0] == "ok", checks[name]
    assert "Test Authority" in checks["way/lan/web"][1]
    trusting = ssl.create_default_context(cafile=str(own.root))
    connection = http.client.HTTPSConnection(gateway(), ports["web"], context=trusting, timeout=10)
    connection.request("GET", "/auth/login")
    assert connection.getresponse().status == 200
    assert request("127.0.0.1", ports["local"], "GET", "wayin.localhost", "/auth/login", body=None, headers={}, tls=False).status == 200
    plain = request("127.0.0.1", ports["web"], "GET", gateway(), "/auth/login", body=None, headers={}, tls=False)
    assert plain.status == 404


def test_the_site_reaches_the_api_by_an_address_over_tls(lan: tuple[ControlPlane, Authority, dict[str, int]]) -> None:
    plane, _, ports = lan
    assert site_reaches_api(plane) == {"asked": f"https://{gateway()}:{ports['api']}/healthz", "status": 200}


def test_the_key_of_a_brought_certificate_is_in_no_file_of_the_control_plane(lan: tuple[ControlPlane, Authority, dict[str, int]]) -> None:
    plane, own, _ = lan
    secret = own.key.read_text().splitlines()[1]
    found = [path for path in plane.data.rglob("*") if path.is_file() and secret.encode() in path.read_bytes()]
    assert found == []
    files = plane.ask("say(list(blueprint_actions.rendering_of_row(newest()).files.values()))")
    assert not [text for text in files if secret in text]


def test_both_ways_are_applied_again_without_a_change(lan: tuple[ControlPlane, Authority, dict[str, int]]) -> None:
    plane, _, _ = lan
    before = containers(plane)
    assert applied_again(plane) == {}
    assert containers(plane) == before


def test_a_pair_that_does_not_fit_is_refused_before_anything_runs(
    lan: tuple[ControlPlane, Authority, dict[str, int]], tmp_path: Path
) -> None:
    plane, own, _ = lan
    other = make_authority(tmp_path, ["other.lan"]).certificate.read_text().strip()
    plane.ask("set_secrets({'lan-certificate': VALUE}); say(None)", VALUE=other)
    run = plane.ask("say(brief(actions.request_run(org=org, kind='preview', actor=alice, blueprint=newest())))")
    done = plane.wait(run["id"])
    assert done["state"] == "failed"
    assert done["error"]["message"] == "lan-certificate: it does not belong to the key that was brought with it"
    plane.ask("set_secrets({'lan-certificate': VALUE}); say(None)", VALUE=own.certificate.read_text().strip())


def test_lan_and_localhost_go_and_their_volumes_go_last(lan: tuple[ControlPlane, Authority, dict[str, int]]) -> None:
    destroyed_and_purged(lan[0])


# vpn: a tailnet name in plain HTTP


@pytest.fixture(scope="module")
def vpn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlPlane, int]]:
    """A tailnet name."""
    port = free_port()
    access = f"access:\n  canonical: vpn\n  vpn:\n    host: {VPN}\n    port: {port}\n    api_port: {free_port()}\n"
    with deployed_plane(tmp_path_factory.mktemp("vpn"), access=access) as plane:
        yield plane, port


def test_a_vpn_way_works_and_the_site_reaches_the_api_by_the_tailnets_name(vpn: tuple[ControlPlane, int]) -> None:
    plane, _ = vpn
    checks = checks_of(plane)
    assert {checks[name][0] for name in ("way/vpn/web", "way/vpn/api", "inside/web-api")} == {"ok"}
    assert site_reaches_api(plane)["status"] == 200


@pytest.mark.parametrize(("subnet", "status"), [("100.99.77", 200), ("203.0.113", 403), ("192.168.177", 403)])
def test_a_vpn_way_answers_the_tailnet_and_nobody_else(vpn: tuple[ControlPlane, int], subnet: str, status: int) -> None:
    plane, port = vpn
    assert status_seen_from(plane.slug, subnet, port, VPN) == status


def test_a_vpn_way_asks_no_authority(vpn: tuple[ControlPlane, int]) -> None:
    plane, _ = vpn
    files = plane.ask("say(blueprint_actions.rendering_of_row(newest()).files)")
    assert "acme" not in files["config/traefik/traefik.yml"].lower()
    lines = [line for line in connect().last_lines(f"{plane.slug}_traefik", 400) if "acme" in line.lower()]
    # Traefik starts what would answer a challenge whether or not there is an authority; asking one has lines of its own.
    assert not [line for line in lines if "Starting provider *acme.ChallengeTLSALPN" not in line]


def test_a_vpn_way_is_applied_again_without_a_change_and_goes(vpn: tuple[ControlPlane, int]) -> None:
    plane, _ = vpn
    before = containers(plane)
    assert applied_again(plane) == {}
    assert containers(plane) == before
    destroyed_and_purged(plane)


def status_seen_from(slug: str, subnet: str, port: int, host: str) -> int:
    """What a machine of another network is answered: one in a network namespace of its own, so that its address arrives as it is."""
    name, link = slug, f"v{slug[-8:]}"
    program = (
        "import http.client; c = http.client.HTTPConnection('%s.1', %d, timeout=10); "
        "c.request('GET', '/auth/login', headers={'Host': '%s:%d'}); print(c.getresponse().status)" % (subnet, port, host, port)
    )
    begin = [
        ["ip", "netns", "add", name],
        ["ip", "link", "add", f"{link}h", "type", "veth", "peer", "name", f"{link}n"],
        ["ip", "link", "set", f"{link}n", "netns", name],
        ["ip", "addr", "add", f"{subnet}.1/24", "dev", f"{link}h"],
        ["ip", "link", "set", f"{link}h", "up"],
        ["ip", "netns", "exec", name, "ip", "addr", "add", f"{subnet}.2/24", "dev", f"{link}n"],
        ["ip", "netns", "exec", name, "ip", "link", "set", f"{link}n", "up"],
    ]
    try:
        for command in begin:
            subprocess.run(command, check=True, timeout=30)
        done = subprocess.run(
            ["ip", "netns", "exec", name, "python3", "-c", program], capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return int(done.stdout)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, timeout=30)
        subprocess.run(["ip", "link", "del", f"{link}h"], check=False, capture_output=True, timeout=30)


# public: certificates of a real ACME server


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pebble]:
    """Debian's pebble."""
    with pebble(tmp_path_factory.mktemp("pebble")) as server:
        yield server


def public_access(authority: Pebble, *more: str) -> str:
    """A domain of the private authority, and localhost beside it."""
    lines = ("certificates: private", f"acme_server: {authority.directory}", *more)
    return (
        f"access:\n  canonical: public\n  public:\n    domain: {DOMAIN}\n    email: admin@example.org\n"
        + "".join(f"    {line}\n" for line in lines)
        + f"  localhost:\n    host: public.localhost\n    port: {free_port()}\n"
    )


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory, authority: Pebble) -> Iterator[ControlPlane]:
    """A domain with certificates, which is canonical, and localhost."""
    with deployed_plane(
        tmp_path_factory.mktemp("public"), access=public_access(authority), secrets_too={"acme-authority": authority.trust}
    ) as plane:
        yield plane


def shown(authority: Pebble, host: str) -> tuple[str, str]:
    """Issuer and fingerprint of what a host shows, verified against the authority's root as a browser would."""
    context = ssl.create_default_context(cadata=authority.root)
    connection = http.client.HTTPSConnection("127.0.0.1", 443, timeout=10)
    connection.sock = context.wrap_socket(_socket(), server_hostname=host)
    der = connection.sock.getpeercert(binary_form=True) or b""
    connection.close()
    return served_certificate("127.0.0.1", 443, host).issuer, hashlib.sha256(der).hexdigest()


def _socket() -> Any:
    import socket

    return socket.create_connection(("127.0.0.1", 443), timeout=10)


def test_a_public_way_has_certificates_the_acme_server_issued_for_each_name(public: ControlPlane, authority: Pebble) -> None:
    checks = checks_of(public)
    for name in ("way/public/web", "way/public/api"):
        assert "Pebble Intermediate CA" in checks[name][1], checks[name]
    for host in (DOMAIN, f"api.{DOMAIN}"):
        issuer, _ = shown(authority, host)
        assert issuer.startswith("Pebble Intermediate CA")
    assert authority.log.read_text().count("set VALID by completed challenge") == 2


def test_a_public_way_leads_plain_http_to_https(public: ControlPlane) -> None:
    for host in (DOMAIN, f"api.{DOMAIN}"):
        answer = request("127.0.0.1", 80, "GET", host, "/some/where?a=b", body=None, headers={}, tls=False)
        assert (answer.status, answer.headers["location"]) == (301, f"https://{host}/some/where?a=b")
    assert checks_of(public)["redirect/public"][0] == "ok"


def test_the_site_trusts_the_authority_when_it_calls_the_api(public: ControlPlane) -> None:
    assert site_reaches_api(public) == {"asked": f"https://api.{DOMAIN}/healthz", "status": 200}


def test_the_other_way_beside_it_answers_too(public: ControlPlane) -> None:
    checks = checks_of(public)
    assert (checks["way/localhost/web"][0], checks["way/localhost/api"][0]) == ("ok", "ok")


def test_a_public_way_is_applied_again_without_a_change(public: ControlPlane) -> None:
    before = containers(public)
    assert applied_again(public) == {}
    assert containers(public) == before


def test_insisting_on_https_changes_traefik_alone_and_asks_for_no_new_certificate(public: ControlPlane, authority: Pebble) -> None:
    before, issued = containers(public), shown(authority, DOMAIN)[1]
    answer = request("127.0.0.1", 443, "GET", DOMAIN, "/auth/login", body=None, headers={}, tls=True)
    assert "strict-transport-security" not in answer.headers
    text = public.needs().replace("certificates: private", "certificates: private\n    hsts: true")
    public.ask("org_actions.set_needs(org=org, actor=alice, text=NEEDS, message='insist'); say(None)", NEEDS=text)
    applied_again(public)
    after = containers(public)
    assert {name for name in after if after[name] != before[name]} == {f"{public.slug}_traefik"}
    answer = request("127.0.0.1", 443, "GET", DOMAIN, "/auth/login", body=None, headers={}, tls=True)
    assert answer.headers["strict-transport-security"] == "max-age=15552000"
    assert checks_of(public)["hsts/public"][0] == "ok"
    assert shown(authority, DOMAIN)[1] == issued


def test_certificates_survive_a_destroy_and_a_public_way_goes(public: ControlPlane, authority: Pebble) -> None:
    issued = shown(authority, DOMAIN)[1]
    done = public.wait(public.ask("say(brief(actions.destroy(org=org, actor=alice)))")["id"])
    assert done["state"] == "succeeded", done
    applied_again(public)
    assert shown(authority, DOMAIN)[1] == issued
    destroyed_and_purged(public)
