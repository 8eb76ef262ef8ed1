"""What this machine has and lacks, for `sprocket doctor`: each finding with how to mend it. No Docker SDK, no Django."""

from __future__ import annotations

import errno
import http.client
import json
import os
import platform
import shutil
import socket
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOCKET = Path("/var/run/docker.sock")
LEAST_FREE = 5 * 1024**3
LEAST_MEMORY = 3 * 1024**3
ENTRY_PORTS = (8080, 8081)
_TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """One finding; `state` is ok, warning or failed."""

    name: str
    state: str
    detail: str
    hint: str = ""


def diagnose(data_dir: Path, engine: Path | None) -> list[Diagnosis]:
    """Look at everything once.

    Args:
        data_dir: where the control plane keeps its data.
        engine: the Pulumi command line, when it was found.
    """
    return [python(), pulumi(engine), *docker(), kernel(), virtual_ips(), disk(data_dir), memory(), *ports(), master_key(data_dir)]


def python() -> Diagnosis:
    """The interpreter."""
    good = sys.version_info >= (3, 11)
    return Diagnosis("Python", "ok" if good else "failed", platform.python_version(), "" if good else "3.11 or newer is needed")


def pulumi(engine: Path | None) -> Diagnosis:
    """The engine's command line."""
    if engine is None:
        return Diagnosis("Pulumi", "failed", "not here", "`make setup` fetches or builds it")
    return Diagnosis("Pulumi", "ok", str(engine))


def docker(path: Path = SOCKET) -> Iterator[Diagnosis]:
    """Docker Engine and swarm. "Permission denied on the socket", "not started" and "no Docker" are three findings."""
    try:
        info = _ask(path, "/info")
    except PermissionError:
        yield Diagnosis(
            "Docker", "failed", f"permission denied on the socket {path}", "add your user to the group docker, then sign in anew"
        )
        return
    except (FileNotFoundError, ConnectionError):
        if path.exists() or shutil.which("dockerd") or os.access("/usr/sbin/dockerd", os.X_OK):
            yield Diagnosis("Docker", "failed", "Docker is installed, not started", "systemctl start docker, or as root: dockerd &")
        else:
            yield Diagnosis("Docker", "failed", "no Docker on this machine", "apt-get install docker.io, or docs.docker.com/engine/install")
        return
    except (OSError, ValueError) as error:
        yield Diagnosis("Docker", "failed", f"{path}: {error}", "is that socket Docker's?")
        return
    yield Diagnosis("Docker", "ok", f"version {info.get('ServerVersion', '?')}")
    swarm = info.get("Swarm") or {}
    if swarm.get("LocalNodeState") == "active" and swarm.get("ControlAvailable"):
        yield Diagnosis("Swarm", "ok", "active, this machine is a manager")
    else:
        yield Diagnosis("Swarm", "failed", "swarm is not active", "docker swarm init --advertise-addr 127.0.0.1")


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("docker", timeout=_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_TIMEOUT_S)
        try:
            self.sock.connect(str(self._path))
        except OSError:
            self.sock.close()
            raise


def _ask(path: Path, what: str) -> dict[str, Any]:
    connection = _UnixConnection(path)
    try:
        connection.request("GET", what)
        answer: dict[str, Any] = json.loads(connection.getresponse().read())
    finally:
        connection.close()
    return answer


def kernel() -> Diagnosis:
    """What runs the machine."""
    return Diagnosis("Kernel", "ok", f"{platform.system()} {platform.release()}")


def virtual_ips() -> Diagnosis:
    """Whether Swarm's virtual IPs answer. Sprocket v2 does not need them; the legacy layout does, so it is no fault of the machine."""
    if has_virtual_ips():
        return Diagnosis("Virtual IPs", "ok", "this kernel has IPVS")
    detail = "no IPVS in this kernel: only dnsrr and host ports work, which is what Sprocket v2 uses"
    return Diagnosis("Virtual IPs", "ok", detail, "a legacy estate here needs `modprobe ip_vs`, or endpoint_mode dnsrr in its needs")


def has_virtual_ips(proc: Path = Path("/proc"), modules: Path = Path("/lib/modules")) -> bool:
    """Whether the kernel has IPVS: loaded, built in, or as a module that Docker loads when it needs it."""
    if (proc / "net" / "ip_vs").exists():
        return True
    folder = modules / platform.release()
    if any((folder / "kernel" / "net" / "netfilter" / "ipvs").glob("ip_vs.ko*")):
        return True
    try:
        return "/ip_vs.ko" in (folder / "modules.builtin").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def disk(data_dir: Path) -> Diagnosis:
    """Room for data and images."""
    folder = next(path for path in (data_dir, *data_dir.parents) if path.exists())
    free = shutil.disk_usage(folder).free
    good = free >= LEAST_FREE
    return Diagnosis(
        "Disk",
        "ok" if good else "warning",
        f"{free / 1024**3:.1f} GiB free at {folder}",
        "" if good else "5 GiB are wanted for images and data",
    )


def memory() -> Diagnosis:
    """Memory of the machine."""
    try:
        total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError):
        return Diagnosis("Memory", "warning", "not known here")
    good = total >= LEAST_MEMORY
    return Diagnosis("Memory", "ok" if good else "warning", f"{total / 1024**3:.1f} GiB", "" if good else "the core six want 3 GiB")


def ports(wanted: tuple[int, ...] = ENTRY_PORTS) -> Iterator[Diagnosis]:
    """Whether the usual entry ports are free."""
    for port in wanted:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("0.0.0.0", port))  # noqa: S104 - Swarm publishes on every address
            except OSError as error:
                why = "in use" if error.errno == errno.EADDRINUSE else str(error.strerror)
                hint = f"fine when it is a deployment of yours; `ss -ltnp 'sport = :{port}'` says whose it is"
                yield Diagnosis(f"Port {port}", "warning", why, hint)
            else:
                yield Diagnosis(f"Port {port}", "ok", "free")


def master_key(data_dir: Path) -> Diagnosis:
    """The key to the secret store: is a copy kept elsewhere? Only a person knows."""
    file = Path(os.environ.get("SPROCKET_MASTER_KEY_FILE") or data_dir / "keys" / "secret.key")
    if not file.is_file():
        return Diagnosis("Secret key", "ok", "not made yet; the first secret makes it")
    if file.stat().st_mode & 0o077:
        return Diagnosis("Secret key", "failed", f"{file} can be read by others", f"chmod 600 {file}")
    return Diagnosis(
        "Secret key", "warning", f"is a copy of {file} kept safe elsewhere?", "without it stored secrets cannot be opened after a loss"
    )
