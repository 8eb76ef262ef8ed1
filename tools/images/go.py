"""Programs built from their Go module, for images that cannot be pulled. Built once, kept in the cache, whole or not at all.

`tools/go/<name>` holds the go.mod and go.sum that lock a program and all it is made of; nothing is added to them while building.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sprocket_v2.errors import SetupError
from tools.images.cache import cache_dir

MODULES = Path(__file__).resolve().parent.parent / "go"
_LIMIT_S = 1200
_SAY_EVERY_S = 30
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Program:
    """One program.

    Attributes:
        package: its main package, in a module that go.mod requires.
        tags: build tags.
        variables: set in the program while linking, such as its version.
        takes: how long it takes on two cores, in words.
    """

    package: str
    tags: tuple[str, ...]
    variables: tuple[str, ...]
    takes: str


PROGRAMS = {
    # `custom` leaves out every plug-in that is not named: what our configurations use, and no more.
    "telegraf": Program(
        "github.com/influxdata/telegraf/cmd/telegraf",
        (
            "custom", "inputs.cpu", "inputs.disk", "inputs.http_listener_v2", "inputs.http_response", "inputs.internal", "inputs.mem",
            "inputs.net", "inputs.net_response", "inputs.postgresql", "inputs.rabbitmq", "inputs.redis", "inputs.syslog", "inputs.system",
            "outputs.health", "outputs.influxdb_v2", "outputs.loki", "parsers.influx", "secretstores.docker",
        ),
        ("github.com/influxdata/telegraf/internal.Version=1.37.2",),
        "a minute or two",
    ),
    # The older layout's file and labels are in Traefik 2's words, which 3 no longer takes. 2.11 is the last of them.
    "traefik-2": Program(
        "github.com/traefik/traefik/v2/cmd/traefik", (), ("github.com/traefik/traefik/v2/pkg/version.Version=2.11.0",), "about five minutes"
    ),
}  # fmt: skip


def lock_digest(name: str) -> str:
    """Changes with anything that makes another program."""
    digest = hashlib.sha256(repr(PROGRAMS[name]).encode())
    for file in ("go.mod", "go.sum"):
        digest.update((MODULES / name / file).read_bytes())
    return digest.hexdigest()


def built(name: str, say: Say) -> Path:
    """The program, built now if it is not in the cache.

    Raises:
        SetupError: there is no Go, or building failed; says what to do.
    """
    target = cache_dir() / "go" / f"{name}-{lock_digest(name)[:12]}" / name
    if os.access(target, os.X_OK):
        return target
    with _alone(target.parent.parent, say):
        if not os.access(target, os.X_OK):  # somebody else may have made it meanwhile
            _build(name, target, say)
    return target


@contextlib.contextmanager
def _alone(folder: Path, say: Say) -> Iterator[None]:
    """One build at a time on a machine; the lock goes with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("another process is building a program; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(name: str, target: Path, say: Say) -> None:
    program, go = PROGRAMS[name], _go(name)
    say(f"{name}: building from its Go module; {program.takes} on two cores, once")
    with tempfile.TemporaryDirectory(dir=target.parent.parent) as folder:
        for file in ("go.mod", "go.sum"):
            shutil.copy2(MODULES / name / file, folder)
        made = Path(folder) / name
        flags = " ".join(["-s -w", *(f"-X {variable}" for variable in program.variables)])
        command = [go, "build", "-mod=readonly", "-trimpath", "-tags", ",".join(program.tags), "-ldflags", flags, "-o", str(made)]
        _run([*command, program.package], folder, name, say)
        target.parent.mkdir(parents=True, exist_ok=True)
        made.replace(target)


def _go(name: str) -> str:
    found = shutil.which("go") or ("/usr/local/go/bin/go" if os.access("/usr/local/go/bin/go", os.X_OK) else None)
    if found is None:
        raise SetupError(
            f"{name} can neither be pulled nor built: there is no Go",
            hint="install Go 1.26 or newer, then run this again",
            where="tools/go",
        )
    return found


def _run(command: list[str], folder: str, name: str, say: Say) -> None:
    """Run the compiler to its end, saying now and then that it still works."""
    begun = time.monotonic()
    errors = Path(folder) / "errors"
    with errors.open("wb") as written:
        environment = {**os.environ, "CGO_ENABLED": "0"}
        process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=written, stderr=written)
        try:
            while True:
                try:
                    status = process.wait(_SAY_EVERY_S)
                    break
                except subprocess.TimeoutExpired:
                    say(f"{name}: still building, {time.monotonic() - begun:.0f} s so far")
                    if time.monotonic() - begun > _LIMIT_S:
                        raise SetupError(f"building {name} took over {_LIMIT_S} s", hint="is the machine busy?", where="tools/go") from None
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if status:
        said = errors.read_text("utf-8", "replace").strip()[-400:]
        raise SetupError(f"building {name} failed: {said}", hint="is Go's module proxy reachable?", where=f"tools/go/{name}")
    say(f"{name}: built in {time.monotonic() - begun:.0f} s")
