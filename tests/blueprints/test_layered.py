"""An older layout: what is said about it is true of it, its files are compared whole, and its start script decides as it should."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from blueprints.catalog import TEMPLATES, load_catalog
from blueprints.estate.catalogue import facts
from blueprints.layers import layers_of
from blueprints.render import render
from blueprints.rendering import Rendering
from blueprints.resolve import Resolution, resolve
from orgs.needs_file import parse_needs
from sprocket_v2.errors import CatalogError, RenderError
from tests.blueprints.cases import edit, release

REFERENCE = (TEMPLATES.parent / "orgs" / "legacy.yaml").read_text()
LOCAL = {"canonical": "localhost", "localhost": {"host": "sprocket.localhost"}}
NOT_SECRET = {"GF_SMTP_PASSWORD"}  # a placeholder in the estate


@lru_cache(maxsize=1)
def reference() -> Resolution:
    """The reference league."""
    return resolve(parse_needs(REFERENCE), load_catalog())


@lru_cache(maxsize=1)
def rendered() -> Rendering:
    """Its files."""
    return render(reference(), load_catalog())


def reached_by(access: dict[str, Any]) -> Resolution:
    """The reference league with other ways in."""
    needs = parse_needs(REFERENCE)
    return resolve(type(needs).model_validate({**needs.model_dump(mode="json"), "access": access}), load_catalog())


def messages(found: Resolution) -> list[str]:
    """Its findings' messages."""
    return [finding.message for finding in found.findings]


# Findings


def test_every_name_with_tls_is_counted_among_the_certificates() -> None:
    hosts = {router["rule"].split("`")[1] for fact in facts()["services"].values() for router in fact["routers"] if router["tls"]}
    [message] = [text for text in messages(reference()) if text.startswith("Let's Encrypt")]
    assert f"is asked for {len(hosts)} certificates" in message
    assert "vault.sprocket" not in message  # it has a route without TLS only


def test_where_no_authority_signs_the_names_it_is_said() -> None:
    found = messages(reached_by(LOCAL))
    assert not [text for text in found if text.startswith("Let's Encrypt")]
    assert [text for text in found if text.startswith("No authority signs names of sprocket.localhost")]


@pytest.mark.parametrize("way", ["public", "localhost"])
def test_it_is_not_said_that_anybody_is_refused_by_their_address(way: str) -> None:
    found = messages(reference() if way == "public" else reached_by(LOCAL))
    assert not [text for text in found if "Traefik refuses requests" in text or "HSTS" in text]
    assert [text for text in found if text.startswith("Nobody is refused by their address")]


def test_ways_in_beside_the_canonical_one_open_the_site_alone() -> None:
    found = messages(reached_by({**LOCAL, "lan": {"host": "192.168.1.20"}, "vpn": {"host": "100.64.0.9", "port": 8090, "api_port": 8091}}))
    assert [text for text in found if text.startswith("By lan and vpn only the site opens")]


@pytest.mark.parametrize("name", sorted(facts()["services"]))
def test_a_secret_that_the_estate_has_in_its_environment_is_a_finding(name: str) -> None:
    key = f"legacy-{name}"
    args = next(layer.stack.services[key] for layer in layers_of(rendered()) if key in layer.stack.services)
    gone = set(facts()["services"][name]["environment"]) - set(args.environment) - NOT_SECRET
    manifest = load_catalog().components[key]
    listed = {place for service in manifest.services if service.as_found for place in service.as_found.in_clear}
    assert {place.removeprefix("environment ") for place in listed if place.startswith("environment ")} == gone
    said = [text for text in messages(reference()) if text.startswith(f"{manifest.title}: the estate has a secret in clear")]
    assert len(said) == (1 if listed else 0)
    assert all(place in text for text in said for place in listed)


def test_a_path_of_the_host_is_a_finding_of_its_component_and_one_that_is_not_listed_is_refused(tmp_path: Path) -> None:
    assert len([text for text in messages(reference()) if "has paths of the host" in text]) == 2
    root = release(tmp_path)
    edit(root / "components" / "legacy-docker-socket-proxy" / "component.yaml", 'source: "/var/run/docker.sock"', "source: /etc")
    with pytest.raises(CatalogError, match="legacy-docker-socket-proxy has /etc of the host"):
        resolve(parse_needs(REFERENCE), load_catalog(root))


# What is parsed back

SPOILED = [
    ("target: {{ secret.target | q }}", "target: {{ (secret.target ~ 'x') | q }}", "secrets"),
    ("target: {{ config.target | q }}", "target: {{ (config.target ~ 'x') | q }}", "configs"),
    ("target: {{ volume.target | q }}", "target: {{ (volume.target ~ 'x') | q }}", "mounts"),
    ("source: {{ bind.source | q }}", "source: {{ (bind.source ~ 'x') | q }}", "mounts"),
    ("published: {{ port.published | q }}", "published: {{ (port.published + 1) | q }}", "ports"),
    ("endpoint_mode: {{ service.endpoint_mode | q }}", 'endpoint_mode: "dnsrr"', "endpoint_mode"),
    ("max_replicas_per_node: {{ service.max_per_node | q }}", "max_replicas_per_node: 9", "max_per_node"),
    ("replicas: {{ service.replicas | q }}", "replicas: 2", "replicas"),
    ("test: {{ service.health.test | q }}", 'test: ["NONE"]', "health"),
    ("hostname: {{ service.hostname | q }}", 'hostname: "x"', "hostname"),
    ("name: {{ service.name | q }}", "name: {{ (service.name ~ 'x') | q }}", "name"),
]


