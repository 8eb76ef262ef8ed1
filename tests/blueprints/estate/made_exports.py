"""Stack exports made for tests: the structure of the estate's three, in both shapes of the Docker provider. No value is anybody's."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from typing import Any

SIGNATURE = "4dabf18193072939515e22adb298388d"
_MARK = "1b47061264138c4ac30d75fd1eb44270"
CANARY = "opensesame"  # in every secret value that the generators plant
PLATFORM_CONFIGS = tuple(
    f"prod-{name}-config"
    for name in (
        "sprocket-web sprocket-core discord-bot image-generation-service sprocket-image-generation-frontend notification-service "
        "server-analytics-service matchmaking-service replay-parse-service elo-service-sprocketservice submission-service datastores-rmq "
        "datastores-redis legacy-redis"
    ).split()
)
KEY_ID = "DO00" + "QWERTYUIOPASDFGH"  # of the form of one


def ciphertext() -> dict[str, str]:
    """A value encrypted with a key that is not here."""
    return {SIGNATURE: _MARK, "ciphertext": "AAABAFzYw2fQd0n3cm0tYQ=="}


def plaintext(value: Any) -> dict[str, str]:
    """A value the engine marks as secret, exported with secrets shown."""
    return {SIGNATURE: _MARK, "plaintext": json.dumps(value)}


def encoded(text: str) -> str:
    """A config's data."""
    return base64.b64encode(text.encode()).decode()


def engine_id_of(letter: str, name: str) -> str:
    """25 signs, as Docker's ids are, always the same for one name."""
    return letter + hashlib.sha256(name.encode()).hexdigest()[:24]


class Deployment:
    """An export under construction: resources in the order they are added."""

    def __init__(self, project: str, stack: str, shape: int = 4) -> None:
        self.project, self.stack, self.shape = project, stack, shape
        self.resources: list[dict[str, Any]] = []
        self.pending: list[dict[str, Any]] = []
        self.root = self.add("pulumi:pulumi:Stack", f"{project}-{stack}", custom=False)
        self.docker = self.add(
            "pulumi:providers:docker", "default_3_0_0" if shape == 3 else "default_4_5_0", id="b1c0", inputs={"version": "4.5.0"}
        )

    def urn(self, kind: str, name: str) -> str:
        """The URN of a resource of this stack."""
        return f"urn:pulumi:{self.stack}::{self.project}::{kind}::{name}"

    def add(self, kind: str, name: str, *, custom: bool = True, parent: str = "", **other: Any) -> str:
        """Add a resource and give its URN."""
        urn = self.urn(kind, name)
        row: dict[str, Any] = {"urn": urn, "custom": custom, "type": kind, **other}
        if parent or (self.resources and kind != "pulumi:providers:docker" and "parent" not in other):
            row["parent"] = parent or self.root
        if kind.startswith("docker:") and "provider" not in other:
            row["provider"] = f"{self.docker}::b1c0"
        self.resources.append(row)
        return urn

    def network(self, name: str, docker_name: str, engine_id: str, **other: Any) -> str:
        """An overlay network."""
        properties = {"name": docker_name, "driver": "overlay", "attachable": False, "internal": False}
        return self.add(
            "docker:index/network:Network",
            name,
            id=engine_id,
            inputs={"name": docker_name, "driver": "overlay"},
            outputs=properties,
            **other,
        )

    def volume(self, name: str, docker_name: str, options: Mapping[str, str] | None = None) -> str:
        """A volume; `driver_opts` where it is bound to a folder."""
        properties = {"name": docker_name, "driver": "local", "driverOpts": dict(options or {})}
        return self.add("docker:index/volume:Volume", name, id=docker_name, inputs={"name": docker_name}, outputs=properties)

    def config(self, name: str, docker_name: str, text: str | dict[str, str], engine_id: str = "", **other: Any) -> str:
        """A config; its data is base64, or encrypted."""
        properties = {"name": docker_name, "data": encoded(text) if isinstance(text, str) else text}
        engine_id = engine_id or engine_id_of("c", docker_name)
        return self.add("docker:index/serviceConfig:ServiceConfig", name, id=engine_id, inputs=properties, outputs=properties, **other)

    def secret(self, name: str, docker_name: str, value: Any) -> str:
        """A Docker secret, whose data the export holds encrypted or in plaintext."""
        properties = {"name": docker_name, "data": value}
        return self.add("docker:index/secret:Secret", name, id=engine_id_of("s", docker_name), inputs=properties, outputs=properties)

    def service(
        self,
        name: str,
        docker_name: str,
        image: str,
        *,
        labels: Mapping[str, str] | None = None,
        networks: tuple[str, ...] = (),
        **other: Any,
    ) -> str:
        """A service in this deployment's provider shape. `container`, `task` and `spec` go into those parts as they are."""
        container = {
            "image": image,
            **other.pop("container", {}),
            "healthcheck": {"interval": "0s", "timeout": "0s", "retries": 0, "startPeriod": "0s"},
        }
        task: dict[str, Any] = {
            "containerSpec": container,
            "restartPolicy": {"condition": "any", "delay": "0s", "maxAttempts": 0, "window": "0s"},
        }
        if self.shape == 3:
            task["networks"] = list(networks)
        else:
            task["networksAdvanceds"] = [{"name": network, "aliases": []} for network in networks]
        task |= {"logDriver": {"name": "json-file", "options": {"max-size": "5m"}}, **other.pop("task", {})}
        spec: dict[str, Any] = {
            "name": docker_name,
            "labels": [{"label": key, "value": value} for key, value in (labels or {}).items()],
            "mode": {"replicated": {"replicas": 1}},
            "taskSpec": task,
            "endpointSpec": {"mode": "vip"},
            **other.pop("spec", {}),
        }
        inputs = {**spec, "__defaults": [], "taskSpec": {**task, "__defaults": []}}
        engine_id = other.pop("id", engine_id_of("v", docker_name))
        return self.add("docker:index/service:Service", name, id=engine_id, inputs=inputs, outputs={"id": engine_id, **spec}, **other)

    def json(self, version: Any = 3) -> bytes:
        """The file."""
        deployment = {
            "manifest": {"time": "2026-01-17T20:36:00Z", "magic": "m", "version": "v3.2.1"},
            "secrets_providers": {"type": "service", "state": {"url": "https://api.example.org"}},
            "resources": self.resources,
            "pending_operations": self.pending,
        }
        return json.dumps({"version": version, "deployment": deployment}, indent=1).encode()


