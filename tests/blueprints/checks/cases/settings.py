"""Cases of the rules about settings, names, logs, images, places and people."""

from __future__ import annotations

import json

from blueprints.checks.facts import Node, Peer, Reach, Records, Running, Setting, Target
from blueprints.estate.model import Remark
from tests.blueprints.checks.estates import Case, part, port, routed, service, subject, traefik
from tests.orgs.answers import needs

_INFLUX = service("influx", "influxdb:2.1", environment={"DOCKER_INFLUXDB_INIT_BUCKET": "metrics"})
_PUBLIC = {"access": {"ways": [{"way": "public", "host": "a.org", "certificate": "live"}]}}
_PRODUCTION = {"NODE_ENV": "production"}
_FLUENT = {"driver": "fluentd", "options": {"tag": "docker.{{.FullID}}.{{.Name}}"}}


def _analytics(bucket: str) -> tuple[object, ...]:
    return service("analytics", files={"/app/config.json": json.dumps({"influx": {"address": "http://influx:8086", "bucket": bucket}})})


def _gatus(host: str) -> tuple[object, ...]:
    return service(
        "status", "twinproduction/gatus:v5", files={"/config/config.yaml": f"endpoints:\n  - name: site\n    url: https://{host}/\n"}
    )


def _telegraf(text: str) -> tuple[object, ...]:
    return service("telegraf", "telegraf:1.37", files={"/etc/telegraf/telegraf.conf": text})


def _collector(pattern: str) -> tuple[object, ...]:
    return service("fluentd", "fluentd:v1", files={"/fluentd/etc/fluent.conf": f"<match {pattern}>\n</match>\n"})


def _cache(*command: str) -> tuple[object, ...]:
    return service("cache", "redis:7", files={"/usr/local/etc/redis/redis.conf": "maxmemory 85mb\n"}, command=command)


