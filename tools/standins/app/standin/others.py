"""Stand-ins for MinIO, OpenBao, Neo4j, n8n, Dgraph, the rating service and the template editor: right ports and health, settings checked."""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
from pathlib import Path

from standin import bus
from standin.postgres import PostgresError
from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import MissingSetting, Settings, fail, say

_STORE = "MC_HOST_store"  # mc spells it so: its alias, in its own letters
_PAGE = {"content-type": "text/html"}


def _file_or_env(name: str) -> str:
    file = os.environ.get(f"{name}_FILE", "")
    if file:
        try:
            return Path(file).read_text().strip()
        except OSError:
            fail(f"{name}_FILE names {file}, which cannot be read")
    return os.environ.get(name, "")


class Store:
    """The object store's stand-in: buckets, users and policies that `mc` made, kept in the volume. It stores no object."""

    def __init__(self, folder: Path, root: str, password: str) -> None:
        if len(password) < 8 or len(root) < 3:
            fail("MINIO_ROOT_USER is shorter than 3, or MINIO_ROOT_PASSWORD shorter than 8")
        self.file, self.root, self.password = folder / "standin.json", root, password
        self.known: dict[str, dict[str, str]] = {"buckets": {}, "users": {}, "policies": {}}
        if self.file.is_file():
            self.known = json.loads(self.file.read_text())

    def handle(self, ask: Ask) -> Answer:
        if ask.path in ("/minio/health/live", "/minio/health/ready"):
            return Answer(200)
        if ask.headers.get("x-standin-root") != f"{self.root}:{self.password}":
            return as_json({"code": "AccessDenied"}, 403)
        part, _, name = ask.path.strip("/").partition("/")
        if ask.method == "PUT" and part in self.known:
            is_new = name not in self.known[part]
            self.known[part][name] = ask.body.decode()
            self.file.write_text(json.dumps(self.known))
            return as_json({"new": is_new})
        return as_json({part: sorted(self.known[part]) for part in self.known})


def minio() -> None:
    """Run until told to stop."""
    store = Store(Path("/data"), os.environ.get("MINIO_ROOT_USER", ""), _file_or_env("MINIO_ROOT_PASSWORD"))
    until_told(make_server(("0.0.0.0", 9000), store.handle))


def mc(arguments: list[str]) -> int:
    """The calls that the bucket job and the health check make."""
    words = [word for word in arguments if word not in ("--quiet", "--ignore-existing")]
    if words[:2] == ["ready", "local"]:
        return 0 if _ask("127.0.0.1:9000", "GET", "/minio/health/live")[0] == 200 else 1
    found = re.fullmatch(r"http://([^:]+:[^@]+)@(.+)", os.environ.get(_STORE, ""))
    if not found:
        print("no alias store", file=sys.stderr)
        return 1
    root, address = found.groups()
    path, body = "/", ""
    if words[:1] == ["mb"]:
        path = f"/buckets/{words[1].partition('/')[2]}"
    elif words[:3] == ["anonymous", "set", "download"]:
        path, body = f"/buckets/{words[3].partition('/')[2]}", "download"
    elif words[:3] == ["admin", "user", "add"]:
        key, secret = sys.stdin.read().split()
        path, body = f"/users/{key}", "x" * len(secret)
    elif words[:3] == ["admin", "policy", "create"]:
        path, body = f"/policies/{words[4]}", Path(words[5]).read_text()
        json.loads(body)
    status, _ = _ask(address, "PUT" if path != "/" else "GET", path, body, {"x-standin-root": root})
    return 0 if status == 200 else 1


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
    until_told(make_server(("0.0.0.0", 7474), lambda _: as_json({"neo4j_version": "standin"})))


def n8n() -> None:
    """Run until told to stop."""
    if not _file_or_env("N8N_ENCRYPTION_KEY"):
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
