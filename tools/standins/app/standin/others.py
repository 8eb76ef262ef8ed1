"""Stand-ins for Neo4j, n8n, Dgraph, the rating service and the template editor: right ports and health, settings checked."""

from __future__ import annotations

import http.client
import json
import os
import threading
from pathlib import Path

from standin import bus
from standin.postgres import PostgresError
from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import MissingSetting, Settings, fail, from_env_or_file, say

_PAGE = {"content-type": "text/html"}


def _ask(address: str, method: str, path: str, body: str = "", headers: dict[str, str] | None = None) -> tuple[int, bytes]:
    try:
        connection = http.client.HTTPConnection(address, timeout=4)
        connection.request(method, path, body.encode(), headers or {})
        answer = connection.getresponse()
        return answer.status, answer.read()
    except OSError:
        return 0, b""


def neo4j() -> None:
    """Run until told to stop."""
    user, _, password = os.environ.get("NEO4J_AUTH", "").partition("/")
    if user != "neo4j" or len(password) < 8:
        fail("NEO4J_AUTH is not neo4j/<at least 8 characters>")
    pages, bolt = (make_server(("0.0.0.0", port), lambda _: as_json({"neo4j_version": "standin"})) for port in (7474, 7687))
    threading.Thread(target=bolt.serve_forever, daemon=True).start()  # the real one answers HTTP there too, and says what it is
    until_told(pages)


def n8n() -> None:
    """Run until told to stop."""
    if not from_env_or_file("N8N_ENCRYPTION_KEY"):
        fail("missing setting N8N_ENCRYPTION_KEY")
    if not os.environ.get("WEBHOOK_URL", "").startswith("http"):
        fail("WEBHOOK_URL is no http address")

    def handle(ask: Ask) -> Answer:
        return as_json({"status": "ok"}) if ask.path == "/healthz" else Answer(200, b"<!doctype html><title>n8n (stand-in)</title>", _PAGE)

    until_told(make_server(("0.0.0.0", int(os.environ.get("N8N_PORT", "5678"))), handle))


def dgraph(arguments: list[str]) -> None:
    """Run a coordinator (zero) or a graph store (alpha) until told to stop."""
    kind = arguments[0] if arguments else ""
    if kind == "alpha":
        zero = next((word.partition("=")[2] for word in arguments if word.startswith("--zero=")), "")
        host = zero.partition(":")[0]
        if not host or _ask(f"{host}:6080", "GET", "/health")[0] != 200:
            fail(f"cannot reach the coordinator {zero or '(no --zero)'}")
    elif kind != "zero":
        fail("dgraph zero, or dgraph alpha")
    until_told(make_server(("0.0.0.0", 6080 if kind == "zero" else 8080), lambda _: as_json([{"status": "healthy"}])))


def elo() -> None:
    """Run until told to stop: takes jobs off its queue, says nothing on any port."""
    settings = Settings()
    try:
        connect = bus.connector(settings)
        graph = settings.value("DGRAPH_DATABASE_URL")
        settings.secret("REDIS_PASSWORD", "redis-password.txt")
    except MissingSetting as error:
        fail(str(error))
    settings.report()
    if _ask(f"{graph.partition(':')[0]}:8080", "GET", "/health")[0] != 200:
        fail(f"cannot reach the graph store {graph}")
    try:
        bus.connect_patiently(connect).close()
    except PostgresError as error:
        fail(f"database: {error}")
    say("ready")
    until_told()


def editor() -> None:
    """The template editor: its file has to be complete; it answers one page."""
    try:
        config = json.loads(Path("/app/src/config.json").read_text())
        for part, keys in {
            "minio": ("endpoint", "port", "ssl", "bucket"),
            "knex": ("host", "port", "user", "database"),
            "transport": ("queue",),
        }.items():
            for key in keys:
                if key not in config[part]:
                    fail(f"missing setting {part}.{key} in config.json")
    except (OSError, KeyError, ValueError) as error:
        fail(f"config.json: {error}")
    settings = Settings()
    try:
        settings.secret("DB_PASSWORD", "db-secret.txt")
        settings.secret("MINIO_ACCESS_KEY", "minio-access.txt")
        settings.secret("MINIO_SECRET_KEY", "minio-secret.txt")
    except MissingSetting as error:
        fail(str(error))
    page = b"<!doctype html><title>Template editor (stand-in)</title><p>Template editor (stand-in)"
    until_told(make_server(("0.0.0.0", int(os.environ.get("PORT", "3000"))), lambda _: Answer(200, page, _PAGE)))
