"""A very small Redis client: AUTH, and commands that answer with one line or one text."""

from __future__ import annotations

import socket


class RedisError(Exception):
    """The server said no, or cannot be reached."""


class Redis:
    """One connection, signed in."""

    def __init__(self, host: str, port: int, password: str, timeout: float = 5.0) -> None:
        try:
            self._socket = socket.create_connection((host, port), timeout=timeout)
        except OSError as error:
            raise RedisError(f"cannot reach {host}:{port}: {error}") from None
        self._file = self._socket.makefile("rb")
        self.call("AUTH", password)

    def call(self, *words: str) -> str:
        """One command and its answer."""
        parts = [word.encode() for word in words]
        message = b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        try:
            self._socket.sendall(message)
            line = self._file.readline().rstrip(b"\r\n")
            if line[:1] == b"$" and line != b"$-1":
                return self._file.read(int(line[1:]) + 2)[:-2].decode()
        except OSError as error:
            raise RedisError(str(error)) from None
        if line[:1] == b"-" or not line:
            raise RedisError(f"{words[0]}: {line[1:].decode() or 'no answer'}")
        return line[1:].decode()

    def close(self) -> None:
        """End the connection."""
        self._file.close()
        self._socket.close()
