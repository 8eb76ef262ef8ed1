"""The older layout's stand-ins take what this release renders, name what is missing, speak AMQP, and let nobody write to Docker."""

from __future__ import annotations

import http.client
import json
import socketserver
import struct
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools" / "standins" / "app"))

from standin import legacy, legacy_tools, socket_proxy
from standin.amqp import Amqp, AmqpError
from standin.settings import MissingSetting

from blueprints.catalog import load_catalog
from blueprints.layers import layers_of
from blueprints.render import render
from blueprints.resolve import resolve
from orgs.needs_file import parse_needs

ROOT = Path(__file__).resolve().parents[2]
CATALOG = load_catalog()
RENDERING = render(resolve(parse_needs((ROOT / "orgs" / "legacy.yaml").read_text()), CATALOG), CATALOG)
SERVICES = {
    args.image.partition("/")[2].partition(":")[0]: (layer.stack.notes[key].component, args)
    for layer in layers_of(RENDERING)
    for key, args in layer.stack.services.items()
    if args.image.startswith("asaxplayinghorse/")
}


@pytest.fixture
def mounted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> tuple[legacy.Role, Path, Path]:
    """What an application finds: its role, its file of settings, its folder of secrets, as its service mounts them."""
    name = request.param
    component, args = SERVICES[name]
    role = legacy.ROLES[name]
    assert role.file in {config.target for config in args.configs}
    file = tmp_path / "production.json"
    file.write_text(RENDERING.files[f"config/{component}/production.json"])
    for key, value in args.environment.items():
        monkeypatch.setenv(key, value)
    for secret in args.secrets:
        (tmp_path / Path(secret.target).name).write_text("a value of twelve\n")
    return role, file, tmp_path


@pytest.mark.parametrize("mounted", sorted(legacy.ROLES), indirect=True)
def test_an_application_finds_all_it_reads_and_names_whatever_is_taken_away(mounted: tuple[legacy.Role, Path, Path]) -> None:
    role, file, folder = mounted
    legacy.Read(role, folder, file)
    whole = json.loads(file.read_text())
    for path in role.keys:
        file.write_text(json.dumps(_without(whole, path.split("."))))
        with pytest.raises(MissingSetting, match=f"missing setting {path} in "):
            legacy.Read(role, folder, file)
    file.write_text(json.dumps(whole))
    for name in role.secrets:
        text = (folder / name).read_text()
        (folder / name).write_text("\n")
        with pytest.raises(MissingSetting, match=f"missing secret file .*{name}"):
            legacy.Read(role, folder, file)
        (folder / name).write_text(text)


def _without(data: dict[str, object], path: list[str]) -> dict[str, object]:
    head, *rest = path
    inner = data[head]
    if rest and isinstance(inner, dict):
        return {**data, head: _without(inner, rest)}
    return {key: value for key, value in data.items() if key != head}


