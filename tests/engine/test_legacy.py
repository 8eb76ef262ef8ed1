"""The older layout's 22 services on a real swarm: three stacks in their order, a Vault that unseals itself, routes by name, taken over live, and the way out."""

from __future__ import annotations

import json
import re
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning.providers.swarm.client import connect
from tests.engine.deployed import ControlPlane
from tests.engine.docker_cli import docker
from tests.engine.legacy_estate import APPLY_LIMIT_S, VALUES, Estate22, legacy_estate
from tests.engine.taking_over import ADOPT, LET_GO, PROPOSE
from tests.engine.taking_over import APPLY as TAKE

pytestmark = pytest.mark.engine
VAULT, BROKER, REDIS, CORE = "vault", "prod-datastores-rmq-service", "prod-datastores-redis-redis-primary", "prod-sprocket-core-service"
QUEUES = {f"prod-{name}" for name in ("core", "bot", "analytics", "matchmaking", "notifications", "ig", "submissions")} | {"main-celery"}
OTHER = """
from orgs.people import create_user
alice = create_user(username="alice", admin=True)
org_actions.create_organization(slug=SLUG, name="Taken over", actor=alice)
"""
ROUTES = {
    "sprocket.localhost": ("/", 200, "Sprocket"),
    "api.sprocket.localhost": ("/graphql", 400, "non-empty"),
    "grafana.localhost": ("/api/health", 200, "UP"),
    "status.localhost": ("/health", 200, "UP"),
    "n8n.localhost": ("/webhook/anything", 200, "n8n"),
    "management.rabbitMq.localhost": ("/", 200, "RabbitMQ"),
    "influx.localhost": ("/health", 200, "pass"),
}


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate22]:
    """The estate, planned, approved, applied; the first test looks at that, the others go on from there."""
    with legacy_estate(tmp_path_factory.mktemp("legacy")) as estate:
        yield estate


@pytest.fixture(scope="module")
def plan(estate: Estate22) -> dict[str, Any]:
    return estate.proposed()


@pytest.fixture(scope="module")
def done(estate: Estate22, plan: dict[str, Any]) -> dict[str, Any]:
    done = estate.applied(plan)
    assert done["state"] == "succeeded", (
        done["error"],
        done["verdict"] and [c for c in done["verdict"]["checks"] if c["state"] == "failed"],
    )
    return done


def test_the_first_plan_makes_all_22_services_and_what_vault_keeps_in_three_stacks(plan: dict[str, Any]) -> None:
    assert set(plan["steps"].values()) == {"create"}
    kinds = Counter(tuple(name.split("/")[:2]) for name in plan["steps"])
    assert [kinds[layer, "service"] for layer in ("layer_1", "layer_2", "platform")] == [3, 9, 10]
    assert [kinds["layer_2", kind] for kind in ("vault-mount", "vault-policy")] == [4, 6]
    assert kinds["layer_2", "vault-secret"] + kinds["platform", "vault-secret"] == 24


def test_the_three_are_applied_in_their_order_and_everything_runs(done: dict[str, Any]) -> None:
    order = [word for word in done["events"] if word.endswith(" of 3")]
    assert order == ["layer_1, 1 of 3", "layer_2, 2 of 3", "platform, 3 of 3"]
    token = next(number for number, word in enumerate(done["events"]) if word.startswith("legacy-vault-root-token: taken from vault"))
    assert token < done["events"].index("layer_2, 2 of 3"), "the token is there before the stack that is signed in with it"
    checks = {check["name"]: check for check in done["verdict"]["checks"]}
    assert {name: check["state"] for name, check in checks.items() if name.startswith("service/")} == {
        name: "ok" for name in checks if name.startswith("service/")
    }
    assert len([name for name in checks if name.startswith("service/")]) == 22
    assert checks["secret-server"]["detail"] == "it is unsealed"
    assert checks["broker"]["detail"] == "answers its own ping"
    asks_the_outside = {"route/traefik-dashboard", "route/neo4j", "route/n8n"}  # who may see these is asked of a host on the internet
    assert {name for name, check in checks.items() if check["state"] not in ("ok", "skipped")} <= {*asks_the_outside, "usable/routes"}


