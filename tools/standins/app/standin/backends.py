"""core, the Discord bot, and the small services: what each needs to start, and what it answers."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from standin import bus, s3
from standin.postgres import Postgres, PostgresError
from standin.redis import Redis, RedisError
from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import MissingSetting, Settings, fail, say

PLACEHOLDER_TOKENS = frozenset({"local_dev_placeholder", "your_discord_bot_token_here"})
HEALTHY = {"status": "ok"}


def common(settings: Settings) -> None:
    """Settings every Node back end reads."""
    settings.value("LOGGER_LEVELS", "logger.levels")


def storage(settings: Settings, bucket: str = "") -> None:
    """Object storage: checked, not used at start."""
    if not settings.value("MINIO_ENDPOINT", "minio.endPoint"):
        raise MissingSetting("setting MINIO_ENDPOINT is empty")
    settings.number("MINIO_PORT", "minio.port", "9000")
    settings.value("MINIO_USE_SSL", "minio.useSSL", "false")
    for name in (bucket,) if bucket else ("replays", "image_generation"):
        settings.value(f"MINIO_{name.upper()}_BUCKET", f"minio.bucketNames.{name}")
    settings.secret("MINIO_ACCESS_KEY", "minio-access.txt")
    settings.secret("MINIO_SECRET_KEY", "minio-secret.txt")


class Objects:
    """One bucket, as a service with keys of its own sees it. The applications do not ask it at start; `/__standin/deps` does."""

    def __init__(self, settings: Settings, bucket: str) -> None:
        storage(settings)
        self.address = f"{settings.value('MINIO_ENDPOINT', 'minio.endPoint')}:{settings.number('MINIO_PORT', 'minio.port', '9000')}"
        self.bucket = settings.value(f"MINIO_{bucket.upper()}_BUCKET", f"minio.bucketNames.{bucket}")
        self.key = settings.secret("MINIO_ACCESS_KEY", "minio-access.txt")
        self.secret = settings.secret("MINIO_SECRET_KEY", "minio-secret.txt")

    def try_it(self) -> dict[str, object]:
        """Put, get and delete an object; then look whether a bucket of somebody else is closed."""
        path, body = f"/{self.bucket}/stand-in/probe {time.time_ns()}.txt", b"kept"
        found: dict[str, object] = {}
        for method in ("PUT", "GET", "DELETE"):
            status, answer = s3.request(self.address, self.key, self.secret, method, path, body=body if method == "PUT" else b"")
            found[method.lower()] = status
            if method == "GET":
                found["same"] = answer == body
        found["elsewhere"] = s3.request(self.address, self.key, self.secret, "PUT", "/another-bucket/object")[0]
        found["wrong key"] = s3.request(self.address, self.key, "x" * 40, "GET", path)[0]
        return found


def redis_connector(settings: Settings) -> Callable[[], Redis]:
    """Reads the cache settings now; the answer connects when called."""
    host, port = settings.value("REDIS_HOST", "redis.host"), settings.number("REDIS_PORT", "redis.port")
    settings.value("REDIS_PREFIX", "redis.prefix")
    password = settings.secret("REDIS_PASSWORD", "redis-password.txt")
    return lambda: Redis(host, port, password)


def start(settings: Settings, who: str, queue: str, read: Callable[[Settings], None]) -> tuple[Callable[[], Postgres], dict[str, str]]:
    """The part of a start that all back ends share: settings, database, tables of the bus, consumer."""
    try:
        common(settings)
        connect, queues = bus.connector(settings), bus.queue_names(settings)
        read(settings)
    except MissingSetting as error:
        fail(str(error))
    settings.report()
    try:
        database = bus.connect_patiently(connect)
        database.query(bus.TABLES)
        database.close()
    except PostgresError as error:
        fail(f"database: {error}")
    bus.Consumer(connect, queues[queue], who).start()
    return connect, queues


class Core:
    """The API."""

    name = "core"
    health: Mapping[str, Any] = HEALTHY

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.connect, self.queues = start(settings, self.name, "core", self.read)
        self.sign_in_to_redis()

    def read(self, settings: Settings) -> None:
        self.redis = redis_connector(settings)
        settings.value("CACHE_HOST", "cache.host")
        settings.number("CACHE_PORT", "cache.port")
        storage(settings)
        self.web_url = settings.value("WEB_URL", "web.url").rstrip("/")
        settings.value("WEB_API_ROOT", "web.api_root")
        self.callback = settings.value("DISCORD_CALLBACK_URL", "auth.discord.callbackUrl")
        settings.value("GOOGLE_CALLBACK_URL", "auth.google.callbackUrl")
        for name in ("JWT_EXPIRY", "ACCESS_EXPIRY", "REFRESH_EXPIRY", "FRONTEND_CALLBACK"):
            settings.value(name, f"auth.{name.lower()}")
        settings.value("GQL_PLAYGROUND", "gql.playground")
        settings.value("DEFAULT_ORGANIZATION_ID", "defaultOrganizationId")
        self.client_id = settings.secret("DISCORD_CLIENT_ID", "discord-client.txt")
        settings.secret("DISCORD_SECRET", "discord-secret.txt")
        settings.secret("JWT_SECRET", "jwtSecret.txt")
        settings.secret("GOOGLE_CLIENT_ID", "googleClientId.txt")
        settings.secret("GOOGLE_SECRET", "googleSecret.txt")
        extra = settings.environ.get("CORS_ALLOWED_ORIGINS", "")
        self.origins = {self.web_url, *(origin.strip().rstrip("/") for origin in extra.split(",") if origin.strip())}

    def sign_in_to_redis(self) -> None:
        try:
            cache = self.redis()
            cache.call("PING")
            cache.call("SELECT", "13")
            cache.close()
        except RedisError as error:
            fail(f"redis: {error}")

    def allowed(self, origin: str) -> bool:
        """The applications let through the web's origin, the extra ones, and any port of localhost itself."""
        return origin.rstrip("/") in self.origins or urlsplit(origin).hostname == "localhost"

    def cors(self, ask: Ask) -> dict[str, str]:
        origin = ask.headers.get("origin", "")
        if not origin or not self.allowed(origin):
            return {}
        return {"access-control-allow-origin": origin, "access-control-allow-credentials": "true", "vary": "Origin"}

    def handle(self, ask: Ask) -> Answer:
        headers = self.cors(ask)
        if ask.method == "OPTIONS":
            more = {"access-control-allow-methods": "GET,POST", "access-control-allow-headers": "content-type,authorization",
                    "access-control-max-age": "86400"} if headers else {}  # fmt: skip
            return Answer(204, b"", {**headers, **more})
        routes: dict[str, Callable[[Ask], Answer]] = {
            "/healthz": lambda _: as_json(self.health, 200, headers),
            "/graphql": lambda a: graphql(a, headers),
            "/login": lambda _: self.login(),
            "/refresh": lambda a: as_json({"message": "Unauthorized"}, 401, headers) if "authorization" not in a.headers else as_json({}),
            "/__standin/deps": lambda _: self.deps(),
            "/__standin/bus": self.over_the_bus,
        }
        route = routes.get(ask.path)
        return route(ask) if route else as_json({"statusCode": 404, "message": f"Cannot {ask.method} {ask.path}"}, 404, headers)

    def login(self) -> Answer:
        words = urlencode({"client_id": self.client_id, "redirect_uri": self.callback, "response_type": "code", "scope": "identify email"})
        return Answer(302, b"", {"location": f"https://discord.com/api/oauth2/authorize?{words}"})

    def deps(self) -> Answer:
        found: dict[str, str] = {}
        for name, call in (("postgres", self._ask_postgres), ("redis", self._ask_redis)):
            try:
                found[name] = call()
            except (PostgresError, RedisError) as error:
                found[name] = f"failed: {error}"
        return as_json(found)

    def _ask_postgres(self) -> str:
        database = self.connect()
        address = database.query("select inet_server_addr(), current_database()")[0]
        database.close()
        return f"ok {address[0]} {address[1]}"

    def _ask_redis(self) -> str:
        cache = self.redis()
        cache.call("SELECT", "13")
        cache.close()
        return "ok"

    def over_the_bus(self, ask: Ask) -> Answer:
        queue = self.queues.get(ask.query.get("queue", ""))
        if queue is None:
            return as_json({"error": f"no queue; one of {', '.join(self.queues)}"}, 400)
        database = self.connect()
        request = {"echo": time.time()}
        answer = bus.ask(database, queue, request)
        left = database.query("select count(*) from sprocket.platform_rpc_queue")[0][0]
        database.close()
        good = answer is not None and answer["response"] == request
        return as_json(
            {"queue": queue, "answered": good, "by": (answer or {}).get("answered_by"), "rows_left": int(left or 0)}, 200 if good else 504
        )


