"""The bus: rows in Postgres. Every process makes the missing tables, polls its queue every 250 ms and answers with an echo."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from standin.postgres import Postgres, PostgresError, literal
from standin.settings import Settings, say

TABLES = """
select pg_advisory_lock(771100);
create schema if not exists sprocket;
create table if not exists sprocket.platform_rpc_queue (
    id bigserial primary key, queue text not null, pattern text not null, request jsonb, response jsonb,
    state text not null default 'new', answered_by text, created_at timestamptz not null default now());
create table if not exists sprocket.platform_event (
    id bigserial primary key, topic text not null, payload jsonb, created_at timestamptz not null default now());
create table if not exists sprocket.platform_task_queue (
    id bigserial primary key, request jsonb, result jsonb, state text not null default 'new');
create table if not exists sprocket.platform_task_progress (
    id bigserial primary key, task_id bigint, message text, created_at timestamptz not null default now());
select pg_advisory_unlock(771100)
"""
QUEUES = ("core", "bot", "analytics", "matchmaking", "notification", "events", "image_generation", "submission")
_DEFAULTS = {"notification": "notifications", "image_generation": None, "submission": None}


def queue_names(settings: Settings) -> dict[str, str]:
    """Every queue's name: the applications read all of them at start, whatever they use."""
    return {
        queue: settings.value(f"TRANSPORT_{queue.upper()}_QUEUE", f"transport.{queue}_queue", _DEFAULTS.get(queue, queue))
        for queue in QUEUES
    }


def connector(settings: Settings, prefix: str = "POSTGRES") -> Callable[[], Postgres]:
    """Reads the database settings now; the answer connects when called."""
    host = settings.value(f"{prefix}_HOST", "db.host")
    port = settings.number(f"{prefix}_PORT", "db.port")
    user = settings.value(f"{prefix}_USERNAME", "db.username")
    name = settings.value(f"{prefix}_DATABASE", "db.database")
    password = settings.secret(f"{prefix}_PASSWORD", "db-password.txt")
    return lambda: Postgres(host, port, user, password, name)


def connect_patiently(connect: Callable[[], Postgres], tries: int = 10, pause_s: float = 3.0) -> Postgres:
    """Connect as the applications do: ten tries, three seconds apart."""
    for number in range(1, tries + 1):
        try:
            return connect()
        except PostgresError as error:
            say(f"database: try {number} of {tries}: {error}")
            if number == tries:
                raise
            time.sleep(pause_s)
    raise PostgresError("never")


class Consumer(threading.Thread):
    """Answers requests of one queue."""

    def __init__(self, connect: Callable[[], Postgres], queue: str, name: str) -> None:
        super().__init__(daemon=True)
        self.connect, self.queue, self.who = connect, queue, name
        self.ended = threading.Event()

    def run(self) -> None:
        database: Postgres | None = None
        while not self.ended.wait(0.25):
            try:
                database = database or self.connect()
                self._answer_one(database)
            except (PostgresError, OSError) as error:
                say(f"bus: {error}")
                database = None
                self.ended.wait(2)

    def _answer_one(self, database: Postgres) -> None:
        database.query(
            "update sprocket.platform_rpc_queue set response = request, state = 'done', "
            f"answered_by = {literal(self.who)} where id = (select id from sprocket.platform_rpc_queue "
            f"where queue = {literal(self.queue)} and state = 'new' order by id for update skip locked limit 1)"
        )


def ask(database: Postgres, queue: str, request: dict[str, Any], timeout_s: float = 5.0) -> dict[str, Any] | None:
    """Put a request into a queue, wait for the answer, remove the row. None when nobody answered."""
    text = literal(json.dumps(request))
    rows = database.query(
        f"insert into sprocket.platform_rpc_queue (queue, pattern, request) values ({literal(queue)}, 'echo', {text}) returning id"
    )
    row_id = int(str(rows[0][0]))
    limit = time.monotonic() + timeout_s
    answer: dict[str, Any] | None = None
    while time.monotonic() < limit and answer is None:
        found = database.query(f"select response, answered_by from sprocket.platform_rpc_queue where id = {row_id} and state = 'done'")
        if found:
            answer = {"response": json.loads(found[0][0] or "null"), "answered_by": found[0][1]}
        else:
            time.sleep(0.05)
    database.query(f"delete from sprocket.platform_rpc_queue where id = {row_id}")
    return answer
