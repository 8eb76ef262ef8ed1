"""What is said of an estate that runs: by its files, its containers and its routers, over real HTTP to a server that plays Traefik."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from blueprints.compose import ServiceArgs
from blueprints.layers import layers_of
from blueprints.rendering import Rendering
from provisioning import virtual_ips
from provisioning.asking import Answer
from provisioning.live import LiveService, LiveTask
from provisioning.verdict import Check, Verdict
from provisioning.verify_estate import judged, path_in, standing, verify_bundle
from sprocket_v2.errors import ApplyError, VerifyError
from tests.layered import LayeredBundle
from tests.provisioning.conftest import FakeDocker

RUNS = (LiveTask("t", "running", "running", container="c", image_id="sha256:ours"),)
ANSWERS = {"app.example.org": (200, "hello"), "login.example.org": (302, ""), "closed.example.org": (401, ""), "sick.example.org": (500, "x"),
           "down.example.org": (502, "Bad Gateway"), "unknown.example.org": (404, "404 page not found\n"), "page.example.org": (404, "no page")}  # fmt: skip


class _Traefik(BaseHTTPRequestHandler):
    asked: list[tuple[str, str]] = []  # noqa: RUF012 - one server a module

    def do_GET(self) -> None:
        host = self.headers["Host"].partition(":")[0]
        self.asked.append((host, self.path))
        status, body = ANSWERS[host]
        self.send_response(status)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Traefik)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield int(server.server_address[1])
    server.shutdown()
    server.server_close()


def _router(host: str, **more: str) -> dict[str, str]:
    return {"traefik.http.routers.app.rule": f"Host(`{host}`)", "traefik.http.routers.app.entryPoints": "web", **more}


def _estate(port: int = 0, labels: dict[str, str] | None = None, **images: str) -> Rendering:
    """The three layers, with Traefik as `edge` on a port, and images by service."""
    made = LayeredBundle("bench", labels=labels or {}).rendering()
    files = dict(made.files)
    stack = json.loads(files["layer_1/stack.yml"])
    edge, vault = stack["services"]["edge"], stack["services"]["vault"]
    edge |= {"image": images.get("edge", "traefik:v2.6.1"), "command": ["--entrypoints.web.address=:80"]}
    edge["ports"] = [{"target": 80, "published": port, "mode": "host"}] if port else []
    vault["image"] = images.get("vault", "redis:7.0-bookworm")
    files["layer_1/stack.yml"] = json.dumps(stack)
    if "store" in images:
        files["layer_2/stack.yml"] = files["layer_2/stack.yml"].replace("redis:7.0-bookworm", images["store"])
    return Rendering(files)


def _running(*without: str) -> FakeDocker:
    names = [name for name in ("vault", "edge", "store", "app") if name not in without]
    return FakeDocker([LiveService(f"{name}-bench", name, 1, "image", 1, False, RUNS) for name in names])


def _verdict(rendering: Rendering, docker: FakeDocker | None = None) -> Verdict:
    return verify_bundle(rendering, docker or _running(), patience_s=0.0)


def _check(verdict: Verdict, name: str) -> Check:
    return next(check for check in verdict.checks if check.name == name)


def test_services_that_run_as_wanted_are_fine_and_nothing_else_is_claimed() -> None:
    verdict = _verdict(_estate())
    assert [(c.name, c.state) for c in verdict.checks] == [
        ("service/vault-bench", "ok"),
        ("service/edge-bench", "ok"),
        ("service/store-bench", "ok"),
        ("service/app-bench", "ok"),
        ("images", "skipped"),
        ("usable/routes", "skipped"),
    ]
    assert verdict.runs_text == "runs"
    assert verdict.usable_text == "not known to be usable: no route is known that could be asked"
    assert not verdict.is_green


def test_a_service_that_is_gone_is_named_with_its_layer() -> None:
    verdict = _verdict(_estate(), _running("store"))
    check = _check(verdict, "service/store-bench")
    assert (check.state, check.title, check.detail) == ("failed", "layer_2: store-bench", "is not there")
    assert "docker service logs" in check.hint
    assert verdict.runs == "failed"


def test_another_image_than_the_locked_one_is_found() -> None:
    made = _estate()
    lock = json.dumps({"images": {"store": {"local_id": "sha256:theirs"}}, "secrets": {}})
    check = _check(_verdict(Rendering({**made.files, "blueprint.lock.json": lock})), "images")
    assert (check.state, check.detail) == ("failed", "another image runs in store-bench")


ROUTES = [
    ("app.example.org", "ok", "app.example.org answers 200"),
    ("login.example.org", "ok", "login.example.org answers 302"),
    ("closed.example.org", "ok", "closed.example.org answers 401"),
    ("page.example.org", "ok", "page.example.org answers 404"),
    ("sick.example.org", "warning", "answers 500: it is reached, and not well"),
    ("down.example.org", "failed", "answers 502: Traefik is there, and nothing answers behind it"),
    ("unknown.example.org", "failed", "answers 404 in Traefik's own words: it does not know this router"),
]


@pytest.mark.parametrize(("host", "state", "words"), ROUTES)
def test_each_router_of_the_labels_is_asked_by_its_host_through_the_entry_port(port: int, host: str, state: str, words: str) -> None:
    verdict = _verdict(_estate(port, _router(host)))
    check = _check(verdict, "route/app")
    assert (check.state, check.title) == (state, "app leads to edge-bench")
    assert words in check.detail
    usable = _check(verdict, "usable/routes")
    assert (usable.state, usable.detail) == (("ok", "1 of 1 routes answer") if state == "ok" else ("warning", "0 of 1 routes answer"))
    assert verdict.is_green == (state == "ok")


def test_a_router_of_several_hosts_is_as_good_as_its_worst_and_asks_for_its_path(port: int) -> None:
    rule = "(Host(`app.example.org`) || Host(`down.example.org`)) && PathPrefix(`/webhook`)"
    check = _check(_verdict(_estate(port, {"traefik.http.routers.app.rule": rule})), "route/app")
    assert (check.state, check.detail.count("answers")) == ("failed", 2 + 1)
    assert ("app.example.org", "/webhook") in _Traefik.asked


def test_a_router_of_an_entry_point_nobody_knows_is_left_out_with_the_reason(port: int) -> None:
    labels = _router("app.example.org") | {"traefik.http.routers.app.entryPoints": "private"}
    check = _check(_verdict(_estate(port, labels)), "route/app")
    assert (check.state, check.detail) == ("skipped", "no port of this machine is known for its entry points (private)")


def test_a_router_that_is_not_http_is_tried_by_a_connection(port: int) -> None:
    labels = {"traefik.tcp.routers.amqp.rule": "HostSNI(`*`)", "traefik.tcp.routers.amqp.entryPoints": "web"}
    check = _check(_verdict(_estate(port, labels)), "route/amqp")
    assert (check.state, check.detail) == ("ok", f"port {port} takes connections")
    assert _check(_verdict(_estate(1, labels)), "route/amqp").state == "failed"


def test_routers_without_a_traefik_in_the_bundle_cannot_be_asked() -> None:
    check = _check(_verdict(_estate(0, _router("app.example.org"), edge="redis:7")), "routes")
    assert (check.state, check.detail) == ("skipped", "1 routers, and no Traefik in the bundle that has them")


class Answers(FakeDocker):
    """Containers that answer one way."""

    def __init__(self, code: int, text: str = "", *, raises: str = "") -> None:
        super().__init__(_running().services)
        self.code, self.text, self.raises = code, text, raises

    def run_in(self, container: str, command: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        if self.raises:
            raise ApplyError(self.raises)
        return self.code, self.text


INSIDE = [
    ({"vault": "vault:1.3.2"}, Answers(0), "secret-server", "ok", "it is unsealed"),
    ({"vault": "openbao/openbao:2"}, Answers(2, '{"initialized": true}'), "secret-server", "warning", "is sealed"),
    ({"vault": "vault:1.3.2"}, Answers(2, '{"initialized": false}'), "secret-server", "warning", "waits to be initialised"),
    ({"vault": "vault:1.3.2"}, Answers(1), "secret-server", "failed", "does not answer"),
    ({"vault": "vault:1.3.2"}, Answers(127), "secret-server", "skipped", "it is a stand-in"),
    (
        {"vault": "vault:1"},
        Answers(0, raises="running vault: Docker says executable file not found"),
        "secret-server",
        "skipped",
        "stand-in",
    ),
    ({"store": "rabbitmq:3.9.14"}, Answers(0), "broker", "ok", "answers its own ping"),
    ({"store": "rabbitmq:3.9.14"}, Answers(69), "broker", "failed", "does not answer its own ping"),
    ({"store": "rabbitmq:3.9.14"}, Answers(0, raises="running rabbitmq-diagnostics: no answer within 30 s"), "broker", "failed", "ping"),
]


@pytest.mark.parametrize(("images", "docker", "name", "state", "detail"), INSIDE)
def test_secret_servers_and_brokers_are_asked_inside(
    images: dict[str, str], docker: FakeDocker, name: str, state: str, detail: str
) -> None:
    check = _check(_verdict(_estate(**images), docker), name)
    assert check.state == state
    assert detail in check.detail


def test_a_broker_that_does_not_run_is_not_asked() -> None:
    check = _check(_verdict(_estate(store="rabbitmq:3.9.14"), _running("store")), "broker")
    assert (check.state, check.detail) == ("skipped", "store-bench does not run")


def _args(**changes: Any) -> ServiceArgs:
    return replace(layers_of(_estate())[1].stack.services["store"], **changes)


def _live(tasks: tuple[LiveTask, ...] = RUNS, wanted: int = 1) -> LiveService:
    return LiveService("store-bench", "s", 1, "image", wanted, False, tasks)


STANDINGS: list[tuple[ServiceArgs, LiveService | None, tuple[str, str]]] = [
    (_args(), None, ("failed", "is not there")),
    (_args(), _live(wanted=2), ("failed", "1 of 2 running")),
    (_args(mode="global", replicas=0), _live(wanted=0), ("ok", "1 running, one on each node")),
    (_args(mode="global", replicas=0), _live((), wanted=0), ("failed", "runs on no node")),
    (_args(replicas=0), _live((), wanted=0), ("ok", "none wanted, as the file says")),
    (_args(replicas=1), _live((), wanted=0), ("failed", "somebody scaled it to nothing")),
    (_args(restart="none"), _live((LiveTask("t", "complete", "shutdown", exit_code=0),)), ("ok", "finished")),
]


@pytest.mark.parametrize(("args", "live", "expected"), STANDINGS)
def test_a_service_stands_against_what_its_file_says(args: ServiceArgs, live: LiveService | None, expected: tuple[str, str]) -> None:
    assert standing(args, live) == expected


def test_no_answer_at_all_is_a_failure_in_words() -> None:
    assert judged(Answer(0, {}, "Connection refused")) == ("failed", "gives no answer (Connection refused)")


@pytest.mark.parametrize(
    ("rule", "path"), [("Host(`a`)", "/"), ("Host(`a`) && PathPrefix(`/webhook`)", "/webhook"), ("Path(`/a`, `/b`)", "/a"), ("", "/")]
)
def test_the_path_is_the_first_a_rule_names(rule: str, path: str) -> None:
    assert path_in(rule) == path


def test_docker_that_cannot_be_read_is_no_verdict() -> None:
    docker = _running()
    docker.is_reachable = False
    with pytest.raises(VerifyError, match="Docker is not started"):
        _verdict(_estate(), docker)


def _vip() -> Rendering:
    made = _estate()
    return Rendering({path: text.replace('"dnsrr"', '"vip"') for path, text in made.files.items()})


@pytest.mark.parametrize(
    ("rendering", "has", "host", "warns"),
    [(_vip, False, "", True), (_vip, True, "", False), (_vip, False, "ssh://else", False), (_estate, False, "", False)],
)
def test_virtual_ips_on_a_kernel_without_them_are_warned_of(
    monkeypatch: pytest.MonkeyPatch, rendering: Callable[[], Rendering], has: bool, host: str, warns: bool
) -> None:
    monkeypatch.setattr(virtual_ips, "has_virtual_ips", lambda: has)
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    if host:
        monkeypatch.setenv("DOCKER_HOST", host)
    found = [check for check in _verdict(rendering()).checks if check.name == "virtual-ips"]
    assert [check.state for check in found] == (["warning"] if warns else [])
    if warns:
        assert "4 services are reached by a virtual IP" in found[0].detail
        assert "endpoint_mode" in found[0].hint
