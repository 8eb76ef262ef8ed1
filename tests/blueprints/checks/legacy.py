"""The legacy estate as it stood at its town hall and shortly after, as far as the rules look at it: written by hand from its facts.

Names, routes, mounts and settings are as they were; the domain is made up, and values that were secret are withheld.
"""

from __future__ import annotations

import json
from typing import Any

from blueprints.compose import Mount
from blueprints.estate.model import Item
from tests.blueprints.checks.estates import part, path, port, secret, service, volume

HOST = "league.example.org"
INGRESS, PLATFORM, MONITORING = "traefik-ingress", "prod-net-b21817d", "monitoring-network-c8afa14"
WITHHELD = "withheld:0123456789abcdef"
BROKER = "prod-datastores-rmq-service-1a2b3c4"
CACHE = "prod-datastores-redis-redis-primary-5d6e7f8"
# As the engine reads them back: restarted at once, never checked, a log with a limit at the town hall.
AS_IT_IS: dict[str, Any] = {"restart_delay_s": 0, "healthcheck": None, "log_options": {"max-size": "5m", "max-file": "5"}}
STATIC = """\
entryPoints:
  web: {address: ":80"}
  websecure: {address: ":443"}
api: {dashboard: true, insecure: true}
certificatesResolvers:
  lets-encrypt-tls:
    acme: {email: "somebody@example.org", storage: /data/le-tls.json, tlsChallenge: {}}
providers:
  docker: {swarmMode: true, watch: true, exposedByDefault: false, network: traefik-ingress, endpoint: "tcp://traefik-socket-sock-proxy:2375"}
"""
VAULT = """\
listener "tcp" {
  address = "0.0.0.0:8200"
  tls_disable = 1
}
disable_mlock = true
storage "s3" {
  endpoint = "https://nyc3.spaces.example.com"
  bucket = "vault-secrets"
  path = "vault_storage"
}
"""
GATUS = """\
endpoints:
  - {name: App, url: "https://app.old.example.net"}
  - {name: Staging, url: "https://staging.app.old.example.net"}
"""
TELEGRAF = """\
[[inputs.cpu]]
[[inputs.rabbitmq]]
  url = "http://localhost:15672"
[[inputs.redis]]
  servers = ["tcp://localhost:6379"]
[[inputs.postgresql]]
  address = "host=db.example.com user=somebody"
[[outputs.influxdb_v2]]
  urls = ["http://influx:8086"]
  bucket = "metrics"
"""
FLUENT = """\
<filter docker.*>
  @type record_transformer
</filter>
<match docker.*>
  @type loki
  url "http://loki:3100"
</match>
"""


def _labels(name: str, rule: str, number: int, *, protocol: str = "http", tls: bool = True) -> dict[str, str]:
    router = f"traefik.{protocol}.routers.{name}"
    own = {"traefik.enable": "true", f"{router}.rule": rule, f"traefik.{protocol}.services.{name}.loadbalancer.server.port": str(number)}
    return own | ({f"{router}.tls": "true", f"{router}.tls.certResolver": "lets-encrypt-tls"} if tls else {})


def _routed(name: str, sub: str, number: int) -> dict[str, str]:
    return _labels(name, f"Host(`{sub}.{HOST}`)", number)


def _platform(name: str, *, files: dict[str, str] | None = None, **more: Any) -> tuple[Item, ...]:
    """One of the applications: its queues and its broker by a template's values."""
    transport = {"url": f"amqp://{BROKER}:5672", "core_queue": "prod-core", "bot_queue": "prod-bot"}
    own = {"/app/config/production.json": json.dumps({"transport": transport, **more.pop("config", {})}), **(files or {})}
    given: dict[str, Any] = {"networks": (PLATFORM,), "environment": {"NODE_ENV": "production"}, **AS_IT_IS, **more}
    image = given.pop("image", f"example/{name}:main")
    return service(f"prod-{name}-service-9f8e7d6", image, files=own, **given)


