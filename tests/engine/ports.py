"""Ports and addresses of the machine the engine tests run on."""

from __future__ import annotations

import contextlib
import random
import socket
import subprocess
from pathlib import Path

_OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LEAST = 12_000


def free_port() -> int:
    """A port nobody listens on, below those that the kernel gives to outgoing connections: one of these may be taken by the time it is used."""
    first = int(_OUTGOING.read_text().split()[0])
    while True:
        port = random.randrange(_LEAST, first)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("", port))
            return port


def gateway() -> str:
    """This machine's address as containers of the swarm see it; a private one on every machine."""
    form = "{{(index .IPAM.Config 0).Gateway}}"
    return subprocess.run(
        ["docker", "network", "inspect", "docker_gwbridge", "--format", form], capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()
