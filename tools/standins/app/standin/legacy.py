"""The ten applications of the older layout: one file of settings each, files of secrets, the broker, Redis, and for core a row in Postgres."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

from standin.amqp import Amqp, AmqpError
from standin.backends import HEALTHY, graphql
from standin.postgres import Postgres, PostgresError
from standin.redis import Redis, RedisError
from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import MissingSetting, fail, say

_T = TypeVar("_T")
SECRETS = Path("/app/secret")
TRIES, PAUSE_S = 10, 3.0  # what the broker and Redis are given, before Swarm starts the application again
_QUEUES = tuple(
    f"transport.{name}_queue"
    for name in ("matchmaking", "core", "bot", "analytics", "events", "celery", "image_generation", "submission", "notification")
)
_BROKER = ("transport.url", *_QUEUES)
_LOGGER = ("logger.levels",)
_STORAGE = ("minio.endPoint", "minio.port", "minio.useSSL", "minio.bucketNames.replays", "minio.bucketNames.image_generation")
_KEYS = ("minio-secret.txt", "minio-access.txt")
_REDIS = ("redis.host", "redis.port", "redis.prefix")
_REDIS_KEY = ("redis-password.txt",)
_DATABASE = ("db.host", "db.port", "db.username", "db.database")
_LOGIN = tuple(f"auth.{name}.callbackUrl" for name in ("google", "discord", "epic", "steam"))


@dataclass(frozen=True)
class Role:
    """What one application reads before it does anything.

    Attributes:
        keys: paths in its file of settings.
        secrets: files under /app/secret.
        queue: path of its queue's name.
        variables: of the environment.
        port: where it answers HTTP; 0 for nowhere.
    """

    keys: tuple[str, ...]
    secrets: tuple[str, ...]
    queue: str = ""
    variables: tuple[str, ...] = ()
    file: str = "/app/config/production.json"
    port: int = 0


ROLES = {
    "web": Role(
        ("client.gqlUrl", "client.secure", "client.chatwoot.enabled", "client.stack"), ("chatwoot-hmac-key.txt",),
        file="/app/clients/web/config/production.json", port=3000,
    ),
    "core": Role(
        (*_BROKER, *_LOGGER, *_STORAGE, *_REDIS, *_DATABASE, *_LOGIN, "web.url", "auth.frontend_callback", "defaultOrganizationId"),
        ("db-password.txt", "jwtSecret.txt", *_KEYS, "googleClientId.txt", "googleSecret.txt", "discord-client.txt", "discord-secret.txt",
         "epic-client.txt", "epic-secret.txt", "steam-key.txt", *_REDIS_KEY),
        "transport.core_queue", ("CACHE_HOST", "CACHE_PORT"), port=3001,
    ),
    "discord-bot": Role((*_BROKER, *_LOGGER, *_STORAGE, "bot.prefix", "gql.url"), ("bot-token.txt", *_KEYS), "transport.bot_queue"),
    "image-generation-service": Role(
        (*_BROKER, *_LOGGER, *_STORAGE, *_DATABASE), ("db-secret.txt", *_KEYS), "transport.image_generation_queue"
    ),
    "notification-service": Role((*_BROKER, *_LOGGER, *_STORAGE, *_REDIS, "web.url"), _REDIS_KEY, "transport.notification_queue"),
    "server-analytics-service": Role(
        (*_BROKER, *_LOGGER, "influx.address", "influx.org", "influx.bucket"), ("influx-token",), "transport.analytics_queue"
    ),
    "matchmaking-service": Role((*_BROKER, *_LOGGER, *_REDIS), _REDIS_KEY, "transport.matchmaking_queue"),
    "replay-parse-service": Role(
        (*_BROKER, "celery.broker", "celery.backend", "celery.queue", "minio.hostname", "minio.bucket", "minio.secretKey", "tempDir"),
        ("minio-secret.txt", "ballchasing-token", *_REDIS_KEY), "celery.queue", ("ENV",),
    ),
    "elo-service": Role((), ("dgraph-api-key.txt", *_REDIS_KEY), variables=("REDIS_HOST", "REDIS_PORT", "DGRAPH_DATABASE_URL")),
    "submission-service": Role((*_BROKER, *_LOGGER, *_STORAGE, *_REDIS), (*_KEYS, *_REDIS_KEY), "transport.submission_queue"),
}  # fmt: skip


class Read:
    """An application's settings: every one is looked for at the start, and the first that is missing is named."""

    def __init__(self, role: Role, secrets: Path = SECRETS, file: Path | None = None) -> None:
        path = file or Path(role.file)
        try:
            self.data = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise MissingSetting(f"{path} cannot be read: {error}") from None
        for name in role.variables:
            if not os.environ.get(name):
                raise MissingSetting(f"missing variable {name}")
        for key in role.keys:
            if self.at(key) is None:
                raise MissingSetting(f"missing setting {key} in {path}")
        self.secrets = {name: _text(secrets / name) for name in role.secrets}

    def at(self, path: str) -> Any:
        """A value; None when it is not there."""
        found = self.data
        for part in path.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return found

    def redis(self) -> tuple[str, int] | None:
        """Where Redis is, by whichever of its ways the application is told."""
        backend = urlsplit(self.at("celery.backend") or "")
        host = self.at("redis.host") or backend.hostname or os.environ.get("REDIS_HOST")
        if not host or "redis-password.txt" not in self.secrets:
            return None
        return str(host), int(self.at("redis.port") or backend.port or os.environ.get("REDIS_PORT", "6379"))