def routed(name: str, host: str, port: int, *, protocol: str = "http", entrypoints: str = "") -> dict[str, str]:
    """Traefik's labels for one router."""
    rule = f"HostSNI(`{host}`)" if protocol == "tcp" else f"Host(`{host}`)"
    found = {
        "traefik.enable": "true",
        f"traefik.{protocol}.routers.{name}.rule": rule,
        f"traefik.{protocol}.routers.{name}.tls": "true",
        f"traefik.{protocol}.routers.{name}.tls.certResolver": "lets-encrypt-tls",
        f"traefik.{protocol}.services.{name}.loadbalancer.server.port": str(port),
    }
    return found | ({f"traefik.{protocol}.routers.{name}.entryPoints": entrypoints} if entrypoints else {})


def layer_2(shape: int = 4) -> Deployment:
    """Layer 2: seven services and one more that waits for its deletion, six configs, whole lists encrypted."""
    made = Deployment("layer_2", "layer_2", shape)
    base = made.add(
        "pulumi:pulumi:StackReference", "example/layer_1/layer_1", id="example/layer_1/layer_1", outputs={"name": "example/layer_1/layer_1"}
    )
    monitoring = made.add("SprocketBot:Monitoring", "monitoring", custom=False)
    ids = {
        name: f"{name.replace('-', ''):x<25}"[:25]
        for name in ("monitoring-network-c8afa14", "influx-network-4b81452", "chatwoot-network-343a5a4")
    }
    made.network("monitoring-network", "monitoring-network-c8afa14", ids["monitoring-network-c8afa14"], parent=monitoring)
    made.network("influx-network", "influx-network-4b81452", ids["influx-network-4b81452"], parent=monitoring)
    made.network("chatwoot-network", "chatwoot-network-343a5a4", ids["chatwoot-network-343a5a4"])
    ingress = "traefik-ingress" if shape == 4 else "ingressnetworkofanotherst"

    def attached(*names: str) -> tuple[str, ...]:
        return (*(names if shape == 4 else (ids[name] for name in names)), ingress)

    for name, docker_name in (("influx-volume", "influx-volume-5275127"), ("loki-volume", "loki-volume-1a2b3c4"), ("layer2redis-volume", "layer2redis-volume-7cd681d"), ("gatus-internal-data", "gatus-internal-data-0f0e0d0")):  # fmt: skip
        options = {"type": "none", "o": "bind", "device": "/mnt/data"} if name.startswith(("influx", "loki")) else {}
        made.volume(name, docker_name, options)
    made.config(
        "grafana-datasources", "grafana-datasources-1191a9c", "apiVersion: 1\ndatasources:\n  - name: Loki\n    url: http://loki:3100\n"
    )
    made.config("fluent-config", "fluent-config-2f0a17f", "<source>\n  @type forward\n  port 24224\n</source>\n")
    made.config("fluent-startup-script", "fluent-startup-script-fbacb0d", "gem install fluent-plugin-grafana-loki\nexec fluentd\n")
    made.config("telegraf-config", "telegraf-config-9a8b7c6", ciphertext())
    made.config(
        "gatus-config",
        "gatus-config-5d4e3f2",
        f"alerting:\n  discord:\n    webhook-url: https://discord.com/api/webhooks/123456789012345678/{CANARY}{'Zq8Yt2Lm5Wx9' * 4}\n",
    )
    made.config("layer2redis-config", "layer2redis-config-fc84447", "# requirepass foobared\nmaxmemory 100mb\n")
    made.add("random:index/randomPassword:RandomPassword", "influx-password", id="none", outputs={"length": 64, "result": ciphertext()})
    postgres = made.add(
        "pulumi:providers:postgresql", "SprocketPostgres", id="p1", inputs={"host": "db.example.org", "password": ciphertext()}
    )
    made.add(
        "postgresql:index/role:Role",
        "Grafana",
        id="Grafana",
        provider=f"{postgres}::p1",
        inputs={"name": "Grafana", "login": True, "password": ciphertext()},
        outputs={},
    )
    made.add(
        "postgresql:index/database:Database",
        "grafana-db",
        id="grafana",
        provider=f"{postgres}::p1",
        inputs={"name": "grafana", "owner": "Grafana"},
        outputs={},
    )
    made.service("influx-service", "influx", "influxdb:2.1-alpine", labels=routed("influx", "influx.example.org", 8086, entrypoints="websecure"),
                 networks=attached("monitoring-network-c8afa14", "influx-network-4b81452"), parent=monitoring, dependencies=[base],
                 container={"env": ciphertext(), "mounts": [{"type": "volume", "source": "influx-volume-5275127", "target": "/var/lib/influxdb2"}]},
                 task={"placement": {"constraints": ["node.labels.role==storage"]}})  # fmt: skip
    made.service("loki-service", "loki", "grafana/loki:2.5.0", networks=attached("monitoring-network-c8afa14"), parent=monitoring)
    made.service("grafana-service", "grafana-service-36765a5", "grafana/grafana:main", labels=routed("grafana", "grafana.example.org", 3000),
                 networks=attached("monitoring-network-c8afa14"), container={"env": ciphertext()})  # fmt: skip
    made.service("replicated-telegraf-service", "replicated-telegraf-service-77aa88b", "telegraf:1.22", networks=attached("monitoring-network-c8afa14"),
                 container={"env": {"INFLUX_URL": "http://influx:8086", "INFLUX_TOKEN": ciphertext()}})  # fmt: skip
    made.service("layer2redis-redis-primary", "layer2redis-redis-primary-7af3fee", "redislabs/rejson:2.0.7", networks=attached("chatwoot-network-343a5a4"),
                 container={"args": ciphertext(), "mounts": [{"type": "volume", "source": "layer2redis-volume-7cd681d", "target": "/data"}]})  # fmt: skip
    made.service(
        "gatus-internal",
        "gatus-internal-c0ffee1",
        "twinproduction/gatus:v4.0.0",
        labels=routed("gatus", "status.example.org", 8080),
        networks=attached(),
    )
    made.service("fluent-service", "fluent-service-219cc48", "fluentd:latest", networks=attached("monitoring-network-c8afa14"), container={"user": "root", "commands": ["sh", "/startup.sh"]},
                 spec={"mode": {"global": True}, "endpointSpec": {"ports": [{"publishedPort": 24224, "targetPort": 24224, "protocol": "tcp", "publishMode": "host"}]}})  # fmt: skip
    made.service(
        "fluent-service",
        "fluent-service-f8e9998",
        "fluentd:latest",
        delete=True,
        networks=attached("monitoring-network-c8afa14"),
        spec={"mode": {"global": True}},
    )
    return made


