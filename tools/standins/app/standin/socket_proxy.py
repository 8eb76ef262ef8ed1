"""Docker's API over TCP, for reading, and of it only the parts that the environment switches on: what tecnativa/docker-socket-proxy does.

A small proxy of its own, not an imitation: it forwards to the real socket, and what it refuses never reaches Docker.
"""

from __future__ import annotations

import os
import re
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote

from standin.serve import until_told
from standin.settings import say

PORT, SOCKET = 2375, "/var/run/docker.sock"
ON_UNLESS_SAID = frozenset({"EVENTS", "PING", "VERSION"})
_PART = re.compile(r"\A(?:/v[0-9.]+)?/(_?[a-z]+)(?:[/?]|\Z)")
_CHUNK = 65536


def is_allowed(method: str, path: str, environment: dict[str, str]) -> bool:
    """Reading only; a path's first word is a part of the API, switched on by its name in capitals."""
    plain = unquote(path)
    found = _PART.match(plain)
    if method not in ("GET", "HEAD") or not found or ".." in plain:
        return False
    part = found[1].lstrip("_").upper()
    return environment.get(part, "1" if part in ON_UNLESS_SAID else "0") == "1"


def make_proxy(address: tuple[str, int], docker: str, environment: dict[str, str]) -> ThreadingHTTPServer:
    """The proxy, in front of a Unix socket."""

    class Request(BaseHTTPRequestHandler):
        def _any(self) -> None:
            if not is_allowed(self.command, self.path, environment):
                self.send_error(403, "Forbidden")
                return
            self.close_connection = True
            with socket.socket(socket.AF_UNIX) as engine:
                try:
                    engine.connect(docker)
                except OSError as error:
                    say(f"docker: {error}")
                    self.send_error(502, "Docker does not answer")
                    return
                engine.sendall(f"{self.command} {self.path} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode())
                while data := engine.recv(_CHUNK):
                    self.wfile.write(data)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = _any  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """No access log: Traefik asks every few seconds."""

    server = ThreadingHTTPServer(address, Request)
    server.daemon_threads = True
    return server


def main() -> None:
    """Run until told to stop."""
    until_told(make_proxy(("0.0.0.0", PORT), SOCKET, dict(os.environ)))