def _text(path: Path) -> str:
    try:
        found = path.read_text().strip()
    except OSError:
        found = ""
    if not found:
        raise MissingSetting(f"missing secret file {path}, or it is empty")
    return found


def main(arguments: list[str]) -> int:
    """Run one application until told to stop."""
    name = arguments[0] if arguments else ""
    if name not in ROLES:
        fail(f"{name!r} is none of {', '.join(ROLES)}")
    role = ROLES[name]
    try:
        settings = Read(role)
    except MissingSetting as error:
        fail(str(error))
    redis = settings.redis()
    if redis:
        _patiently("redis", lambda: Redis(*redis, settings.secrets["redis-password.txt"]).close())
    if role.queue:
        url = str(settings.at("transport.url"))
        threading.Thread(target=_stay, args=(_patiently("broker", lambda: Amqp(url)), url, settings.at(role.queue)), daemon=True).start()
    if name == "core":
        threading.Thread(target=_keep_a_row, args=(settings,), daemon=True).start()
    say(f"{name} is ready")
    until_told(make_server(("0.0.0.0", role.port), _answer if name == "core" else _page) if role.port else None)
    return 0


def _patiently(what: str, call: Callable[[], _T]) -> _T:
    """Try as the applications do; the estate starts everything at once."""
    for number in range(1, TRIES + 1):
        try:
            return call()
        except (AmqpError, RedisError) as error:
            say(f"{what}: try {number} of {TRIES}: {error}")
            time.sleep(PAUSE_S)
    raise SystemExit(f"cannot start: {what} given up")


def _stay(broker: Amqp, url: str, queue: str) -> None:
    """Keep the queue declared and the connection open; a broker that comes back is signed in to again."""
    while True:
        try:
            say(f"queue {queue} is there, with {broker.declare(queue)} messages")
            broker.stay()
        except (AmqpError, OSError) as error:
            say(f"broker: {error}")
        broker.close()
        while True:
            time.sleep(PAUSE_S)
            try:
                broker = Amqp(url)
                break
            except AmqpError as error:
                say(f"broker: {error}")


def _keep_a_row(settings: Read) -> None:
    """Core's start, in a row of its own; a database that cannot be reached is said, and tried again."""
    host, port = str(settings.at("db.host")), int(settings.at("db.port"))
    while True:
        try:
            database = Postgres(
                host, port, settings.at("db.username"), settings.secrets["db-password.txt"], settings.at("db.database"), is_tls_asked=True
            )
            database.query(
                "create schema if not exists sprocket; "
                "create table if not exists sprocket.standin_start (id int primary key, starts int not null, at timestamptz not null); "
                "insert into sprocket.standin_start values (1, 1, now()) "
                "on conflict (id) do update set starts = sprocket.standin_start.starts + 1, at = now()"
            )
            database.close()
            return say("database: a row is kept")
        except PostgresError as error:
            say(f"database: {error}")
            time.sleep(PAUSE_S)


def _answer(ask: Ask) -> Answer:
    if ask.path == "/graphql":
        return graphql(ask, {})
    return as_json(HEALTHY) if ask.path == "/healthz" else as_json({"statusCode": 404, "message": f"Cannot {ask.method} {ask.path}"}, 404)


def _page(_: Ask) -> Answer:
    return Answer(200, b"<!doctype html><title>Sprocket (stand-in)</title><p>Sprocket (stand-in)", {"content-type": "text/html"})
