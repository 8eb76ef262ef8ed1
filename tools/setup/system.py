"""System packages, Docker Engine and swarm. Only as root on a Debian-like machine, after saying so, and asking where there is a terminal.

`python -m tools.setup.system docker|chromium|pebble|stop-docker`
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sprocket_v2.errors import SetupError
from tools.cache import cache_root

DOCKER_PACKAGES = ("docker.io", "iptables", "iproute2", "debootstrap")
PEBBLE_PACKAGES = ("pebble",)  # a small ACME server for tests, by the makers of Let's Encrypt
BROKER_PROGRAMS = {"redis-server": "redis-server", "rabbitmq-server": "rabbitmq-server"}  # package -> program
CHROMIUM_PACKAGES = ("chromium", "fonts-dejavu-core")
_START_LIMIT_S = 60
_START_POLICY = Path("/usr/sbin/policy-rc.d")


def say(text: str) -> None:
    """One line of progress."""
    print(f"system: {text}", flush=True)


def may_install() -> bool:
    """Root on a machine with apt."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def confirm(what: str) -> None:
    """Say what is about to be done, and ask where somebody can answer.

    Raises:
        SetupError: no root, or the answer was no.
    """
    if not may_install():
        raise SetupError(
            f"needed: {what}", hint="as root on a Debian-like machine this is done for you; elsewhere do it by hand", where="system"
        )
    say(what)
    if sys.stdin.isatty() and not os.environ.get("CI") and input("system: go on? [Y/n] ").strip().lower() not in ("", "y", "yes"):
        raise SetupError(f"not done: {what}", hint="do it by hand, then run this again", where="system")


