"""Stand-ins for InfluxDB 2, RabbitMQ, Grafana and Gatus under their real names: right ports, right health, settings checked.

They prove that a component gets its configuration and secrets and can be reached; not that the product works.
"""

from __future__ import annotations

import json
import os
import socketserver
import threading
import urllib.request
from pathlib import Path

from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import fail, say


def _from_env(name: str) -> str:
    """A variable, or the file that `<name>_FILE` names."""
    file = os.environ.get(f"{name}_FILE", "")
    if file:
        try:
            return Path(file).read_text().strip()
        except OSError:
            fail(f"{name}_FILE names {file}, which cannot be read")
    return os.environ.get(name, "")


class Influx:
    """Set up once from DOCKER_INFLUXDB_INIT_*, then remembered in its volume."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "standin.json"
        self.lines = 0
        if self.file.is_file():
            self.setup = json.loads(self.file.read_text())
            return
        names = ("USERNAME", "PASSWORD", "ORG", "BUCKET", "ADMIN_TOKEN")
        self.setup = {name: _from_env(f"DOCKER_INFLUXDB_INIT_{name}") for name in names}
        missing = [name for name, value in self.setup.items() if not value]
        if os.environ.get("DOCKER_INFLUXDB_INIT_MODE") != "setup" or missing:
            fail(f"missing setting DOCKER_INFLUXDB_INIT_{missing[0] if missing else 'MODE'}")
        folder.mkdir(parents=True, exist_ok=True)
        self.file.write_text(json.dumps(self.setup))

    def handle(self, ask: Ask) -> Answer:
        if ask.path == "/health":
            return as_json({"name": "influxdb", "status": "pass", "version": "standin"})
        if ask.path == "/ping":
            return Answer(204)
        if ask.path == "/api/v2/write" and ask.method == "POST":
            return self.write(ask)
        if ask.path == "/__standin/lines":
            return as_json({"lines": self.lines})
        return as_json({"code": "not found"}, 404)

    def write(self, ask: Ask) -> Answer:
        if ask.headers.get("authorization") != f"Token {self.setup['ADMIN_TOKEN']}":
            return as_json({"code": "unauthorized", "message": "unauthorized access"}, 401)
        for key in ("ORG", "BUCKET"):
            if ask.query.get(key.lower()) != self.setup[key]:
                return as_json({"code": "not found", "message": f"{key.lower()} not found"}, 404)
        self.lines += len(ask.body.splitlines())
        return Answer(204)


def influx() -> None:
    """Run until told to stop."""
    role = Influx(Path("/var/lib/influxdb2"))
    until_told(make_server(("0.0.0.0", 8086), role.handle))


def grafana() -> None:
    """Checks its admin password and data source file; answers the health check."""
    if not (os.environ.get("GF_SECURITY_ADMIN_PASSWORD") or os.environ.get("GF_SECURITY_ADMIN_PASSWORD__FILE")):
        fail("missing setting GF_SECURITY_ADMIN_PASSWORD__FILE")
    file = os.environ.get("GF_SECURITY_ADMIN_PASSWORD__FILE", "")
    if file and not Path(file).is_file():
        fail(f"GF_SECURITY_ADMIN_PASSWORD__FILE names {file}, which is not there")
    sources = sorted(Path("/etc/grafana/provisioning/datasources").glob("*.y*ml"))
    say(f"data sources: {', '.join(path.name for path in sources) or 'none'}")

    def handle(ask: Ask) -> Answer:
        if ask.path == "/api/health":
            return as_json({"database": "ok", "version": "standin"})
        if ask.path in ("/", "/login"):
            return Answer(200, b"<!doctype html><title>Grafana (stand-in)</title><p>Grafana (stand-in)", {"content-type": "text/html"})
        return as_json({"message": "Not found"}, 404)

    until_told(make_server(("0.0.0.0", int(os.environ.get("GF_SERVER_HTTP_PORT", "3000"))), handle))


def gatus() -> None:
    """Reads its configuration file's place; answers the health check."""
    path = Path(os.environ.get("GATUS_CONFIG_PATH", "/config/config.yaml"))
    if not path.is_file() or "endpoints:" not in path.read_text():
        fail(f"no endpoints in {path}")

    def handle(ask: Ask) -> Answer:
        if ask.path == "/health":
            return as_json({"status": "UP"})
        return Answer(200, b"<!doctype html><title>Status (stand-in)</title><p>Status (stand-in)", {"content-type": "text/html"})

    until_told(make_server(("0.0.0.0", int(os.environ.get("PORT", "8080"))), handle))


def rabbitmq() -> None:
    """Holds the AMQP port; refuses to start without a user and a password in its configuration."""
    folder = Path("/etc/rabbitmq")
    text = "".join(path.read_text() for path in sorted([*folder.glob("*.conf"), *folder.glob("conf.d/*.conf")]))
    extra = os.environ.get("RABBITMQ_CONFIG_FILE", "")
    if extra and Path(extra).is_file():
        text += Path(extra).read_text()
    for key in ("default_user", "default_pass"):
        if not any(line.strip().startswith(f"{key} =") or line.strip().startswith(f"{key}=") for line in text.splitlines()):
            fail(f"missing setting {key} in rabbitmq.conf")

    class Amqp(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.recv(8)
            self.request.sendall(b"AMQP\x00\x00\x09\x01")

    class Server(socketserver.ThreadingTCPServer):
        allow_reuse_address = True
        daemon_threads = True

    server = Server(("0.0.0.0", 5672), Amqp)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    say("listening on port 5672")
    until_told()


def get(url: str, timeout_s: float = 4.0) -> int:
    """The status of a GET."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        return int(answer.status)
