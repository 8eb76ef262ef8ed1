"""How a deployment is asked over HTTP, and what certificate it shows. The only place of ours that speaks to one. Changes nothing."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

TIMEOUT_S = 8.0
DNS_TIMEOUT_S = 3.0
TRAEFIKS_OWN = "TRAEFIK DEFAULT CERT"
_MAX_BODY = 256 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP answer; status 0 when there was none, and the body then says why."""

    status: int
    headers: Mapping[str, str]
    body: str

    def says(self) -> str:
        """For a check's detail."""
        return f"answered {self.status}" if self.status else f"no answer ({self.body})"


@dataclass(frozen=True, slots=True)
class Served:
    """The certificate a host shows.

    Attributes:
        issuer: common name, with the organization before it where there is one; empty when there was no answer.
        expires: seconds since the epoch.
        problem: why a client would refuse it whatever it trusts (wrong name, run out, Traefik's own), or why there is none.
        is_trusted: by this machine's own store.
    """

    issuer: str
    names: tuple[str, ...]
    expires: float
    problem: str
    is_trusted: bool = False

    @property
    def days_left(self) -> int:
        """Whole days until it runs out."""
        return int((self.expires - time.time()) // 86400)


def request(address: str, port: int, method: str, host: str, path: str, *, body: object, headers: Mapping[str, str], tls: bool) -> Answer:
    """One HTTP request to an address, under another host's name; never follows a redirect.

    Over TLS any certificate is taken: whether it is the right one is `served_certificate`'s question, and an answer behind a wrong
    one still says whether the route works.
    """
    usual = 443 if tls else 80
    named = {"Host": host if port == usual else f"{host}:{port}", "Connection": "close", "User-Agent": "sprocket-verify", **headers}
    data = None if body is None else json.dumps(body).encode()
    if data is not None:
        named["Content-Type"] = "application/json"
    try:
        with closing(_connection(address, port, host, tls=tls)) as connection:
            connection.request(method, path, body=data, headers=named)
            response = connection.getresponse()
            text = response.read(_MAX_BODY).decode("utf-8", "replace")
            return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, text)
    except (OSError, http.client.HTTPException, ValueError) as error:
        return Answer(0, {}, getattr(error, "strerror", "") or type(error).__name__)


def _connection(address: str, port: int, host: str, *, tls: bool) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(address, port, timeout=TIMEOUT_S)
    if tls:
        connection.sock = _handshake(address, port, host, _taking_any())
    return connection


def _taking_any() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # see `request`: what is shown is looked at by itself
    return context


def _handshake(address: str, port: int, host: str, context: ssl.SSLContext) -> ssl.SSLSocket:
    plain = socket.create_connection((address, port), timeout=TIMEOUT_S)
    try:
        return context.wrap_socket(plain, server_hostname=host)
    except BaseException:
        plain.close()
        raise


def served_certificate(address: str, port: int, host: str) -> Served:
    """The certificate that is shown to whoever asks for a host.

    It is read by trusting it alone: the standard library takes a certificate apart only once it verified it.
    """
    try:
        with _handshake(address, port, host, _taking_any()) as connection:
            der = connection.getpeercert(binary_form=True) or b""
        alone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        alone.check_hostname = False
        alone.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        alone.load_verify_locations(cadata=der)
        with _handshake(address, port, host, alone) as connection:
            parsed = connection.getpeercert() or {}
    except ssl.SSLCertVerificationError as error:
        return Served("", (), 0.0, f"it is refused: {error.verify_message}")
    except (OSError, ValueError) as error:
        return Served("", (), 0.0, f"none was shown ({getattr(error, 'strerror', '') or type(error).__name__})")
    issuer, names, expires = certificate_parts(parsed)
    problem = ""
    if TRAEFIKS_OWN in issuer:
        problem = "Traefik shows the one it made for itself: it has none for this name yet"
    elif not _accepts(address, port, host, alone, check_hostname=True):
        problem = f"it is for {', '.join(names) or 'no name'}"
    return Served(issuer, names, expires, problem, _accepts(address, port, host, ssl.create_default_context()))


def certificate_parts(parsed: Mapping[str, Any]) -> tuple[str, tuple[str, ...], float]:
    """Issuer, names and expiry of what `getpeercert` says."""
    issuer = {key: value for part in parsed.get("issuer", ()) for key, value in part}
    named = " ".join(dict.fromkeys(filter(None, (issuer.get("organizationName", ""), issuer.get("commonName", "")))))
    return named, tuple(value for _, value in parsed.get("subjectAltName", ())), float(ssl.cert_time_to_seconds(parsed["notAfter"]))


def _accepts(address: str, port: int, host: str, context: ssl.SSLContext, *, check_hostname: bool = True) -> bool:
    context.check_hostname = check_hostname
    try:
        _handshake(address, port, host, context).close()
    except (OSError, ValueError):
        return False
    return True


def addresses_of(host: str) -> tuple[str, ...]:
    """What the name leads to, as this machine is told; empty when it leads nowhere, or nobody said so within three seconds."""
    found: list[str] = []

    def look() -> None:
        try:
            found.extend(str(item[4][0]) for item in socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP))
        except OSError:
            return

    worker = threading.Thread(target=look, daemon=True)  # the resolver itself knows no limit
    worker.start()
    worker.join(DNS_TIMEOUT_S)
    return tuple(dict.fromkeys(found))
