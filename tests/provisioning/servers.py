"""Real servers of the fault tests: Redis, RabbitMQ and PostgreSQL, each on a free port of the loopback, with a data folder of its own.

Each can be killed, started again on the same data, and emptied. Debian's programs; none of Debian's own services is touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.engine.ports import free_port

POSTGRES = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
_RABBIT = Path("/usr/lib/rabbitmq/bin")
_START_LIMIT_S = 60.0
S = TypeVar("S", bound="Server")


def wait_until(is_so: Callable[[], bool], what: str, *, limit_s: float = _START_LIMIT_S) -> None:
    """Look again until it is so; fails with `what` after the limit."""
    limit = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < limit, f"not within {limit_s:.0f} s: {what}"
        time.sleep(0.05)


def _as_nobody(folder: Path) -> list[str]:
    """PostgreSQL does not run as root; where the tests do, it runs as nobody."""
    if os.geteuid() != 0:
        return []
    shutil.chown(folder, "nobody")
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups"]


class Server:
    """A server in a session of its own."""

    name = "server"

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self._process: subprocess.Popen[bytes] | None = None

    def command(self) -> list[str]:
        """The whole command line."""
        raise NotImplementedError

    def environment(self) -> dict[str, str]:
        """Its environment."""
        return dict(os.environ)

    def answers(self) -> bool:
        """Whether it can be used by now."""
        raise NotImplementedError

    def start(self) -> None:
        """Start it on its data, and wait until it answers."""
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), cwd=self.folder, env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )
        wait_until(self.answers, f"{self.name} answers, see {self.folder / 'log'}")

    def kill(self) -> None:
        """End it with all its processes, without a word."""
        if self._process and self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(timeout=20)

    def freeze(self) -> None:
        """It takes connections and answers nothing, as after a disk that hangs."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process
        os.killpg(self._process.pid, signal.SIGCONT)


class Redis(Server):
    """A Redis that keeps what it has in a file, written after each change."""

    name = "Redis"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        where = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self.folder)]
        return ["redis-server", *where, "--appendonly", "yes", "--appendfsync", "always", "--save", ""]

    def answers(self) -> bool:
        return self._ask("ping") == "PONG"

    def empty(self) -> None:
        """Every message is gone."""
        assert self._ask("flushall") == "OK"

    def _ask(self, *words: str) -> str:
        command = ["redis-cli", "-p", str(self.port), *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=10).stdout.strip()


class RabbitMQ(Server):
    """A RabbitMQ node that nobody outside this machine can reach, with a port mapper of its own."""

    name = "RabbitMQ"

    def __init__(self, folder: Path, *, conf: str = "") -> None:
        super().__init__(folder)
        self._conf = conf
        self._mapper, self._distribution = free_port(), free_port()

    @property
    def url(self) -> str:
        return f"amqp://127.0.0.1:{self.port}//"

    def command(self) -> list[str]:
        return [str(_RABBIT / "rabbitmq-server")]

    def environment(self) -> dict[str, str]:
        (self.folder / "rabbit.conf").write_text(f"listeners.tcp.1 = 127.0.0.1:{self.port}\n{self._conf}")
        (self.folder / "plugins").write_text("[].\n")
        own = {
            "HOME": str(self.folder),
            "RABBITMQ_NODENAME": f"t{self.port}@localhost",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbit.conf"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "data"),
            "RABBITMQ_LOG_BASE": str(self.folder / "logs"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_DIST_PORT": str(self._distribution),
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
            "ERL_EPMD_PORT": str(self._mapper),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        return {**os.environ, **own}

    def answers(self) -> bool:
        assert self._process
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as peer:
                peer.settimeout(2)
                peer.sendall(b"AMQP\x00\x00\x09\x01")
                return bool(peer.recv(8))
        except OSError:
            return False

    def empty(self) -> None:
        """Queues and messages are gone, as with a broker whose disk was replaced."""
        self.kill()
        shutil.rmtree(self.folder / "data")
        self.start()

    def end_mapper(self) -> None:
        """The port mapper makes itself independent; it is asked to go, by its own program."""
        port = {**os.environ, "ERL_EPMD_PORT": str(self._mapper)}
        subprocess.run(["epmd", "-port", str(self._mapper), "-kill"], env=port, capture_output=True, check=False, timeout=20)


class Postgres(Server):
    """A PostgreSQL with one database, `sprocket`."""

    name = "PostgreSQL"

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._as = _as_nobody(folder)
        self._bin = POSTGRES[-1]
        made = [*self._as, str(self._bin / "initdb"), "-D", str(folder / "data"), "-U", "sprocket", "-A", "trust", "-N"]
        subprocess.run(made, check=True, capture_output=True, cwd=folder)

    @property
    def url(self) -> str:
        return f"postgres://sprocket@127.0.0.1:{self.port}/sprocket"

    def command(self) -> list[str]:
        where = ["-D", str(self.folder / "data"), "-p", str(self.port), "-k", str(self.folder)]
        return [*self._as, str(self._bin / "postgres"), *where, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"]

    def answers(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "sprocket"]
        return subprocess.run(command, check=False, timeout=10).returncode == 0

    def start(self) -> None:
        (self.folder / "data" / "postmaster.pid").unlink(missing_ok=True)  # of a killed one, whose number may be another's by now
        super().start()

    def create_database(self) -> None:
        """An empty one."""
        self.run("create database sprocket", database="postgres")

    def run(self, statement: str, *, database: str = "sprocket") -> str:
        """Carry out SQL; its answer as text."""
        command = [str(self._bin / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-U", "sprocket"]
        done = subprocess.run([*command, "-d", database, "-c", statement], check=True, capture_output=True, text=True, timeout=30)
        return done.stdout.strip()


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder with a short path that somebody other than root can walk."""
    folder = Path(tempfile.mkdtemp(prefix="sprocket-srv-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def redis_server() -> Iterator[Redis]:
    """A running Redis."""
    if not shutil.which("redis-server"):
        pytest.skip("no Redis server here: apt-get install redis-server")
    with a_folder() as folder:
        yield from _running(Redis(folder))


@contextmanager
def rabbitmq_server(conf: str = "") -> Iterator[RabbitMQ]:
    """A running RabbitMQ."""
    if not (_RABBIT / "rabbitmq-server").is_file():
        pytest.skip("no RabbitMQ server here: apt-get install rabbitmq-server")
    with a_folder() as folder:
        server = RabbitMQ(folder, conf=conf)
        try:
            yield from _running(server)
        finally:
            server.end_mapper()


@contextmanager
def postgres_server() -> Iterator[Postgres]:
    """A running PostgreSQL with its database."""
    if not POSTGRES:
        pytest.skip("no PostgreSQL server here: apt-get install postgresql")
    with a_folder() as folder:
        server = Postgres(folder)
        server.start()
        try:
            server.create_database()
            yield server
        finally:
            server.kill()


def _running(server: S) -> Iterator[S]:
    server.start()
    try:
        yield server
    finally:
        server.kill()
