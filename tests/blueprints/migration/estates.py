"""A legacy estate of twenty-two services as rows of a ledger, with everything around them."""

from __future__ import annotations

from blueprints.compose import read_stack
from blueprints.estate.model import Estate, Item, Origin
from blueprints.migration.model import Row

DATA = ("traefik", "vault", "docker-socket-proxy", "redis", "rabbitmq", "influxdb", "grafana", "neo4j", "n8n", "gatus", "loki", "telegraf")
PLATFORM = (
    "web", "api", "discord-bot", "image-generation", "notification", "server-analytics", "matchmaking", "replay-parse", "elo", "submission",
)  # fmt: skip
SECRETS = (
    "db-password",
    "jwt-secret",
    "s3-secret",
    "s3-access",
    "discord-client-id",
    "discord-secret",
    "discord-token",
    "redis-password",
    "steam-api-key",
)
SOURCE = """
database: {host: db.example.org, port: 25060, name: sprocket_main, user: sprocket_main}
storage: {host: spaces.example.org, replays_bucket: old-replays, images_bucket: old-images}
cache_has_password: true
"""


def estate(*more: Row) -> tuple[Row, ...]:
    """All of it; a Redis with a limit, so that memory is seen."""
    services = [Row("service", f"prod-{role}", role, memory_mib=256 if role == "redis" else 0) for role in (*DATA, *PLATFORM)]
    secrets = [Row("secret", f"prod-secrets-{name}", value_unknown=True) for name in SECRETS]
    networks = [Row("network", name) for name in ("traefik-ingress", "socket-proxy", "vault", "monitoring", "platform")]
    volumes = [Row("volume", f"volume-{number}") for number in range(15)]
    configs = [Row("config", f"config-{number}", value_unknown=True) for number in range(22)]
    vault = [Row("vault", f"platform/main/{number}") for number in range(22)]
    buckets = [Row("bucket", name) for name in ("old-replays", "old-images", "vault-secrets")]
    routes = [Row("route", "web", "web", hosts=("league.example.org",)), Row("route", "api", "api", hosts=("api.league.example.org",))]
    outside = [Row("database", "sprocket_main"), Row("external", "Doppler")]
    return (*services, *networks, *volumes, *configs, *secrets, *vault, *buckets, *routes, *outside, *more)


def imported_estate() -> Estate:
    """The same as an import reads it, before anybody recognised or decided anything."""
    rows = estate()
    text = "services:\n" + "".join(_service(row) for row in rows if row.kind == "service")
    services = {args.name: args for args in read_stack(text, "old", is_estate=True).services.values()}
    items = []
    for row in rows:
        facts = {"component": f"legacy-{row.role}"} if row.kind == "service" else {"hosts": list(row.hosts)} if row.hosts else {}
        items.append(Item(row.kind, row.name, Origin("compose", "estate.yml", row.name), service=services.get(row.name), facts=facts))
    counts: dict[str, int] = {}
    for item in items:
        counts[item.kind] = counts.get(item.kind, 0) + 1
    return Estate(tuple(items), ("estate.yml",), {"estate.yml": counts})


def _service(row: Row) -> str:
    limit = f"      resources: {{limits: {{memory: {row.memory_mib}M}}}}\n" if row.memory_mib else ""
    return f"  {row.name}:\n    image: example.org/{row.role}:1\n    x-sprocket: {{name: {row.name}}}\n    deploy:\n      replicas: {row.replicas}\n{limit}"
