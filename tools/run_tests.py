"""`make test`: every test the machine has the parts for, quick ones first, ending in one line that says what was left out.

With --strict (CI) anything that was not run is a failure.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from sprocket_v2.errors import SetupError
from tools.setup import pulumi, system

ROOT = Path(__file__).resolve().parent.parent
REPORTS = ROOT / "test-results"
EXAMPLES = {"SPROCKET_ANY_NEEDS": "500", "SPROCKET_EXAMPLES": "60"}  # random cases; `make unit` tries fewer
GROUPS = {
    "unit": ("not engine and not browser and not soak", ("-n", "auto")),
    "engine": ("engine and not soak", ("-n", "2", "--dist", "loadscope", "-p", "tests.engine.groups")),
    "browser": ("browser and not soak", ()),
}


@dataclass(slots=True)
class Group:
    """What became of one group of tests."""

    name: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    not_run: int = 0
    reason: str = ""


def main() -> int:
    """Run the groups; exit 0 when nothing failed and, in strict mode, nothing was left out."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--only", choices=tuple(GROUPS))
    given = parser.parse_args()
    REPORTS.mkdir(exist_ok=True)
    groups = []
    for name in [given.only] if given.only else list(GROUPS):
        reason = _missing_parts(name)
        group = Group(name, not_run=_count(name), reason=reason) if reason else _run(name)
        groups.append(group)
    print(summary(groups))
    passed, failed, skipped = (sum(getattr(g, field) for g in groups) for field in ("passed", "failed", "skipped"))
    left_out = skipped + sum(g.not_run for g in groups)
    print(f"{passed} passed, {failed} failed, {left_out} skipped")
    return 1 if failed or (given.strict and left_out) or not passed else 0


def summary(groups: list[Group]) -> str:
    """One line for people."""
    parts = [f"{sum(g.passed for g in groups)} passed"]
    failed = sum(g.failed for g in groups)
    if failed:
        parts.append(f"{failed} failed")
    parts += [f"{g.skipped} {g.name} tests skipped" for g in groups if g.skipped]
    parts += [f"{g.not_run} {g.name} tests not run: {g.reason} (see `sprocket doctor`)" for g in groups if g.reason]
    return "; ".join(parts)


def _missing_parts(name: str) -> str:
    """Why a group cannot run here; empty when it can. Gets what may be got without asking for more than `make demo` does."""
    try:
        if name == "unit":
            for ensure in (system.ensure_postgres, system.ensure_brokers):
                with contextlib.suppress(SetupError):  # the few tests that need one are skipped, with the reason
                    ensure()
        if name == "engine":
            print("parts for the engine tests: Docker, Pulumi, images, an ACME server", flush=True)
            system.ensure_docker()
            system.ensure_pebble()
            pulumi.ensure()
            from tools.images.build import ensure as ensure_images

            ensure_images()
        if name == "browser":
            print("parts for the browser tests: Chromium", flush=True)
            system.ensure_chromium()
    except SetupError as error:
        return error.message
    return "no Chromium" if name == "browser" and not shutil.which("chromium") else ""


def _count(name: str) -> int:
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--collect-only", "-m", GROUPS[name][0]],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"^(\d+)(?:/\d+)? tests? collected", done.stdout, re.MULTILINE)
    return int(found[1]) if found else 0


def _run(name: str) -> Group:
    marks, more = GROUPS[name]
    report = REPORTS / f"{name}.xml"
    report.unlink(missing_ok=True)
    print(f"--- {name} tests", flush=True)
    command = [sys.executable, "-m", "pytest", "-q", "-m", marks, *more, f"--junit-xml={report}", "--durations=5"]
    done = subprocess.run(command, cwd=ROOT, check=False, env={**os.environ, **EXAMPLES})
    if not report.is_file():
        return Group(name, failed=1, reason="" if done.returncode else "no report")
    suite = ElementTree.parse(report).getroot().find("testsuite")
    if suite is None:
        return Group(name, failed=1)
    total, failures, errors, skipped = (int(suite.get(key, "0")) for key in ("tests", "failures", "errors", "skipped"))
    bad = failures + errors
    if done.returncode and not bad and total:
        bad = 1
    return Group(name, passed=max(total - failures - errors - skipped, 0), failed=bad, skipped=skipped)


if __name__ == "__main__":
    raise SystemExit(main())
