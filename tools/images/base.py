"""Debian root file systems that images begin with, made by debootstrap and kept in the cache as archives."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from sprocket_v2.errors import SetupError

PACKAGES = {
    "sprocket/base:bookworm": ("postgresql-15", "redis-server", "python3", "ca-certificates"),
    "sprocket/broker-base:bookworm": ("rabbitmq-server", "ca-certificates"),
}
_TRIM = ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/log")
Say = Callable[[str], None]


def contents(base: str) -> tuple[str, ...]:
    """The packages of a base."""
    return PACKAGES[base]


def archive_of(base: str, archive: Path, say: Say) -> Path:
    """The archive of a base's files, made now if it is not there.

    Raises:
        SetupError: it cannot be made here, or Debian's packages cannot be reached.
    """
    if not archive.is_file():
        _debootstrap(base, archive, say)
    return archive


def _debootstrap(base: str, archive: Path, say: Say) -> None:
    if os.geteuid() != 0 or shutil.which("debootstrap") is None:
        raise SetupError(
            "images can neither be pulled nor built here",
            hint="building needs root and debootstrap (`apt-get install debootstrap`); or load the images and run this again",
            where="tools/images",
        )
    archive.parent.mkdir(parents=True, exist_ok=True)
    say(f"image {base}: a Debian root file system, about a minute")
    with tempfile.TemporaryDirectory(prefix="base-", dir=archive.parent) as name:
        root = Path(name) / "root"
        command = ["debootstrap", "--variant=minbase", f"--include={','.join(contents(base))}", "bookworm", str(root), _mirror()]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=900)
        if done.returncode:
            raise SetupError(
                f"debootstrap failed: {done.stdout.strip()[-300:]}", hint="are Debian's packages reachable?", where="tools/images"
            )
        for folder in _TRIM:
            shutil.rmtree(root / folder, ignore_errors=True)
            (root / folder).mkdir(parents=True, exist_ok=True)
        part = archive.with_suffix(".part")
        subprocess.run(["tar", "-C", str(root), "-cf", str(part), "."], check=True, timeout=300)
        part.replace(archive)


def _mirror() -> str:
    """The Debian mirror this machine's own apt uses."""
    done = subprocess.run(["apt-cache", "policy", "base-files"], capture_output=True, text=True, check=False, timeout=60)
    words = [word for word in done.stdout.split() if word.startswith(("http://", "https://"))]
    if not words:
        raise SetupError("apt knows no mirror", hint="run `apt-get update` once", where="apt")
    return words[0]
