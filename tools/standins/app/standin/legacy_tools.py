"""Stand-ins for what the older layout has beside its applications and its settings differ from today's: Grafana, n8n and Gatus.

Right ports and pages, settings checked. None asks anything: the addresses in these settings are of machines on the internet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import fail, from_env_or_file, say

_CONDITION = re.compile(r"\[(STATUS|CONNECTED|DNS_RCODE)\] (==|!=|<=|>=|<|>) \w+")


def grafana() -> tuple[int, str]:
    """Its database is named whole; the port is left to its default where the address has none, which broke the estate's."""
    for name in ("GF_DATABASE_TYPE", "GF_DATABASE_HOST", "GF_DATABASE_NAME", "GF_DATABASE_USER", "GF_SERVER_ROOT_URL"):
        if not os.environ.get(name):
            fail(f"missing variable {name}")
    file = os.environ.get("GF_DATABASE_PASSWORD__FILE", "")
    if not os.environ.get("GF_DATABASE_PASSWORD") and not (file and Path(file).is_file()):
        fail("missing GF_DATABASE_PASSWORD, or the file that GF_DATABASE_PASSWORD__FILE names")
    if ":" not in os.environ["GF_DATABASE_HOST"]:
        say("GF_DATABASE_HOST has no port: the real one would take 5432")
    return 3000, "/api/health"


def n8n() -> tuple[int, str]:
    """Both secrets have to be there."""
    for name in ("N8N_ENCRYPTION_KEY", "DB_POSTGRESDB_PASSWORD"):
        if not from_env_or_file(name):
            fail(f"missing {name}, or the file that {name}_FILE names")
    return int(os.environ.get("N8N_PORT", "5678")), "/healthz"


def gatus(path: Path = Path("/config/config.yaml")) -> tuple[int, str]:
    """Every endpoint has a name, an address and conditions of the kinds there are."""
    try:
        endpoints: list[dict[str, Any]] = yaml.safe_load(path.read_text())["endpoints"]
    except (OSError, KeyError, TypeError):
        fail(f"{path} is not there, or has no endpoints")
    for item in endpoints:
        if not item.get("name") or not item.get("url") or not item.get("conditions"):
            fail(f"invalid endpoint {item.get('name')}: it needs a name, a url and conditions")
        for text in item["conditions"]:
            if not _CONDITION.fullmatch(text):
                fail(f"invalid endpoint {item['name']}: invalid condition {text}")
    say(f"{len(endpoints)} endpoints are read, and none is asked")
    return 8080, "/health"


TOOLS: dict[str, Callable[[], tuple[int, str]]] = {"grafana": grafana, "n8n": n8n, "gatus": gatus}


def main(arguments: list[str]) -> int:
    """Run one of them until told to stop."""
    name = arguments[0] if arguments else ""
    if name not in TOOLS:
        fail(f"{name!r} is none of {', '.join(TOOLS)}")
    port, health = TOOLS[name]()
    page = f"<!doctype html><title>{name} (stand-in)</title><p>{name} (stand-in)".encode()

    def handle(ask: Ask) -> Answer:
        return as_json({"status": "UP"}) if ask.path == health else Answer(200, page, {"content-type": "text/html"})

    until_told(make_server(("0.0.0.0", port), handle))
    return 0
