"""Everything that can run on one machine at once: every feature of the catalogue in one deployment, each part asked for what it is for.

Real here: Postgres, Redis, Traefik, RabbitMQ, Telegraf, OpenBao. The applications, Loki, MinIO, InfluxDB, Grafana, Gatus, n8n, Neo4j and
Dgraph are stand-ins that read their settings as the real ones do (docs/catalogue.md says which is which).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import quote

import pytest

from orgs.needs import Features
from provisioning.providers.swarm.client import connect
from tests.engine.deployed import ControlPlane
from tests.engine.ports import free_port

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
FEATURES = "features:\n" + "".join(f"  {name}: true\n" for name in Features.model_fields)
OPTIONS = "options:\n  telegraf:\n    every_s: 5\n    log_port: {port}\n  gatus:\n    every_s: 10\n"
VOLUMES = {
    "backup_data", "elo_coordinator", "elo_graph", "grafana_data", "influxdb_data", "loki_data", "minio_data", "n8n_data", "neo4j_data", "openbao_data",
    "postgres_data", "rabbitmq_data", "redis_data", "traefik_certificates",
}  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The demo's league with every feature on, applied through a worker."""
    plane = ControlPlane(tmp_path_factory.mktemp("whole") / "data")
    text = plane.needs() + FEATURES + OPTIONS.format(port=free_port())
    try:
        plane.set_up()
        plane.ask("org_actions.set_needs(org=org, actor=alice, text=TEXT); say(None)", TEXT=text)
        plane.start_worker()
        done = _finished(plane, plane.asked_to_apply(plane.planned()))
        assert done["state"] == "succeeded", done["error"]
        yield plane
    finally:
        plane.clean_up()


def _finished(plane: ControlPlane, run: int) -> dict[str, Any]:
    """The end of a run; some thirty services take longer than one question to the control plane may."""
    for _ in range(4):
        done = plane.wait(run, limit_s=90)
        if done["state"] not in ("queued", "running"):
            break
    return done


def _containers(plane: ControlPlane) -> dict[str, str]:
    services = [service for service in connect().live_services(plane.slug) if service.running]
    return {service.name.split("_", 1)[1]: service.running[0].container for service in services}


def _run(plane: ControlPlane, service: str, *command: str) -> tuple[int, str]:
    return connect().run_in(_containers(plane)[service], command)


def _curl(plane: ControlPlane, service: str, url: str) -> Any:
    code, output = _run(plane, service, "curl", url)
    assert code == 0, output
    return json.loads(output)


