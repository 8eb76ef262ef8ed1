"""A real ACME server for tests: Debian's pebble, with real validation by TLS-ALPN, and a name server that leads every name here."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.certificates import make_authority
from tests.engine.ports import free_port, gateway


@dataclass(frozen=True, slots=True)
class Pebble:
    """Attributes: directory: as Traefik reaches it; root: what it signs certificates with (PEM); trust: root and server's root."""

    directory: str
    root: str
    trust: str
    log: Path


@contextlib.contextmanager
def pebble(folder: Path) -> Iterator[Pebble]:
    """The server, listening where containers of the swarm reach this machine. Without mercy: validation is really done."""
    address, port, management, names = gateway(), free_port(), free_port(), free_port()
    made = make_authority(folder, [address, "127.0.0.1"], title="ACME Server")
    config = {
        "listenAddress": f"{address}:{port}", "managementListenAddress": f"127.0.0.1:{management}", "certificate": str(made.certificate),
        "privateKey": str(made.key), "httpPort": 80, "tlsPort": 443, "ocspResponderURL": "", "externalAccountBindingRequired": False,
    }  # fmt: skip
    (folder / "pebble.json").write_text(json.dumps({"pebble": config}))
    log = folder / "pebble.log"
    environment = {"PATH": os.environ["PATH"], "PEBBLE_VA_NOSLEEP": "1", "PEBBLE_WFE_NONCEREJECT": "0"}
    silent = [f"-{kind}=" for kind in ("http01", "https01", "tlsalpn01")]
    commands = [
        ["pebble-challtestsrv", "-defaultIPv4=127.0.0.1", "-defaultIPv6=", f"-dns01=127.0.0.1:{names}", "-management=127.0.0.1:0", *silent],
        ["pebble", f"-config={folder / 'pebble.json'}", f"-dnsserver=127.0.0.1:{names}"],
    ]
    with log.open("wb") as out:
        running = [subprocess.Popen(command, stdout=out, stderr=out, env=environment) for command in commands]
    try:
        root = _root(management, made.root, log)
        yield Pebble(f"https://{address}:{port}/dir", root, root.strip() + "\n" + made.root.read_text().strip(), log)
    finally:
        for process in running:
            process.terminate()
            process.wait(timeout=10)


def _root(port: int, trusted: Path, log: Path) -> str:
    """What it signs with, made anew at each start."""
    context = ssl.create_default_context(cafile=str(trusted))
    limit = time.monotonic() + 20
    while True:
        try:
            with urllib.request.urlopen(f"https://127.0.0.1:{port}/roots/0", timeout=5, context=context) as answer:
                return str(answer.read().decode())
        except OSError:
            assert time.monotonic() < limit, log.read_text()
            time.sleep(0.1)
