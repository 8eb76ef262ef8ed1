"""The last hop of a secret inside the control plane: a run's own Unix socket, and its client in the provider. Both ends live here.

The server is in the run's child process; it answers peers of its own session and user only, each connection with a token of its own.
Knows neither Django nor Pulumi nor Docker.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import socket
import struct
import tempfile
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

from blueprints.estate.secrecy import without_secrets
from blueprints.estate.withholding import clear_values, withheld_option
from provisioning.fingerprints import fingerprint_of
from provisioning.providers.wire import service_of, to_plain
from sprocket_v2.errors import ApplyError

SOCKET = "SPROCKET_SECRET_SOCKET"
TOKEN_FILE = "SPROCKET_SECRET_TOKEN_FILE"  # noqa: S105 - the name of a variable
MASK = "********"
MIN_MASKED = 6
MIN_LEARNED = 12
_TIMEOUT_S = 10.0
_MAX_PATH = 100  # of a Unix socket's address


class SecretServer:
    """Serves secret values by reference for one run.

    Args:
        values: `organization/name@version` -> value.
        folder: the run's folder (0700).
        fingerprint_key: the organization's key for fingerprints, where a secret server is read; else empty.
        withhold_key: the organization's key for values that an import takes out of somebody else's services; empty where there are none.
    """

    def __init__(self, values: Mapping[str, str], folder: Path, withhold_key: bytes = b"", fingerprint_key: bytes = b"") -> None:
        self._values = dict(values)
        self._fingerprint_key = fingerprint_key
        self._withhold_key = withhold_key
        self._needles = _needles(values.values())
        self._folder = folder
        self._own_folder: Path | None = None
        self._listener: socket.socket | None = None
        self._lock = threading.Lock()
        self._token = ""
        self.path = folder / "secrets.sock"
        self.token_file = folder / "secrets.token"

    def __enter__(self) -> Self:
        if len(str(self.path).encode()) > _MAX_PATH:  # a Unix socket's address is short; data folders may be deep
            self._own_folder = Path(tempfile.mkdtemp(prefix="sprocket-"))
            self.path = self._own_folder / "secrets.sock"
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        old = os.umask(0o177)
        try:
            self._listener.bind(str(self.path))
        finally:
            os.umask(old)
        self._listener.listen(16)
        self._new_token()
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self.path.unlink(missing_ok=True)
        self.token_file.unlink(missing_ok=True)
        if self._own_folder is not None:
            self._own_folder.rmdir()
        self._values.clear()

    def environment(self) -> dict[str, str]:
        """What the provider needs to find the socket; no value, no token. The socket's address is known after entering."""
        return {SOCKET: str(self.path), TOKEN_FILE: str(self.token_file)}

    def mask(self, text: str) -> str:
        """The text with every value, also in base64, URL and JSON form, replaced."""
        for needle in self._needles:
            text = text.replace(needle, MASK)
        return text

    def _new_token(self) -> None:
        self._token = secrets.token_urlsafe(32)
        part = self.token_file.with_suffix(".part")
        part.unlink(missing_ok=True)
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.write(self._token)
        part.replace(self.token_file)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with connection, connection.makefile("rw", encoding="utf-8", newline="\n") as stream, contextlib.suppress(OSError, ValueError):
            if not is_one_of_us(connection) or not self._takes(str(json.loads(stream.readline()).get("token", ""))):
                stream.write(json.dumps({"ok": False}) + "\n")
                return
            stream.write(json.dumps({"ok": True}) + "\n")
            stream.flush()
            for line in stream:
                stream.write(json.dumps(self._answer(json.loads(line))) + "\n")
                stream.flush()

    def _takes(self, token: str) -> bool:
        """Whether this is the token in force; it opens one connection, the next one needs another."""
        with self._lock:
            good = bool(token) and secrets.compare_digest(token, self._token)
            if good:
                self._new_token()
            return good

    def _answer(self, question: Mapping[str, Any]) -> dict[str, Any]:
        if "mask" in question:
            return {"text": self.mask(str(question["mask"]))}
        if "withhold" in question or "option" in question:
            return (
                self._withheld(question)
                if self._withhold_key
                else {"error": "this run has no key", "hint": "apply through the control plane"}
            )
        if "fingerprint" in question:
            return self._fingerprint(str(question["fingerprint"]), str(question["value"]))
        reference = str(question.get("get", ""))
        value = self._values.get(reference) if "@" in reference else self._newest(reference)
        if value is None:
            return {"error": f"this run has no secret {reference}", "hint": "set it, then make a new plan"}
        return {"value_b64": base64.b64encode(value.encode()).decode()}

    def _newest(self, reference: str) -> str | None:
        """The value of the highest version the run has, for a reference without one: a token that is collected on the way."""
        versions = [key for key in self._values if key.rpartition("@")[0] == reference]
        return self._values[max(versions, key=lambda key: int(key.rpartition("@")[2]))] if versions else None

    def _fingerprint(self, name: str, value: str) -> dict[str, Any]:
        """The keyed fingerprint of a value that a secret server holds; the value is masked from now on."""
        if not self._fingerprint_key:
            return {"error": "this run has no key for fingerprints", "hint": "look through the control plane"}
        self._learn([value])
        return {"text": fingerprint_of(self._fingerprint_key, name, value)}

    def _withheld(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """A service, or a volume's option, without what looks secret. What was taken out is masked from now on."""
        if "option" in question:
            value = str(question["value"])
            text = withheld_option(str(question["option"]), value, self._withhold_key)
            self._learn([value] if text != value else ())
            return {"text": text}
        clear = service_of(question["withhold"])
        without, _ = without_secrets(clear, self._withhold_key)
        self._learn(clear_values(clear, without).values())
        return {"service": to_plain(without)}

    def _learn(self, values: Iterable[str]) -> None:
        """Mask these too; short ones are words of our own as well, and would tear the events."""
        more = _needles(value for value in values if len(value) >= MIN_LEARNED)
        with self._lock:
            self._needles = sorted({*self._needles, *more}, key=len, reverse=True)


def is_one_of_us(connection: socket.socket) -> bool:
    """Whether the peer runs as our user and in our session, which every process of a run shares."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True  # macOS tells no process id; the file's mode and the token have to do
    pid, uid, _ = struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i")))
    try:
        return uid == os.getuid() and os.getsid(pid) == os.getsid(0)
    except ProcessLookupError:
        return False


def _needles(values: Any) -> list[str]:  # noqa: ANN401 - an iterable of texts
    """Every form in which a value may turn up, longest first."""
    found: set[str] = set()
    for value in values:
        if len(value) < MIN_MASKED:
            continue
        encoded = base64.b64encode(value.encode()).decode()
        found |= {value, quote(value), quote(value, safe=""), json.dumps(value)[1:-1], encoded, encoded.rstrip("=")}
        found |= {base64.urlsafe_b64encode(value.encode()).decode(), repr(value)[1:-1]}
    return sorted((needle for needle in found if len(needle) >= MIN_MASKED), key=len, reverse=True)


class SecretClient:
    """The provider's end: one connection, opened when first needed."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self._environ = os.environ if environ is None else environ
        self._stream: Any = None
        self._lock = threading.Lock()

    def get(self, reference: str) -> str:
        """A value.

        Args:
            reference: `organization/name@version`.
        Raises:
            ApplyError: the run does not have it, or there is no run.
        """
        answer = self._ask({"get": reference})
        if "error" in answer:
            raise ApplyError(answer["error"], hint=answer.get("hint", ""), where=reference)
        return base64.b64decode(answer["value_b64"]).decode()

    @property
    def org(self) -> str:
        """Whose run this is; empty outside of one."""
        return self._environ.get("SPROCKET_ORG", "")

    def withhold(self, service: Mapping[str, Any]) -> dict[str, Any]:
        """A service's plain arguments without the values that look secret.

        Raises:
            ApplyError: there is no run, or it has no key.
        """
        found: dict[str, Any] = self._answered({"withhold": service})["service"]
        return found

    def fingerprint(self, name: str, value: str) -> str:
        """The keyed fingerprint of a value that somebody else holds.

        Raises:
            ApplyError: there is no run, or it has no key.
        """
        return str(self._answered({"fingerprint": name, "value": value})["text"])

    def withhold_option(self, name: str, value: str) -> str:
        """An option's value, or what stands for it where it looks secret."""
        return str(self._answered({"option": name, "value": value})["text"])

    def _answered(self, question: Mapping[str, Any]) -> dict[str, Any]:
        answer = self._ask(question)
        if "error" in answer:
            raise ApplyError(answer["error"], hint=answer.get("hint", ""), where="secret socket")
        return answer

    def mask(self, text: str) -> str:
        """The text without secret values; nothing of it when nobody can tell which they are."""
        try:
            return str(self._ask({"mask": text})["text"])
        except ApplyError:
            return "(log lines left out: no run to mask them)"

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            try:
                if self._stream is None:
                    self._stream = self._connect()
                self._stream.write(json.dumps(question) + "\n")
                self._stream.flush()
                answer: dict[str, Any] = json.loads(self._stream.readline())
            except (OSError, ValueError, KeyError) as error:
                self._stream = None
                raise ApplyError(
                    f"the run's secret socket does not answer ({type(error).__name__})",
                    hint="secrets are served during a run only; apply through the control plane",
                    where="secret socket",
                ) from None
        return answer

    def _connect(self) -> Any:  # noqa: ANN401 - a text stream
        token = Path(self._environ[TOKEN_FILE]).read_text()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.settimeout(_TIMEOUT_S)
        connection.connect(self._environ[SOCKET])
        stream = connection.makefile("rw", encoding="utf-8", newline="\n")
        stream.write(json.dumps({"token": token}) + "\n")
        stream.flush()
        if not json.loads(stream.readline()).get("ok"):
            raise PermissionError("token refused")
        return stream
