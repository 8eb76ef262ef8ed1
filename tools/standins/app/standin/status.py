"""The stand-in for Gatus: reads the configuration as Gatus 5 does, asks every endpoint, and answers its API with the results."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml

from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import fail

_CONDITION = re.compile(r"\[(STATUS|CONNECTED)\] (==|!=|<=|>=|<|>) (\w+)")
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b, "!=": lambda a, b: a != b, "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
}  # fmt: skip
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
_KEPT = 20


class Endpoint:
    """One address that is asked, and its last results."""

    def __init__(self, item: dict[str, Any]) -> None:
        self.name, self.group, self.url = str(item.get("name") or ""), str(item.get("group") or ""), str(item.get("url") or "")
        self.conditions = [str(text) for text in item.get("conditions") or ()]
        if not self.name or not self.url:
            fail("invalid endpoint: you must specify a name and a url for each endpoint")
        if not self.conditions:
            fail(f"invalid endpoint {self.name}: you must specify at least one condition per endpoint")
        for text in self.conditions:
            if not _CONDITION.fullmatch(text):
                fail(f"invalid endpoint {self.name}: invalid condition {text}")
        if urlsplit(self.url).scheme not in ("http", "https", "tcp"):
            fail(f"invalid endpoint {self.name}: unknown type of {self.url}")
        self.every_s = duration_s(str(item.get("interval") or "60s"))
        self.results: list[dict[str, Any]] = []

    @property
    def key(self) -> str:
        """As Gatus makes it: group and name, with everything unusual a dash."""
        return "_".join(re.sub(r"[/_,. #+&]", "-", word.lower()) for word in (self.group, self.name))

    def ask(self) -> None:
        """Ask once, and keep the result."""
        facts = _tcp(self.url) if self.url.startswith("tcp:") else _http(self.url)
        held = [{"condition": text, "success": _holds(text, facts)} for text in self.conditions]
        self.results.append(
            {
                "status": facts["STATUS"],
                "hostname": urlsplit(self.url).hostname,
                "errors": facts["errors"],
                "conditionResults": held,
                "success": all(item["success"] for item in held),
                "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            }
        )
        del self.results[:-_KEPT]

    def watch(self) -> None:
        """Ask for ever."""
        while True:
            self.ask()
            time.sleep(self.every_s)

    def as_dict(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"name": self.name, "group": self.group, "key": self.key, "results": self.results}


def duration_s(text: str) -> float:
    """A duration as Go writes it, such as 60s or 1m30s."""
    if not re.fullmatch(r"(\d+(ms|s|m|h))+", text):
        fail(f'time: invalid duration "{text}"')
    return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|s|m|h)", text)))


def read(path: Path) -> list[Endpoint]:
    """The endpoints of a configuration file."""
    if not path.is_file():
        fail(f"configuration file not found: {path}")
    config = yaml.safe_load(path.read_text())
    if not isinstance(config, dict) or not config.get("endpoints"):
        fail("configuration file should contain at least 1 endpoint")
    if (config.get("storage") or {}).get("type", "memory") not in ("memory", "sqlite", "postgres"):
        fail("invalid storage type")
    found = [Endpoint(item) for item in config["endpoints"]]
    keys = [endpoint.key for endpoint in found]
    twice = sorted({key for key in keys if keys.count(key) > 1})
    if twice:
        fail(f"invalid endpoint {twice[0]}: name and group combination must be unique")
    return found


def gatus() -> None:
    """Run until told to stop."""
    path = Path(os.environ.get("GATUS_CONFIG_PATH", "config/config.yaml"))
    endpoints = read(path)
    port = int((yaml.safe_load(path.read_text()).get("web") or {}).get("port", 8080))
    for endpoint in endpoints:
        threading.Thread(target=endpoint.watch, daemon=True).start()

    def handle(ask: Ask) -> Answer:
        if ask.path == "/health":
            return as_json({"status": "UP"})
        if ask.path == "/api/v1/endpoints/statuses":
            return as_json([endpoint.as_dict() for endpoint in endpoints])
        return Answer(200, b"<!doctype html><title>Status (stand-in)</title><p>Status (stand-in)", {"content-type": "text/html"})

    until_told(make_server(("0.0.0.0", port), handle))


def _holds(text: str, facts: dict[str, Any]) -> bool:
    found = _CONDITION.fullmatch(text)
    if found is None or facts[found[1]] is None:
        return False
    wanted: Any = int(found[3]) if found[1] == "STATUS" else found[3] == "true"
    return bool(_COMPARE[found[2]](facts[found[1]], wanted))


def _http(url: str) -> dict[str, Any]:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return {"STATUS": answer.status, "CONNECTED": True, "errors": []}
    except urllib.error.HTTPError as error:
        return {"STATUS": error.code, "CONNECTED": True, "errors": []}
    except OSError as error:
        return {"STATUS": 0, "CONNECTED": False, "errors": [str(error)]}


def _tcp(url: str) -> dict[str, Any]:
    parts = urlsplit(url)
    try:
        socket.create_connection((parts.hostname or "", parts.port or 0), timeout=10).close()
        return {"STATUS": 0, "CONNECTED": True, "errors": []}
    except OSError as error:
        return {"STATUS": 0, "CONNECTED": False, "errors": [str(error)]}
