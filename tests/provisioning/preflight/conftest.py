"""Real peers for the preflight: a certificate authority, a PostgreSQL server and an S3 server, each made for the tests on loopback."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from provisioning.preflight.network import Peer
from tests.engine.ports import free_port

PASSWORD = "canary-database-password"
NAMES = {"db.example.org", "other.example.org", "s3.example.org", "redis.example.org"}


@pytest.fixture(scope="session", autouse=True)
def names() -> Iterator[None]:
    """The names of the tests lead to this machine; every other one is asked of DNS as always."""
    real = socket.getaddrinfo

    def found(host: object, *args: object, **more: object) -> object:
        return real("127.0.0.1" if host in NAMES else host, *args, **more)  # type: ignore[arg-type]

    patch = pytest.MonkeyPatch()
    patch.setattr(socket, "getaddrinfo", found)
    yield
    patch.undo()


@dataclass(frozen=True)
class Certificates:
    """An authority, and a certificate of it for some names."""

    authority: Path
    certificate: Path
    key: Path


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """For db.example.org, s3.example.org and redis.example.org."""
    folder = tmp_path_factory.mktemp("certificates")
    names = ",".join(f"DNS:{name}" for name in sorted(NAMES - {"other.example.org"}))
    for command in (
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=Test-Authority -addext basicConstraints=critical,CA:TRUE",
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=peer",
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -out server.pem -days 2 -extfile names.txt",
    ):
        (folder / "names.txt").write_text(f"subjectAltName={names}\n")
        subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    (folder / "server.key").chmod(0o600)
    return Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")


@dataclass(frozen=True)
class Server:
    """A running PostgreSQL; `run` carries out SQL as its superuser."""

    folder: Path
    port: int
    bin: Path

    def run(self, statement: str, database: str = "postgres") -> str:
        command = [
            str(self.bin / "psql"),
            "-XAtq",
            "-v",
            "ON_ERROR_STOP=1",
            "-h",
            str(self.folder),
            "-p",
            str(self.port),
            "-U",
            "boss",
            "-d",
            database,
        ]
        return subprocess.run([*command, "-c", statement], check=True, capture_output=True, text=True).stdout.strip()

    def peer(self, authority: Path | None, host: str = "db.example.org", port: int = 0) -> Peer:
        return Peer("database", "Database", host, port or self.port, "database.managed", authority, may_be_here=True)


@pytest.fixture(scope="session")
def postgres(certificates: Certificates) -> Iterator[Server]:
    """Debian's PostgreSQL with TLS and passwords, in a folder whose path somebody other than root can walk."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="sprocket-pg-"))
    server = Server(folder, free_port(), found[-1].parent)
    as_somebody = _not_root(folder)
    data = folder / "data"
    subprocess.run(
        [*as_somebody, str(server.bin / "initdb"), "-D", str(data), "-U", "boss", "-A", "trust", "-N"], check=True, capture_output=True
    )
    for name in ("certificate", "key"):
        target = data / f"server.{'crt' if name == 'certificate' else 'key'}"
        shutil.copyfile(getattr(certificates, name), target)
        target.chmod(0o600)
        if as_somebody:
            shutil.chown(target, "nobody")
    with (data / "postgresql.conf").open("a") as conf:
        conf.write(
            f"listen_addresses='127.0.0.1'\nport={server.port}\nunix_socket_directories='{folder}'\nfsync=off\nssl=on\nmax_connections=40\n"
        )
        conf.write("password_encryption='scram-sha-256'\n")
    (data / "pg_hba.conf").write_text("local all all trust\nhostssl all all 127.0.0.1/32 scram-sha-256\n")
    control = [*as_somebody, str(server.bin / "pg_ctl"), "-D", str(data), "-w", "-t", "60", "-l", str(folder / "log")]
    subprocess.run([*control, "start"], check=True, capture_output=True)
    try:
        yield server
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=False, capture_output=True)
        shutil.rmtree(folder, ignore_errors=True)


def _not_root(folder: Path) -> list[str]:
    """PostgreSQL does not run as root; where the tests do, it runs as nobody."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "nobody")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


@pytest.fixture
def league(postgres: Server) -> Iterator[str]:
    """A database of its own and a role that owns it, both called so."""
    name = f"league_{secrets.token_hex(4)}"
    postgres.run(f"create role {name} login password '{PASSWORD}'")
    postgres.run(f"create database {name} owner {name}")
    yield name
    postgres.run(f"drop database {name} with (force)")
    postgres.run(f"drop role {name}")


class Silent:
    """A server that takes connections and never says a word."""

    def __init__(self) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])


class Saying:
    """A server that answers every connection with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self.socket.getsockname()[1])
        self.answer = answer
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                peer, _ = self.socket.accept()
            except OSError:
                return
            with peer:
                peer.recv(64)
                peer.sendall(self.answer)
