"""An existing Redis, for real: Debian's in a container on loopback, with TLS and a password, and every way in which one is not fit."""

from __future__ import annotations

import contextlib
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from provisioning.preflight.cache import check_cache
from provisioning.preflight.network import Peer
from provisioning.preflight.result import Result
from tests.provisioning.preflight.conftest import Certificates, Saying, certificates, free_port, names  # noqa: F401 - fixtures

pytestmark = pytest.mark.engine
PASSWORD = "canary-redis-password"
TLS = "--port 0 --tls-port 6379 --tls-cert-file /tls/server.pem --tls-key-file /tls/server.key --tls-ca-cert-file /tls/ca.pem --tls-auth-clients no"
KEPT = f"--requirepass {PASSWORD} --maxmemory 64mb --maxmemory-policy allkeys-lru"


@contextlib.contextmanager
def server(options: str, keys: Certificates, port: int) -> Iterator[None]:
    """A Redis with these options."""
    name = f"sprocket-test-{secrets.token_hex(5)}"
    command = f"chown -R nobody /tls && exec redis-server --save '' --protected-mode no {options}"
    _docker("create", "--name", name, "-p", f"127.0.0.1:{port}:6379", "redis:7.0-bookworm", "sh", "-c", command)
    try:
        _docker("cp", str(keys.certificate.parent), f"{name}:/tls")
        _docker("start", name)
        limit = time.monotonic() + 20
        while time.monotonic() < limit and "Ready to accept" not in _docker("logs", name):
            time.sleep(0.1)
        yield
    finally:
        _docker("rm", "-f", name)


def _docker(*words: str) -> str:
    done = subprocess.run(["docker", *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def looked(
    port: int,
    keys: Certificates,
    *,
    tls: bool = True,
    json: bool = False,
    password: str = PASSWORD,
    host: str = "redis.example.org",
    **more: Any,
) -> dict[str, Result]:
    peer = Peer("cache", "Redis", host, port, "cache.existing", keys.authority, may_be_here=True)
    results = list(check_cache({"tls": tls, "json": json}, password, peer, **more))
    for result in results:
        assert password not in repr(result)
        assert bool(result.remedy) == (result.state != "pass")
    return {result.key.removeprefix("cache/"): result for result in results}


def states(results: dict[str, Result]) -> dict[str, str]:
    return {key: result.state for key, result in results.items()}


@pytest.fixture(scope="module")
def good(certificates: Certificates) -> Iterator[int]:  # noqa: F811 - a fixture
    """A Redis that is fit, but has no JSON module."""
    port = free_port()
    with server(f"{TLS} {KEPT}", certificates, port):
        yield port


def test_a_redis_with_tls_password_and_limit_passes(good: int, certificates: Certificates) -> None:  # noqa: F811
    results = looked(good, certificates)
    assert set(results) == {"reach", "tls", "sign-in", "version", "database", "memory"}
    assert set(states(results).values()) == {"pass"}
    assert "64 MiB" in results["memory"].sentence


def test_without_the_json_module_it_blocks_when_notifications_are_on(good: int, certificates: Certificates) -> None:  # noqa: F811
    result = looked(good, certificates, json=True)["json"]
    assert result.state == "block"
    assert "features.notifications" in result.remedy


def test_a_wrong_password_blocks_without_being_told(good: int, certificates: Certificates) -> None:  # noqa: F811
    results = looked(good, certificates, password="canary-wrong-redis-password")
    assert results["sign-in"].state == "block"
    assert "redis-password" in results["sign-in"].remedy


def test_a_version_that_is_too_old_blocks(good: int, certificates: Certificates) -> None:  # noqa: F811
    assert looked(good, certificates, least=7)["version"].state == "pass"
    assert looked(good, certificates, least=8)["version"].state == "block"


def test_a_certificate_for_another_name_blocks_since_the_applications_look(good: int, certificates: Certificates) -> None:  # noqa: F811
    results = looked(good, certificates, host="other.example.org")
    assert states(results) == {"reach": "pass", "tls": "block"}
    assert "does not hold for other.example.org" in results["tls"].sentence


def test_tls_that_the_needs_do_not_say_blocks(good: int, certificates: Certificates) -> None:  # noqa: F811
    result = looked(good, certificates, tls=False)["answers"]
    assert result.state == "block"
    assert "tls" in result.remedy


def test_a_closed_port_blocks(certificates: Certificates) -> None:  # noqa: F811
    assert states(looked(free_port(), certificates)) == {"reach": "block"}


def test_something_that_is_no_redis_blocks(certificates: Certificates) -> None:  # noqa: F811
    web = Saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert "block" in states(looked(web.port, certificates, tls=False)).values()
    assert states(looked(web.port, certificates, tls=True))["tls"] == "block"


def test_without_password_tls_limit_and_databases_each_is_named(certificates: Certificates) -> None:  # noqa: F811
    port = free_port()
    with server("--port 6379 --databases 4", certificates, port):
        assert states(looked(port, certificates))["tls"] == "block", "the needs say TLS"
        results = looked(port, certificates, tls=False)
        assert results["sign-in"].state == "block"
        assert "has no password" in results["sign-in"].sentence
    port = free_port()
    with server(f"--port 6379 --databases 4 --requirepass {PASSWORD}", certificates, port):
        results = looked(port, certificates, tls=False)
        assert results["database"].state == "block"
        assert "no database 13" in results["database"].sentence
        assert results["memory"].state == "warn"
        assert "no limit of memory" in results["memory"].sentence
    port = free_port()
    with server(f"--port 6379 --requirepass {PASSWORD} --maxmemory 64mb", certificates, port):
        result = looked(port, certificates, tls=False)["memory"]
        assert (result.state, "noeviction" in result.sentence) == ("warn", True)


def test_the_peers_of_these_tests_are_on_loopback_only(good: int) -> None:
    with socket.create_connection(("127.0.0.1", good), timeout=2):
        pass
    assert f"127.0.0.1:{good}->6379" in _docker("ps", "--format", "{{.Ports}}")