def graphql(ask: Ask, headers: dict[str, str]) -> Answer:
    """As the applications answer: a request without a query is a mistake, and of queries the stand-in knows one."""
    try:
        query = ask.query.get("query") or (json.loads(ask.body or b"{}").get("query") if ask.method == "POST" else "")
    except ValueError:
        query = ""
    if not query:
        return as_json({"errors": [{"message": "GraphQL operations must contain a non-empty `query`."}]}, 400, headers)
    if "__typename" in query:
        return as_json({"data": {"__typename": "Query"}}, 200, headers)
    return as_json({"errors": [{"message": "the stand-in knows __typename only"}]}, 200, headers)


class Monolith(Core):
    """All seven back ends in one process: the union of their settings, a consumer for each of their queues, one health."""

    name = "monolith"
    services = ("core", "bot", "matchmaking", "notification", "submission", "analytics", "image_generation")
    health: Mapping[str, Any] = {**HEALTHY, "runtime": "monolith", "services": list(services)}

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        for service in self.services[1:]:
            bus.Consumer(self.connect, self.queues[service], f"monolith/{service}").start()
        _try_json(self.redis, settings.value("REDIS_PREFIX", "redis.prefix"))
        say_login(self.token)

    def read(self, settings: Settings) -> None:
        super().read(settings)
        self.token = bot_token(settings)
        self.influx = Influx(settings)

    def deps(self) -> Answer:
        found = json.loads(super().deps().body)
        return as_json({**found, "influx": self.influx.write()})


