"""Virtual environment and dependencies, by hash. Runs on a bare Python 3.11 with nothing but the standard library; idempotent.

`python3 tools/setup/bootstrap.py [runtime|dev]`
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / ".sprocket-stamp"


def main() -> int:
    """Make the environment be what the lock files say."""
    wanted = sys.argv[1] if len(sys.argv) > 1 else "runtime"
    if sys.version_info < (3, 11):
        print(
            f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; name one with `make PYTHON=python3.12 ...`", file=sys.stderr
        )
        return 2
    stamp = _stamp(wanted)
    have = STAMP.read_text().split() if STAMP.is_file() else []
    if stamp in have and PYTHON.is_file():
        return 0
    begun = time.monotonic()
    _say("1 of 3: virtual environment in .venv")
    if not PYTHON.is_file() and not _make_venv():
        return 2
    if not (VENV / "bin" / "uv").is_file():
        _run([str(PYTHON), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--require-hashes", "-r", _lock("uv")])
    _say(f"2 of 3: {wanted} dependencies, each with its hash")
    uv = [str(VENV / "bin" / "uv"), "pip", "install", "--quiet", "--python", str(PYTHON)]
    _run([*uv, "--require-hashes", "-r", _lock(wanted), "-r", _lock("build")])
    _say("3 of 3: the project itself")
    _run([*uv, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)])
    STAMP.write_text(" ".join([stamp, *([_stamp("runtime")] if wanted == "dev" else [])]))
    _say(f"environment ready after {time.monotonic() - begun:.0f} s")
    return 0


def _stamp(wanted: str) -> str:
    digest = hashlib.sha256(sys.version.encode())
    for file in (_lock(wanted), _lock("build"), str(ROOT / "pyproject.toml")):
        digest.update(Path(file).read_bytes())
    return f"{wanted}-{digest.hexdigest()[:16]}"


def _lock(name: str) -> str:
    return str(ROOT / "requirements" / f"{name}.txt")


def _make_venv() -> bool:
    done = subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=False)
    if done.returncode:
        print("python3 has no venv: on Debian `apt-get install python3-venv`", file=sys.stderr)
    return not done.returncode


def _run(command: list[str]) -> None:
    done = subprocess.run(command, check=False, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"})
    if done.returncode:
        print(
            f"failed: {' '.join(command[:6])} ...\nIs the package registry reachable? Run it again; what is done stays done.",
            file=sys.stderr,
        )
        raise SystemExit(2)


def _say(text: str) -> None:
    print(f"setup {text}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
