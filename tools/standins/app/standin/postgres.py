"""A small Postgres client: simple queries, SCRAM-SHA-256, and TLS decided by the host's name as the applications do."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
import socket
import ssl
import struct

Row = tuple[str | None, ...]


class PostgresError(Exception):
    """The server said no, or cannot be reached."""


def literal(text: str) -> str:
    """A text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


class Postgres:
    """One connection."""

    def __init__(
        self, host: str, port: int, user: str, password: str, database: str, timeout: float = 10.0, *, is_tls_asked: bool = False
    ) -> None:
        """Connect and sign in; where TLS is asked for, a server that has none is talked to all the same."""
        try:
            self._socket: socket.socket = socket.create_connection((host, port), timeout=timeout)
        except OSError as error:
            raise PostgresError(f"cannot reach {host}:{port}: {error}") from None
        try:
            if is_tls_asked or host not in ("postgres", "localhost"):
                self._start_tls(host, is_needed=not is_tls_asked)
            self._buffer = b""
            self._log_in(user, password, database)
        except (OSError, struct.error) as error:
            self._socket.close()
            raise PostgresError(f"{host}:{port}: {error}") from None

    def _start_tls(self, host: str, *, is_needed: bool) -> None:
        self._socket.sendall(struct.pack("!ii", 8, 80877103))
        if self._socket.recv(1) != b"S":
            if not is_needed:
                return
            raise PostgresError(f"host {host} is not exactly `postgres`, so TLS is asked for, and the server has none")
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE  # the applications do not verify either
        self._socket = context.wrap_socket(self._socket, server_hostname=host)

    def _log_in(self, user: str, password: str, database: str) -> None:
        words = b"".join(part.encode() + b"\0" for part in ("user", user, "database", database, "application_name", "standin"))
        payload = struct.pack("!i", 196608) + words + b"\0"
        self._socket.sendall(struct.pack("!i", len(payload) + 4) + payload)
        while True:
            kind, body = self._message()
            if kind == b"R":
                self._authenticate(body, user, password)
            elif kind == b"Z":
                return

    def _authenticate(self, body: bytes, user: str, password: str) -> None:
        method = struct.unpack("!i", body[:4])[0]
        if method == 0:
            return
        if method == 10:
            self._scram(password)
        elif method == 5:
            inner = hashlib.md5((password + user).encode()).hexdigest()
            digest = hashlib.md5(inner.encode() + body[4:8]).hexdigest()
            self._send(b"p", f"md5{digest}".encode() + b"\0")
        else:
            raise PostgresError(f"authentication method {method} is not known here")

    def _scram(self, password: str) -> None:
        nonce = base64.b64encode(secrets.token_bytes(18)).decode()
        first = f"n=,r={nonce}"
        hello = f"n,,{first}".encode()
        self._send(b"p", b"SCRAM-SHA-256\0" + struct.pack("!i", len(hello)) + hello)
        kind, body = self._message()
        server_first = body[4:].decode()
        parts = dict(part.split("=", 1) for part in server_first.split(","))
        if kind != b"R" or not parts["r"].startswith(nonce):
            raise PostgresError("the server does not follow SCRAM")
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), base64.b64decode(parts["s"]), int(parts["i"]))
        client_key = hmac.digest(salted, b"Client Key", "sha256")
        without_proof = f"c=biws,r={parts['r']}"
        signed = f"{first},{server_first},{without_proof}".encode()
        signature = hmac.digest(hashlib.sha256(client_key).digest(), signed, "sha256")
        proof = base64.b64encode(bytes(a ^ b for a, b in zip(client_key, signature, strict=True))).decode()
        self._send(b"p", f"{without_proof},p={proof}".encode())
        kind, body = self._message()
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        expected = base64.b64encode(hmac.digest(server_key, signed, "sha256")).decode()
        if body[4:].decode() != f"v={expected}":
            raise PostgresError("the server does not know the password either")

    def _send(self, kind: bytes, body: bytes) -> None:
        self._socket.sendall(kind + struct.pack("!i", len(body) + 4) + body)

    def _take(self, count: int) -> bytes:
        while len(self._buffer) < count:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise OSError("the server closed the connection")
            self._buffer += chunk
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken

    def _message(self) -> tuple[bytes, bytes]:
        kind = self._take(1)
        (length,) = struct.unpack("!i", self._take(4))
        body = self._take(length - 4)
        if kind == b"E":
            fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
            raise PostgresError(f"{fields.get(b'M', 'error')} ({fields.get(b'C', '')})")
        return kind, body

    def query(self, sql: str) -> list[Row]:
        """Run one or more statements; the rows of the last one that has any. After an error the connection can be used again."""
        self._send(b"Q", sql.encode() + b"\0")
        rows: list[Row] = []
        error: PostgresError | None = None
        while True:
            try:
                kind, body = self._message()
            except PostgresError as caught:
                error = caught
                continue
            if kind == b"T":
                rows = []
            elif kind == b"D":
                rows.append(self._row(body))
            elif kind == b"Z":
                if error:
                    raise error
                return rows

    @staticmethod
    def _row(body: bytes) -> Row:
        (count,) = struct.unpack("!h", body[:2])
        at, values = 2, []
        for _ in range(count):
            (length,) = struct.unpack("!i", body[at : at + 4])
            at += 4
            values.append(None if length < 0 else body[at : at + length].decode())
            at += max(length, 0)
        return tuple(values)

    def close(self) -> None:
        """End the connection."""
        try:
            self._send(b"X", b"")
        except OSError:
            pass
        self._socket.close()
