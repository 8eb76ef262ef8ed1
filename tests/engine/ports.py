"""Ports and addresses of the machine the engine tests run on."""

from __future__ import annotations

import socket
import subprocess


def free_port() -> int:
    """A port nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        return int(probe.getsockname()[1])


def gateway() -> str:
    """This machine's address as containers of the swarm see it; a private one on every machine."""
    form = "{{(index .IPAM.Config 0).Gateway}}"
    return subprocess.run(
        ["docker", "network", "inspect", "docker_gwbridge", "--format", form], capture_output=True, text=True, check=True, timeout=30
    ).stdout.strip()
