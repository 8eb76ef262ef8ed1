"""As much of AMQP 0-9-1 as an application needs to sign in at RabbitMQ, declare its queue, and stay: no message is sent or taken."""

from __future__ import annotations

import socket
import struct
import time
from urllib.parse import parse_qs, urlsplit

_METHOD, _HEARTBEAT, _END = 1, 8, b"\xce"
_NO_TABLE = struct.pack("!i", 0)
_START, _TUNE, _OPENED, _CLOSE = (10, 10), (10, 30), (10, 41), (10, 50)
_CHANNEL_OPENED, _CHANNEL_CLOSE, _DECLARED = (20, 11), (20, 40), (50, 11)
_DURABLE = 2


class AmqpError(Exception):
    """The broker said no, or cannot be reached."""


def _short(text: str) -> bytes:
    data = text.encode()
    return bytes([len(data)]) + data


class Amqp:
    """One connection with one channel, signed in as guest where the address names nobody."""

    def __init__(self, url: str, timeout_s: float = 10.0) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 5672
        self.heartbeat_s = int(parse_qs(parts.query).get("heartbeat", ["60"])[0])
        try:
            self._socket = socket.create_connection((self.host, self.port), timeout=timeout_s)
            self._sign_in(parts.username or "guest", parts.password or "guest")
        except (OSError, struct.error) as error:
            raise AmqpError(f"{self.host}:{self.port}: {error}") from None

    def _sign_in(self, user: str, password: str) -> None:
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._wait_for(_START)
        response = f"\0{user}\0{password}".encode()
        self._send((10, 11), _NO_TABLE + _short("PLAIN") + struct.pack("!i", len(response)) + response + _short("en_US"))
        channels, size, _ = struct.unpack("!HIH", self._wait_for(_TUNE)[:8])
        self._send((10, 31), struct.pack("!HIH", channels, size, self.heartbeat_s))
        self._send((10, 40), _short("/") + _short("") + b"\0")
        self._wait_for(_OPENED)
        self._send((20, 10), _short(""), channel=1)
        self._wait_for(_CHANNEL_OPENED)

    def declare(self, queue: str) -> int:
        """Make sure that a durable queue is there; the messages in it."""
        self._send((50, 10), struct.pack("!H", 0) + _short(queue) + bytes([_DURABLE]) + _NO_TABLE, channel=1)
        answer = self._wait_for(_DECLARED)
        return int(struct.unpack("!I", answer[1 + answer[0] :][:4])[0])

    def stay(self) -> None:
        """Answer the broker's heartbeats until it goes away.

        Raises:
            AmqpError: it did.
        """
        self._socket.settimeout(max(self.heartbeat_s / 2, 1))
        quiet_since = time.monotonic()
        while True:
            try:
                kind, _, payload = self._frame()
                quiet_since = time.monotonic()
                if kind == _METHOD:
                    self._refuse_end(payload)
            except TimeoutError:
                if time.monotonic() - quiet_since > 2 * self.heartbeat_s:
                    raise AmqpError("the broker has not been heard for two heartbeats") from None
            except OSError as error:
                raise AmqpError(str(error)) from None
            self._socket.sendall(struct.pack("!BHI", _HEARTBEAT, 0, 0) + _END)

    def close(self) -> None:
        """End the connection without a word."""
        self._socket.close()

    def _send(self, method: tuple[int, int], arguments: bytes, channel: int = 0) -> None:
        payload = struct.pack("!HH", *method) + arguments
        self._socket.sendall(struct.pack("!BHI", _METHOD, channel, len(payload)) + payload + _END)

    def _wait_for(self, method: tuple[int, int]) -> bytes:
        while True:
            kind, _, payload = self._frame()
            if kind != _METHOD:
                continue
            self._refuse_end(payload)
            if struct.unpack("!HH", payload[:4]) == method:
                return payload[4:]

    def _refuse_end(self, payload: bytes) -> None:
        if struct.unpack("!HH", payload[:4]) in (_CLOSE, _CHANNEL_CLOSE):
            raise AmqpError(f"the broker ends it: {payload[7 : 7 + payload[6]].decode('utf-8', 'replace')}")

    def _frame(self) -> tuple[int, int, bytes]:
        kind, channel, size = struct.unpack("!BHI", self._exactly(7))
        payload = self._exactly(size)
        self._exactly(1)
        return kind, channel, payload

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            part = self._socket.recv(count - len(data))
            if not part:
                raise OSError("the broker closed the connection")
            data += part
        return data
