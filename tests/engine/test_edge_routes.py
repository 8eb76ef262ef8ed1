"""The edge's own files and an organization's, read by the real Traefik: server names, PROXY protocol, forged addresses. No Docker."""

from __future__ import annotations

import contextlib
import http.client
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from blueprints.catalog import TEMPLATES
from blueprints.host_edge import Member, draw_edge, member_of
from blueprints.shared import EntryName
from tests.blueprints.cases import rendering

pytestmark = pytest.mark.engine
TRAEFIK = Path(sys.executable).parent / "traefik"
ACME = "acme-tls/1"
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n"


def own_certificate(folder: Path, name: str) -> tuple[Path, Path]:
    """A certificate that signs itself, and its key."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    command += ["-keyout", str(key), "-out", str(certificate), "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"]
    subprocess.run(command, check=True, capture_output=True, timeout=30)
    return certificate, key


class TlsServer:
    """An organization's door as the edge sees it: takes the PROXY header, then TLS with a certificate of its own."""

    def __init__(self, folder: Path, name: str, address: str) -> None:
        self.name = name
        self.certificate, key = own_certificate(folder, name)
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(self.certificate, key)
        self._context.set_alpn_protocols([ACME, "http/1.1"])
        self._listener = socket.create_server((address, 0))
        self.port = int(self._listener.getsockname()[1])
        self.clients: list[str] = []
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with contextlib.suppress(OSError):
                connection.settimeout(5)
                head = _exactly(connection, 16)
                body = _exactly(connection, int.from_bytes(head[14:16], "big"))
                self.clients.append(socket.inet_ntoa(body[:4]) if head[:12] == PROXY_V2 else "no PROXY header")
                with self._context.wrap_socket(connection, server_side=True) as secure:
                    secure.sendall(self.name.encode())

    def close(self) -> None:
        """Take no more."""
        self._listener.close()


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        part = connection.recv(count - len(data))
        if not part:
            raise OSError("ended early")
        data += part
    return data


def _free(address: str = "127.0.0.1") -> int:
    with socket.create_server((address, 0)) as probe:
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def traefik(folder: Path, static: str, routes: str, port: int, address: str = "127.0.0.1") -> Iterator[None]:
    """Traefik with these two files, until it listens."""
    folder.mkdir()
    (folder / "routes.yml").write_text(routes)
    (folder / "traefik.yml").write_text(static.replace("/etc/traefik/routes.yml", str(folder / "routes.yml")))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([TRAEFIK, f"--configFile={folder / 'traefik.yml'}"], stdout=log, stderr=log, cwd=folder)
    try:
        limit = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
                break
            assert process.poll() is None and time.monotonic() < limit, (folder / "log").read_text()
            time.sleep(0.1)
        time.sleep(0.5)  # it listens before it has read its routes
        yield
    finally:
        process.terminate()
        process.wait(timeout=15)


@pytest.fixture(scope="module")
def edge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, dict[str, TlsServer]]]:
    """The edge in front of two TLS servers with certificates of their own; its port, and they by name."""
    folder, port = tmp_path_factory.mktemp("edge"), _free()
    servers = {name: TlsServer(folder, name, "127.0.0.1") for name in ("one.example", "two.example")}
    members = [Member(name[:3], f"{name[:3]}_entry", f"{name[:3]}_traefik", (EntryName(name, port, True),)) for name in servers]
    files = draw_edge("host-edge-0123456789ab", members, "traefik:v3.7", TEMPLATES)
    routes, static = files["config/routes.yml"], files["config/traefik.yml"].replace(":19000", f":{_free()}")
    for name, server in servers.items():
        assert f"{name[:3]}_traefik:{port}" in routes
        routes = routes.replace(f"{name[:3]}_traefik:{port}", f"127.0.0.1:{server.port}")
    try:
        with traefik(folder / "traefik", static, routes, port):
            yield port, servers
    finally:
        for server in servers.values():
            server.close()


