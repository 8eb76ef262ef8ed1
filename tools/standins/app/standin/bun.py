"""The generation on Bun: one image started as core, web or discord, its migrations, and the one form of `bun -e` that health checks use."""

from __future__ import annotations

import json
import sys
import time
import urllib.request
from collections.abc import Callable
from typing import Any

from standin import bus
from standin.backends import PLACEHOLDER_TOKENS
from standin.node import probe
from standin.postgres import Postgres, PostgresError
from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import MissingSetting, Settings, fail, say

PORT = 3000
TABLES = """
create table public.migrations (id serial primary key, name text not null);
create table public.event_queue (id bigserial primary key, target text not null, payload jsonb, state text not null default 'new')
"""
PAGE = (
    b"<!doctype html><html lang=en><head><meta charset=utf-8><title>Sprocket (stand-in)</title></head><body><h1>Sprocket</h1></body></html>"
)


def _secret(settings: Settings, name: str) -> str:
    """By environment only; an empty one counts as absent."""
    text = settings.environ.get(name, "")
    if not text:
        raise MissingSetting(f"missing secret {name}")
    settings.sources[name] = "env"
    return text


def _yes_no(settings: Settings, name: str) -> bool:
    text = settings.value(name)
    if text not in ("true", "false"):
        raise MissingSetting(f"setting {name} is neither true nor false")
    return text == "true"


def _database(settings: Settings, prefix: str, user: str, password: str, name: str) -> Callable[[], Postgres]:
    host, port = settings.value(f"{prefix}_HOST"), settings.number(f"{prefix}_PORT")
    given = settings.value(f"{prefix}_{user}"), _secret(settings, f"{prefix}_{password}"), settings.value(f"{prefix}_{name}")
    return lambda: Postgres(host, port, *given)


class Core:
    """The API."""

    def __init__(self, settings: Settings) -> None:
        self.connect = _database(settings, "PG", "USER", "PASS", "DATABASE")
        settings.value("PG_CACHE")
        scheme, port = "https" if _yes_no(settings, "SSL") else "http", settings.number("LISTEN_PORT")
        usual = 443 if scheme == "https" else 80
        self.origin = f"{scheme}://{settings.value('BASE_URL')}" + ("" if port == usual else f":{port}")
        for name in ("CORE_URL", "PROD", "SERVICE_NAME", "LOG_LEVEL", "AUTH_JWT_EXPIRY"):
            settings.value(name)
        for name in ("AUTH_JWT_SECRET", "AUTH_DISCORD_CLIENT_ID", "AUTH_DISCORD_SECRET"):
            _secret(settings, name)
        self.providers = {"discord", *(["steam"] if settings.environ.get("AUTH_STEAM_API_KEY") else [])}

    def handle(self, ask: Ask) -> Answer:
        origin = ask.headers.get("origin", "")
        headers = {"access-control-allow-origin": origin, "vary": "Origin"} if origin == self.origin else {}
        if ask.method == "OPTIONS":
            return Answer(204, b"", headers)
        if ask.path == "/health":
            return self.health()
        if ask.path == "/graphql" and ask.method == "POST":
            good = "__typename" in str(json.loads(ask.body or b"{}").get("query"))
            return as_json({"data": {"__typename": "Query"}} if good else {"errors": [{"message": "only __typename"}]}, 200, headers)
        if ask.path.startswith("/oauth/callback/"):
            return as_json({"message": "no code"}, 400) if ask.path.rpartition("/")[2] in self.providers else Answer(404)
        return Answer(404)

    def health(self) -> Answer:
        """Unlike the generation before, it asks the database each time."""
        try:
            database = self.connect()
            database.query("select 1")
            database.close()
        except PostgresError as error:
            return as_json({"status": "error", "error": {"database": {"status": "down", "message": str(error)}}}, 503)
        return as_json({"status": "ok", "info": {"database": {"status": "up"}}})