def platform(shape: int = 4, dangling: int = 58, parents: int = 3) -> Deployment:
    """The platform stack, cut by hand: configs and networks, no service, entries that lead nowhere."""
    made = Deployment("platform", "prod", shape)
    gone = [made.urn("docker:index/secret:Secret", f"prod-secrets-{number}") for number in range(dangling)]
    component = made.urn("SprocketBot:Platform", "prod-gone")
    made.network("prod-net", "prod-net-b21817d", "prodnetxxxxxxxxxxxxxxxxxx")
    made.network("prod-legacy-net", "prod-legacy-net-a3e8f89", "prodlegacynetxxxxxxxxxxxx")
    for number in range(14):
        held = gone[number::14]
        parent = component if number < parents else made.root
        config = {
            "minio": {"endpoint": "files.example.org", "bucket": "replays"},
            "transport": {"url": "amqp://prod-datastores-rmq-service-1234abc:5672"},
        }
        made.config(
            PLATFORM_CONFIGS[number],
            f"{PLATFORM_CONFIGS[number]}-96454{number:02x}",
            json.dumps(config),
            parent=parent,
            dependencies=held,
        )
    for number in range(9):
        made.config(PLATFORM_CONFIGS[number], f"{PLATFORM_CONFIGS[number]}-00000{number:02x}", "{}", delete=True)
    for bucket in ("sprocket-main-1", "sprocket-image-gen-main-1", "sprocket-replays-main-1"):
        made.add(
            "minio:index/s3Bucket:S3Bucket",
            bucket,
            id=bucket,
            inputs={"bucket": bucket, "acl": "private"},
            outputs={"bucket": bucket, "acl": "private"},
        )
    return made