CASES = {
    "I14-host-is-known": Case(
        subject(service("app", environment={"CACHE_HOST": "redis"}), service("redis-7af3fee", "redis:7")),
        "redis is no service of this deployment",
        subject(service("app", environment={"CACHE_HOST": "redis"}), service("redis-7af3fee", "redis:7", aliases=("redis",))),
    ),
    "I14-port-opens": Case(
        subject(running=Running(reaches=(Reach("app", "redis", 6379, False),))),
        "does not reach redis:6379",
        subject(running=Running(reaches=(Reach("app", "redis", 6379, True),))),
    ),
    "I17-log-limit": Case(
        subject(service("app", log_driver="json-file", log_options={})),
        "its log has no max-size",
        subject(service("app"), service("shipped", log_driver="syslog", log_options={})),
    ),
    "I18-database-address": Case(
        subject(service("grafana", "grafana/grafana:11", environment={"GF_DATABASE_HOST": "db.example.com"})),
        "names db.example.com without a port",
        subject(service("grafana", "grafana/grafana:11", environment={"GF_DATABASE_HOST": "db.example.com:25060", "GF_DATABASE_SSL_MODE": "require"})),
    ),
    "I18-services-outside-answer": Case(
        subject(target=Target(peers=(Peer("db.example.com:25060", "does not answer"),))),
        "does not answer",
        subject(target=Target(peers=(Peer("db.example.com:25060"),))),
    ),
    "I19-tags-match": Case(
        subject(_collector("docker.*.*"), service("app", log_driver="fluentd", log_options=_FLUENT["options"])),
        "which has 5 parts",
        subject(_collector("docker.**"), service("app", log_driver="fluentd", log_options=_FLUENT["options"])),
    ),
    "I19-everybody-ships": Case(
        subject(service("loki", "grafana/loki:3", log_driver="syslog"), service("app")),
        "keeps its log to itself",
        subject(service("loki", "grafana/loki:3", log_driver="syslog"), service("app", log_driver="syslog")),
    ),
    "I19-line-is-found": Case(
        subject(running=Running(log_line_s=None)), "was not found within 60 s", subject(running=Running(log_line_s=4)),
    ),
    "I25-one-kind": Case(
        subject(service("core", environment={**_PRODUCTION, "LOGGER_LEVELS": '["error","debug"]'})),
        "writes debugging lines in production",
        subject(service("core", environment={**_PRODUCTION, "LOGGER_LEVELS": '["error"]'}), service("web", environment=_PRODUCTION)),
    ),
    "I27-monitoring-follows": Case(
        subject(traefik(), routed("web", "new.example.org"), _gatus("old.example.org")),
        "watches old.example.org (site), which is no name of this deployment",
        subject(traefik(), routed("web", "new.example.org"), _gatus("new.example.org")),
    ),
    "I28-named-things-exist": Case(
        subject(_INFLUX, _analytics("sprocket_main")), "uses the metrics bucket sprocket_main", subject(_INFLUX, _analytics("metrics")),
    ),
    "I29-inputs-point-somewhere": Case(
        subject(_telegraf('[[inputs.redis]]\n  servers = ["tcp://localhost:6379"]\n')),
        "asks localhost, which is the collector itself",
        subject(_telegraf('[[inputs.redis]]\n  servers = ["tcp://redis:6379"]\n')),
    ),
    "I29-metrics-are-fresh": Case(
        subject(running=Running(metrics={"redis": None, "cpu": 3.0})), "never brought a value", subject(running=Running(metrics={"cpu": 3.0})),
    ),
    "I30-file-is-read": Case(
        subject(_cache("--loadmodule", "/usr/lib/rejson.so")),
        "nothing makes the program read it",
        subject(_cache("redis-server", "/usr/local/etc/redis/redis.conf")),
    ),
    "I30-setting-takes-effect": Case(
        subject(running=Running(settings=(Setting("cache", "maxmemory", "89128960", "0"),))),
        "the file says 89128960, the server 0",
        subject(running=Running(settings=(Setting("cache", "maxmemory", "89128960", "89128960"),))),
    ),
    "I32-node-for-every-service": Case(
        subject(service("influx", constraints=("node.labels.role==storage",)), target=Target(nodes=(Node("one"),))),
        "no ready node has node.labels.role==storage",
        subject(service("influx", constraints=("node.labels.role==storage",)), target=Target(nodes=(Node("one", labels={"role": "storage"}),))),
    ),
    "I33-port-once": Case(
        subject(service("fluent-219cc48", ports=(port(24224),)), service("fluent-f8e9998", ports=(port(24224),), is_leaving=True)),
        "claimed by fluent-219cc48 and by fluent-f8e9998 (to be deleted)",
        subject(service("fluent", ports=(port(24224),)), service("proxy", ports=(port(80),))),
    ),
    "I33-port-is-free": Case(
        subject(service("proxy", ports=(port(80),)), target=Target(ports={80: "nginx"})),
        "nginx has it, and proxy wants it",
        subject(service("proxy", ports=(port(80),)), target=Target(ports={80: ""})),
    ),
    "I34-moving-image": Case(
        subject(service("app", "example/app:main"), service("n8n", "n8nio/n8n")),
        "has the moving tag main and no digest",
        subject(service("app", "example/app:main", image_id="sha256:abc"), service("b", "example/b:latest@sha256:abc"), service("c", "c:1.2")),
    ),
    "I34-public-without-digest": Case(
        subject(service("app", "example/app:1.2"), blueprint=_PUBLIC),
        "example/app:1.2 has no digest",
        subject(service("app", "example/app:1.2@sha256:abc"), blueprint=_PUBLIC),
    ),
    "I35-certificates-are-verified": Case(
        subject(service("bot", environment={"NODE_TLS_REJECT_UNAUTHORIZED": "0"})),
        "no certificate is verified",
        subject(service("bot", environment={"NODE_EXTRA_CA_CERTS": "/run/configs/authority.pem"})),
    ),
    "I37-nothing-by-id": Case(
        subject(service("app"), part("network", "net"), service("old", networks=("3n0h8m1b2v4c6x8z0l2k4j6h9",))),
        "network the literal id 3n0h8m1b2v4c6x8z0l2k4j6h9, which nothing here makes",
        subject(service("app", files={"/a": "x"}), part("network", "net")),
    ),
    "I39-export-hangs-together": Case(
        subject(part("network", "net", source="export", remarks=(Remark("export.dangling-parent", "warning", "its parent is missing", "", "urn"),))),
        "its parent is missing",
        subject(part("network", "net", source="export")),
    ),
    "I40-deputy": Case(
        subject(needs=needs()),
        "nobody can take over from the owner",
        subject(needs=needs(deputy={"name": "Bob", "contact": "bob"})),
    ),
    "I40-two-people": Case(
        subject(records=Records(operators=("alice",))), "only alice may apply", subject(records=Records(operators=("alice", "bob"))),
    ),
}  # fmt: skip