@pytest.mark.parametrize(("right", "wrong", "part"), SPOILED, ids=[f"{part}-{n}" for n, (_, _, part) in enumerate(SPOILED)])
def test_a_template_that_says_other_than_what_was_resolved_is_refused(tmp_path: Path, right: str, wrong: str, part: str) -> None:
    root = release(tmp_path)
    edit(root / "components" / "_shared" / "found.yml.j2", right, wrong)
    catalog = load_catalog(root)
    with pytest.raises(RenderError, match=f": {part}: the file says"):
        render(resolve(parse_needs(REFERENCE), catalog), catalog)


# Vault's start script, against a server that only says what it is

SERVER = """#!/bin/sh
# vault: state in $STATE; the key kkk unseals it.
case "$1 ${2:-}" in
  "server "*) trap 'exit 0' TERM; while :; do sleep 0.1; done ;;
  "status "*)
    [ -e "$STATE/initialized" ] && i=true || i=false
    [ -e "$STATE/unsealed" ] && code=0 || code=2
    printf '{\\n  "initialized": %s\\n}\\n' "$i"
    exit "$code" ;;
  "operator init")
    echo init >> "$STATE/calls"
    if [ -e "$STATE/refuses" ]; then exit 1; fi
    touch "$STATE/initialized"
    printf '{\\n  "unseal_keys_b64": [\\n    "kkk",\\n    "lll"\\n  ],\\n  "root_token": "the-root-token"\\n}\\n'
    if [ -e "$STATE/cut-off" ]; then rm "$STATE/cut-off"; kill -KILL "$PPID"; fi ;;
  "operator unseal") if [ "$3" = kkk ]; then touch "$STATE/unsealed"; fi ;;
esac
"""


class Vault:
    """The rendered script, its folder of keys, and the made-up server."""

    def __init__(self, folder: Path) -> None:
        self.keys, self.state, self.log = folder / "keys", folder / "state", folder / "log"
        for made in (self.keys, self.state, folder / "bin"):
            made.mkdir()
        (folder / "bin" / "vault").write_text(SERVER)
        (folder / "bin" / "vault").chmod(0o755)
        text = rendered().files["config/legacy-vault/auto-initialize.sh"]
        self.script = folder / "start.sh"
        self.script.write_text(text.replace("/vault/unseal-tokens", str(self.keys)))
        self.environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "STATE": str(self.state)}

    def start(self) -> tuple[int | None, str]:
        """Run it until it has decided: exit code (None while it goes on waiting for its server) and what it said."""
        with self.log.open("wb") as log:
            process = subprocess.Popen(["sh", str(self.script)], env=self.environment, stdout=log, stderr=log, start_new_session=True)
        limit = time.monotonic() + 20
        while process.poll() is None and "unsealed" not in self.log.read_text() and time.monotonic() < limit:
            time.sleep(0.02)
        status = process.poll()
        os.killpg(process.pid, signal.SIGKILL) if status is None or status < 0 else None
        process.wait(5)
        return status, self.log.read_text()

    def calls(self) -> int:
        """How often it was initialised."""
        file = self.state / "calls"
        return file.read_text().count("init") if file.exists() else 0


@pytest.fixture
def vault(tmp_path: Path) -> Vault:
    """One that was never started."""
    return Vault(tmp_path)


def test_the_first_start_initialises_and_unseals_and_prints_no_key(vault: Vault) -> None:
    assert vault.start()[0] is None
    assert not [key for key in ("kkk", "lll", "the-root-token") if key in vault.log.read_text()]
    assert (vault.keys / "unseal_keys").read_text() == "kkk\nlll\n"
    assert (vault.keys / "root_token").read_text() == "the-root-token"
    assert {stat.S_IMODE(file.stat().st_mode) for file in vault.keys.iterdir()} == {0o600}
    assert {file.name for file in vault.keys.iterdir()} == {"unseal_keys", "root_token"}


def test_a_restart_unseals_with_the_keys_that_are_there(vault: Vault) -> None:
    vault.start()
    (vault.state / "unsealed").unlink()
    status, said = vault.start()
    assert status is None
    assert "unsealed" in said
    assert vault.calls() == 1


def test_data_without_keys_is_a_stop_with_a_reason_and_never_initialised(vault: Vault) -> None:
    (vault.state / "initialized").touch()
    status, said = vault.start()
    assert (status, vault.calls()) == (1, 0)
    assert "there is data and no key" in said


def test_keys_of_another_storage_are_not_overwritten(vault: Vault) -> None:
    (vault.keys / "unseal_keys").write_text("old\n")
    status, said = vault.start()
    assert (status, vault.calls()) == (1, 0)
    assert "they belong to another storage" in said
    assert (vault.keys / "unseal_keys").read_text() == "old\n"


def test_a_second_task_does_not_initialise_beside_the_first(vault: Vault) -> None:
    (vault.keys / ".initialising").mkdir()
    status, said = vault.start()
    assert (status, vault.calls()) == (1, 0)
    assert "another task is initialising" in said


def test_a_start_that_was_cut_off_after_it_initialised_is_finished_by_the_next(vault: Vault) -> None:
    (vault.state / "cut-off").touch()
    vault.start()
    assert not (vault.keys / "unseal_keys").exists()
    status, said = vault.start()
    assert status is None, said
    assert vault.calls() == 1
    assert (vault.keys / "root_token").read_text() == "the-root-token"


def test_an_initialisation_that_failed_may_be_tried_again(vault: Vault) -> None:
    (vault.state / "refuses").touch()
    status, said = vault.start()
    assert status == 1
    assert "could not be initialised" in said
    (vault.state / "refuses").unlink()
    assert vault.start()[0] is None


def test_keys_that_do_not_fit_are_a_stop_that_says_so(vault: Vault) -> None:
    (vault.state / "initialized").touch()
    (vault.keys / "unseal_keys").write_text("wrong\n")
    status, said = vault.start()
    assert status == 1
    assert "still sealed" in said