def layer_1_of_2022(secrets: int = 79) -> Deployment:
    """Layer 1 as exported with secrets shown: three services, Vault's mounts and policies, and secrets in plaintext."""
    made = Deployment("layer_1", "layer_1", 3)
    made.network("traefik-network", "traefik-ingress", "ingressnetworkofanotherst")
    made.network("traefik-socket-proxy-network", "traefik-socket-proxy-network-1a2b3c4", "socketproxynetworkxxxxxxx")
    made.volume("traefik-data", "traefik-data-9f8e7d6")
    made.config("traefik-config", "traefik-config-1c2d3e4", "entryPoints:\n  web:\n    address: ':80'\n")
    made.config(
        "vault-config",
        "vault-config-0a1b2c3",
        f'storage "s3" {{\n  access_key = "{KEY_ID}"\n  secret_key = "{CANARY}-in-a-config"\n  bucket = "vault-secrets"\n}}\n',
    )
    ports = [{"publishedPort": p, "targetPort": p, "protocol": "tcp", "publishMode": "host"} for p in (80, 443)]
    made.service("traefik", "traefik-ca76f1b", "traefik:v2.6.1", labels=routed("traefik-dashboard", "traefik.example.org", 9999, entrypoints="websecure"),
                 networks=("ingressnetworkofanotherst", "socketproxynetworkxxxxxxx"), container={"args": ["--configFile=/static.yaml"]}, spec={"endpointSpec": {"mode": "vip", "ports": ports}})  # fmt: skip
    made.service("vault-service", "vault", "vault:1.10.0", labels=routed("vault", "vault.example.org", 8200), networks=("ingressnetworkofanotherst",),
                 container={"env": plaintext({"VAULT_TOKEN": f"s.{CANARY}1234567890abcd", "VAULT_ADDR": "http://0.0.0.0:8200"}), "commands": ["vault", "server", "-config", "/vault.hcl"]})  # fmt: skip
    made.service("traefik-socket-proxy-service", "traefik-socket-sock-proxy", "tecnativa/docker-socket-proxy:latest", networks=("socketproxynetworkxxxxxxx",),
                 container={"env": {"CONTAINERS": "1"}, "mounts": [{"type": "bind", "source": "/var/run/docker.sock", "target": "/var/run/docker.sock", "readOnly": True}]})  # fmt: skip
    made.add(
        "vault:index/mount:Mount",
        "infrastructure",
        id="infrastructure",
        inputs={"path": "infrastructure", "type": "kv"},
        outputs={"path": "infrastructure", "type": "kv"},
    )
    made.add(
        "vault:index/policy:Policy",
        "infrastructure-read",
        id="infrastructure-read",
        inputs={"name": "infrastructure-read", "policy": 'path "x" {}'},
        outputs={},
    )
    made.add(
        "vault:generic/secret:Secret",
        "postgres-root",
        id="x",
        inputs={"path": "infrastructure/data/postgres/root", "dataJson": plaintext(json.dumps({"password": f"{CANARY}-root"}))},
        outputs={},
    )
    planted = json.dumps(made.resources).count('"plaintext"')
    for number in range(secrets - planted):
        made.add(
            "random:index/randomPassword:RandomPassword",
            f"generated-{number}",
            id="none",
            outputs={"length": 32, "result": plaintext(f"{CANARY}-generated-{number:04d}")},
        )
    return made
