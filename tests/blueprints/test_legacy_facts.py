"""legacy-22 against the estate's facts, field by field: 22 of 22. What differs on purpose is listed here and in docs/legacy.md, and nowhere else."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from blueprints.catalog import TEMPLATES, load_catalog
from blueprints.compose import ServiceArgs
from blueprints.estate.catalogue import facts, known_services, legacy_estate
from blueprints.layers import layers_of
from blueprints.render import render
from blueprints.rendering import Rendering
from blueprints.resolve import resolve
from blueprints.strict_yaml import load
from orgs.needs_file import parse_needs

ROOT = TEMPLATES.parent
NAMES = sorted(facts()["services"])
SUFFIX = re.compile(r"-[0-9a-f]{7}\Z")
DOCUMENT = (ROOT / "docs" / "legacy.md").read_text(encoding="utf-8")

# Environment names that hold a secret in the estate, and what holds it here. Every one is in docs/legacy.md.
ENVIRONMENT = {
    "influxdb": {"DOCKER_INFLUXDB_INIT_PASSWORD": "", "DOCKER_INFLUXDB_INIT_ADMIN_TOKEN": ""},
    "grafana": {"GF_DATABASE_PASSWORD": "GF_DATABASE_PASSWORD__FILE", "GF_SMTP_PASSWORD": ""},
    "n8n": {"DB_POSTGRESDB_PASSWORD": "DB_POSTGRESDB_PASSWORD_FILE", "N8N_ENCRYPTION_KEY": "N8N_ENCRYPTION_KEY_FILE"},
    "neo4j": {"NEO4J_AUTH": ""},
    "telegraf": {"POSTGRES_PASSWORD": "", "INFLUX_TOKEN": ""},
}
# Swarm secrets that the estate has not, since it puts the same value into environment, arguments or a config.
MORE_SECRETS = {
    "vault": {"vault-storage-key"},
    "redis": {"prod-secrets-redis-password"},
    "influxdb": {"prod-secrets-influx-token"},
    "grafana": {"postgres-admin-password"},
    "n8n": {"n8n-encryption-key", "postgres-admin-password"},
    "neo4j": {"neo4j-password"},
    "telegraf": {"postgres-admin-password", "prod-secrets-influx-token"},
    "replay-parse": {"prod-secrets-redis-password"},
}
MORE_CONFIGS = {"vault": {"vault-start": "/auto-initialize.sh"}}  # the estate mounts it from a checkout
OTHER_COMMAND = {"influxdb", "redis", "neo4j", "telegraf", "vault"}  # for the same reasons
OTHER_IMAGE = {"n8n": "n8nio/n8n:latest"}  # without a tag Docker takes latest; it is said here


@lru_cache(maxsize=1)
def rendering() -> Rendering:
    catalog = load_catalog()
    return render(resolve(parse_needs((ROOT / "orgs" / "legacy.yaml").read_text()), catalog), catalog)


@lru_cache(maxsize=1)
def services() -> dict[str, tuple[str, ServiceArgs]]:
    """Name among the 22 -> its layer and what the file says."""
    return {
        key.removeprefix("legacy-"): (layer.name, args) for layer in layers_of(rendering()) for key, args in layer.stack.services.items()
    }


def plain(name: str) -> str:
    """A Docker name without the suffix, and without the stack before a secret that two stacks mount."""
    return SUFFIX.sub("", name).removeprefix("layer_2-").removeprefix("platform-")


def test_there_are_22_services_in_three_stacks() -> None:
    assert sorted(services()) == NAMES
    assert len(NAMES) == 22
    by_layer = {layer: {n for n, (at, _) in services().items() if at == layer} for layer in ("layer_1", "layer_2", "platform")}
    assert {layer: len(names) for layer, names in by_layer.items()} == {"layer_1": 3, "layer_2": 9, "platform": 10}


@pytest.mark.parametrize("name", NAMES)
def test_a_service_is_as_the_facts_say(name: str) -> None:
    fact: dict[str, Any] = facts()["services"][name]
    layer, args = services()[name]
    assert layer == fact["layer"]
    assert args.name == fact["docker_name"]
    assert args.image == OTHER_IMAGE.get(name, fact["image"])
    assert args.endpoint_mode == fact["endpoint_mode"]
    assert list(args.constraints) == fact["constraints"]
    assert args.max_per_node == fact.get("max_per_node", 0)
    assert args.hostname == fact.get("hostname", "")
    assert [port.published for port in args.ports] == fact.get("ports", [])
    assert {port.mode for port in args.ports} <= {"host"}
    assert (args.mode, args.replicas) == ("replicated", 1)
    assert {"driver": args.log_driver, "options": dict(args.log_options)} == (fact["logging"] or {"driver": "", "options": {}})
    assert list(args.healthcheck.test if args.healthcheck else ()) == fact.get("health", [])
    if name not in OTHER_COMMAND:
        assert [*args.entrypoint, *args.command] == [*fact.get("command", []), *fact.get("args", [])]
    networks = {network["docker_name"]: key for part in ("networks", "extra_networks") for key, network in facts()[part].items()}
    assert sorted(networks[network.name] for network in args.networks) == sorted(fact["networks"])


@pytest.mark.parametrize("name", NAMES)
def test_its_files_and_volumes_are_as_the_facts_say(name: str) -> None:
    fact: dict[str, Any] = facts()["services"][name]
    _, args = services()[name]
    assert {m.source: m.target for m in args.mounts if m.type == "volume"} == fact.get("volumes", {})
    assert {plain(c.name): c.target for c in args.configs} == {**fact["configs"], **MORE_CONFIGS.get(name, {})}
    secrets = {plain(s.name): s.target for s in args.secrets if plain(s.name) not in MORE_SECRETS.get(name, set())}
    assert secrets == fact["secrets"]
    assert {plain(s.name) for s in args.secrets} - set(secrets) == MORE_SECRETS.get(name, set())
    binds = {(m.target, m.read_only) for m in args.mounts if m.type == "bind"}
    wanted = {(b["target"], b["read_only"]) for b in fact.get("binds", []) if b["target"] not in MORE_CONFIGS.get(name, {}).values()}
    assert binds == wanted
    changed = ENVIRONMENT.get(name, {})
    expected = {changed.get(key, key) for key in fact["environment"]} - {""}
    assert set(args.environment) == expected


@pytest.mark.parametrize("name", NAMES)
def test_its_labels_are_as_the_facts_say(name: str) -> None:
    """Rule, entry points, TLS, port, service and forward auth of every router; beside them only our owner's labels."""
    fact: dict[str, Any] = facts()["services"][name]
    labels = {key: value for key, value in services()[name][1].labels.items() if not key.startswith("sprocket.")}
    expected: dict[str, str] = {"traefik.enable": "true"} if fact["routers"] else {}
    for router in fact["routers"]:
        base, key = f"traefik.{router['protocol']}", router["name"]
        rule = re.sub(r"<util-hostname>|<hostname>", "sprocket.mlesports.gg", router["rule"]).replace("<env>", "prod")
        at = f"{base}.routers.{key.replace('<name>', name)}"
        expected[f"{at}.rule"] = rule
        expected[f"{base}.services.{key.replace('<name>', name)}.loadbalancer.server.port"] = str(router["port"])
        if router["tls"]:
            expected |= {f"{at}.tls": "true", f"{at}.tls.certResolver": "lets-encrypt-tls"}
        if "entrypoint" in router:
            expected[f"{at}.entryPoints"] = router["entrypoint"]
        if "service" in router:
            expected[f"{at}.service"] = router["service"].replace("<name>", name)
        if "forward_auth" in router:
            router_name = key.replace("<name>", name)
            expected[f"{at}.middlewares"] = router_name
            expected[f"{base}.middlewares.{router_name}.forwardauth.address"] = (
                f"https://fa.spr.ocket.cloud/login?rule={router['forward_auth']}"
            )
    assert labels == expected


