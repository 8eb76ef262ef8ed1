"""A tiny HTTP server: routes by method and path; a clean end on SIGTERM. `/__standin/` answers to the container itself only."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from standin.settings import say

OWN = "/__standin/"


@dataclass(frozen=True)
class Ask:
    """A request."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    raw_query: str = ""


@dataclass(frozen=True)
class Answer:
    """A response."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


Handler = Callable[[Ask], Answer]


def as_json(data: Any, status: int = 200, headers: dict[str, str] | None = None) -> Answer:
    """A JSON answer."""
    return Answer(status, json.dumps(data).encode(), {"content-type": "application/json", **(headers or {})})


def make_server(address: tuple[str, int], handle: Handler) -> ThreadingHTTPServer:
    """A server that asks `handle` for everything."""

    class Request(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "standin"

        def _any(self) -> None:
            parts = urlsplit(self.path)
            headers = {key.lower(): value for key, value in self.headers.items()}
            ask = Ask(self.command, parts.path, {k: v[0] for k, v in parse_qs(parts.query).items()}, headers, self._body(), parts.query)
            outside = self.client_address[0] != "127.0.0.1"
            answer = Answer(404) if outside and ask.path.startswith(OWN) else handle(ask)
            self.send_response(answer.status)
            for key, value in answer.headers.items():
                self.send_header(key, value)
            self.send_header("content-length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)

        def _body(self) -> bytes:
            """The request's body, of a stated length or in chunks, as clients send what they compress on the way."""
            if "chunked" not in self.headers.get("transfer-encoding", ""):
                return self.rfile.read(int(self.headers.get("content-length") or 0))
            body = b""
            while size := int(self.rfile.readline().partition(b";")[0], 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return body

        do_GET = do_POST = do_OPTIONS = do_HEAD = do_PUT = do_DELETE = _any  # noqa: N815 - the library's names

        def log_message(self, *_: object) -> None:
            """No access log: health probes would fill it."""

    server = ThreadingHTTPServer(address, Request)
    server.daemon_threads = True
    return server


def until_told(server: ThreadingHTTPServer | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then end with 0."""
    told = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: told.set())
    if server is not None:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        say(f"listening on port {server.server_address[1]}")
    told.wait()
    if server is not None:
        server.shutdown()
    say("stopped")
