"""The stand-ins keep the applications' contract: where settings come from, what is missing, what is never printed."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

APP = Path(__file__).resolve().parents[2] / "tools" / "standins" / "app"
sys.path.insert(0, str(APP))

from standin import node
from standin.backends import Core, Influx
from standin.backing import Influx as InfluxServer
from standin.serve import Ask, make_server
from standin.settings import MissingSetting, Settings
from standin.web import Web

from tests.certificates import make_authority
from tests.provisioning.test_probe import site as tls_site


def _settings(
    folder: Path, environ: dict[str, str], config: dict[str, Any] | None = None, secrets: dict[str, str] | None = None
) -> Settings:
    (folder / "config").mkdir(exist_ok=True)
    (folder / "config" / "production.json").write_text(json.dumps(config or {}))
    (folder / "secret").mkdir(exist_ok=True)
    for name, value in (secrets or {}).items():
        (folder / "secret" / name).write_text(value)
    return Settings({"NODE_ENV": "production", **environ}, folder)


def test_the_environment_wins_over_the_file_and_the_file_over_the_default(tmp_path: Path) -> None:
    settings = _settings(tmp_path, {"A": "env"}, {"a": "json", "b": {"c": 5}})
    assert settings.value("A", "a", "default") == "env"
    assert settings.value("B", "b.c", "default") == "5"
    assert settings.value("D", "d", "default") == "default"
    assert settings.sources == {"A": "env", "B": "json b.c", "D": "default"}


def test_an_empty_secret_in_the_environment_counts_as_absent_and_a_file_is_trimmed(tmp_path: Path) -> None:
    settings = _settings(tmp_path, {"TOKEN": ""}, {"token": "never from here"}, {"token.txt": "  value\n"})
    assert settings.secret("TOKEN", "token.txt") == "value"
    with pytest.raises(MissingSetting, match="missing secret OTHER"):
        settings.secret("OTHER", "other.txt")


def test_a_missing_setting_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingSetting, match=r"missing setting WEB_URL \(or web.url"):
        _settings(tmp_path, {}).value("WEB_URL", "web.url")


def test_the_sites_own_calls_trust_the_authority_they_are_told_of_and_no_other(tmp_path: Path) -> None:
    authority = make_authority(tmp_path, ["127.0.0.1"])
    with tls_site(authority=authority) as port:
        config = {"client": {"gqlUrl": f"127.0.0.1:{port}", "secure": True}}
        told = {"NODE_EXTRA_CA_CERTS": str(authority.certificate)}
        assert Web(_settings(tmp_path, {}, config)).ask_api().status == 502
        assert Web(_settings(tmp_path, told, config)).ask_api().status == 200


def test_the_site_refuses_an_api_address_with_a_scheme(tmp_path: Path) -> None:
    with pytest.raises(MissingSetting, match="bare host"):
        Web(_settings(tmp_path, {}, {"client": {"gqlUrl": "http://api.example.org", "secure": False}}))


def test_analytics_wants_an_http_address_and_its_token_without_ending(tmp_path: Path) -> None:
    with pytest.raises(MissingSetting, match="INFLUX_ADDRESS"):
        Influx(_settings(tmp_path, {"INFLUX_ADDRESS": "influxdb"}, None, {"influx-token": "t" * 12}))
    with pytest.raises(MissingSetting, match="INFLUX_TOKEN"):
        Influx(_settings(tmp_path / "..", {"INFLUX_ADDRESS": "http://influxdb:8086"}, None, {"influx-token.txt": "t" * 12}))


class _Core(Core):
    """The API without its dependencies: its answers only."""

    def __init__(self) -> None:
        self.origins = {"http://demo.localhost:8080"}
        self.client_id, self.callback = "123", "http://api.demo.localhost:8080/login"


def _ask(method: str, path: str, body: bytes = b"", **headers: str) -> Any:
    return _Core().handle(Ask(method, path, {}, headers, body))


def test_the_api_answers_as_the_contract_says() -> None:
    assert json.loads(_ask("GET", "/healthz").body) == {"status": "ok"}
    assert json.loads(_ask("POST", "/graphql", b'{"query": "{__typename}"}').body) == {"data": {"__typename": "Query"}}
    assert _ask("GET", "/graphql").status == 400
    assert _ask("GET", "/refresh").status == 401
    login = _ask("GET", "/login")
    assert login.status == 302
    assert "redirect_uri=http%3A%2F%2Fapi.demo.localhost%3A8080%2Flogin" in login.headers["location"]


def test_the_api_lets_its_own_origin_in_and_no_other() -> None:
    good = _ask("OPTIONS", "/graphql", origin="http://demo.localhost:8080")
    assert (good.status, good.headers["access-control-allow-origin"]) == (204, "http://demo.localhost:8080")
    bad = _ask("OPTIONS", "/graphql", origin="http://evil.example")
    assert bad.status == 204
    assert "access-control-allow-origin" not in bad.headers


@pytest.fixture
def influx(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The InfluxDB stand-in, set up as the component does."""
    token = tmp_path / "token"
    token.write_text("the-token-of-influx\n")
    for name, value in {
        "MODE": "setup",
        "USERNAME": "u",
        "PASSWORD": "p",
        "ORG": "demo",
        "BUCKET": "demo",
        "ADMIN_TOKEN_FILE": str(token),
    }.items():
        monkeypatch.setenv(f"DOCKER_INFLUXDB_INIT_{name}", value)
    server = make_server(("127.0.0.1", 0), InfluxServer(tmp_path / "data").handle)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()


@pytest.mark.parametrize(
    ("token", "org", "bucket", "status"),
    [
        ("the-token-of-influx", "demo", "demo", 204),
        ("wrong", "demo", "demo", 401),
        ("the-token-of-influx", "other", "demo", 404),
        ("the-token-of-influx", "demo", "other", 404),
    ],
)
def test_influx_checks_token_organization_and_bucket(influx: str, token: str, org: str, bucket: str, status: int) -> None:
    request = urllib.request.Request(f"{influx}/api/v2/write?org={org}&bucket={bucket}", b"a b=1", {"authorization": f"Token {token}"})
    try:
        with urllib.request.urlopen(request, timeout=5) as answer:
            found = answer.status
    except urllib.error.HTTPError as error:
        found = error.code
    assert found == status
    with urllib.request.urlopen(f"{influx}/health", timeout=5) as answer:
        assert json.loads(answer.read())["status"] == "pass"


def test_a_health_probe_does_the_one_get_its_script_asks_for(influx: str) -> None:
    assert node.probe(f"require('http').get('{influx}/health',r=>process.exit(r.statusCode===200?0:1))") == 0
    assert node.probe(f"require('http').get('{influx}/nothing',r=>0)") == 1
    assert node.probe("require('http').get('http://127.0.0.1:9/x',r=>0)") == 1
    assert node.probe("1+1") == 2


def test_a_core_without_its_secret_ends_naming_it_and_prints_no_value(tmp_path: Path) -> None:
    environment = {"PATH": "/usr/bin:/bin", "POSTGRES_PASSWORD": "a-value-that-stays-secret"}
    code = f"import sys; sys.path.insert(0, {str(APP)!r}); from standin.node import main; main(['/app/core/dist/main.js'])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20, check=False
    )
    assert done.returncode == 1
    assert "cannot start: missing setting" in done.stderr
    assert "a-value-that-stays-secret" not in done.stdout + done.stderr
