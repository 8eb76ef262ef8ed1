"""The probe against real sockets: what each row's result says, in one sentence."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from provisioning import asking, probe
from provisioning.verdict import Check
from tests.certificates import Authority, make_authority

HOST = "league.lan"


class _Handler(BaseHTTPRequestHandler):
    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def site(status: int = 200, authority: Authority | None = None) -> Iterator[int]:
    """A site that answers with this status, over TLS where it has a certificate; its port."""
    handler = type("Handler", (_Handler,), {"status": status})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if authority is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(authority.certificate, authority.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        server.server_close()


def row(port: int, **changes: Any) -> dict[str, Any]:
    return {"way": "lan", "canonical": True, "component": "web", "title": "Web", "host": HOST, "port": port, "url": f"http://{HOST}:{port}",
            "router": "lan-web", "path": "/auth/login", "tls": False, "certificate": "", "allowed": ["10.0.0.0/8"], **changes}  # fmt: skip


def probed(item: dict[str, Any]) -> Check:
    (check,) = probe.probe({"organization": {"slug": "demo"}, "routes": [item], "access": {"ways": []}})
    return check


@pytest.mark.parametrize(
    ("status", "state", "detail"),
    [
        (200, "ok", "/auth/login answers 200."),
        (302, "ok", "/auth/login answers 302."),
        (403, "failed", "/auth/login: Traefik refuses this machine's own address; it lets in 10.0.0.0/8."),
        (404, "failed", "/auth/login: Traefik knows no such host: it runs another blueprint."),
        (502, "failed", "/auth/login: Traefik is there, and nothing answers behind it."),
        (500, "failed", "/auth/login: answered 500."),
    ],
)
def test_a_row_says_what_came_of_it(status: int, state: str, detail: str) -> None:
    with site(status) as port:
        check = probed(row(port))
    assert (check.name, check.state, check.detail) == ("way/lan/web", state, detail)


def test_a_way_beside_the_canonical_one_warns() -> None:
    with site(502) as port:
        assert probed(row(port, canonical=False)).state == "warning"


def test_nobody_listening_is_said() -> None:
    with site() as port:
        pass
    assert probed(row(port)).detail == "/auth/login: no answer (Connection refused)."


def test_a_good_certificate_is_named_with_its_days(tmp_path: Path) -> None:
    with site(authority=make_authority(tmp_path, [HOST])) as port:
        check = probed(row(port, tls=True, certificate="own"))
    assert (check.state, check.detail) == ("ok", "/auth/login answers 200 with a certificate of Test Authority for 89 more days.")


@pytest.mark.parametrize(
    ("made", "expects", "state", "detail"),
    [
        ({"names": ["other.lan"]}, "own", "failed", "The route answers, but with no good certificate: it is for other.lan."),
        ({"days": -1}, "own", "failed", "The route answers, but with no good certificate: it is refused: certificate has expired."),
        ({"days": 5}, "own", "warning", "The certificate is of Test Authority, and runs out in 4 days."),
        ({"title": "TRAEFIK DEFAULT CERT"}, "own", "failed",
         "The route answers, but with no good certificate: Traefik shows the one it made for itself: it has none for this name yet."),
        ({}, "live", "failed", "The certificate is of Test Authority, which this machine does not trust."),
        ({}, "staging", "failed", "The certificate is of Test Authority; Let's Encrypt's staging authority was expected."),
        ({"title": "(STAGING) Riddling Rhubarb"}, "staging", "warning",
         "Issued by (STAGING) Riddling Rhubarb: name, port and challenge are proved; browsers still warn."),
    ],
)  # fmt: skip
def test_a_wrong_certificate_is_said(
    made: dict[str, Any], expects: str, state: str, detail: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "_ACME_PATIENCE_S", 0.0)
    authority = make_authority(tmp_path, made.pop("names", [HOST]), **made)
    with site(authority=authority) as port:
        check = probed(row(port, tls=True, certificate=expects))
    assert (check.state, check.detail) == (state, detail)


def test_what_a_host_shows_is_read_without_trusting_it(tmp_path: Path) -> None:
    with site(authority=make_authority(tmp_path, [HOST, "10.0.0.5"])) as port:
        shown = asking.served_certificate("127.0.0.1", port, HOST)
        by_address = asking.served_certificate("127.0.0.1", port, "10.0.0.5")
    assert (shown.issuer, shown.names, shown.problem, shown.is_trusted) == ("Test Authority", (HOST, "10.0.0.5"), "", False)
    assert by_address.problem == ""


def test_a_public_name_without_a_record_is_told_apart_from_a_route_that_does_not_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(probe, "addresses_of", lambda host: ())
    with site() as port:
        found = list(
            probe.probe({"organization": {"slug": "demo"}, "routes": [row(port, way="public", canonical=True)], "access": {"ways": []}})
        )
    first = found[0]
    assert (first.state, first.hint) == ("warning", f"make the record: A {HOST}")
    assert first.detail == "/auth/login answers 200. The name leads nowhere yet, as far as this machine is told."