def test_the_five_networks_and_sixteen_volumes_are_there() -> None:
    made = {part.name for layer in layers_of(rendering()) for part in layer.stack.networks if not part.external}
    assert {network["docker_name"] for network in facts()["networks"].values()} <= made
    assert made - {network["docker_name"] for network in facts()["networks"].values()} == {"influx-network", "n8n-net"}
    volumes = {part.name for layer in layers_of(rendering()) for part in layer.stack.volumes}
    assert volumes == set(facts()["volumes"])
    assert len(volumes) == 16


def test_vault_has_the_paths_with_their_fields_the_policies_the_mounts_and_the_teams() -> None:
    vault = facts()["vault"]
    files = rendering().files
    paths = {(data := load(text))["path"]: sorted(data["fields"]) for path, text in files.items() if "/vault/secrets/" in path}
    expected = {path: sorted(entry["fields"]) for path, entry in vault["paths"].items() if path != "infrastructure/postgres/chatwoot"}
    assert paths == expected
    assert len(paths) == 24
    head = load(files["layer_2/vault/vault.yml"])
    assert head["mounts"] == {**vault["mounts"], "misc": {"type": "kv", "version": 1}}
    assert head["auth"]["github"]["organization"] == vault["github"]["organization"]
    assert {team: [policy] for team, policy in vault["github"]["teams"].items()} == head["auth"]["github"]["teams"]
    for name, rules in vault["policies"].items():
        text = files[f"layer_2/vault/policies/{name}.hcl"]
        found = re.findall(r'path "([^"]+)" \{\n  capabilities = \[([^\]]*)\]', text)
        assert {path: re.findall(r'"(\w+)"', given) for path, given in found} == {path: given or ["deny"] for path, given in rules.items()}


