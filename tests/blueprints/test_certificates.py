"""Certificates as they are decided: which secrets come in, who trusts what, what Let's Encrypt is asked for, what a person is told."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from blueprints.access import ways_in
from blueprints.catalog import load_catalog
from blueprints.certificates import DNS_TOKENS, budget, certificate_facts
from blueprints.lock import Lock, LockedImage
from blueprints.render import render
from blueprints.resolve import Resolution, resolve
from blueprints.secret_files import problem_with, takes_lines
from tests.certificates import make_authority
from tests.orgs.answers import needs

PINNED = "sha256:" + "0123456789abcdef" * 4
PUBLIC = {"domain": "league.example.org", "email": "a@example.org"}
PRIVATE = {**PUBLIC, "certificates": "private", "acme_server": "https://ca.example.org/dir"}


def resolution(**access: Any) -> Resolution:
    catalog = load_catalog()
    lock = Lock({name: LockedImage(image.name, image.tag, PINNED) for name, image in catalog.images().items()})
    return resolve(needs(access={"canonical": next(iter(access)), **access}), catalog, lock)


SECRETS: list[tuple[dict[str, Any], dict[str, tuple[str, ...]]]] = [
    ({"localhost": {"host": "a.localhost"}}, {}),
    ({"lan": {"host": "box.lan"}}, {}),
    ({"vpn": {"host": "box.ts.net"}}, {}),
    ({"public": PUBLIC}, {}),
    ({"lan": {"host": "box.lan", "certificate": "own"}}, {"lan-certificate": ("web", "traefik"), "lan-certificate-key": ("traefik",)}),
    ({"vpn": {"host": "box.ts.net", "certificate": "own"}}, {"vpn-certificate": ("web", "traefik"), "vpn-certificate-key": ("traefik",)}),
    ({"public": PRIVATE}, {"acme-authority": ("web", "traefik")}),
    ({"public": {**PUBLIC, "challenge": "dns", "dns_provider": "duckdns"}}, {"dns-token": ("traefik",)}),
]


@pytest.mark.parametrize(("access", "expected"), SECRETS)
def test_a_way_brings_the_secrets_it_needs_to_those_who_need_them(access: dict[str, Any], expected: dict[str, tuple[str, ...]]) -> None:
    names = {"lan-certificate", "lan-certificate-key", "vpn-certificate", "vpn-certificate-key", "acme-authority", "dns-token"}
    found = {name: secret for name, secret in resolution(**access).secrets.items() if name in names}
    assert {name: secret.consumers for name, secret in found.items()} == expected
    assert all(secret.kind == "supplied" for secret in found.values())


@pytest.mark.parametrize(
    ("access", "trust"),
    [
        ({"lan": {"host": "box.lan", "certificate": "own"}}, "/run/secrets/lan-certificate"),
        ({"public": PRIVATE}, "/run/secrets/acme-authority"),
        ({"public": {**PUBLIC, "certificates": "live"}}, ""),
        ({"localhost": {"host": "a.localhost"}, "lan": {"host": "box.lan", "certificate": "own"}}, ""),
    ],
)
def test_the_site_is_told_to_trust_what_the_canonical_way_shows(access: dict[str, Any], trust: str) -> None:
    found = resolution(**access)
    assert certificate_facts(found.needs.access, found.ways)["trust"] == trust
    stack = render(found, load_catalog()).files["stack.yml"]
    assert (f'NODE_EXTRA_CA_CERTS: "{trust}"' in stack) == bool(trust)
    assert ("NODE_EXTRA_CA_CERTS" in stack) == bool(trust)


def test_a_vpn_way_mentions_no_authority_in_any_file() -> None:
    files = render(resolution(vpn={"host": "box.ts.net", "certificate": "own"}), load_catalog()).files
    assert not [path for path, text in files.items() if "acme" in text.lower() or "letsencrypt" in text.lower()]


def test_staging_and_live_certificates_are_kept_apart() -> None:
    def storage(authority: str) -> str:
        files = render(resolution(public={**PUBLIC, "certificates": authority}), load_catalog()).files
        return next(line.strip() for line in files["config/traefik/traefik.yml"].splitlines() if "storage:" in line)

    assert (storage("staging"), storage("live")) == ('storage: "/certificates/staging.json"', 'storage: "/certificates/live.json"')


def test_every_token_variable_is_one_traefik_knows() -> None:
    binary = Path(sys.executable).with_name("traefik").read_bytes()
    assert not [name for name in DNS_TOKENS.values() if name.encode() not in binary]


def test_the_budget_counts_each_name_once() -> None:
    ways = ways_in(needs(access={"canonical": "public", "public": PUBLIC}).access)
    found = budget(ways, ["api", "", "grafana", ""])
    assert found is not None
    assert (found.names, found.left) == (("api.league.example.org", "league.example.org", "grafana.league.example.org"), 47)
    assert budget(ways_in(needs(access={"canonical": "public", "public": PRIVATE}).access), ["api"]) is None


MESSAGES: list[tuple[dict[str, Any], str, str]] = [
    ({"public": PUBLIC}, "warning", "Certificates come from Let's Encrypt's staging authority"),
    (
        {"public": PUBLIC},
        "info",
        "Let's Encrypt is asked for 2 certificates (api.league.example.org, league.example.org); staging's limits",
    ),
    ({"public": {**PUBLIC, "certificates": "live"}}, "info", "Browsers are not told to insist on HTTPS yet"),
    ({"public": {**PUBLIC, "certificates": "live"}}, "info", "Let's Encrypt is asked for 2 certificates"),
    ({"public": PRIVATE}, "warning", "Certificates come from a private authority."),
    ({"vpn": {"host": "box.ts.net"}}, "info", "Swarm publishes on every address of the machine"),
]


@pytest.mark.parametrize(("access", "severity", "begin"), MESSAGES)
def test_a_person_is_told(access: dict[str, Any], severity: str, begin: str) -> None:
    assert any(f.message.startswith(begin) for f in resolution(**access).findings if f.severity == severity)


def test_a_rehearsal_with_a_private_authority_takes_stand_ins_and_loose_images() -> None:
    found = resolve(needs(applications="stand-in", access={"canonical": "public", "public": PRIVATE}), load_catalog())
    assert found.ways[0].certificate == "private"


def _pattern(name: str) -> str:
    return next(s.pattern for s in load_catalog().components["traefik"].secrets if s.name == name)


def test_pem_of_several_lines_is_a_value_where_the_secret_is_such_a_file(tmp_path: Path) -> None:
    made = make_authority(tmp_path, ["box.lan"])
    certificate, key = made.certificate.read_text().strip(), made.key.read_text().strip()
    assert takes_lines(_pattern("lan-certificate"))
    assert problem_with(certificate, _pattern("lan-certificate")) == ""
    assert problem_with(key, _pattern("lan-certificate-key")) == ""
    assert "PEM text" in problem_with(key, _pattern("lan-certificate"))
    assert "line break" in problem_with(certificate, "")
    assert "PEM text" in problem_with(certificate + "\nmore", _pattern("lan-certificate"))
    encrypted = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
    assert "PEM text" in problem_with(encrypted, _pattern("lan-certificate-key"))


def test_fill_asks_for_the_file_and_keeps_one_that_is_there(tmp_path: Path) -> None:
    text = render(resolution(lan={"host": "box.lan", "certificate": "own"}), load_catalog()).files["fill.sh"]
    (tmp_path / "fill.sh").write_text(text)
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "lan-certificate-key").write_text("a\nb\n")
    done = subprocess.run(
        ["sh", "fill.sh"], cwd=tmp_path, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, timeout=60
    )
    assert done.returncode == 1
    assert "missing lan-certificate: Certificate for the local network." in done.stderr
    assert "copy the file to secrets/lan-certificate, then run this again" in done.stderr
    assert "lan-certificate-key:" not in done.stderr


@pytest.mark.parametrize(
    ("access", "insecure"),
    [
        ({"lan": {"host": "box.lan", "certificate": "own"}}, True),
        ({"public": PUBLIC}, True),
        ({"public": {**PUBLIC, "certificates": "live"}}, False),
        ({"lan": {"host": "box.lan"}}, False),
    ],
)
def test_the_runbooks_commands_work_where_this_machine_does_not_trust_the_certificate(access: dict[str, Any], insecure: bool) -> None:
    commands = [line for line in render(resolution(**access), load_catalog()).files["RUNBOOK.md"].splitlines() if line.startswith("curl ")]
    assert len(commands) >= 4
    assert {"--insecure" in line for line in commands if "--resolve" in line} == {insecure}
