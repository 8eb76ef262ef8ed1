"""What is collected, watched and shown follows from what is deployed: every part's logs and figures, every route, no chart without a source."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import yaml

from blueprints.rendering import Rendering
from orgs.needs import Features
from tests.blueprints.cases import rendering

# What listens on no port, so that nothing outside can ask it; their logs say whether they work. Traefik is asked through every route.
SILENT = {"backup", "bot", "elo", "traefik"}


def _with(*features: str) -> Rendering:
    return rendering(features=dict.fromkeys(features, True))


def _services(bundle: Rendering) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(bundle.files["stack.yml"])["services"]
    return found


def _lasting(bundle: Rendering) -> set[str]:
    return {name for name, item in _services(bundle).items() if item["deploy"]["labels"]["sprocket.kind"] == "service"}


def _inputs(bundle: Rendering) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = tomllib.loads(bundle.files["config/telegraf/telegraf.toml"])["inputs"]
    return found


def test_with_log_search_every_service_and_job_sends_its_log_to_the_collectors_port() -> None:
    bundle = _with(*Features.model_fields)
    port = _services(bundle)["telegraf"]["ports"][0]
    assert (port["protocol"], port["mode"]) == ("udp", "host")
    for name, service in _services(bundle).items():
        assert service["logging"]["driver"] == "syslog", name
        assert service["logging"]["options"]["syslog-address"] == f"udp://127.0.0.1:{port['published']}"
        assert service["logging"]["options"]["tag"] == name
    assert _inputs(bundle)["syslog"][0]["server"] == f"udp://:{port['target']}"


def test_without_log_search_docker_keeps_the_last_lines_and_no_port_is_open_for_logs() -> None:
    bundle = _with("machine_metrics")
    assert {service["logging"]["driver"] for service in _services(bundle).values()} == {"json-file"}
    assert "ports" not in _services(bundle)["telegraf"]
    assert "syslog" not in _inputs(bundle)


def test_with_machine_figures_every_part_that_can_be_asked_and_every_route_gives_a_figure() -> None:
    bundle = _with(*Features.model_fields)
    asked = [item["tags"] for kind in ("http_response", "net_response") for item in _inputs(bundle)[kind]]
    assert {tags["part"] for tags in asked if "part" in tags} == _lasting(bundle) - SILENT
    routers = yaml.safe_load(bundle.files["config/traefik/routes.yml"])["http"]["routers"]
    routed = {router["service"] for router in routers.values()}
    assert len({tags["route"] for tags in asked if "route" in tags}) == len(routed)


def test_telegrafs_reference_to_its_token_is_one_it_resolves() -> None:
    """Its own pattern, `@\\{(\\w+:\\w+)\\}`: with a dash in it the reference itself is sent as the token."""
    bundle = _with("machine_metrics")
    config = tomllib.loads(bundle.files["config/telegraf/telegraf.toml"])
    [output] = config["outputs"]["influxdb_v2"]
    found = re.fullmatch(r"@\{(\w+):(\w+)\}", output["token"])
    assert found and found[1] == config["secretstores"]["docker"][0]["id"]
    targets = {secret["target"] for secret in _services(bundle)["telegraf"]["secrets"]}
    assert targets == {f"/run/secrets/{found[2]}"}


def test_gatus_watches_exactly_the_routes_and_parts_of_the_blueprint() -> None:
    for features in ((), ("message_queue",), tuple(Features.model_fields)):
        bundle = _with("status_page", *features)
        endpoints = yaml.safe_load(bundle.files["config/gatus/config.yaml"])["endpoints"]
        assert {item["name"] for item in endpoints if item["group"] == "Parts"} == _lasting(bundle) - SILENT
        routers = yaml.safe_load(bundle.files["config/traefik/routes.yml"])["http"]["routers"]
        hosts = {router["rule"].partition("`")[2].partition("`")[0] for router in routers.values()}
        watched = {item["url"].split("/")[2].partition(":")[0] for item in endpoints if item["group"] == "Addresses"}
        assert watched == hosts


def test_grafana_has_a_source_for_each_chart_and_a_chart_for_each_collector() -> None:
    boards = {"machine_metrics": {"machine"}, "match_statistics": {"league"}, "log_search": {"logs"}}
    for chosen in (("machine_metrics",), ("match_statistics",), ("log_search",), tuple(boards)):
        bundle = _with("dashboards", *chosen)
        present = {
            path.rpartition("/")[2].removesuffix(".json")
            for path in bundle.files
            if path.startswith("config/grafana/") and path.endswith(".json")
        }
        assert set().union(*(boards[name] for name in chosen)) <= present
        sources = {item["uid"] for item in yaml.safe_load(bundle.files["config/grafana/datasources.yml"])["datasources"]}
        for name in present:
            panels = json.loads(bundle.files[f"config/grafana/{name}.json"])["panels"]
            assert {panel["datasource"]["uid"] for panel in panels} <= sources, name


def test_the_brokers_user_has_its_own_host_and_no_password_in_any_file() -> None:
    bundle = _with("message_queue")
    definitions = json.loads(bundle.files["config/rabbitmq/definitions.json"])
    [user], [vhost] = definitions["users"], definitions["vhosts"]
    assert (user["name"], user["tags"], user["password_hash"]) == ("sprocket", "", "@password_hash@")
    assert [item["vhost"] for item in definitions["permissions"]] == [vhost["name"]]
    assert "loopback_users = none" in bundle.files["config/rabbitmq/rabbitmq.conf"]
