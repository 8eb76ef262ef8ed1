"""What rules read out of settings: hosts, routers, families, constraints, the truth table of a start, ways round."""

from __future__ import annotations

import json

import pytest

from blueprints.checks.facts import Node
from blueprints.checks.model import NotApplicable
from blueprints.checks.order import a_cycle
from blueprints.checks.placement import fits
from blueprints.checks.registry import RULES, outcome_of
from blueprints.checks.secret_store import start_of
from blueprints.checks.services import family_of, image_name
from tests.blueprints.checks.estates import part, path, routed, service, subject, traefik


def _said(*items: tuple[object, ...]) -> list[str]:
    return [f"{r.place} {r.says}" for r in subject(*items).references]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"CACHE_HOST": "redis", "CACHE_PORT": "6379"}, ["CACHE_HOST redis:6379"]),
        ({"PGHOST": "postgres"}, ["PGHOST postgres"]),
        ({"DGRAPH_DATABASE_URL": "elo-graph:9080"}, ["DGRAPH_DATABASE_URL elo-graph:9080"]),
        ({"BROKER": "amqp://user@rmq:5672?heartbeat=60"}, ["BROKER rmq:5672"]),
        ({"NEO4J_dbms_default__listen__address": "0.0.0.0"}, []),
        ({"BIND_HOST": "everywhere"}, []),
        ({"NODE_ENV": "production"}, []),
    ],
)
def test_hosts_of_variables(environment: dict[str, str], expected: list[str]) -> None:
    assert _said(service("app", environment=environment)) == expected


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", json.dumps({"redis": {"host": "cache", "port": 6379}}), ["/a.json cache:6379"]),
        ("a.json", json.dumps({"transport": {"url": "amqp://rmq:5672"}}), ["/a.json rmq:5672"]),
        ("a.json", "{broken", []),
        ("a.toml", '[[inputs.net_response]]\n  address = "postgres:5432"\n', ["/a.toml postgres:5432"]),
        ("a.conf", "# see http://example:80 for more\nslaveof x\n", []),
        ("a.sh", 'export H="http://root:$(cat /run/secrets/x)@minio:9000"\n', ["/a.sh minio:9000"]),
        ("a.yml", 'server: "udp://:6514"\n', []),
    ],
)
def test_hosts_of_files(name: str, text: str, expected: list[str]) -> None:
    assert _said(service("app", files={f"/{name}": text})) == expected


@pytest.mark.parametrize(
    ("image", "name", "family"),
    [
        ("redislabs/rejson:2.0.7", "redislabs/rejson", "redis"),
        ("registry.example:5000/library/postgres@sha256:abc", "registry.example:5000/library/postgres", "postgres"),
        ("openbao/openbao:2.7.2", "openbao/openbao", "vault"),
        ("tecnativa/docker-socket-proxy:latest", "tecnativa/docker-socket-proxy", "socket-proxy"),
        ("ghcr.io/sprocketbot/core:main", "ghcr.io/sprocketbot/core", ""),
    ],
)
def test_an_images_name_says_what_kind_of_program_it_is(image: str, name: str, family: str) -> None:
    assert (image_name(image), family_of(image)) == (name, family)


def test_routers_come_from_labels_and_from_the_proxys_files() -> None:
    routes = 'http:\n  routers:\n    "lan-web":\n      rule: "Host(`league.lan`)"\n      entryPoints: ["port-8080"]\n      service: "web"\n      tls: {}\n'
    labels = {
        "traefik.http.routers.api.entryPoints": "web, websecure",
        "traefik.http.routers.api.tls.certResolver": "real",
        "traefik.http.services.api.loadbalancer.server.port": "3001",
    }
    found = {r.name: r for r in subject(traefik(routes=routes), routed("api", "api.example.org", labels=labels)).routers}
    assert (found["api"].hosts, found["api"].entrypoints) == (("api.example.org",), ("web", "websecure"))
    assert (found["api"].resolver, found["api"].port, found["api"].tls) == ("real", 3001, True)
    assert (found["lan-web"].owner, found["lan-web"].hosts, found["lan-web"].is_label) == ("proxy", ("league.lan",), False)


NODE = Node("one", labels={"role": "storage"}, engine_labels={"disk": "ssd"}, hostname="box", platform="linux/x86_64", id="abc")