def _redis(name: str, networks: tuple[str, ...], **more: Any) -> tuple[Item, ...]:
    command = ("--requirepass", WITHHELD, "--loadmodule", "/usr/lib/redis/modules/rejson.so")
    return service(
        name, "redislabs/rejson:2.0.7", command=command, withheld={"command.1": "its name says that it is secret"}, networks=networks,
        files={"/usr/local/etc/redis/redis.conf": "maxmemory 1gb\n"}, mounts=(volume(f"{name}-volume"),), **{**AS_IT_IS, **more},
    )  # fmt: skip


def layer_1() -> list[tuple[Item, ...]]:
    """The proxy, the socket proxy, the secret store."""
    folder = "/srv/repo/global/services/vault"
    keys = (
        Mount("bind", f"{folder}/scripts/auto-initialize.sh", "/auto-initialize.sh", read_only=True),
        Mount("bind", f"{folder}/unseal-tokens", "/vault/unseal-tokens"),
    )
    return [
        service(
            "traefik-d3127fd", "traefik:v2.6.1", command=("--configFile=/static.yaml",), files={"/static.yaml": STATIC},
            networks=(INGRESS, "traefik-socket-proxy-network"), ports=(port(80), port(443)), mounts=(volume("traefik-data"),), **AS_IT_IS,
        ),
        service(
            "traefik-socket-sock-proxy", "tecnativa/docker-socket-proxy:latest", networks=("traefik-socket-proxy-network",),
            mounts=(Mount("bind", "/var/run/docker.sock", "/var/run/docker.sock", read_only=True),), **AS_IT_IS,
        ),
        service(
            "vault", "vault:1.10.0", entrypoint=("/auto-initialize.sh",), files={"/vault.hcl": VAULT}, networks=(INGRESS, "vault-network"),
            mounts=keys, labels=_labels("vault", f"Host(`vault.{HOST}`)", 8200, tls=False), **AS_IT_IS,
        ),
    ]  # fmt: skip


def layer_2() -> list[tuple[Item, ...]]:
    """Metrics, logs, dashboards, the shared cache."""
    influx = {"DOCKER_INFLUXDB_INIT_BUCKET": "metrics", "DOCKER_INFLUXDB_INIT_PASSWORD": WITHHELD}
    grafana = {"GF_DATABASE_HOST": "db.example.com", "GF_DATABASE_PASSWORD": WITHHELD}
    shipped = {**AS_IT_IS, "log_driver": "fluentd", "log_options": {"tag": "docker.{{.FullID}}.{{.Name}}"}}
    return [
        service(
            "influx", "influxdb:2.1-alpine", environment=influx, networks=(MONITORING, INGRESS), mounts=(volume("influx-volume"),),
            labels=_routed("influx", "influx", 8086), constraints=("node.labels.role==storage",),
            withheld={"environment.DOCKER_INFLUXDB_INIT_PASSWORD": "its name says that it is secret"}, **AS_IT_IS,
        ),
        service(
            "grafana-service-1f2e3d4", "grafana/grafana:main", environment=grafana, networks=(MONITORING, INGRESS),
            labels=_routed("grafana", "grafana", 3000), withheld={"environment.GF_DATABASE_PASSWORD": "its name says that it is secret"},
            **AS_IT_IS,
        ),
        service("loki", "grafana/loki:2.3.0", networks=(MONITORING,), mounts=(volume("loki-volume"),), **shipped),
        service("telegraf-4d3c2b1", "telegraf:1.21", networks=(MONITORING,), files={"/etc/telegraf/telegraf.conf": TELEGRAF}, **AS_IT_IS),
        service(
            "gatus-internal-7a6b5c4", "twinproduction/gatus:v5.1.0", networks=(INGRESS,), files={"/config/config.yaml": GATUS},
            mounts=(volume("gatus-internal-data"),), labels=_routed("gatus-internal", "status", 8080), **AS_IT_IS,
        ),
        service(
            "fluent-service-219cc48", "fluentd:latest", networks=(MONITORING,), ports=(port(24224),), command=("sh", "/startup.sh"),
            files={"/startup.sh": "fluentd -c /etc/fluent/fluent.conf\n", "/etc/fluent/fluent.conf": FLUENT}, **AS_IT_IS,
        ),
        service("fluent-service-f8e9998", "fluentd:latest", networks=(MONITORING,), ports=(port(24224),), is_leaving=True, **AS_IT_IS),
        _redis("layer2redis-redis-primary-7af3fee", ("chatwoot-network", INGRESS)),
        part("volume", "influx-volume", driver_options={"type": "none", "o": "bind", "device": "/mnt/influx_data"}),
        part("volume", "loki-volume", driver_options={"type": "none", "o": "bind", "device": "/mnt/influx_data/loki"}),
    ]  # fmt: skip


