"""A Docker Engine of a test's own, to be killed, restarted and drained: its own folders, socket, network and processes, apart from the machine's.

It lives in namespaces of its own, so that ending their first process ends all of it, containers included, and so that its swarm's networks
meet nothing. Only root may make them; elsewhere such a test is skipped, with the reason.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

# The first process of the namespaces: starts the engine again whenever it has ended, unless it is to stay away.
_KEEP = """
ip link set lo up
while :; do
  dockerd --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" --host "unix://$1/docker.sock" --bridge=none
  rm -f "$1/pid"
  while [ -e "$1/away" ]; do sleep 0.2; done
done
"""
_START_LIMIT_S = 90.0


class OwnEngine:
    """A running engine, manager of a swarm of one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._log = (folder / "log").open("ab")
        apart = ["unshare", "--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc", "sh", "-c", _KEEP, "sh", str(folder)]
        self._process = subprocess.Popen(apart, stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log, start_new_session=True)

    @property
    def address(self) -> str:
        """As DOCKER_HOST has it."""
        return f"unix://{self.folder}/docker.sock"

    def docker(self, *words: str, check: bool = True) -> str:
        """What the command line says."""
        done = subprocess.run(["docker", "-H", self.address, *words], capture_output=True, text=True, check=False, timeout=120)
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def wait(self) -> None:
        """Until it answers."""
        limit = time.monotonic() + _START_LIMIT_S
        while not self.docker("version", "--format", "{{.Server.Version}}", check=False):
            if self._process.poll() is not None or time.monotonic() > limit:
                raise TimeoutError((self.folder / "log").read_text()[-1500:])
            time.sleep(0.2)

    def begin(self, *images: str) -> None:
        """Make it a swarm, and give it images of the machine's engine."""
        self.wait()
        self.docker("swarm", "init", "--advertise-addr", "127.0.0.1")
        saved = subprocess.Popen(["docker", "save", *images], stdout=subprocess.PIPE)
        subprocess.run(["docker", "-H", self.address, "load", "-q"], stdin=saved.stdout, check=True, capture_output=True, timeout=180)
        assert saved.wait(timeout=60) == 0

    def kill(self, *, stays_away: bool = False) -> None:
        """The engine dies without a word; it is started again at once, or once `come_back` is called."""
        if stays_away:
            (self.folder / "away").touch()
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdecimal() else []
                if words[:1] == [b"dockerd"] and str(self.folder / "data").encode() in words:
                    os.kill(int(entry.name), signal.SIGKILL)

    def come_back(self) -> None:
        """Start again after `kill`, and answer."""
        (self.folder / "away").unlink()
        self.wait()

    def end(self) -> None:
        """All of it is gone."""
        self._process.kill()  # --kill-child: the namespaces' first process goes with it, and all others with that
        self._process.wait(timeout=20)
        self._log.close()


@contextlib.contextmanager
def own_engine(*images: str) -> Iterator[OwnEngine]:
    """An engine that leaves nothing behind."""
    if os.geteuid() != 0:
        pytest.skip("an engine of the test's own needs root")
    folder = Path(tempfile.mkdtemp(prefix="sprocket-engine-"))
    engine = OwnEngine(folder)
    try:
        try:
            engine.begin(*images)
        except (TimeoutError, subprocess.SubprocessError) as error:
            pytest.skip(f"a second Docker Engine does not start here: {error}")
        yield engine
    finally:
        engine.end()
        time.sleep(0.5)  # its mounts are gone with its namespace a moment later
        shutil.rmtree(folder, ignore_errors=True)
