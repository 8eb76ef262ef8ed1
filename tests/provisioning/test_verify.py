"""Verify against a small HTTP server on loopback that answers by host name, and a reader that remembers. Each break is found."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from provisioning.live import LiveObject, LiveService, LiveTask
from provisioning.verdict import Check, Verdict, verdict_from, verdict_of
from provisioning.verify import verify
from sprocket_v2.errors import ApplyError, VerifyError

WEB, API = "demo.localhost", "api.demo.localhost"


@dataclass
class Site:
    """How the deployment answers; tests break one thing each."""

    port: int = 0
    redirect: str = "/auth/login"
    login: str = "<h1>Sign in with Discord</h1>"
    front: str = ""  # what / answers, where it does not redirect
    health_path: str = "/healthz"
    health: str = '{"status":"ok"}'
    typename: str = "Query"
    bare_query_status: int = 400
    allows: tuple[str, ...] = ()
    allows_all: bool = False
    is_away: bool = False
    hosts: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        self._answer()

    do_POST = do_OPTIONS = do_GET

    def _answer(self) -> None:
        site, host = self.site, self.headers["Host"]
        site.hosts.append(host)
        site.methods.append(self.command)
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if site.is_away:
            self._send(502, "Bad Gateway")
        elif host == f"{WEB}:{site.port}":
            self._web()
        elif host == f"{API}:{site.port}":
            self._api()
        else:
            self._send(404, "no such host")

    def _web(self) -> None:
        if self.path == "/" and self.site.front:
            self._send(200, self.site.front)
        elif self.path == "/":
            self._send(302, "", Location=self.site.redirect)
        elif self.path == "/auth/login":
            self._send(200, self.site.login)

    def _api(self) -> None:
        site, origin = self.site, self.headers.get("Origin", "")
        if self.command == "OPTIONS":
            granted = origin if origin in site.allows else "*" if site.allows_all else ""
            self._send(204, "", **({"Access-Control-Allow-Origin": granted} if granted else {}))
        elif self.path == site.health_path:
            self._send(200, site.health)
        elif self.command == "POST":
            self._send(200, json.dumps({"data": {"__typename": site.typename}}))
        else:
            self._send(site.bare_query_status, "{}")

    def _send(self, status: int, body: str, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body.encode())))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: Any) -> None:
        """Quiet."""


@dataclass
class Reader:
    """Services, logs and what commands in containers answer."""

    services: dict[str, LiveService]
    tables: dict[str, int] = field(default_factory=lambda: {"sprocket.organization": 1, "mledb.player": 1, 'sprocket."user"': 1})
    postgres_open: bool = False
    redis_open: bool = False
    web_reaches_api: bool = True
    bot_log: list[str] = field(default_factory=lambda: ["starting", "skipped login: placeholder token"])
    bao: tuple[int, str] = (0, "")
    commands: list[Sequence[str]] = field(default_factory=list)

    def live_services(self, org: str, adopted: object = ()) -> Sequence[LiveService]:
        return list(self.services.values())

    def live_objects(self, org: str, adopted: object = ()) -> Sequence[LiveObject]:
        return []

    def local_image_id(self, reference: str) -> str:
        return ""

    def last_lines(self, service: str, count: int = 200) -> list[str]:
        return self.bot_log

    def run_in(self, container: str, command: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        self.commands.append(command)
        if command[0] in ("node", "bun"):
            return (0 if self.web_reaches_api else 1), ""
        if command[0] == "bao":
            return self.bao
        if command[0] == "redis-cli":
            return (0, "PONG") if self.redis_open else (0, "NOAUTH Authentication required.")
        if "-w" in command:
            return (0, "1") if self.postgres_open else (2, "fe_sendauth: no password supplied")
        return 0, "\n".join(
            self._query(command[index + 1]) for index, word in enumerate(command) if word == "-c" and "select" in command[index + 1]
        )

    def _query(self, sql: str) -> str:
        if "to_regclass" in sql:
            return "t" if sql.split("'")[1] in self.tables else "f"
        return str(self.tables[sql.split(" from ")[1]])


def _service(name: str, *, networks: tuple[str, ...] = ("demo_data",), job: bool = False, image_id: str = "sha256:1") -> LiveService:
    state = (
        LiveTask("t", "complete", "shutdown", exit_code=0)
        if job
        else LiveTask("t", "running", "running", "", f"c-{name}", image_id, "healthy")
    )
    return LiveService(name, "id", 1, "image", 1, job, (state,), (), networks)


def _component(name: str, role: str = "", *services: str) -> dict[str, Any]:
    return {"name": name, "title": name.title(), "role": role, "plays": [], "services": list(services or (f"demo_{name}",))}


def _generation(site: Site) -> dict[str, Any]:
    """What profile v2 says of a generation."""
    ask = ["node", "-e", "require('{scheme}').get('{url}')"]
    page = {"port": 3000, "page": "/auth/login", "redirects": True, "marker": "Sign in with Discord", "ask": ask}
    return {
        "site": {**page, "asks": f"http://{API}:{site.port}/healthz"},
        "api": {"health": "/healthz", "graphql": "/graphql", "bare_query_status": 400, "checks_origin": True},
        "tables": {"organization": "sprocket.organization", "people": ["mledb.player", 'sprocket."user"']},
    }


@pytest.fixture
def site() -> Iterator[Site]:
    site = Site()
    handler = type("Handler", (_Handler,), {"site": site})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    site.port = server.server_port
    site.allows = (f"http://{WEB}:{site.port}",)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield site
    server.shutdown()
    server.server_close()


@pytest.fixture
def reader() -> Reader:
    services = [_service(f"demo_{name}") for name in ("postgres", "redis", "api", "bot")]
    services += [
        _service("demo_web", networks=("demo_edge",)),
        _service("demo_traefik", networks=("demo_edge",)),
        _service("demo_api_migrate", job=True),
    ]
    return Reader({service.name: service for service in services})


@pytest.fixture
def blueprint(site: Site) -> dict[str, Any]:
    way = {"way": "localhost", "host": WEB, "api_host": API, "port": site.port, "api_port": site.port, "tls": False,
           "web_origin": f"http://{WEB}:{site.port}", "api_origin": f"http://{API}:{site.port}"}  # fmt: skip
    parts = [
        _component("postgres"),
        _component("redis"),
        _component("api", "api", "demo_api", "demo_api_migrate"),
        _component("bot", "bot"),
        _component("web", "web"),
        _component("traefik", "proxy"),
    ]
    return {
        "organization": {"slug": "demo"},
        "images": "stand-in",
        "components": parts,
        "access": {"canonical": way},
        "verify": {
            "bot": True,
            "database": {"where": "deployment", "user": "sprocket", "name": "sprocket"},
            "starting_data": "schema-file",
            "generation": _generation(site),
        },
    }


LOCK: dict[str, Any] = {"images": {name: {"local_id": "sha256:1"} for name in ("postgres", "redis", "api", "bot", "web", "traefik")}}


def _look(blueprint: dict[str, Any], reader: Reader, lock: dict[str, Any] = LOCK) -> Verdict:
    return verify(blueprint, lock, reader, patience_s=0.0)


def _found(verdict: Verdict, name: str) -> Check:
    [check] = [check for check in verdict.checks if check.name == name]
    return check


def test_a_deployment_that_is_fine_is_green(blueprint: dict[str, Any], reader: Reader, site: Site) -> None:
    verdict = _look(blueprint, reader)
    assert [check for check in verdict.checks if check.state != "ok"] == []
    assert (verdict.runs_text, verdict.usable_text, verdict.is_green) == ("runs", "usable", True)
    assert {host.partition(":")[0] for host in site.hosts} == {WEB, API}


def test_it_only_reads(blueprint: dict[str, Any], reader: Reader, site: Site) -> None:
    _look(blueprint, reader)
    assert set(site.methods) == {"GET", "POST", "OPTIONS"}
    assert site.methods.count("POST") == 1
    for command in reader.commands:
        assert command[0] in {"psql", "redis-cli", "node"}
        words = [command[i + 1] for i, word in enumerate(command) if word == "-c"]
        assert all(word.startswith(("select ", "set default_transaction_read_only")) for word in words)


SHARED = {"network": "demo_entry", "subnet": "198.18.0.0/28", "proxy": "demo_traefik", "names": [{"host": WEB, "port": 8080, "tls": False}]}


@pytest.mark.parametrize(
    ("networks", "ports", "state"),
    [
        (("demo_edge", "demo_entry"), (), "ok"),
        (("demo_edge",), (), "failed"),
        (("demo_edge", "demo_entry"), (8080,), "warning"),
    ],
)
def test_it_says_whether_the_entry_ports_are_the_hosts_edges(
    blueprint: dict[str, Any], reader: Reader, networks: tuple[str, ...], ports: tuple[int, ...], state: str
) -> None:
    blueprint["access"]["shared"] = SHARED
    reader.services["demo_traefik"] = replace(_service("demo_traefik", networks=networks), published_ports=ports)
    check = _found(_look(blueprint, reader), "route/edge")
    assert (check.state, bool(check.hint)) == (state, state != "ok")


@pytest.mark.parametrize(
    ("answer", "state", "said"),
    [
        ((0, '{"initialized": true, "sealed": false}'), "ok", "unsealed"),
        ((2, '{"initialized": true, "sealed": true}'), "warning", "is sealed"),
        ((2, '{"initialized": false, "sealed": true}'), "warning", "waits to be initialised"),
        ((1, "connection refused"), "failed", "does not answer"),
    ],
)
def test_a_sealed_secret_server_runs_and_is_said_to_be_sealed(
    blueprint: dict[str, Any], reader: Reader, answer: tuple[int, str], state: str, said: str
) -> None:
    blueprint["components"].append(_component("openbao", "secret-server"))
    reader.services["demo_openbao"] = _service("demo_openbao")
    reader.bao = answer
    verdict = _look(blueprint, reader)
    check = _found(verdict, "secret-server")
    assert check.state == state and said in check.detail and (state == "ok" or check.hint)
    assert verdict.is_green == (state != "failed")
    assert said in verdict.runs_text or state != "warning"


SITE_BREAKS = [
    ({"redirect": "/elsewhere"}, "route/web/redirect"),
    ({"login": "<h1>Welcome</h1>"}, "route/web/sign-in"),
    ({"health": '{"status":"starting"}'}, "route/api/health"),
    ({"health": "not json"}, "route/api/health"),
    ({"typename": "Mutation"}, "route/api/graphql"),
    ({"bare_query_status": 200}, "route/api/bad-query"),
    ({"allows": ()}, "route/api/cors-own"),
    ({"allows": ("https://not-of-this-league.example",)}, "route/api/cors-foreign"),
    ({"allows_all": True}, "route/api/cors-foreign"),
    ({"is_away": True}, "route/api/health"),
]


@pytest.mark.parametrize(("broken", "name"), SITE_BREAKS)
def test_it_finds_a_broken_route(blueprint: dict[str, Any], reader: Reader, site: Site, broken: dict[str, Any], name: str) -> None:
    for key, value in broken.items():
        setattr(site, key, value)
    verdict = _look(blueprint, reader)
    assert _found(verdict, name).state == "failed"
    assert _found(verdict, name).hint
    assert verdict.runs == "failed"
    assert not verdict.is_green


def _changed(reader: Reader, name: str, **values: Any) -> None:
    reader.services[name] = replace(reader.services[name], **values)


def test_it_finds_a_service_that_is_gone(blueprint: dict[str, Any], reader: Reader) -> None:
    del reader.services["demo_bot"]
    check = _found(_look(blueprint, reader), "service/demo_bot")
    assert (check.state, check.detail) == ("failed", "is not there")


def test_it_finds_too_few_copies_with_the_reason(blueprint: dict[str, Any], reader: Reader) -> None:
    _changed(reader, "demo_api", tasks=(LiveTask("t", "failed", "shutdown", "task: non-zero exit (1)"),))
    check = _found(_look(blueprint, reader), "service/demo_api")
    assert (check.state, check.detail) == ("failed", "0 of 1 running; task: non-zero exit (1)")


def test_it_finds_a_service_scaled_to_nothing(blueprint: dict[str, Any], reader: Reader) -> None:
    _changed(reader, "demo_bot", tasks=(), wanted=0)
    assert _found(_look(blueprint, reader), "service/demo_bot").state == "failed"


def test_it_finds_an_unhealthy_container(blueprint: dict[str, Any], reader: Reader) -> None:
    _changed(reader, "demo_web", tasks=(LiveTask("t", "running", "running", "", "c", "sha256:1", "unhealthy"),))
    assert _found(_look(blueprint, reader), "service/demo_web").state == "failed"


JOB_ENDS = [
    (LiveTask("t", "complete", "shutdown", exit_code=0), "ok"),
    (LiveTask("t", "failed", "shutdown", exit_code=3), "failed"),
    (LiveTask("t", "running", "running"), "failed"),
]


@pytest.mark.parametrize(("task", "state"), JOB_ENDS)
def test_a_job_has_to_have_finished_well(blueprint: dict[str, Any], reader: Reader, task: LiveTask, state: str) -> None:
    _changed(reader, "demo_api_migrate", tasks=(task,))
    assert _found(_look(blueprint, reader), "service/demo_api_migrate").state == state


def test_it_finds_another_image(blueprint: dict[str, Any], reader: Reader) -> None:
    _changed(reader, "demo_web", tasks=_service("demo_web", image_id="sha256:2").tasks)
    check = _found(_look(blueprint, reader), "images")
    assert (check.state, check.detail) == ("failed", "another image runs in demo_web")


def test_images_nobody_locked_are_not_called_locked(blueprint: dict[str, Any], reader: Reader) -> None:
    lock = {"images": {name: {"digest": "unresolved", "local_id": ""} for name in LOCK["images"]}}
    assert _found(_look(blueprint, reader, lock), "images").state == "skipped"


@pytest.mark.parametrize("component", ["postgres", "redis"])
def test_it_finds_a_published_database(blueprint: dict[str, Any], reader: Reader, component: str) -> None:
    _changed(reader, f"demo_{component}", published_ports=(5432,))
    check = _found(_look(blueprint, reader), f"closed/{component}")
    assert (check.state, check.detail) == ("failed", "published on port 5432")


@pytest.mark.parametrize("component", ["postgres", "redis"])
def test_it_finds_a_database_in_the_edge_network(blueprint: dict[str, Any], reader: Reader, component: str) -> None:
    _changed(reader, f"demo_{component}", networks=("demo_data", "demo_edge"))
    assert _found(_look(blueprint, reader), f"closed/{component}").state == "failed"


def test_it_finds_a_database_without_a_password(blueprint: dict[str, Any], reader: Reader) -> None:
    reader.postgres_open = reader.redis_open = True
    verdict = _look(blueprint, reader)
    assert _found(verdict, "password/postgres").state == _found(verdict, "password/redis").state == "failed"


BOT_LOGS = [
    (["skipped login (placeholder token)"], "ok", "placeholder"),
    (["login not attempted by the stand-in"], "ok", "stand-in"),
    (["Logged in as Sprocket#1"], "ok", "connected"),
    (["starting", "polling"], "warning", "does not say"),
]


@pytest.mark.parametrize(("log", "state", "words"), BOT_LOGS)
def test_the_bots_log_says_how_it_is(blueprint: dict[str, Any], reader: Reader, log: list[str], state: str, words: str) -> None:
    reader.bot_log = log
    check = _found(_look(blueprint, reader), "bot")
    assert check.state == state
    assert words in check.detail


def test_a_deployment_without_a_bot_is_not_asked_for_one(blueprint: dict[str, Any], reader: Reader) -> None:
    blueprint["components"] = [part for part in blueprint["components"] if part["name"] != "bot"]
    assert "bot" not in {check.name for check in _look(blueprint, reader).checks}


NOT_USABLE: list[tuple[dict[str, int], str, str]] = [
    ({}, "schema-file", "not yet usable: the starting data did not bring it"),
    ({}, "empty", "not yet usable: no starting data"),
    ({"sprocket.organization": 0, 'sprocket."user"': 0}, "backup", "not yet usable: no organization in the table"),
    (
        {"sprocket.organization": 1, "mledb.player": 0, 'sprocket."user"': 0},
        "backup",
        "not yet usable: nobody can sign in, no player and no user is known",
    ),
]


@pytest.mark.parametrize(("tables", "kind", "words"), NOT_USABLE)
def test_running_without_data_is_never_plain_green(
    blueprint: dict[str, Any], reader: Reader, tables: dict[str, int], kind: str, words: str
) -> None:
    reader.tables = tables
    blueprint["verify"]["starting_data"] = kind
    verdict = _look(blueprint, reader)
    assert (verdict.runs, verdict.usable, verdict.is_green) == ("ok", "warning", False)
    assert verdict.usable_text == words


@pytest.mark.parametrize("tables", [{"sprocket.organization": 1, "mledb.player": 1}, {"sprocket.organization": 1, 'sprocket."user"': 2}])
def test_a_player_or_a_user_is_enough_to_sign_in(blueprint: dict[str, Any], reader: Reader, tables: dict[str, int]) -> None:
    reader.tables = tables
    assert _look(blueprint, reader).is_green


def test_a_managed_database_is_not_looked_into_and_not_called_usable(blueprint: dict[str, Any], reader: Reader) -> None:
    blueprint["verify"]["database"] = {"where": "managed", "host": "db.example.org", "user": "league", "name": "league"}
    blueprint["components"] = [part for part in blueprint["components"] if part["name"] != "postgres"]
    verdict = _look(blueprint, reader)
    assert not verdict.is_green
    assert "db.example.org is outside" in verdict.usable_text


def test_what_does_not_run_is_not_said_to_be_usable(blueprint: dict[str, Any], reader: Reader) -> None:
    del reader.services["demo_traefik"]
    assert _look(blueprint, reader).usable_text == "not usable while it does not run"


def test_it_finds_a_site_that_does_not_reach_the_api(blueprint: dict[str, Any], reader: Reader) -> None:
    reader.web_reaches_api = False
    check = _found(_look(blueprint, reader), "inside/web-api")
    assert check.state == "failed"
    assert "aliases" in check.hint


def test_the_way_from_inside_is_tried_after_every_route_whose_certificate_may_still_be_on_its_way(
    blueprint: dict[str, Any], reader: Reader, site: Site
) -> None:
    row = {"way": "localhost", "component": "web", "title": "Web", "host": WEB, "port": site.port, "url": f"http://{WEB}:{site.port}",
           "router": "localhost-web", "path": "/auth/login", "tls": False, "certificate": "", "canonical": True, "allowed": []}  # fmt: skip
    verdict = _look({**blueprint, "routes": [row]}, reader)
    assert _found(verdict, "way/localhost/web").state == "ok"
    names = [check.name for check in verdict.checks]
    assert names.index("way/localhost/web") < names.index("inside/web-api")


def test_a_real_web_is_asked_from_inside_its_container(blueprint: dict[str, Any], reader: Reader) -> None:
    blueprint["images"] = "real"
    _look(blueprint, reader)
    [command] = [command for command in reader.commands if command[0] == "node"]
    assert f"http://{API}" in command[2]


@pytest.fixture
def on_bun(blueprint: dict[str, Any], site: Site) -> dict[str, Any]:
    """A blueprint of a generation whose site does not redirect and asks inside, whose API is well elsewhere and has no such tables."""
    site.front, site.health_path = "<h1>A site</h1>", "/health"
    generation = blueprint["verify"]["generation"]
    generation["site"] |= {"page": "/", "redirects": False, "marker": "", "asks": "http://rules:3000/health", "ask": ["bun", "-e", "{url}"]}
    generation["api"] |= {"health": "/health", "bare_query_status": 0, "checks_origin": False}
    generation["tables"] = {"organization": "", "people": []}
    return blueprint


def test_another_generation_is_asked_what_its_profile_says(on_bun: dict[str, Any], reader: Reader) -> None:
    on_bun["images"] = "real"
    reader.tables = {}
    verdict = _look(on_bun, reader)
    assert [check for check in verdict.checks if check.state != "ok"] == []
    assert verdict.is_green
    names = {check.name for check in verdict.checks}
    assert not {"route/web/redirect", "route/api/bad-query", "route/api/cors-own", "usable/schema"} & names
    assert ["bun", "-e", "http://rules:3000/health"] in reader.commands


def test_its_health_is_looked_for_where_it_is(on_bun: dict[str, Any], reader: Reader, site: Site) -> None:
    site.health_path = "/healthz"
    assert _found(_look(on_bun, reader), "route/api/health").state == "failed"


def test_a_role_filled_beside_another_is_found(blueprint: dict[str, Any], reader: Reader) -> None:
    """The monolith is API and bot: its log is asked for the bot."""
    blueprint["components"] = [part for part in blueprint["components"] if part["name"] not in ("bot", "api")]
    blueprint["components"].append({**_component("monolith", "api"), "plays": ["bot"]})
    reader.services["demo_monolith"] = _service("demo_monolith", networks=("demo_edge", "demo_data"))
    reader.bot_log = ["nothing to see"]
    check = _found(_look(blueprint, reader), "bot")
    assert (check.state, check.hint) == ("warning", "docker service logs --tail 50 demo_monolith")


def test_a_blueprint_of_an_older_release_is_refused_with_a_remedy(blueprint: dict[str, Any], reader: Reader) -> None:
    del blueprint["verify"]["generation"]
    with pytest.raises(VerifyError, match="generation") as caught:
        _look(blueprint, reader)
    assert "make a new blueprint" in caught.value.hint


def test_docker_that_cannot_be_read_is_an_error_and_no_verdict(
    blueprint: dict[str, Any], reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_org: str) -> Sequence[LiveService]:
        raise ApplyError("Docker is not started", hint="start it")

    monkeypatch.setattr(reader, "live_services", refuse)
    with pytest.raises(VerifyError, match="Docker is not started"):
        _look(blueprint, reader)


def test_nothing_listening_is_said_in_words(blueprint: dict[str, Any], reader: Reader) -> None:
    silent = copy.deepcopy(blueprint)
    silent["access"]["canonical"]["port"] = silent["access"]["canonical"]["api_port"] = 1
    check = _found(_look(silent, reader), "route/api/health")
    assert check.detail == "no answer (Connection refused)"


def test_a_route_that_comes_late_is_waited_for(blueprint: dict[str, Any], reader: Reader, site: Site) -> None:
    site.is_away = True
    threading.Timer(0.5, lambda: setattr(site, "is_away", False)).start()
    assert verify(blueprint, LOCK, reader, patience_s=10.0).is_green


def test_a_verdict_survives_being_stored(blueprint: dict[str, Any], reader: Reader) -> None:
    verdict = _look(blueprint, reader)
    assert verdict_from(json.loads(json.dumps(verdict.as_dict()))) == verdict


def test_a_verdict_of_nothing_is_not_green() -> None:
    assert not verdict_of([]).is_green