class Web:
    """The site."""

    def __init__(self, settings: Settings) -> None:
        self.addresses = {side: self._address(settings, side) for side in ("PUBLIC", "PRIVATE")}

    def _address(self, settings: Settings, side: str) -> str:
        secure, port = _yes_no(settings, f"{side}_API_SECURE"), settings.number(f"{side}_API_PORT")
        return f"{'https' if secure else 'http'}://{settings.value(f'{side}_API_URL')}:{port}"

    def handle(self, ask: Ask) -> Answer:
        if ask.path == "/":
            return Answer(200, PAGE, {"content-type": "text/html; charset=utf-8"})
        if ask.path == "/__standin/api":
            return self.ask_api()
        return Answer(404)

    def ask_api(self) -> Answer:
        """As a server-side call does: the API inside the deployment."""
        asked = f"{self.addresses['PRIVATE']}/health"
        try:
            with urllib.request.urlopen(asked, timeout=5) as answer:
                return as_json({"asked": asked, "status": answer.status})
        except OSError as error:
            return as_json({"asked": asked, "error": str(error)}, 502)


def core() -> None:
    """Run the API until told to stop."""
    role: Any = _started(Core)
    _prepared(role.connect)
    until_told(make_server(("0.0.0.0", PORT), role.handle))


def web() -> None:
    """Run the site until told to stop."""
    until_told(make_server(("0.0.0.0", PORT), _started(Web).handle))


def discord() -> None:
    """Run the bot until told to stop: it marks the notifications as sent, and never contacts Discord."""
    settings = Settings()
    try:
        connect = _database(settings, "DB", "USER", "PASSWORD", "NAME")
        token = _secret(settings, "AUTH_DISCORD_BOT_TOKEN")
    except MissingSetting as error:
        fail(str(error))
    settings.report()
    _prepared(connect)
    say("skipped login: the token is a placeholder" if token in PLACEHOLDER_TOKENS else "login not attempted: this is a stand-in")
    _Events(connect, "event_queue", "discord").start()
    until_told()


class _Events(bus.Consumer):
    """Takes what is meant for people out of the queue of events."""

    def _answer_one(self, database: Postgres) -> None:
        database.query(
            "update public.event_queue set state = 'done' where id = (select id from public.event_queue "
            "where target = 'NOTIFICATIONS' and state = 'new' order by id for update skip locked limit 1)"
        )
        time.sleep(0.2)


def migrate() -> None:
    """Prepare an empty database; a second run does nothing. It takes the role that is named like the database."""
    settings = Settings()
    try:
        connect, role = _database(settings, "PG", "USER", "PASS", "DATABASE"), settings.value("PG_DATABASE")
    except MissingSetting as error:
        fail(str(error))
    settings.report()
    try:
        database = bus.connect_patiently(connect)
        database.query(f'set role "{role}"')
        if database.query("select to_regclass('public.event_queue') is null")[0][0] == "t":
            database.query(f"begin; {TABLES}; insert into public.migrations (name) values ('standin-bun'); commit")
            say("migrations: done")
        else:
            say("migrations: nothing to do")
    except PostgresError as error:
        fail(f"migrations: {error}")


def _started(role: Callable[[Settings], Any]) -> Any:
    settings = Settings()
    try:
        made = role(settings)
    except MissingSetting as error:
        fail(str(error))
    settings.report()
    return made


def _prepared(connect: Callable[[], Postgres]) -> None:
    """The migrations have to come first."""
    try:
        database = bus.connect_patiently(connect)
        missing = database.query("select to_regclass('public.event_queue') is null")[0][0] == "t"
        database.close()
    except PostgresError as error:
        fail(f"database: {error}")
    if missing:
        fail("relation event_queue does not exist: run the migrations first")


ROLES = {"core": core, "web": web, "discord": discord}


def entrypoint(arguments: list[str]) -> int:
    """What the image's start script does."""
    if len(arguments) == 2 and arguments[0] == "exec" and arguments[1] in ROLES:
        ROLES[arguments[1]]()
        return 0
    print(f"the stand-in's start script knows `exec` with one of {', '.join(ROLES)}", file=sys.stderr)
    return 2


def bun(arguments: list[str]) -> int:
    """The `bun` on PATH."""
    if arguments[:1] == ["-e"] and len(arguments) == 2:
        return probe(arguments[1])
    if arguments == ["/app/core/src/datasource.ts", "up"]:
        migrate()
        return 0
    print(f"the stand-in's bun does not know {arguments}", file=sys.stderr)
    return 2