def core() -> None:
    """Run the API until told to stop."""
    role = Core(Settings())
    until_told(make_server(("0.0.0.0", 3001), role.handle))


def bot() -> None:
    """Run the Discord bot until told to stop. Discord is never contacted."""
    settings = Settings()
    token: list[str] = []

    def read(settings: Settings) -> None:
        storage(settings)
        token.append(bot_token(settings))

    start(settings, "bot", "bot", read)
    say_login(token[0])
    until_told()


def monolith() -> None:
    """Run the seven back ends until told to stop."""
    role = Monolith(Settings())
    until_told(make_server(("0.0.0.0", 3001), role.handle))


def bot_token(settings: Settings) -> str:
    """What the bot reads beside the rest; its token."""
    settings.value("BOT_PREFIX", "bot.prefix")
    return settings.secret("DISCORD_BOT_TOKEN", "bot-token.txt")


def say_login(token: str) -> None:
    """Discord is never contacted; a placeholder token says so in the applications' own words."""
    say("skipped login: the token is a placeholder" if token in PLACEHOLDER_TOKENS else "login not attempted: this is a stand-in")


class Influx:
    """Where analytics sends its points."""

    def __init__(self, settings: Settings) -> None:
        self.address = settings.value("INFLUX_ADDRESS", "influx.address", "")
        if urlsplit(self.address).scheme not in ("http", "https"):
            raise MissingSetting("setting INFLUX_ADDRESS is no http address")
        self.org = settings.value("INFLUX_ORG", "influx.org", "sprocket")
        self.bucket = settings.value("INFLUX_BUCKET", "influx.bucket", "sprocket")
        self.token = settings.secret("INFLUX_TOKEN", "influx-token")

    def write(self) -> str:
        """Write one point; what the server said."""
        words = urlencode({"org": self.org, "bucket": self.bucket})
        request = urllib.request.Request(
            f"{self.address.rstrip('/')}/api/v2/write?{words}",
            data=b"standin value=1",
            headers={"authorization": f"Token {self.token}"},
            method="POST",
        )
        try:
            with urllib.request.urlopen(request, timeout=5) as answer:
                return f"ok {answer.status}"
        except OSError as error:
            return f"failed: {error}"


SERVICES: dict[str, tuple[int, str]] = {
    "matchmaking-service": (3010, "matchmaking"),
    "notification-service": (3011, "notification"),
    "submission-service": (3012, "submission"),
    "server-analytics-service": (3013, "analytics"),
    "image-generation-service": (3014, "image_generation"),
}


def small_service(name: str) -> None:
    """Run one of the small services until told to stop."""
    settings = Settings()
    port, queue = SERVICES[name]
    parts: dict[str, Any] = {}

    def read(settings: Settings) -> None:
        if name == "notification-service":
            parts["redis"] = redis_connector(settings)
            settings.value("WEB_URL", "web.url")
        if name in ("submission-service", "image-generation-service"):
            parts["storage"] = Objects(settings, "replays" if name == "submission-service" else "image_generation")
        if name == "server-analytics-service":
            parts["influx"] = Influx(settings)

    start(settings, name, queue, read)
    if "redis" in parts:
        _try_json(parts["redis"], settings.value("REDIS_PREFIX", "redis.prefix"))
    if "influx" in parts:
        threading.Thread(target=_flush, args=(parts["influx"],), daemon=True).start()

    def handle(ask: Ask) -> Answer:
        if ask.path == "/healthz":
            return as_json(HEALTHY)
        if ask.path == "/__standin/deps":
            found = {"influx": parts["influx"].write()} if "influx" in parts else {}
            return as_json({**found, "storage": parts["storage"].try_it()} if "storage" in parts else found)
        return as_json({"statusCode": 404}, 404)

    until_told(make_server(("0.0.0.0", port), handle))


def _flush(influx: Influx) -> None:
    """As the real one: errors are logged, never fatal."""
    said = ""
    while True:
        answer = influx.write()
        if answer != said:
            say(f"influx: {answer}")
            said = answer
        time.sleep(10 if answer.startswith("ok") else 2)


def _try_json(connect: Callable[[], Redis], prefix: str) -> None:
    try:
        cache = connect()
        key = f"{prefix}:standin:json"
        cache.call("JSON.SET", key, "$", '{"a":1}')
        cache.call("DEL", key)
        cache.close()
    except RedisError as error:
        say(f"warning: storing notifications will fail: {error}")