@pytest.mark.parametrize("host", ROUTES)
def test_traefik_leads_to_it_by_its_name_with_tls_alone(estate: Estate22, done: dict[str, Any], host: str) -> None:
    path, status, words = ROUTES[host]
    answer = estate.asked(host, path, tls=True)
    assert (answer.status, words in answer.body) == (status, True), answer
    assert estate.asked(host, path).status == 404, "the estate's routes with TLS have no redirect beside them"


def test_vault_is_led_to_without_tls_alone(estate: Estate22, done: dict[str, Any]) -> None:
    answer = estate.asked("vault.localhost", "/v1/sys/health")
    assert (answer.status, json.loads(answer.body)["sealed"]) == (200, False)
    assert estate.asked("vault.localhost", "/v1/sys/health", tls=True).status == 404


def test_the_certificate_is_traefiks_own(estate: Estate22, done: dict[str, Any]) -> None:
    unchecked = ssl.create_default_context()
    unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
    with (
        socket.create_connection(("127.0.0.1", estate.https), timeout=10) as raw,
        unchecked.wrap_socket(raw, server_hostname="sprocket.localhost") as wrapped,
    ):
        assert b"TRAEFIK DEFAULT CERT" in (wrapped.getpeercert(binary_form=True) or b"")


def test_the_applications_are_at_the_broker_and_redis_asks_who_it_is(estate: Estate22, done: dict[str, Any]) -> None:
    code, output = estate.inside(BROKER, "rabbitmqctl", "-q", "list_queues", "name", "durable")
    assert code == 0, output
    assert {line.split()[0] for line in output.splitlines() if line.endswith("true")} == QUEUES
    assert "NOAUTH" in estate.inside(REDIS, "redis-cli", "ping")[1]
    assert "ready" in estate.log("prod-matchmaking-service-service")


def test_vault_keeps_what_redis_asks_for(estate: Estate22, done: dict[str, Any]) -> None:
    signed_in = "VAULT_TOKEN=$(cat /vault/unseal-tokens/root_token) VAULT_ADDR=http://127.0.0.1:8200"
    code, kept = estate.inside(VAULT, "sh", "-c", f"{signed_in} vault kv get -field=password infrastructure/data/redis")
    assert code == 0, kept
    assert kept.strip() == estate.inside(REDIS, "cat", "/run/secrets/redis-password")[1].strip() != ""
    listed = estate.inside(VAULT, "sh", "-c", f"{signed_in} vault policy list")[1].split()
    assert {"admin-team", "readonly-team", "data-science-team", "elo-team"} <= set(listed)


def test_no_value_of_a_secret_is_in_a_specification_or_the_control_planes_files(estate: Estate22, done: dict[str, Any]) -> None:
    values = [*VALUES.values(), estate.inside(VAULT, "cat", "/vault/unseal-tokens/root_token")[1].strip()]
    assert all(len(value) > 12 for value in values)
    names = [service.name for service in connect().live_services(estate.slug)]
    seen = docker("service", "inspect", *names) + docker("service", "logs", "--raw", VAULT)
    seen += b"".join(path.read_bytes() for path in estate.data.rglob("*") if path.is_file()).decode("utf-8", "replace")
    assert [number for number, value in enumerate(values) if value in seen] == []


def test_core_keeps_a_row_once_the_managed_database_is_there(estate: Estate22, done: dict[str, Any]) -> None:
    estate.start_database()
    _until(lambda: "a row is kept" in estate.log(CORE))
    assert estate.query("select starts from sprocket.standin_start") == "1"


