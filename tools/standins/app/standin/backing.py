"""The stand-in for InfluxDB 2 under its real name: right port, right health, settings and writes checked.

It proves that others reach it with their token, organization and bucket; not that the product works.
"""

from __future__ import annotations

import gzip
import json
import os
import urllib.request
from collections import Counter
from pathlib import Path

from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import fail, from_env_or_file


class Influx:
    """Set up once from DOCKER_INFLUXDB_INIT_*, then remembered in its volume."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "standin.json"
        self.lines: Counter[str] = Counter()
        if self.file.is_file():
            self.setup = json.loads(self.file.read_text())
            return
        names = ("USERNAME", "PASSWORD", "ORG", "BUCKET", "ADMIN_TOKEN")
        self.setup = {name: from_env_or_file(f"DOCKER_INFLUXDB_INIT_{name}") for name in names}
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
            return as_json({"lines": self.lines.total(), "measurements": self.lines})
        return as_json({"code": "not found"}, 404)

    def write(self, ask: Ask) -> Answer:
        if ask.headers.get("authorization") != f"Token {self.setup['ADMIN_TOKEN']}":
            return as_json({"code": "unauthorized", "message": "unauthorized access"}, 401)
        for key in ("ORG", "BUCKET"):
            if ask.query.get(key.lower()) != self.setup[key]:
                return as_json({"code": "not found", "message": f"{key.lower()} not found"}, 404)
        body = gzip.decompress(ask.body) if ask.headers.get("content-encoding") == "gzip" else ask.body
        for line in body.decode().splitlines():
            series, _, fields = line.partition(" ")
            if "=" not in fields:
                return as_json({"code": "invalid", "message": f"unable to parse '{line[:80]}'"}, 400)
            self.lines[series.partition(",")[0]] += 1
        return Answer(204)


def influx() -> None:
    """Run until told to stop."""
    role = Influx(Path("/var/lib/influxdb2"))
    until_told(make_server(("0.0.0.0", 8086), role.handle))


def get(url: str, timeout_s: float = 4.0) -> int:
    """The status of a GET."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        return int(answer.status)
