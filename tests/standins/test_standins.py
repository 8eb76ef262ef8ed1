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

from standin import bun, node
from standin.backends import Core, Influx, Monolith
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


def test_influx_takes_lines_that_were_compressed_and_sent_in_chunks(influx: str) -> None:
    """As Telegraf sends them."""
    import gzip
    import http.client

    body = gzip.compress(b"mem,org=a used_percent=1.5 1\ncpu,org=a usage=2i 1\n")
    connection = http.client.HTTPConnection(influx.removeprefix("http://"), timeout=5)
    headers = {"authorization": "Token the-token-of-influx", "content-encoding": "gzip"}
    connection.request("POST", "/api/v2/write?org=demo&bucket=demo", iter([body[:7], body[7:]]), headers, encode_chunked=True)
    assert connection.getresponse().status == 204
    with urllib.request.urlopen(f"{influx}/__standin/lines", timeout=5) as answer:
        assert json.loads(answer.read())["measurements"] == {"mem": 1, "cpu": 1}


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


MONOLITH = {"LOGGER_LEVELS": "[]", "INFLUX_ADDRESS": "http://metrics.invalid:8086", "BOT_PREFIX": "s."}
CORE_SETTINGS = dict.fromkeys(
    (
        "REDIS_HOST REDIS_PORT REDIS_PREFIX CACHE_HOST CACHE_PORT MINIO_ENDPOINT MINIO_REPLAYS_BUCKET MINIO_IMAGE_GENERATION_BUCKET WEB_URL "
        "WEB_API_ROOT DISCORD_CALLBACK_URL GOOGLE_CALLBACK_URL JWT_EXPIRY ACCESS_EXPIRY REFRESH_EXPIRY FRONTEND_CALLBACK GQL_PLAYGROUND "
        "DEFAULT_ORGANIZATION_ID"
    ).split(),
    "1",
)
CORE_SECRETS = dict.fromkeys(
    (
        "redis-password.txt minio-access.txt minio-secret.txt discord-client.txt discord-secret.txt jwtSecret.txt googleClientId.txt "
        "googleSecret.txt bot-token.txt influx-token"
    ).split(),
    "secret-value-1234",
)


@pytest.mark.parametrize("missing", ["bot-token.txt", "influx-token", "googleSecret.txt", "minio-access.txt", "redis-password.txt"])
def test_the_monolith_wants_what_all_seven_want(tmp_path: Path, missing: str) -> None:
    monolith = object.__new__(Monolith)
    monolith.read(_settings(tmp_path, {**MONOLITH, **CORE_SETTINGS}, None, CORE_SECRETS))
    (tmp_path / "secret" / missing).unlink()
    with pytest.raises(MissingSetting, match="missing secret"):
        monolith.read(_settings(tmp_path, {**MONOLITH, **CORE_SETTINGS}))


def test_the_monolith_says_what_it_is() -> None:
    monolith = object.__new__(Monolith)
    monolith.origins = set()
    body = json.loads(monolith.handle(Ask("GET", "/healthz", {}, {}, b"")).body)
    assert (body["status"], body["runtime"], len(body["services"])) == ("ok", "monolith", 7)


BUN = {
    **dict.fromkeys("PG_CACHE CORE_URL PROD SERVICE_NAME LOG_LEVEL AUTH_JWT_EXPIRY AUTH_JWT_SECRET AUTH_DISCORD_CLIENT_ID AUTH_DISCORD_SECRET PG_HOST PG_USER PG_PASS PG_DATABASE".split(), "x"),
    "PG_PORT": "1", "BASE_URL": "demo.localhost", "LISTEN_PORT": "8080", "SSL": "false",
}  # fmt: skip


@pytest.mark.parametrize("name", ["PG_PASS", "AUTH_JWT_SECRET", "LISTEN_PORT", "SSL", "BASE_URL"])
def test_the_api_on_bun_names_what_is_missing(tmp_path: Path, name: str) -> None:
    with pytest.raises(MissingSetting, match=name):
        bun.Core(_settings(tmp_path, {key: value for key, value in BUN.items() if key != name}))


def test_the_api_on_bun_is_well_only_while_its_database_answers_and_lets_in_its_sites_origin(tmp_path: Path) -> None:
    core = bun.Core(_settings(tmp_path, {**BUN, "PG_HOST": "127.0.0.1"}))
    answer = core.handle(Ask("GET", "/health", {}, {}, b""))
    assert (answer.status, json.loads(answer.body)["status"]) == (503, "error")
    own, foreign = (
        core.handle(Ask("OPTIONS", "/graphql", {}, {"origin": o}, b"")).headers for o in ("http://demo.localhost:8080", "http://x")
    )
    assert own["access-control-allow-origin"] == "http://demo.localhost:8080"
    assert "access-control-allow-origin" not in foreign
    assert core.handle(Ask("GET", "/oauth/callback/discord", {}, {}, b"")).status == 400
    assert core.handle(Ask("GET", "/oauth/callback/steam", {}, {}, b"")).status == 404


def test_the_site_on_bun_wants_all_six_addresses(tmp_path: Path) -> None:
    six = {
        f"{side}_API_{part}": text for side in ("PUBLIC", "PRIVATE") for part, text in (("URL", "a"), ("PORT", "1"), ("SECURE", "false"))
    }
    assert bun.Web(_settings(tmp_path, six)).addresses == {"PUBLIC": "http://a:1", "PRIVATE": "http://a:1"}
    for name in six:
        with pytest.raises(MissingSetting, match=name):
            bun.Web(_settings(tmp_path, {key: value for key, value in six.items() if key != name}))


@pytest.mark.parametrize("arguments", [["exec", "service"], ["exec"], ["run", "core"], []])
def test_the_start_script_on_bun_knows_three_things(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert bun.entrypoint(arguments) == 2
    assert "core, web, discord" in capsys.readouterr().err
