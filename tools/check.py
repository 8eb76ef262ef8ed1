"""`make check`: format, lint, types, architecture, migrations, templates, shell, container files. The same here and in CI."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.prefix) / "bin"


def main() -> int:
    """Run every check; all of them, even after one failed."""
    shell = sorted(str(path.relative_to(ROOT)) for path in [*(ROOT / "tools").rglob("*.sh"), ROOT / ".ci" / "run"] if path.is_file())
    checks: list[tuple[str, list[str]]] = [
        ("format", [str(BIN / "ruff"), "format", "--check", "--quiet", "."]),
        ("lint", [str(BIN / "ruff"), "check", "--quiet", "."]),
        ("types", [str(BIN / "mypy")]),
        ("architecture", [str(BIN / "lint-imports")]),
        ("migrations", [sys.executable, "manage.py", "makemigrations", "--check", "--dry-run"]),
        ("pages", [str(BIN / "djlint"), "templates/pages", "--lint", "--quiet"]),
        ("shell", [str(BIN / "shellcheck"), *shell]),
        ("secrets", [sys.executable, "-m", "tools.secret_scan"]),
        ("Dockerfile", [str(BIN / "hadolint"), "Dockerfile"]),
    ]
    failed = [name for name, command in checks if not _passes(name, command)]
    failed += [] if _compose_is_good() else ["compose"]
    print(f"{len(checks) + 1 - len(failed)} checks good" + (f", failed: {', '.join(failed)}" if failed else ""))
    return 1 if failed else 0


def _passes(name: str, command: list[str]) -> bool:
    begun = time.monotonic()
    environment = {**os.environ, "SPROCKET_DATA_DIR": str(ROOT / ".sprocket" / "check"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    print(f"{'ok    ' if not done.returncode else 'FAILED'} {name} ({time.monotonic() - begun:.1f} s)", flush=True)
    if done.returncode:
        print((done.stdout + done.stderr).strip()[-6000:])
    return not done.returncode


def _compose_is_good() -> bool:
    """docker-compose.yml against the Compose specification's schema, and by `docker compose config` where that plug-in is at hand.

    `docker stack config` is no judge of it: it knows the older form only, in which a service cannot wait for another to be healthy.
    """
    problems = compose_problems((ROOT / "docker-compose.yml").read_text())
    if not problems and shutil.which("docker") and _runs("docker", "compose", "version"):
        done = subprocess.run(["docker", "compose", "config", "--quiet"], cwd=ROOT, capture_output=True, text=True, check=False)
        problems = [done.stderr.strip()] if done.returncode else []
    print("ok     compose" if not problems else "FAILED compose\n" + "\n".join(problems))
    return not problems


def _runs(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


def compose_problems(text: str) -> list[str]:
    """What the specification's schema has against a file."""
    from jsonschema import Draft202012Validator
    from ruamel.yaml import YAML

    schema = json.loads((ROOT / "tools" / "schemas" / "compose-spec.json").read_text())
    data = YAML(typ="safe", pure=True).load(text)
    return [f"{'/'.join(str(part) for part in error.path)}: {error.message}" for error in Draft202012Validator(schema).iter_errors(data)]


if __name__ == "__main__":
    raise SystemExit(main())
