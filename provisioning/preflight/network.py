"""Reaching a host that the needs name: its address, an open port, its certificate. Every step has a deadline.

The address is looked up once and kept. Databases may live in private networks; what can only be this machine itself, or its cloud's
own metadata, is refused: inside a container such an address is something else, and no tenant looks around here.
"""

from __future__ import annotations

import ipaddress
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from provisioning.preflight.result import Result, State

DEADLINE_S = 5.0


@dataclass(frozen=True, slots=True)
class Peer:
    """An existing service as the needs name it.

    Attributes:
        kind: `database`, `cache` or `storage`: the first part of its results' keys.
        field: where the needs name it, `database.managed`.
        trust: certificates to trust beside the system's, for tests and for private networks.
        may_be_here: for tests, whose peers are on this machine.
    """

    kind: str
    title: str
    host: str
    port: int
    field: str
    trust: Path | None = None
    may_be_here: bool = False

    @property
    def name(self) -> str:
        """Host and port."""
        return f"{self.host}:{self.port}"

    def result(self, part: str, state: State, sentence: str, remedy: str = "", field: str = "") -> Result:
        """A result about this peer; `field` is relative to the peer's own."""
        return Result(f"{self.kind}/{part}", state, sentence, remedy, f"{self.field}.{field}" if field else self.field)

    def context(self) -> ssl.SSLContext:
        """What certificates are checked against."""
        return ssl.create_default_context(cafile=str(self.trust) if self.trust else None)


@dataclass(frozen=True, slots=True)
class Reached:
    """How far one came: the address where a port is open, or a result that blocks."""

    result: Result
    address: str = ""


def reach(peer: Peer) -> Reached:
    """Look the host up and open the port."""
    try:
        found = socket.getaddrinfo(peer.host, peer.port, type=socket.SOCK_STREAM)
        address = str(found[0][4][0])
    except (OSError, UnicodeError):
        sentence = f"{peer.title}: the name {peer.host} is not known to DNS."
        return Reached(peer.result("reach", "block", sentence, "Correct the host, or make its DNS record.", "host"))
    if is_of_this_machine(address) and not peer.may_be_here:
        sentence = f"{peer.title}: {peer.host} is {address}, which inside a container is the container itself, or a cloud's own service."
        return Reached(peer.result("reach", "block", sentence, "Name a host that the containers reach over the network.", "host"))
    try:
        socket.create_connection((address, peer.port), timeout=DEADLINE_S).close()
    except OSError as error:
        why = "refuses connections" if isinstance(error, ConnectionRefusedError) else "does not answer"
        remedy = f"Start it, correct host and port, or open its firewall for this machine (tried {address})."
        return Reached(peer.result("reach", "block", f"{peer.title}: {peer.name} {why}.", remedy, "port"))
    return Reached(peer.result("reach", "pass", f"{peer.title}: {peer.name} answers."), address)


def is_of_this_machine(address: str) -> bool:
    """Loopback, link-local (where clouds keep their metadata), multicast or no address at all."""
    known = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(known, "ipv4_mapped", None)
    known = mapped or known
    return known.is_loopback or known.is_link_local or known.is_multicast or known.is_unspecified


def certificate(peer: Peer, address: str, *, must_hold: bool, begin: Callable[[socket.socket], bool] | None = None) -> Result:
    """Whether it speaks TLS with a certificate that holds for its name.

    Args:
        must_hold: whether the applications verify it; else a wrong one is a warning.
        begin: asks for TLS where a protocol begins without; False when the server says no.
    """
    remedy = f"Give the server a certificate for {peer.host} from an authority that browsers trust."
    try:
        with socket.create_connection((address, peer.port), timeout=DEADLINE_S) as plain:
            plain.settimeout(DEADLINE_S)
            if begin is not None and not begin(plain):
                sentence = f"{peer.title}: {peer.name} does not offer TLS, and the applications speak TLS to it."
                return peer.result("tls", "block", sentence, "Switch TLS on at the server.", "host")
            with peer.context().wrap_socket(plain, server_hostname=peer.host):
                return peer.result("tls", "pass", f"{peer.title}: it speaks TLS with a certificate for {peer.host}.")
    except ssl.SSLCertVerificationError as error:
        why = str(error.verify_message).rstrip(".")
        sentence = f"{peer.title}: its certificate does not hold for {peer.host}: {why}."
        if must_hold:
            return peer.result("tls", "block", sentence, remedy, "host")
        more = " The applications of this generation do not verify it, so the connection works, and could be listened to on the way."
        return peer.result("tls", "warn", sentence + more, remedy, "host")
    except (OSError, ssl.SSLError):
        sentence = f"{peer.title}: {peer.name} does not speak TLS, which the needs say it does."
        return peer.result("tls", "block", sentence, "Switch TLS on at the server, or correct the port.", "port")