def install(packages: tuple[str, ...]) -> None:
    """Install Debian packages."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in (["apt-get", "update", "-qq"], ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=900)
        if done.returncode:
            raise SetupError(
                f"{' '.join(command[:2])} failed: {done.stderr.strip()[-300:]}", hint="are the package servers reachable?", where="system"
            )


def docker_answers() -> bool:
    """Whether an engine answers."""
    if shutil.which("docker") is None:
        return False
    done = subprocess.run(["docker", "version", "--format", "{{.Server.Version}}"], capture_output=True, text=True, check=False, timeout=30)
    return done.returncode == 0


def swarm_is_active() -> bool:
    """Whether the engine is a swarm manager."""
    form = "{{.Swarm.LocalNodeState}} {{.Swarm.ControlAvailable}}"
    done = subprocess.run(["docker", "info", "--format", form], capture_output=True, text=True, check=False, timeout=30)
    return done.stdout.strip() == "active true"


def ensure_docker() -> bool:
    """An engine that answers, as a swarm manager; True when it was started here."""
    started = False
    if not docker_answers():
        missing = [
            name
            for name, program in (("docker.io", "dockerd"), ("iptables", "iptables"), ("debootstrap", "debootstrap"))
            if not _has(program)
        ]
        if missing:
            confirm(f"installing Docker Engine and what it needs ({', '.join(DOCKER_PACKAGES)})")
            install(DOCKER_PACKAGES)
        started = _start_engine()
    elif may_install() and not _has("debootstrap"):
        say("installing debootstrap, to build images that cannot be pulled")
        install(("debootstrap",))
    if not swarm_is_active():
        confirm("making this machine a swarm of one (docker swarm init --advertise-addr 127.0.0.1)")
        done = subprocess.run(
            ["docker", "swarm", "init", "--advertise-addr", "127.0.0.1"], capture_output=True, text=True, check=False, timeout=60
        )
        if done.returncode:
            raise SetupError(f"docker swarm init: {done.stderr.strip()}", hint="see `docker info`", where="swarm")
    return started


def _has(program: str) -> bool:
    return shutil.which(program) is not None or os.access(f"/usr/sbin/{program}", os.X_OK)


def _run_dir() -> Path:
    folder = cache_root()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _start_engine() -> bool:
    if Path("/run/systemd/system").is_dir():
        confirm("starting Docker (systemctl start docker)")
        subprocess.run(["systemctl", "start", "docker"], check=False, timeout=120)
    else:
        confirm("starting Docker Engine in the background (dockerd)")
        log = (_run_dir() / "dockerd.log").open("ab")
        process = subprocess.Popen(["dockerd"], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        (_run_dir() / "dockerd.pid").write_text(str(process.pid))
    limit = time.monotonic() + _START_LIMIT_S
    while not docker_answers():
        if time.monotonic() > limit:
            raise SetupError(f"Docker does not answer after {_START_LIMIT_S} s", hint=f"see {_run_dir() / 'dockerd.log'}", where="system")
        time.sleep(0.5)
    return True


def stop_docker() -> None:
    """End the engine that `ensure_docker` started in the background; no other."""
    file = _run_dir() / "dockerd.pid"
    if not file.is_file():
        return
    pid = int(file.read_text())
    file.unlink()
    try:
        if b"dockerd" not in Path(f"/proc/{pid}/cmdline").read_bytes():
            return
        os.kill(pid, signal.SIGTERM)
        limit = time.monotonic() + 60
        while Path(f"/proc/{pid}").exists() and time.monotonic() < limit:
            time.sleep(0.2)
            try:
                os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                pass
    except (FileNotFoundError, ProcessLookupError):
        return


def ensure_chromium() -> None:
    """Chromium for the browser tests."""
    if shutil.which("chromium"):
        return
    confirm(f"installing {', '.join(CHROMIUM_PACKAGES)} for the browser tests")
    install(CHROMIUM_PACKAGES)


def ensure_pebble() -> None:
    """An ACME server for the engine tests of a public way in."""
    if shutil.which("pebble") and shutil.which("pebble-challtestsrv"):
        return
    confirm(f"installing {', '.join(PEBBLE_PACKAGES)} for the engine tests")
    install(PEBBLE_PACKAGES)


def ensure_postgres() -> None:
    """PostgreSQL's programs for the tests of the preflight, which start servers of their own: no cluster is made and none is started."""
    if any(Path("/usr/lib/postgresql").glob("*/bin/postgres")) or shutil.which("postgres"):
        return
    confirm("installing PostgreSQL's programs for the tests of the preflight; no server is started")
    install(("postgresql-common",))
    config = Path("/etc/postgresql-common/createcluster.conf")
    if config.is_file() and not re.search(r"(?m)^\s*create_main_cluster", config.read_text()):
        config.write_text(f"{config.read_text()}\ncreate_main_cluster = false\n")
    install(("postgresql",))


def ensure_brokers() -> None:
    """Redis' and RabbitMQ's programs for the tests of faults, which start servers of their own: none is started here."""
    missing = tuple(package for package, program in BROKER_PROGRAMS.items() if not _has(program))
    if not missing:
        return
    confirm(f"installing {' and '.join(missing)} for the tests of faults; no server is started")
    with _nothing_started():
        install(missing)


@contextmanager
def _nothing_started() -> Iterator[None]:
    """Debian starts a server when it installs one, unless this file says otherwise; one that is there already is left alone."""
    if _START_POLICY.exists():
        yield
        return
    _START_POLICY.write_text("#!/bin/sh\nexit 101\n")
    _START_POLICY.chmod(0o755)
    try:
        yield
    finally:
        _START_POLICY.unlink()


def main() -> int:
    """Do what is asked."""
    try:
        {"docker": ensure_docker, "chromium": ensure_chromium, "pebble": ensure_pebble, "stop-docker": stop_docker}[sys.argv[1]]()
    except (KeyError, IndexError):
        print("usage: python -m tools.setup.system docker|chromium|pebble|stop-docker", file=sys.stderr)
        return 2
    except SetupError as error:
        print(f"{error}\n  hint: {error.hint}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
