"""Stand-ins for Loki and Telegraf. Telegraf's reads its configuration as the real one does: what it names has to be there."""

from __future__ import annotations

import json
import re
import socket
import threading
import time
import tomllib
import urllib.request
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import fail, say

_SECRET = re.compile(r"@\{(\w+):([\w-]+)\}")
_SYSLOG = re.compile(rb"<\d+>1 \S+ \S+ (\S+) \S+ \S+ \S+ ?(.*)", re.DOTALL)


class Loki:
    """Takes lines in, and gives the newest back. Keeps them in memory."""

    def __init__(self) -> None:
        self.lines: deque[tuple[dict[str, str], str]] = deque(maxlen=5000)

    def handle(self, ask: Ask) -> Answer:
        if ask.path == "/ready":
            return Answer(200, b"ready\n")
        if ask.path == "/loki/api/v1/push" and ask.method == "POST":
            for stream in json.loads(ask.body)["streams"]:
                self.lines.extend((stream["stream"], line) for _, line in stream["values"])
            return Answer(204)
        if ask.path == "/loki/api/v1/query_range":
            labels = dict(re.findall(r'(\w+)="([^"]*)"', ask.query.get("query", "")))
            found = [(stream, line) for stream, line in self.lines if labels.items() <= stream.items()]
            return as_json({"status": "success", "data": {"resultType": "streams", "result": [
                {"stream": stream, "values": [["0", line]]} for stream, line in found]}})  # fmt: skip
        return as_json({"message": "not found"}, 404)


def loki(arguments: list[str]) -> None:
    """Run until told to stop."""
    named = [word.partition("=")[2] for word in arguments if word.startswith("-config.file=")]
    if not named or not Path(named[0]).is_file():
        fail("no -config.file, or it is not there")
    until_told(make_server(("0.0.0.0", 3100), Loki().handle))


class Telegraf:
    """Figures to InfluxDB, log lines to Loki, as its file says."""

    def __init__(self, text: str) -> None:
        config = tomllib.loads(text)
        self.inputs, self.outputs = config.get("inputs", {}), config.get("outputs", {})
        self.tags = config.get("global_tags", {})
        self.stores = {item["id"]: Path(item.get("path", "/run/secrets")) for item in config.get("secretstores", {}).get("docker", ())}
        self.every_s = int(str(config["agent"]["interval"]).rstrip("s"))
        if not set(self.outputs) - {"health"}:
            fail("no outputs are configured")
        self.influx = [{**item, "token": self._secret(item["token"])} for item in self.outputs.get("influxdb_v2", ())]

    def _secret(self, text: str) -> str:
        found = _SECRET.fullmatch(text)
        if not found:
            return text
        if found[1] not in self.stores or not (self.stores[found[1]] / found[2]).is_file():
            fail(f"secret {found[1]}:{found[2]} is not there")
        return (self.stores[found[1]] / found[2]).read_text().strip()

    def start(self) -> None:
        """The threads that collect."""
        for item in self.inputs.get("syslog", ()):
            port = int(str(item["server"]).rpartition(":")[2])
            threading.Thread(target=self._syslog, args=(port,), daemon=True).start()
        if self.influx:
            threading.Thread(target=self._figures, daemon=True).start()

    def _syslog(self, port: int) -> None:
        inlet = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        inlet.bind(("0.0.0.0", port))
        while True:
            found = _SYSLOG.match(inlet.recv(65535))
            if found:
                labels = {**self.tags, "appname": found[1].decode(), "__name": "syslog"}
                for item in self.outputs.get("loki", ()):
                    body = {"streams": [{"stream": labels, "values": [[str(time.time_ns()), found[2].decode("utf-8", "replace")]]}]}
                    _post(f"{item['domain']}/loki/api/v1/push", json.dumps(body).encode(), {"content-type": "application/json"})

    def _figures(self) -> None:
        while True:
            lines = [f"mem,org={self.tags['org']} used_percent={_memory_used():.1f}"]
            for item in self.inputs.get("http_response", ()):
                begun = time.monotonic()
                code = _status(item["urls"][0])
                lines.append(
                    f"http_response,part={item['tags']['part']} response_time={time.monotonic() - begun:.4f},http_response_code={code}i"
                )
            for item in self.influx:
                words = urlencode({"org": item["organization"], "bucket": item["bucket"]})
                _post(f"{item['urls'][0]}/api/v2/write?{words}", "\n".join(lines).encode(), {"authorization": f"Token {item['token']}"})
            time.sleep(self.every_s)


def telegraf(arguments: list[str]) -> None:
    """Run until told to stop."""
    path = Path(arguments[arguments.index("--config") + 1])
    role = Telegraf(path.read_text())
    role.start()
    port = int(str(role.outputs.get("health", [{"service_address": ":8186"}])[0]["service_address"]).rpartition(":")[2])
    until_told(make_server(("0.0.0.0", port), lambda _: as_json({"status": "ok"})))


def _memory_used() -> float:
    facts = dict(re.findall(r"(\w+): +(\d+)", Path("/proc/meminfo").read_text()))
    return 100 - 100 * int(facts["MemAvailable"]) / int(facts["MemTotal"])


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return int(answer.status)
    except OSError:
        return 0


def _post(url: str, body: bytes, headers: dict[str, Any]) -> None:
    try:
        urllib.request.urlopen(urllib.request.Request(url, data=body, headers=headers, method="POST"), timeout=5).close()
    except OSError as error:
        say(f"output {url.partition('?')[0]}: {error}")