def _said(port: int, name: str, certificate: Path, *, protocol: str = "http/1.1", source: str = "127.0.0.1") -> tuple[str, str]:
    """What the server behind a name says to a client that trusts only one certificate, and the protocol agreed on."""
    context = ssl.create_default_context(cafile=str(certificate))
    context.set_alpn_protocols([protocol])
    plain = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0))
    with plain, context.wrap_socket(plain, server_hostname=name) as secure:
        return secure.recv(64).decode(), str(secure.selected_alpn_protocol())


def test_two_organizations_on_one_tls_port_are_told_apart_by_server_name(edge: tuple[int, dict[str, TlsServer]]) -> None:
    port, servers = edge
    for name, server in servers.items():
        assert _said(port, name, server.certificate) == (name, "http/1.1")
    with pytest.raises(ssl.SSLCertVerificationError):
        _said(port, "one.example", servers["two.example"].certificate)


def test_a_server_name_nobody_has_gets_no_certificate_at_all(edge: tuple[int, dict[str, TlsServer]]) -> None:
    port, servers = edge
    with pytest.raises(ssl.SSLError, match="UNRECOGNIZED_NAME"):
        _said(port, "three.example", servers["one.example"].certificate)


def test_lets_encrypts_challenge_reaches_the_organization_unopened(edge: tuple[int, dict[str, TlsServer]]) -> None:
    port, servers = edge
    assert _said(port, "two.example", servers["two.example"].certificate, protocol=ACME) == ("two.example", ACME)


def test_the_clients_own_address_is_handed_on(edge: tuple[int, dict[str, TlsServer]]) -> None:
    port, servers = edge
    _said(port, "one.example", servers["one.example"].certificate, source="127.0.9.9")
    assert servers["one.example"].clients[-1] == "127.0.9.9"


class Echo(BaseHTTPRequestHandler):
    """Says what the last Traefik told it of the client."""

    def do_GET(self) -> None:
        text = self.headers.get("X-Forwarded-For", "").encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_: object) -> None:
        """Quiet."""


Get = Callable[..., tuple[int, str]]


