"""The `node` that is on PATH: picks the role from the script's path; with -e it does the one GET a health check asks for."""

from __future__ import annotations

import http.client
import os
import re
import sys
from urllib.parse import urlsplit

_URL = re.compile(r"""['"](https?://[^'"]+)['"]""")


def probe(script: str) -> int:
    """Do the GET that a one-line script does: 0 when the answer's status is 200."""
    found = _URL.search(script)
    if not found:
        print("the stand-in's node knows -e only for one GET of an address in quotes", file=sys.stderr)
        return 2
    parts = urlsplit(found[1])
    try:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=4)
        connection.request("GET", parts.path or "/", headers={"connection": "close"})
        return 0 if connection.getresponse().status == 200 else 1
    except OSError as error:
        print(error, file=sys.stderr)
        return 1


def main(arguments: list[str]) -> int:
    """Run what the arguments ask for."""
    if arguments[:1] == ["-e"] and len(arguments) > 1:
        return probe(arguments[1])
    script = arguments[0] if arguments else ""
    if "/microservices/" in script:
        from standin.backends import SERVICES, small_service

        name = script.split("/microservices/", 1)[1].split("/", 1)[0]
        if name in SERVICES:
            small_service(name)
            return 0
    elif script.endswith("/core/dist/main.js") and os.environ.get("STANDIN_CONTRACT") == "town-hall":
        from standin.legacy import main as legacy

        return legacy(["core"])
    elif script.endswith("/core/dist/main.js"):
        from standin.backends import core

        core()
        return 0
    elif "/apps/monolith/" in script:
        from standin.backends import monolith

        monolith()
        return 0
    elif "/clients/discord-bot/" in script:
        from standin.backends import bot

        bot()
        return 0
    elif script == "/app/build/index.js":
        from standin.others import editor

        editor()
        return 0
    elif "/clients/web/build/" in script:
        from standin.web import web

        web()
        return 0
    print(f"the stand-in has no role for {script!r}", file=sys.stderr)
    return 2
