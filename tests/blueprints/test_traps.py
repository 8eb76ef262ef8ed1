"""Every trap of the applications' contract that touches these components, looked for in the rendered files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from blueprints.catalog import load_catalog
from blueprints.render import render
from blueprints.rendering import Rendering
from blueprints.resolve import resolve
from blueprints.strict_yaml import load
from orgs.needs_file import parse_needs
from tests.blueprints import cases

DEMO = Path(__file__).resolve().parents[2] / "orgs" / "demo.yaml"
ALL = "features:\n  match_statistics: true\n  dashboards: true\n  status_page: true\n  message_queue: true\n"
BACK_ENDS = ("api", "bot", "analytics")


def _render(text: str) -> Rendering:
    catalog = load_catalog()
    return render(resolve(parse_needs(text), catalog, None, {"demo-schema.sql": b"select 1;\n"}), catalog)


@pytest.fixture(scope="module")
def bundle() -> Rendering:
    """The demo with everything that can be asked for."""
    return _render(DEMO.read_text() + ALL)


@pytest.fixture(scope="module")
def services(bundle: Rendering) -> Any:
    """stack.yml's services."""
    return load(bundle.files["stack.yml"])["services"]


def _config(bundle: Rendering, name: str) -> Any:
    return json.loads(bundle.files[f"config/{name}/production.json"])


def test_postgres_is_reached_by_exactly_that_alias_because_any_other_name_means_tls(bundle: Rendering, services: Any) -> None:
    assert "postgres" in services["postgres"]["networks"]["data"]["aliases"]
    for name in BACK_ENDS:
        assert services[name]["environment"]["POSTGRES_HOST"] == "postgres"
        assert _config(bundle, name)["db"]["host"] == "postgres"


def test_a_managed_database_is_reached_by_its_name_with_tls_and_brings_no_postgres() -> None:
    managed = "database:\n  where: managed\n  managed: {host: db.example.org, port: 25060, name: league, user: league}\n"
    text = DEMO.read_text()
    start = text.index("database:")
    rendering = _render(text[:start] + managed + text[text.index("access:") :])
    services = load(rendering.files["stack.yml"])["services"]
    assert "postgres" not in services
    assert services["api"]["environment"]["DB_SSL"] == "true"
    assert services["api"]["environment"]["POSTGRES_HOST"] == "db.example.org"
    assert rendering.secrets["db-password"]["kind"] == "supplied"


def test_both_families_of_database_settings_are_there(services: Any) -> None:
    for name in (*BACK_ENDS, "api_migrate"):
        environment = services[name]["environment"]
        for key in ("HOST", "PORT", "USERNAME", "DATABASE"):
            assert environment[f"DB_{key}"] == environment[f"POSTGRES_{key}"]


def test_cache_host_and_port_and_the_queues_without_default_are_always_set(services: Any) -> None:
    for name in BACK_ENDS:
        environment = services[name]["environment"]
        assert {"CACHE_HOST", "CACHE_PORT", "TRANSPORT_IMAGE_GENERATION_QUEUE", "TRANSPORT_SUBMISSION_QUEUE"} <= set(environment)


def test_queue_names_carry_the_organization(bundle: Rendering) -> None:
    queues = {key: value for key, value in _config(bundle, "api")["transport"].items() if key.endswith("_queue")}
    assert len(queues) == 8
    assert len(set(queues.values())) == 8
    assert all(value.startswith("demo-") for value in queues.values())


def test_object_storage_settings_are_well_formed_although_nothing_uses_them(bundle: Rendering, services: Any) -> None:
    for name in ("api", "bot"):
        storage = _config(bundle, name)["minio"]
        assert storage["endPoint"]
        assert isinstance(storage["port"], int)
        assert set(storage["bucketNames"]) == {"replays", "image_generation"}
        targets = {item["target"] for item in services[name]["secrets"]}
        assert {"/app/secret/minio-access.txt", "/app/secret/minio-secret.txt"} <= targets


def test_google_placeholders_are_not_empty_and_long_enough(bundle: Rendering) -> None:
    for name in ("google-client-id", "google-client-secret"):
        secret = bundle.secrets[name]
        assert secret["kind"] == "placeholder"
        assert len(secret["placeholder"]) >= 12


def test_the_mounted_configuration_is_where_the_process_looks(services: Any) -> None:
    for name in BACK_ENDS:
        assert services[name]["environment"]["NODE_CONFIG_DIR"] == "/app/config"
        assert services[name]["environment"]["NODE_ENV"] == "production"
        assert "/app/config/production.json" in {item["target"] for item in services[name]["configs"]}
    assert services["web"]["environment"]["NODE_CONFIG_DIR"] == "/app/clients/web/config"