@contextlib.contextmanager
def application() -> Iterator[int]:
    """What every organization's Traefik sends requests to here; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()


@contextlib.contextmanager
def organization(folder: Path, slug: str, access: dict[str, Any], address: str, backend: int, **files: Path) -> Iterator[Member]:
    """An organization's own Traefik with the files of its bundle, at an address of its own instead of a network of its own.

    The edge speaks from 127.0.0.1, so that stands for the entry network; of this machine's addresses only 127.0.0.x are let in.

    Args:
        files: secret -> file, for what stands under /run/secrets in a container.
    """
    bundle = rendering(slug=slug, access={**access, "shared": True})
    shared = bundle.blueprint["access"]["shared"]
    static = bundle.files["config/traefik/traefik.yml"].replace(":19000", f":{_free()}").replace('address: ":', f'address: "{address}:')
    routes = bundle.files["config/traefik/routes.yml"].replace("127.0.0.0/8", "127.0.0.0/24")
    routes = routes.replace("http://web:3000", f"http://127.0.0.1:{backend}")
    for name, file in files.items():
        routes = routes.replace(f'"/run/secrets/{name.replace("_", "-")}"', f'"{file}"')
    static, routes = (text.replace(shared["subnet"], "127.0.0.1/32") for text in (static, routes))
    member = member_of(slug, shared)
    with traefik(folder / slug, static, routes, member.names[0].port, address):
        yield member


@contextlib.contextmanager
def host_edge(folder: Path, members: dict[str, Member]) -> Iterator[None]:
    """The edge at 127.0.0.1, in front of these, by their addresses."""
    files = draw_edge("host-edge-0123456789ab", members.values(), "traefik:v3.7", TEMPLATES)
    static = files["config/traefik.yml"].replace(":19000", f":{_free()}").replace('address: ":', 'address: "127.0.0.1:')
    routes = files["config/routes.yml"]
    for address, member in members.items():
        routes = routes.replace(member.proxy, address)
    port = next(entry.port for member in members.values() for entry in member.names)
    with traefik(folder / "edge", static, routes, port):
        yield


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Get, Get]]:
    """Edge, organization's Traefik and application in a row: a request through the edge, and one past it as from a container of the
    organization."""
    folder, port = tmp_path_factory.mktemp("chain"), _free("127.0.0.2")
    access = {"canonical": "localhost", "localhost": {"host": "testers.localhost", "port": port}}

    def get(address: str, source: str, host: str = "testers.localhost", **headers: str) -> tuple[int, str]:
        connection = http.client.HTTPConnection(address, port, timeout=5, source_address=(source, 0))
        try:
            named = {"Host": f"{host}:{port}", **{key.replace("_", "-"): value for key, value in headers.items()}}
            connection.request("GET", "/", headers=named)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    with (
        application() as backend,
        organization(folder, "testers", access, "127.0.0.2", backend) as member,
        host_edge(folder, {"127.0.0.2": member}),
    ):
        yield lambda *a, **k: get("127.0.0.1", *a, **k), lambda *a, **k: get("127.0.0.2", *a, **k)


def test_the_allow_list_decides_by_the_clients_address_behind_the_edge(chain: tuple[Get, Get]) -> None:
    through, _ = chain
    status, seen = through("127.0.0.7")
    assert (status, seen) == (200, "127.0.0.7, 127.0.0.1")
    assert through("127.0.5.5")[0] == 403


def test_nothing_a_client_says_of_itself_gets_it_in(chain: tuple[Get, Get]) -> None:
    through, _ = chain
    assert through("127.0.5.5", X_Forwarded_For="127.0.0.7", X_Real_Ip="127.0.0.7")[0] == 403
    assert through("127.0.0.7", X_Forwarded_For="192.0.2.1") == (200, "127.0.0.7, 127.0.0.1")


def test_the_organizations_own_containers_come_in_past_the_edge_and_are_not_believed(chain: tuple[Get, Get]) -> None:
    _, past = chain
    assert past("127.0.0.9") == (200, "127.0.0.9")
    assert past("127.0.0.9", X_Forwarded_For="192.0.2.1") == (200, "127.0.0.9")
    assert past("127.0.5.5", X_Forwarded_For="127.0.0.7")[0] == 403


def test_a_host_nobody_has_is_404_at_the_edge(chain: tuple[Get, Get]) -> None:
    through, _ = chain
    assert through("127.0.0.7", host="nobody.localhost")[0] == 404


def test_two_organizations_with_certificates_of_their_own_share_a_tls_port(tmp_path: Path) -> None:
    """Each one's own Traefik opens the TLS, and its allow list decides by the address the PROXY protocol brings."""
    port, api_port = _free("127.0.0.3"), _free("127.0.0.3")
    names = {"one": "127.0.0.2", "two": "127.0.0.3"}
    pairs = {slug: own_certificate(tmp_path, f"{slug}.lan") for slug in names}
    with contextlib.ExitStack() as stack:
        backend, members = stack.enter_context(application()), {}
        for slug, address in names.items():
            access = {
                "canonical": "lan",
                "lan": {"host": f"{slug}.lan", "port": port, "api_port": api_port, "certificate": "own"},
            }
            certificate, key = pairs[slug]
            own = organization(tmp_path, slug, access, address, backend, lan_certificate=certificate, lan_certificate_key=key)
            members[address] = stack.enter_context(own)
        stack.enter_context(host_edge(tmp_path, members))
        for slug, (certificate, _) in pairs.items():
            assert _https(port, f"{slug}.lan", certificate, "127.0.0.7") == (200, "127.0.0.7")
            assert _https(port, f"{slug}.lan", certificate, "127.0.5.5")[0] == 403
            assert _https(port, f"{slug}.lan", certificate, "127.0.5.5", {"X-Forwarded-For": "127.0.0.7"})[0] == 403
        with pytest.raises(ssl.SSLCertVerificationError):
            _https(port, "one.lan", pairs["two"][0], "127.0.0.7")


def _https(port: int, name: str, certificate: Path, source: str, headers: dict[str, str] | None = None) -> tuple[int, str]:
    context = ssl.create_default_context(cafile=str(certificate))
    connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=5, source_address=(source, 0))
    plain = socket.create_connection(("127.0.0.1", port), timeout=5, source_address=(source, 0))
    with plain, context.wrap_socket(plain, server_hostname=name) as secure:
        connection.sock = secure
        connection.request("GET", "/", headers={"Host": f"{name}:{port}", **(headers or {})})
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