def test_a_second_plan_changes_nothing_before_and_after_vault_was_restarted(estate: Estate22, done: dict[str, Any]) -> None:
    second = estate.proposed()
    assert (second["steps"], second["asked"]) == ({}, 0), "nothing moved: no engine is started"
    before = estate.inside(VAULT, "cat", "/vault/unseal-tokens/root_token")[1]
    docker("service", "update", "--force", "--quiet", VAULT)
    _until(
        lambda: json.loads(estate.inside(VAULT, "vault", "status", "-address=http://127.0.0.1:8200", "-format=json")[1])["sealed"] is False
    )
    assert estate.inside(VAULT, "cat", "/vault/unseal-tokens/root_token")[1] == before
    _until(lambda: estate.asked("vault.localhost", "/v1/sys/health").status == 200)
    assert estate.proposed()["steps"] == {}, "the engines of all three stacks were asked, since a version had moved"


def test_another_control_plane_takes_the_22_over_as_they_run_with_0_changes_and_lets_them_go(
    estate: Estate22, done: dict[str, Any], tmp_path: Path
) -> None:
    names = [service.name for service in connect().live_services(estate.slug)]
    before = _standing(estate.slug)
    other = ControlPlane(tmp_path / "data")
    other.migrate()
    other.ask(OTHER)
    only = "|".join(re.escape(name) for name in names)
    taken = other.ask(ADOPT, ONLY=only, FORMERLY=estate.slug, limit_s=APPLY_LIMIT_S)
    assert taken["holds"], taken["proof"]
    assert set(taken["steps"]) == {"import"}
    assert taken["taken"]["service"] == len(names) == 22
    assert len(set(taken["known"].values()) - {""}) == 22, "each is known as another one of the 22"
    live = Counter(item.kind for item in connect().live_objects(estate.slug))
    assert {kind: taken["taken"][kind] for kind in ("network", "config", "secret")} == {
        kind: live[kind] for kind in ("network", "config", "secret")
    }
    assert taken["taken"]["volume"] + sum(word.startswith("volume ") for word in taken["left"]) >= live["volume"] >= 15
    assert taken["unknown"] == live["config"] + live["secret"], "values of others are not known, and are not asked for"
    first = other.ask(PROPOSE, limit_s=APPLY_LIMIT_S)
    assert {step for step, _ in first["steps"].values()} == {"import"}
    run = other.ask(TAKE, ID=first["id"], limit_s=APPLY_LIMIT_S)
    assert run["state"] == "succeeded", run
    assert other.ask(PROPOSE, limit_s=APPLY_LIMIT_S)["steps"] == {}
    assert other.ask(LET_GO)[0] == "estate let go"
    assert _standing(estate.slug) == before, "no version, specification or container is another one"


def test_a_destroy_goes_backwards_and_leaves_the_volumes_which_a_purge_removes(estate: Estate22, done: dict[str, Any]) -> None:
    estate.stop_database()
    gone = estate.run("destroy")
    assert gone["state"] == "succeeded", gone
    assert [word for word in gone["events"] if word.endswith(" of 3")] == ["platform, 3 of 3", "layer_2, 2 of 3", "layer_1, 1 of 3"]
    left = connect().live_objects(estate.slug)
    assert {item.kind for item in left} == {"volume"}
    assert len(left) >= 15
    assert sorted(estate.purged()) == sorted(item.name for item in left)
    assert connect().live_objects(estate.slug) == []


def _standing(slug: str) -> dict[str, Any]:
    """Id, version, specification and containers of every service."""
    names = [service.name for service in connect().live_services(slug)]
    services = {s["Spec"]["Name"]: (s["ID"], s["Version"]["Index"], s["Spec"]) for s in json.loads(docker("service", "inspect", *names))}
    return {"services": services, "containers": {s.name: sorted(t.container for t in s.running) for s in connect().live_services(slug)}}


def _until(holds: Callable[[], bool], limit_s: float = 40.0) -> None:
    """Until it holds; what is not there yet counts as not holding."""
    limit = time.monotonic() + limit_s
    while True:
        try:
            if holds():
                return
        except (AssertionError, StopIteration, IndexError, ValueError):
            pass
        assert time.monotonic() < limit, "it did not come to hold"
        time.sleep(0.5)
