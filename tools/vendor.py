"""Vendors the front end's files from their npm packages and locks their digests: `python -m tools.vendor [--check]`."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TARGET = ROOT / "static" / "vendor"
LOCK = ROOT / "vendor.lock.json"
# package -> (version, licence, {file in the package: name here})
PACKAGES: dict[str, tuple[str, str, dict[str, str]]] = {
    "@tabler/core": ("1.6.1", "MIT", {"dist/css/tabler.min.css": "tabler.min.css"}),
    "htmx.org": ("2.0.11", "0BSD", {"dist/htmx.min.js": "htmx.min.js"}),
    "htmx-ext-sse": ("2.2.4", "0BSD", {"sse.js": "htmx-ext-sse.js"}),
}


def main() -> int:
    """Fetch and lock, or check what is there against the lock."""
    if "--check" in sys.argv:
        wrong = differences()
        print("\n".join(wrong) or "vendored files are as locked")
        return 1 if wrong else 0
    TARGET.mkdir(parents=True, exist_ok=True)
    lock: dict[str, dict[str, str]] = {}
    for package, (version, licence, files) in PACKAGES.items():
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["npm", "pack", "--silent", f"{package}@{version}"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
            with tarfile.open(next(Path(folder).glob("*.tgz"))) as archive:
                for source, name in files.items():
                    member = archive.extractfile(f"package/{source}")
                    if member is None:
                        print(f"{package} has no {source}", file=sys.stderr)
                        return 1
                    content = b"\n".join(line for line in member.read().splitlines() if b"sourceMappingURL" not in line) + b"\n"
                    (TARGET / name).write_bytes(content)
                    lock[name] = {"package": package, "version": version, "licence": licence, "sha256": hashlib.sha256(content).hexdigest()}
    LOCK.write_text(json.dumps(lock, indent=2) + "\n")
    print(f"{len(lock)} files vendored")
    return 0


def differences() -> list[str]:
    """Files that are not what the lock says."""
    lock = json.loads(LOCK.read_text())
    there = {path.name for path in TARGET.iterdir()}
    wrong = [f"{name}: not in the lock" for name in sorted(there - set(lock))]
    for name, entry in lock.items():
        file = TARGET / name
        if not file.is_file() or hashlib.sha256(file.read_bytes()).hexdigest() != entry["sha256"]:
            wrong.append(f"{name}: missing or changed")
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