def platform() -> list[tuple[Item, ...]]:
    """Broker, cache and the applications."""
    route = _labels("prod-datastores-redis", f"HostSNI(`redis.{HOST}`)", 6379, protocol="tcp")
    management = _labels("prod-datastores-rmq-management", f"Host(`management.rabbitMq.{HOST}`)", 15672)
    both = {**management, **_labels("prod-datastores-rmq-management", f"HostSNI(`rabbitMq.{HOST}`)", 5672, protocol="tcp")}
    core = {"NODE_ENV": "production", "CACHE_HOST": CACHE, "CACHE_PORT": "6379", "LOGGER_LEVELS": '["error","warn","log","debug"]'}
    analytics = {"influx": {"address": "http://influx:8086", "org": "sprocket", "bucket": "sprocket_main"}}
    both_nets = (PLATFORM, INGRESS)
    return [
        service(
            BROKER, "rabbitmq:3.9.14-management-alpine", networks=both_nets, labels=both, mounts=(volume("prod-datastores-rmq-data"),),
            files={"/etc/rabbitmq/rabbitmq.conf": "# nothing is set here\n"}, **AS_IT_IS,
        ),
        _redis(CACHE, both_nets, labels=route),
        _platform("sprocket-web", networks=both_nets, labels=_labels("sprocket-web-main", f"Host(`{HOST}`)", 3000)),
        _platform("sprocket-core", networks=both_nets, labels=_routed("sprocket-core-main", "api", 3001), environment=core,
                  secrets=(secret("prod-secrets-jwt-secret", "/app/secret/jwtSecret.txt"),)),
        _platform("server-analytics", networks=(PLATFORM, MONITORING), config=analytics),
        _platform("image-generation-frontend", networks=both_nets, labels=_routed("sprocket-image-gen-main", "image-generation", 3000),
                  config={"knex": {"host": "db.example.com", "port": 25060, "ssl": {"rejectUnauthorized": False}}}),
        _platform("legacy-bot", environment={"NODE_ENV": "production", "NODE_TLS_REJECT_UNAUTHORIZED": "0"}, image="example/legacy-bot"),
        part("secret", "prod-secrets-jwt-secret"),
        part("secret", "prod-secrets-google-client-id", facts={"vault": "platform/main/manual/oauth/google#clientId"}),
    ]  # fmt: skip


def vault_paths() -> list[tuple[Item, ...]]:
    """Two of the twenty-two paths: the one three services write, and the one that is written under another name than it is read."""
    return [
        path("infrastructure/data/redis", fields=["username", "password"], written_by=["layer2redis", "prod-datastores-redis", "prod-legacy-redis"]),
        path("platform/sprocket/manual/oauth/google", fields=["clientId", "clientSecret"], written_by=["bootstrap script"]),
    ]  # fmt: skip


def everything() -> tuple[Item, ...]:
    """The whole estate, with the networks and volumes that its services name."""
    items = [item for group in (*layer_1(), *layer_2(), *platform(), *vault_paths()) for item in group]
    named = {item.name for item in items if item.kind == "volume"}
    services = [item.service for item in items if item.service is not None]
    networks = {network.name for args in services for network in args.networks}
    volumes = {mount.source for args in services for mount in args.mounts if mount.type == "volume"} - named
    more = [part("network", name) for name in sorted(networks)] + [part("volume", name) for name in sorted(volumes)]
    return (*items, *(item for group in more for item in group))