@pytest.mark.parametrize(
    ("constraint", "expected"),
    [
        ("node.labels.role==storage", True),
        ("node.labels.role!=ingress", True),
        ("node.labels.role == ingress", False),
        ("node.role==worker", False),
        ("node.role==Manager", True),
        ("node.hostname==box", True),
        ("node.platform.os==linux", True),
        ("node.id!=abc", False),
        ("engine.labels.disk==ssd", True),
        ("node.labels.gone==x", False),
        ("nonsense", False),
    ],
)
def test_a_constraint_is_read_as_swarm_reads_it(constraint: str, expected: bool) -> None:
    assert fits(NODE, constraint) is expected


@pytest.mark.parametrize(
    ("is_initialized", "is_sealed", "has_keys", "action", "why"),
    [
        (True, True, True, "unseal", ""),
        (True, True, False, "stop", "do not initialise it anew"),
        (True, False, True, "none", ""),
        (True, False, False, "stop", "after a restart nobody can open it"),
        (False, True, True, "stop", "they are another store's"),
        (False, True, False, "initialise", ""),
        (False, False, True, "stop", "was never initialised"),
        (False, False, False, "stop", "was never initialised"),
    ],
)
def test_the_whole_truth_table_of_a_start(is_initialized: bool, is_sealed: bool, has_keys: bool, action: str, why: str) -> None:
    start = start_of(is_initialized=is_initialized, is_sealed=is_sealed, has_keys=has_keys)
    assert (start.action, why in start.stop, bool(start.stop)) == (action, True, bool(why))


def test_a_way_round_is_found_wherever_it_begins_and_a_diamond_is_none() -> None:
    assert a_cycle({"a": {"b": ""}, "b": {"c": ""}, "c": {"b": ""}}) == ("b", "c", "b")
    assert a_cycle({"a": {"b": "", "c": ""}, "b": {"d": ""}, "c": {"d": ""}, "d": {}}) == ()


def _outcome(rule: str, *items: tuple[object, ...], **parts: object) -> tuple[str, list[str]]:
    [found] = [outcome_of(r, subject(*items, **parts)) for r in RULES if r.id == rule]  # type: ignore[arg-type]
    return found.state, [f"{f.where}: {f.what}" for f in found.found]


def test_who_watches_others_waits_for_nobody() -> None:
    watcher = service("status", "twinproduction/gatus:v5", files={"/config/config.yaml": "endpoints:\n  - url: http://vault:8200/health\n"})
    assert _outcome("I02-opens-by-itself", service("vault", "vault:1.10.0"), watcher) == ("passed", [])


def test_a_service_that_only_shares_a_name_in_another_network_is_told_apart() -> None:
    state, said = _outcome(
        "I14-host-is-known",
        service("app", networks=("a",), environment={"CACHE_HOST": "redis"}),
        service("redis", "redis:7", networks=("b",)),
    )
    assert (state, said) == ("failed", ["app CACHE_HOST: redis is redis, which is in none of its networks"])


def test_a_database_outside_has_to_say_whether_to_speak_tls() -> None:
    environment = {"GF_DATABASE_HOST": "db.example.com:25060"}
    assert _outcome("I18-database-address", service("g", environment=environment))[1] == [
        "g GF_DATABASE_HOST: names db.example.com, and nothing says whether to speak TLS"
    ]


def test_queues_that_are_called_differently_at_their_ends_are_found() -> None:
    def app(name: str, queue: str) -> tuple[object, ...]:
        return service(name, files={"/app/c.json": json.dumps({"transport": {"core_queue": queue}})})

    assert _outcome("I28-named-things-exist", app("core", "prod-core"), app("bot", "main-core"))[1] == [
        "core_queue: prod-core in core and main-core in bot"
    ]


def test_a_path_that_is_written_without_the_field_that_is_read_is_found() -> None:

    state, said = _outcome(
        "I23-path-is-written",
        path("platform/oauth", written_by=["script"], fields=["client_id"]),
        part("secret", "google", facts={"vault": "platform/oauth#clientId"}),
    )
    assert (state, said) == ("failed", ["platform/oauth: has no field clientId, which google is made from"])


def test_a_withheld_value_of_an_imported_service_counts_as_one_in_clear() -> None:
    state, said = _outcome(
        "I20-secret-in-settings",
        service(
            "influx",
            environment={"PASSWORD": "withheld:0123456789abcdef"},
            withheld={"environment.PASSWORD": "its name says that it is secret"},
        ),
    )
    assert (state, said) == ("failed", ["influx environment.PASSWORD: its name says that it is secret"])


def test_what_a_rule_says_when_it_has_nothing_to_look_at_is_a_reason() -> None:
    for rule in RULES:
        if rule.reads == "blueprint":
            answer = rule.look(subject())
            assert isinstance(answer, NotApplicable), rule.id
            assert answer.reason, rule.id
