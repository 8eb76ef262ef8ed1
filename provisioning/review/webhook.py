"""The door to an organization's webhook: one POST of JSON to an address somebody typed (rule 24).

https only, the name looked up once, private and local ranges refused, the connection pinned to the address that was checked, no
redirect followed, everything with a limit. The address is a secret: it is in no message of an error.
"""

from __future__ import annotations

import http.client
import ipaddress
import json
import socket
import ssl
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from provisioning.asking import addresses_of
from sprocket_v2.errors import ApplyError

TIMEOUT_S = 5.0
MAX_URL = 500
_MAX_ANSWER = 4096
_WHERE = "webhook"


@dataclass(frozen=True, slots=True)
class Target:
    """A webhook's address, taken apart."""

    host: str
    port: int
    path: str = field(repr=False)  # Discord's token is in it
    tls: bool


def target_of(url: str, *, local: bool) -> Target:
    """An address that may be called.

    Args:
        local: this control plane lets receivers be on its own machine or network, without TLS (a setting, for tests and own hosts).
    Raises:
        ApplyError: it is none; without the address in the message.
    """
    hint = "copy it from Discord: Server settings, Integrations, Webhooks, Copy webhook URL"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ApplyError("the webhook's address is not one", hint=hint, where=_WHERE) from None
    bad = len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url
    if bad or not parts.hostname or parts.username or parts.password or parts.fragment:
        raise ApplyError("the webhook's address is not one", hint=hint, where=_WHERE)
    if parts.scheme != "https" and not (local and parts.scheme == "http"):
        raise ApplyError("the webhook's address has to begin with https://", hint=hint, where=_WHERE)
    tls = parts.scheme == "https"
    path = parts.path or "/"
    target = Target(parts.hostname, port or (443 if tls else 80), f"{path}?{parts.query}" if parts.query else path, tls)
    if _is_address(target.host):
        refuse_near(target.host, local=local)
    return target


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def refuse_near(address: str, *, local: bool) -> None:
    """Raise ApplyError for an address in a private, local or reserved range."""
    known = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(known, "ipv4_mapped", None) or getattr(known, "sixtofour", None) or known
    if not local and (not inner.is_global or inner.is_multicast):
        raise ApplyError(
            "the webhook's address leads into a private or local network",
            hint="name a receiver on the internet; SPROCKET_WEBHOOK_LOCAL=true lets this control plane call its own network",
            where=_WHERE,
        )


def post(target: Target, payload: Mapping[str, Any], *, local: bool) -> None:
    """Send; an answer of 2xx is the end of it.

    Raises:
        ApplyError: it could not be delivered, and whether trying again may help.
    """
    found = addresses_of(target.host)
    if not found:
        raise ApplyError("the webhook's host is not known to DNS", hint="correct its address", where=_WHERE, transient=True)
    refuse_near(found[0], local=local)
    try:
        with closing(_connected(found[0], target)) as connection:
            body = json.dumps(payload).encode()
            connection.request("POST", target.path, body=body, headers=_headers(target))
            response = connection.getresponse()
            response.read(_MAX_ANSWER)
    except ssl.SSLCertVerificationError:
        raise ApplyError("the webhook's certificate does not hold", hint="mend it, or correct the address", where=_WHERE) from None
    except (OSError, http.client.HTTPException) as error:
        why = "did not answer in time" if isinstance(error, TimeoutError) else "could not be reached"
        raise ApplyError(f"the webhook {why}", hint="it is tried again", where=_WHERE, transient=True) from None
    _judge(response.status)


def _headers(target: Target) -> dict[str, str]:
    host = f"[{target.host}]" if ":" in target.host else target.host
    usual = 443 if target.tls else 80
    return {
        "Host": host if target.port == usual else f"{host}:{target.port}",
        "Content-Type": "application/json",
        "User-Agent": "sprocket",
        "Connection": "close",
    }


def _connected(address: str, target: Target) -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection(address, target.port, timeout=TIMEOUT_S)
    plain = socket.create_connection((address, target.port), timeout=TIMEOUT_S)
    try:
        context = ssl.create_default_context()
        connection.sock = context.wrap_socket(plain, server_hostname=target.host) if target.tls else plain
    except BaseException:
        plain.close()
        raise
    return connection


def _judge(status: int) -> None:
    if 200 <= status < 300:
        return
    if 300 <= status < 400:
        raise ApplyError(f"the webhook answered {status}: redirects are not followed", hint="use the address it leads to", where=_WHERE)
    may_help = status in (408, 429) or status >= 500
    hint = "it is tried again" if may_help else "was the webhook deleted? set its address again"
    raise ApplyError(f"the webhook answered {status}", hint=hint, where=_WHERE, transient=may_help)
