"""The control plane as people run it: its own server and worker processes, a data folder of its own, real pages."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from tests.engine.ports import free_port
from tests.engine.removal import remove_everything

ROOT = Path(__file__).resolve().parents[2]
SPROCKET = str(Path(sys.executable).parent / "sprocket")
CHROMIUM = "/usr/bin/chromium"
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
]  # fmt: skip


class Site:
    """A running control plane."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.entry_port = free_port()
        self.slug = "w" + secrets.token_hex(5)
        self.url = f"http://127.0.0.1:{self.port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPROCKET_", "DJANGO_"))}
        cache = {name: os.environ[name] for name in ("SPROCKET_CACHE_DIR", "SPROCKET_PULUMI") if name in os.environ}
        self.environment = {**kept, **cache, "SPROCKET_DATA_DIR": str(folder / "data"), "SPROCKET_BASE_URL": self.url}
        self._log = folder / "serve.log"
        self._process: subprocess.Popen[bytes] | None = None

    def sprocket(self, *arguments: str) -> str:
        """One command."""
        done = subprocess.run(
            [SPROCKET, *arguments], env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.strip()

    def start(self) -> None:
        """Serve, with a worker, until it answers."""
        with self._log.open("ab") as log:
            command = [SPROCKET, "serve", "--port", str(self.port), "--with-worker"]
            self._process = subprocess.Popen(
                command, env=self.environment, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        limit = time.monotonic() + 60
        while True:
            try:
                with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                    return
            except OSError:
                assert time.monotonic() < limit, self._log.read_text()
                time.sleep(0.2)

    def stop(self) -> None:
        """End server and worker; remove every Docker object of the slug."""
        if self._process:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(45)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
        remove_everything(self.slug)