def _beside(plane: ControlPlane, service: str, program: str, *arguments: str) -> Any:
    """What a Python program of this machine, with this environment's packages, answers in the network of a service's container."""
    inspect = ["docker", "inspect", "--format", "{{.State.Pid}}", _containers(plane)[service]]
    pid = subprocess.run(inspect, check=True, capture_output=True, text=True, timeout=30).stdout.strip()
    command = ["nsenter", "--target", pid, "--net", sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def _address(plane: ControlPlane, service: str, name: str) -> str:
    """The address a name stands for inside a service's container."""
    code, output = _run(plane, service, "getent", "hosts", name)
    assert code == 0, f"{name}: {output}"
    return output.split()[0]


def _secret(plane: ControlPlane, service: str, path: str) -> str:
    code, output = _run(plane, service, "cat", path)
    assert code == 0, output
    return output.strip()


def _until(found: Callable[[], Any], is_good: Callable[[Any], bool], limit_s: float = 60) -> Any:
    limit = time.monotonic() + limit_s
    while not is_good(value := found()) and time.monotonic() < limit:
        time.sleep(1)
    return value


def test_everything_runs_and_the_verdict_is_green(whole: ControlPlane) -> None:
    verdict = whole.ask("say(actions.verify_now(org=org).as_dict())")
    assert [check["name"] for check in verdict["checks"] if check["state"] != "ok"] == ["secret-server"]
    assert (verdict["green"], verdict["runs"]["state"]) == (True, "warning")


def test_an_applications_log_lines_are_found_in_loki_through_telegraf(whole: ControlPlane) -> None:
    expected = {"api", "web", "bot", "matchmaking", "submissions", "notifications", "replay-parse", "image-generation", "analytics", "elo"}

    def names() -> set[str]:
        query = quote(f'{{org="{whole.slug}"}}')
        answer = _curl(whole, "loki", f"http://127.0.0.1:3100/loki/api/v1/query_range?query={query}")
        return {item["stream"].get("appname", "") for item in answer["data"]["result"]}

    assert expected <= _until(names, lambda found: expected <= found)
    query = quote(f'{{org="{whole.slug}", appname="matchmaking"}} |= "listening on port 3010"')
    answer = _curl(whole, "loki", f"http://127.0.0.1:3100/loki/api/v1/query_range?query={query}")
    assert answer["data"]["result"], "the line matchmaking writes when it starts"


def test_the_parts_figures_reach_influxdb_with_its_token(whole: ControlPlane) -> None:
    wanted = {"mem", "cpu", "system", "net", "http_response", "net_response", "standin"}

    def measurements() -> dict[str, int]:
        found: dict[str, int] = _curl(whole, "influxdb", "http://127.0.0.1:8086/__standin/lines")["measurements"]
        return found

    assert wanted <= set(_until(measurements, lambda found: wanted <= set(found)))


def test_the_applications_own_user_reaches_its_two_buckets_and_nothing_else(whole: ControlPlane) -> None:
    for service, port in (("submissions", 3012), ("image-generation", 3014)):
        answer = _curl(whole, service, f"http://127.0.0.1:{port}/__standin/deps")
        expected = {"put": 200, "get": 200, "same": True, "delete": 204, "elsewhere": 403, "wrong key": 403}
        assert answer == {"storage": expected}, service


_AMQP = """
import json, sys, amqp
host, vhost, password = sys.argv[1:]
with amqp.Connection(f"{host}:5672", userid="sprocket", password=password, virtual_host=vhost, connect_timeout=5) as connection:
    channel = connection.channel()
    name = channel.queue_declare("", exclusive=True).queue
    channel.queue_bind(name, "events", "match.*")
    channel.basic_publish(amqp.Message("played"), exchange="events", routing_key="match.finished")
    got = None
    for _ in range(50):
        got = channel.basic_get(name, no_ack=True)
        if got: break
        import time; time.sleep(0.1)
refused = {}
for user, word in (("sprocket", "wrong"), ("guest", "guest")):
    try:
        amqp.Connection(f"{host}:5672", userid=user, password=word, virtual_host=vhost, connect_timeout=5).connect()
    except amqp.AccessRefused: refused[user] = True
print(json.dumps({"body": got.body if got else None, "refused": refused}))
"""


def test_a_message_goes_through_rabbitmq_with_the_user_of_its_own(whole: ControlPlane) -> None:
    host = _address(whole, "submissions", "rabbitmq")
    password = _secret(whole, "rabbitmq", "/run/secrets/rabbitmq-password")
    answer = _beside(whole, "submissions", _AMQP, host, whole.slug, password)
    assert answer == {"body": "played", "refused": {"sprocket": True, "guest": True}}


def test_gatus_shows_exactly_the_routes_and_services_of_this_blueprint_up(whole: ControlPlane) -> None:
    def endpoints() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = _curl(whole, "gatus", "http://127.0.0.1:8080/api/v1/endpoints/statuses")
        return found

    found = _until(endpoints, lambda all_: all(item["results"] and item["results"][-1]["success"] for item in all_))
    down = {item["key"]: item["results"][-1:] for item in found if not (item["results"] and item["results"][-1]["success"])}
    assert down == {}
    routes = {item["name"] for item in found if item["group"] == "Addresses"}
    assert routes == {"API", "Web", "Grafana", "Gatus", "n8n", "Image generation"}
    parts = {item["name"] for item in found if item["group"] == "Parts"}
    lasting = {service.name.split("_", 1)[1] for service in connect().live_services(whole.slug) if not service.is_job}
    assert lasting - parts == {"backup", "bot", "elo", "traefik"}, "what has no port to ask; Traefik is asked through every address"
    assert parts <= lasting


_GRAFANA = """
import base64, json, sys, urllib.request
password = sys.argv[1]
def ask(path):
    request = urllib.request.Request("http://127.0.0.1:3000" + path)
    request.add_header("authorization", "Basic " + base64.b64encode(f"admin:{password}".encode()).decode())
    return json.load(urllib.request.urlopen(request, timeout=10))
sources = [item["uid"] for item in ask("/api/datasources")]
print(json.dumps({"sources": {uid: ask(f"/api/datasources/uid/{uid}/health")["status"] for uid in sources},
                  "dashboards": sorted(item["title"] for item in ask("/api/search"))}))
"""


def test_grafana_has_the_sources_and_dashboards_of_what_is_on(whole: ControlPlane) -> None:
    answer = _beside(whole, "grafana", _GRAFANA, _secret(whole, "grafana", "/run/secrets/grafana-password"))
    assert answer == {"sources": {"influxdb": "OK", "loki": "OK"}, "dashboards": ["League", "Logs", "Machine"]}


def test_the_secret_server_says_that_it_is_sealed(whole: ControlPlane) -> None:
    verdict = whole.ask("say(actions.verify_now(org=org).as_dict())")
    assert verdict["runs"]["text"] == "runs; the secret server waits to be initialised: nothing can be kept in it yet"
    code, output = _run(whole, "openbao", "bao", "status", "-address=http://127.0.0.1:8200", "-format=json")
    status = json.loads(output)
    assert (code, status["initialized"], status["sealed"]) == (2, False, True)


def test_applied_again_nothing_changes(whole: ControlPlane) -> None:
    before = {service.name: service.version for service in connect().live_services(whole.slug)}
    plan = whole.planned()
    assert whole.ask("say(Plan.objects.get(pk=ID).steps)", ID=plan) == []
    done = _finished(whole, whole.asked_to_apply(plan))
    assert done["state"] == "succeeded", done["error"]
    assert {service.name: service.version for service in connect().live_services(whole.slug)} == before


def test_destroyed_it_keeps_its_volumes_until_they_are_purged(whole: ControlPlane) -> None:
    run = whole.ask("say(brief(actions.destroy(org=org, actor=alice)))")
    done = _finished(whole, run["id"])
    assert done["state"] == "succeeded", done["error"]
    left = {(item.kind, item.name) for item in connect().live_objects(whole.slug)}
    assert left == {("volume", f"{whole.slug}_{name}") for name in VOLUMES}
    assert connect().live_services(whole.slug) == []
    whole.ask("from provisioning.purge import purge\nsay(purge(org=org, actor=alice))")
    assert connect().live_objects(whole.slug) == []