def test_no_value_of_a_secret_is_in_any_file() -> None:
    for path, text in rendering().files.items():
        if "/vault/secrets/" in path:
            for field in load(text)["fields"].values():
                assert set(field) in ({"value"}, {"from"})
    assert {entry["kind"] for entry in rendering().secrets.values()} == {"generated", "supplied", "collected"}


def test_there_are_more_than_fifty_files_and_the_documents_say_what_became_of_the_estates_own() -> None:
    configuration = [path for path in rendering().files if not path.endswith(".md")]
    assert len(configuration) >= 50
    assert len([path for path in configuration if path.endswith(".hcl")]) == 7  # as many as the estate has


def test_queues_buckets_and_databases_have_the_estates_names() -> None:
    queues = set(facts()["queues"].values())
    core = load(rendering().files["config/legacy-api/production.json"])
    assert {core["transport"][key] for key in facts()["queues"]} == queues
    buckets = {name for name, bucket in facts()["buckets"].items() if bucket["managed"] and bucket["deployed"]}
    text = "".join(rendering().files.values())
    assert all(bucket in text for bucket in buckets)
    assert core["db"]["database"] in facts()["databases"]


@pytest.mark.parametrize(
    ("mode", "access", "rule"),
    [
        ("local", {"canonical": "localhost", "localhost": {"host": "sprocket.localhost"}}, "Host(`sprocket.localhost`)"),
        ("lan", {"canonical": "localhost", "localhost": {"host": "sprocket.localhost"}, "lan": {"host": "192.0.2.7"}},
         "Host(`sprocket.localhost`) || Host(`192.0.2.7`)"),
        ("vpn", {"canonical": "localhost", "localhost": {"host": "sprocket.localhost"}, "lan": {"host": "192.0.2.7"},
                 "vpn": {"host": "100.64.0.9", "port": 8090, "api_port": 8091}},
         "Host(`sprocket.localhost`) || Host(`192.0.2.7`) || Host(`100.64.0.9`)"),
        ("public", {"canonical": "public", "public": {"domain": "sprocket.mlesports.gg", "email": "a@example.org"}},
         "Host(`sprocket.mlesports.gg`)"),
    ],
)  # fmt: skip
def test_each_of_the_four_routing_patterns_gives_the_estates_rule(mode: str, access: dict[str, Any], rule: str) -> None:
    catalog = load_catalog()
    text = (ROOT / "orgs" / "legacy.yaml").read_text()
    given = parse_needs(text).model_dump(mode="json")
    needs = type(parse_needs(text)).model_validate({**given, "access": access})
    found = {
        key: args.labels for layer in layers_of(render(resolve(needs, catalog), catalog)) for key, args in layer.stack.services.items()
    }
    assert found["legacy-web"]["traefik.http.routers.sprocket-web-main.rule"] == rule
    hosts = facts()["routing_modes"][mode]["hosts"]
    api = found["legacy-api"]["traefik.http.routers.sprocket-core-main.rule"]
    vault = found["legacy-vault"]["traefik.http.routers.vault.rule"]
    if mode in ("local", "public"):  # the others change the site's route alone
        assert api == f"Host(`{hosts['api']}`)"
        assert vault == f"Host(`{str(hosts['vault']).partition(' ')[0]}`)"


def test_what_differs_on_purpose_is_in_the_documents() -> None:
    for name in {*ENVIRONMENT, *MORE_SECRETS, *MORE_CONFIGS, *OTHER_COMMAND, *OTHER_IMAGE}:
        assert f"| {name} |" in DOCUMENT, name
    for changed in ENVIRONMENT.values():
        assert all(f"`{key}`" in DOCUMENT for key in changed)


def test_services_are_known_by_their_names_with_and_without_a_drawn_suffix() -> None:
    known = {item.component: item for item in known_services()}
    assert known["legacy-traefik"].is_named("traefik-d3127fd")
    assert known["legacy-traefik"].is_named("traefik")
    assert not known["legacy-traefik"].is_named("traefik-fa-service-d3127fd")
    assert known["legacy-web"].is_of("docker.io/asaxplayinghorse/web:main@sha256:" + "0" * 64)
    assert not known["legacy-web"].is_of("asaxplayinghorse/worker:main")


def test_the_facts_are_an_estate_with_every_kind_of_thing() -> None:
    estate = legacy_estate()
    counted = {kind: len(estate.of(kind)) for kind in ("service", "network", "volume", "secret", "bucket", "database", "vault", "external")}
    assert counted == {"service": 35, "network": 11, "volume": 16, "secret": 17, "bucket": 7, "database": 5, "vault": 25, "external": 6}
    assert Path(estate.sources[0]).name == "estate.yaml"


def test_networks_are_in_the_order_in_which_what_runs_is_read_back() -> None:
    services = [args for layer in layers_of(rendering()) for args in layer.stack.services.values()]
    assert len(services) == 22
    assert all([item.name for item in args.networks] == sorted(item.name for item in args.networks) for args in services)
