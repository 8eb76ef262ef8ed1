"""Stands between the control plane and Docker: lets everything through, and at one chosen call holds it back or loses its answer."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

DOCKER = "/var/run/docker.sock"
_VERSION = re.compile(r"\A/v[0-9.]+")
_LENGTH = re.compile(rb"\r\ncontent-length: *([0-9]+)", re.IGNORECASE)
_KEPT_OPEN = re.compile(rb"\r\nconnection:[^\r]*", re.IGNORECASE)


@dataclass
class Snag:
    """One call that is waited for.

    Attributes:
        method, path: of the call; the path as a regular expression, from its start, without the API's version.
        does: `hold` it before Docker hears of it, `lose` what Docker answers, or only `watch` it.
        after: another snag that has to have been met before.
        skip: how many such calls go through first.
        met: that call came; with `lose` and `watch`, Docker has answered it.
    """

    method: str
    path: str
    does: str = "hold"
    after: Snag | None = None
    skip: int = 0
    met: threading.Event = field(default_factory=threading.Event)
    _over: threading.Event = field(default_factory=threading.Event)
    _is_taken: bool = False
    _goes_through: bool = False

    def takes(self, method: str, path: str) -> bool:
        """Whether this is the call; only one ever is."""
        if self._is_taken or method != self.method or not re.match(self.path, path) or (self.after and not self.after.met.is_set()):
            return False
        self.skip -= 1
        self._is_taken = self.skip < 0
        return self._is_taken

    def wait(self, limit_s: float = 60.0) -> None:
        """Until it was met."""
        assert self.met.wait(limit_s), f"{self.method} {self.path} never came"

    def cut(self) -> None:
        """End the caller's connection: what was held is never done, what was lost is never told."""
        self._over.set()

    def let_through(self) -> None:
        """Do what was held, as if it had only been slow."""
        self._goes_through = True
        self._over.set()

    def is_cut(self) -> bool:
        """Used by the thread that has the caller's connection: waits for the end of the call's story, and tells it."""
        self.met.set()
        self._over.wait(300)
        return not self._goes_through


class Between:
    """Listens on a socket of its own; one thread and one connection to Docker for each call."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "docker.sock"
        self._snags: list[Snag] = []
        self._lock = threading.Lock()
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(self.path))
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    @contextmanager
    def snag(self, *snags: Snag) -> Iterator[None]:
        """Wait for these; whatever is still held afterwards is cut."""
        with self._lock:
            self._snags = [*snags]
        try:
            yield
        finally:
            with self._lock:
                self._snags = []
            for one in snags:
                one.cut()

    def close(self) -> None:
        """Listen no longer."""
        self._listening.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                caller, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(caller,), daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller, socket.socket(socket.AF_UNIX) as docker:
            try:
                docker.connect(DOCKER)
                self._pass_on(caller, docker)
            except OSError:
                return  # one of the two is gone, which is what these tests are about

    def _pass_on(self, caller: socket.socket, docker: socket.socket) -> None:
        request = _request_of(caller)
        if not request:
            return
        method, target = request.split(b" ", 2)[:2]
        snag = self._snag_for(method.decode(), _VERSION.sub("", target.decode()))
        if snag and snag.does == "hold" and snag.is_cut():
            return
        docker.sendall(request)
        if snag and snag.does == "lose":
            docker.recv(1)
            snag.is_cut()
            return
        while data := docker.recv(65536):
            if snag:
                snag.met.set()
            caller.sendall(data)

    def _snag_for(self, method: str, path: str) -> Snag | None:
        with self._lock:
            return next((snag for snag in self._snags if snag.takes(method, path)), None)


def _request_of(caller: socket.socket) -> bytes:
    """One whole request, changed to ask for no second one on the same connection; a hijacked one is left as it is."""
    data = b""
    while b"\r\n\r\n" not in data:
        more = caller.recv(65536)
        if not more:
            return b""
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    found = _LENGTH.search(head)
    while found and len(body) < int(found[1]):
        body += caller.recv(65536)
    if b"upgrade" not in head.lower():
        head = _KEPT_OPEN.sub(b"", head) + b"\r\nConnection: close"
    return head + b"\r\n\r\n" + body