def test_the_sites_api_address_is_a_bare_host_and_port(bundle: Rendering) -> None:
    client = json.loads(bundle.files["config/web/production.json"])["client"]
    assert client["gqlUrl"] == "api.demo.localhost:8080"
    assert client["secure"] is False


def test_callbacks_and_origins_fit_the_canonical_way(bundle: Rendering, services: Any) -> None:
    config = _config(bundle, "api")
    assert config["auth"]["discord"]["callbackUrl"] == "http://api.demo.localhost:8080/login"
    assert config["auth"]["frontend_callback"] == "http://demo.localhost:8080/auth/callback"
    assert services["api"]["environment"]["WEB_URL"] == config["web"]["url"] == "http://demo.localhost:8080"
    assert services["api"]["environment"]["CORS_ALLOWED_ORIGINS"] == "http://demo.localhost:8080"
    assert config["defaultOrganizationId"] == 2


def test_redis_has_a_password_that_is_in_no_argument(bundle: Rendering, services: Any) -> None:
    assert bundle.secrets["redis-password"]["kind"] == "generated"
    command = " ".join(services["redis"]["command"])
    assert "redis-server - <<END" in command
    assert "$$(cat /run/secrets/redis-password)" in command


def test_the_influx_token_has_no_ending(services: Any) -> None:
    assert "/app/secret/influx-token" in {item["target"] for item in services["analytics"]["secrets"]}


def test_what_cannot_be_scaled_runs_once_and_stops_first(services: Any) -> None:
    for name in ("api", "bot", "postgres", "redis", "traefik"):
        assert services[name]["deploy"]["replicas"] == 1
        assert services[name]["deploy"]["update_config"]["order"] == "stop-first"
    assert services["web"]["deploy"]["update_config"]["order"] == "start-first"


def test_databases_have_no_way_out_and_publish_nothing(bundle: Rendering, services: Any) -> None:
    assert load(bundle.files["stack.yml"])["networks"]["data"]["internal"] is True
    for name in ("postgres", "redis", "influxdb", "rabbitmq"):
        assert set(services[name]["networks"]) == {"data"}
        assert "ports" not in services[name]


def test_traefik_answers_to_the_public_names_inside_and_listens_on_the_same_port(bundle: Rendering, services: Any) -> None:
    assert {"demo.localhost", "api.demo.localhost"} <= set(services["traefik"]["networks"]["edge"]["aliases"])
    [port] = services["traefik"]["ports"]
    assert port["target"] == port["published"] == 8080
    entry_points = load(bundle.files["config/traefik/traefik.yml"])["entryPoints"]
    assert entry_points["port-8080"]["address"] == ":8080"


def test_nothing_in_the_file_is_beyond_docker_20(bundle: Rendering, services: Any) -> None:
    text = bundle.files["stack.yml"]
    assert load(text)["version"] == "3.9"
    for word in ("start_interval", "depends_on", "host_ip", "replicated-job", "driver: overlay"):
        assert word not in text
    for service in services.values():
        assert ":latest" not in service["image"]
        assert service["deploy"]["endpoint_mode"] == "dnsrr"


def test_whatever_speaks_to_a_service_outside_has_a_way_out() -> None:
    """The network data is internal: a service in no other network never reaches an existing database, Redis or storage."""
    outside = {
        "database": {"where": "managed", "managed": {"host": "db.example.org", "name": "league", "user": "league"}},
        "cache": {"where": "existing", "existing": {"host": "redis.example.org"}},
        "storage": {"where": "existing", "existing": {"host": "s3.example.org", "replays_bucket": "one", "images_bucket": "two"}},
    }
    features = {"scrims": True, "replays": True, "report_cards": True, "notifications": True, "match_statistics": True}
    spoken_to = {"db-password", "redis-password", "storage-access-key"}
    for given, has_way_out in (({**outside, "features": features}, True), ({"features": features}, False)):
        stack = load(cases.rendering(**given).files["stack.yml"])
        speaking = {k: s for k, s in stack["services"].items() if spoken_to & {item["source"] for item in s.get("secrets", ())}}
        assert {"api_migrate", "submissions", "notifications", "matchmaking"} <= set(speaking)
        without = {key for key, service in speaking.items() if not {"edge", "outbound"} & set(service["networks"])}
        assert (not without) == has_way_out, without
    assert stack["networks"]["data"]["internal"] is True
    assert "internal" not in stack["networks"]["outbound"]