def test_there_is_a_role_for_every_application_of_the_layout() -> None:
    assert set(legacy.ROLES) == set(SERVICES)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("core", ("prod-datastores-redis-redis-primary", 6379)), ("replay-parse-service", ("prod-datastores-redis-redis-primary", 6379)),
     ("elo-service", ("prod-datastores-redis-redis-primary", 6379)), ("web", None)],
)  # fmt: skip
def test_where_redis_is_comes_from_the_file_from_celery_or_from_the_environment(
    name: str, expected: tuple[str, int] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    component, args = SERVICES[name]
    for key, value in args.environment.items():
        monkeypatch.setenv(key, value)
    for secret in args.secrets:
        (tmp_path / Path(secret.target).name).write_text("a value of twelve")
    (tmp_path / "settings.json").write_text(RENDERING.files[f"config/{component}/production.json"])
    assert legacy.Read(legacy.ROLES[name], tmp_path, tmp_path / "settings.json").redis() == expected


def test_gatus_takes_the_estates_file_and_refuses_a_condition_it_does_not_know(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(RENDERING.files["config/legacy-gatus/config.yaml"])
    assert legacy_tools.gatus(file) == (8080, "/health")
    assert "10 endpoints are read, and none is asked" in capsys.readouterr().out
    file.write_text(file.read_text().replace("[DNS_RCODE] == NOERROR", "[DNS] == fine"))
    with pytest.raises(SystemExit):
        legacy_tools.gatus(file)
    assert "invalid condition [DNS] == fine" in capsys.readouterr().err


def test_grafana_and_n8n_name_the_secret_that_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("TYPE", "HOST", "NAME", "USER"):
        monkeypatch.setenv(f"GF_DATABASE_{name}", "x")
    monkeypatch.setenv("GF_SERVER_ROOT_URL", "x")
    monkeypatch.setenv("GF_DATABASE_PASSWORD__FILE", "/nowhere")
    for tool, said in ((legacy_tools.grafana, "GF_DATABASE_PASSWORD"), (legacy_tools.n8n, "N8N_ENCRYPTION_KEY")):
        with pytest.raises(SystemExit):
            tool()
        assert said in capsys.readouterr().err


# AMQP


class _Broker(socketserver.StreamRequestHandler):
    """Says what RabbitMQ says, and remembers what it was told."""

    told: list[bytes] = []  # noqa: RUF012 - one server a test
    refuses = False

    def handle(self) -> None:
        assert self.rfile.read(8) == b"AMQP\x00\x00\x09\x01"
        self._say(0, (10, 10), b"\0\x09" + b"\0" * 12)
        self._hear()
        if self.refuses:
            self._say(0, (10, 50), struct.pack("!H", 403) + b"\x0eACCESS_REFUSED" + b"\0" * 4)
            return
        self._say(0, (10, 30), struct.pack("!HIH", 7, 131072, 60))
        self._hear(), self._hear()
        self._say(0, (10, 41), b"\0")
        self._hear()
        self._say(1, (20, 11), b"\0" * 4)
        self._hear()
        self._say(1, (50, 11), b"\x09prod-core" + struct.pack("!II", 3, 0))

    def _say(self, channel: int, method: tuple[int, int], arguments: bytes) -> None:
        payload = struct.pack("!HH", *method) + arguments
        self.wfile.write(struct.pack("!BHI", 1, channel, len(payload)) + payload + b"\xce")

    def _hear(self) -> None:
        _, _, size = struct.unpack("!BHI", self.rfile.read(7))
        self.told.append(self.rfile.read(size))
        self.rfile.read(1)


@pytest.fixture
def broker() -> Iterator[str]:
    _Broker.told, _Broker.refuses = [], False
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Broker) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"amqp://127.0.0.1:{server.server_address[1]}?heartbeat=30"
        server.shutdown()


def test_an_application_signs_in_as_guest_declares_its_durable_queue_and_notices_the_brokers_end(broker: str) -> None:
    connection = Amqp(broker)
    assert connection.heartbeat_s == 30
    assert connection.declare("prod-core") == 3
    assert b"\0guest\0guest" in _Broker.told[0]
    assert _Broker.told[-1] == struct.pack("!HHH", 50, 10, 0) + b"\x09prod-core" + b"\x02" + b"\0" * 4
    with pytest.raises(AmqpError, match="closed the connection"):
        connection.stay()


def test_a_broker_that_refuses_is_quoted(broker: str) -> None:
    _Broker.refuses = True
    with pytest.raises(AmqpError, match="the broker ends it: ACCESS_REFUSED"):
        Amqp(broker)


# Docker's socket


@pytest.mark.parametrize(
    ("method", "path", "is_allowed"),
    [
        ("GET", "/v1.24/services", True), ("GET", "/services/abc?x=1", True), ("HEAD", "/_ping", True), ("GET", "/v1.41/version", True),
        ("POST", "/v1.24/services/create", False), ("DELETE", "/services/abc", False), ("GET", "/v1.24/secrets", False),
        ("GET", "/v1.24/services/../secrets", False), ("GET", "/services/%2e%2e/secrets", False), ("GET", "/tasks", False), ("GET", "/v1.24/configs", False), ("GET", "/servicesx", False),
        ("GET", "//services", False), ("GET", "/", False),
    ],
)  # fmt: skip
def test_only_reading_of_what_is_switched_on_goes_through(method: str, path: str, is_allowed: bool) -> None:
    assert socket_proxy.is_allowed(method, path, {"SERVICES": "1", "TASKS": "0"}) is is_allowed


def test_what_the_engine_answers_comes_through_and_what_is_refused_never_reaches_it(tmp_path: Path) -> None:
    asked: list[str] = []

    class Engine(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            asked.append(self.rfile.readline().decode().strip())
            self.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n")

    path = str(tmp_path / "docker.sock")
    with socketserver.ThreadingUnixStreamServer(path, Engine) as engine:
        threading.Thread(target=engine.serve_forever, daemon=True).start()
        proxy = socket_proxy.make_proxy(("127.0.0.1", 0), path, {"SERVICES": "1"})
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        port = int(proxy.server_address[1])
        assert _asked(port, "GET", "/v1.24/services") == (200, b"[1]")
        assert _asked(port, "POST", "/v1.24/services/create")[0] == 403
        assert _asked(port, "GET", "/v1.24/secrets")[0] == 403
        proxy.shutdown()
        engine.shutdown()
    assert asked == ["GET /v1.24/services HTTP/1.1"]


def _asked(port: int, method: str, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request(method, path)
    answer = connection.getresponse()
    return answer.status, answer.read()


def test_without_an_engine_the_proxy_says_so_and_goes_on(tmp_path: Path) -> None:
    proxy = socket_proxy.make_proxy(("127.0.0.1", 0), str(tmp_path / "none.sock"), {"SERVICES": "1"})
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    assert [_asked(int(proxy.server_address[1]), "GET", "/services")[0] for _ in range(2)] == [502, 502]
    proxy.shutdown()
