"""The Pulumi command line (design D10): on PATH, in the cache, by the official installer, or built from its Go module.

`python -m tools.setup.pulumi [--quiet]` makes it be there. The progress file lets pages say how far it is.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from sprocket_v2.errors import SetupError
from tools.cache import cache_root

VERSION = "3.259.0"
OLDEST = (3, 200, 0)
STEPS = 5
MODULE = Path(__file__).resolve().parent.parent / "pulumi"
_INSTALLER_LIMIT_S = 120
_BUILD_LIMIT_S = 1800
Progress = Callable[[int, str], None]


def cache_dir() -> Path:
    """Outside the work tree, shared by all checkouts of a user."""
    return cache_root() / "pulumi"


def find() -> Path | None:
    """The command line, when it is there with a version we support."""
    on_path = shutil.which("pulumi")
    if on_path and version_of(Path(on_path)) >= OLDEST:
        return Path(on_path)
    cached = cache_dir() / VERSION / "pulumi"
    return cached if os.access(cached, os.X_OK) else None


def version_of(path: Path) -> tuple[int, ...]:
    """What it says of itself; (0,) when it does not run."""
    try:
        done = subprocess.run([str(path), "version"], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return (0,)
    found = re.match(r"v?(\d+)\.(\d+)\.(\d+)", done.stdout.strip())
    return tuple(int(part) for part in found.groups()) if found else (0,)


def ensure(say: Callable[[str], None] = lambda line: print(line, flush=True)) -> Path:
    """Make it be there.

    Raises:
        SetupError: neither installed, nor fetched, nor built; says what to do.
    """
    found = find()
    if found:
        return found
    with _alone(say):
        found = find()  # somebody else may have made it meanwhile
        if found:
            return found
        progress = _reporter(say)
        try:
            made = _by_installer(progress) or _by_building(progress)
        finally:
            _progress_file().unlink(missing_ok=True)
    say(f"engine: Pulumi {VERSION} in {made}")
    return made


def progress() -> dict[str, object] | None:
    """How far an `ensure` in some process is; None when none runs."""
    try:
        data: dict[str, object] = json.loads(_progress_file().read_text())
    except (OSError, ValueError):
        return None
    return data


def _progress_file() -> Path:
    return cache_dir() / "progress.json"


def _reporter(say: Callable[[str], None]) -> Progress:
    def report(step: int, message: str) -> None:
        part = _progress_file().with_suffix(".part")
        part.write_text(json.dumps({"step": step, "of": STEPS, "message": message, "at": time.time()}))
        part.replace(_progress_file())
        say(f"engine: step {step} of {STEPS}: {message}")

    return report


@contextlib.contextmanager
def _alone(say: Callable[[str], None]) -> Iterator[None]:
    """One process at a time; the lock goes with the process."""
    cache_dir().mkdir(parents=True, exist_ok=True)
    with (cache_dir() / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("engine: another process is getting it; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _by_installer(progress: Progress) -> Path | None:
    """The official installer, through the SDK, in a process of its own; None when the network does not have it."""
    progress(1, "asking the official installer")
    with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
        code = (
            "import sys; from semver import VersionInfo; from pulumi.automation import PulumiCommand; "
            "PulumiCommand.install(root=sys.argv[1], version=VersionInfo.parse(sys.argv[2]))"
        )
        try:
            done = subprocess.run(
                [sys.executable, "-c", code, folder, VERSION],
                capture_output=True,
                timeout=_INSTALLER_LIMIT_S,
                check=False,
                stdin=subprocess.DEVNULL,
            )
        except subprocess.TimeoutExpired:
            return None
        made = Path(folder) / "bin" / "pulumi"
        return _put_in_place(made) if not done.returncode and os.access(made, os.X_OK) else None


def _by_building(progress: Progress) -> Path:
    progress(2, "the installer cannot be reached; looking for Go")
    go = shutil.which("go") or ("/usr/local/go/bin/go" if os.access("/usr/local/go/bin/go", os.X_OK) else None)
    if go is None:
        raise SetupError(
            "the Pulumi command line is not here, its installer cannot be reached, and there is no Go to build it with",
            hint="install Pulumi (pulumi.com/docs/install), or Go 1.25 or newer, then run this again",
            where="engine",
        )
    with tempfile.TemporaryDirectory(dir=cache_dir()) as folder:
        for name in ("go.mod", "go.sum"):
            shutil.copy2(MODULE / name, folder)
        progress(3, "building it from its Go module; 4 to 8 minutes on two cores, once")
        made = Path(folder) / "pulumi"
        flags = f"-s -w -X github.com/pulumi/pulumi/sdk/v3/go/common/version.Version={VERSION}"
        command = [go, "build", "-mod=mod", "-trimpath", "-ldflags", flags, "-o", str(made), "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"]
        done = subprocess.run(
            command, cwd=folder, env={**os.environ, "CGO_ENABLED": "0"}, capture_output=True, text=True, timeout=_BUILD_LIMIT_S, check=False
        )
        if done.returncode:
            raise SetupError(
                f"building Pulumi failed: {done.stderr.strip()[-400:]}", hint="is Go's module proxy reachable?", where="engine"
            )
        progress(4, "trying it")
        if version_of(made) < OLDEST:
            raise SetupError("the Pulumi that was built does not run", hint="please report this", where=str(made))
        progress(5, "done")
        return _put_in_place(made)


def _put_in_place(made: Path) -> Path:
    """Whole or not at all."""
    target = cache_dir() / VERSION / "pulumi"
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".pulumi.{os.getpid()}")
    shutil.copy2(made, part)
    part.chmod(0o755)
    part.replace(target)
    return target


def main() -> int:
    """Make it be there, and say where."""
    try:
        found = ensure()
    except SetupError as error:
        print(f"error: {error}\n  hint: {error.hint}", file=sys.stderr)
        return 2
    if "--quiet" not in sys.argv:
        print(f"engine: {found}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
