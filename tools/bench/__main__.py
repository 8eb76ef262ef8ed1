"""`python -m tools.bench [GROUP...] [--json] [--record]`: runs the groups, prints the table, keeps it in docs/bench/history.md.

A group is a module of this package with a function `rows() -> list[Row]`; one that cannot run here answers with rows that say why.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import json
import os
import pkgutil
import subprocess
import sys
from pathlib import Path

import django

import tools.bench
from tools.bench.row import Row, markdown_table

ROOT = Path(__file__).resolve().parent.parent.parent
HISTORY = ROOT / "docs" / "bench" / "history.md"
INTRODUCTION = """# Benchmark history

Each table is one run of `make bench`. Ratios compare least time with least time of calls that took turns in one process or on one
machine; a figure in seconds is worth nothing on another machine. A goal is the most a value may be.
"""


def main() -> int:
    """Run the groups asked for; 1 when a goal is missed."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sprocket_v2.settings")
    django.setup()  # the engine's group reads rows
    parser = argparse.ArgumentParser(prog="python -m tools.bench", description=__doc__)
    parser.add_argument("groups", nargs="*", help=f"any of {', '.join(groups())}; all when none is named")
    parser.add_argument("--json", action="store_true", help="print one JSON document instead of the table")
    parser.add_argument("--record", action="store_true", help="append the table to docs/bench/history.md")
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.groups) - set(groups()))
    if unknown:
        parser.error(f"no group {unknown[0]!r}; there are {', '.join(groups())}")
    rows = [row for group in arguments.groups or groups() for row in _rows(group)]
    print(json.dumps([row.as_dict() for row in rows], indent=2) if arguments.json else markdown_table(rows))
    if arguments.record:
        record(rows, HISTORY)
    return int(any(row.verdict == "MISSED" for row in rows))


def groups() -> tuple[str, ...]:
    """The modules of this package that measure something, by name."""
    names = [module.name for module in pkgutil.iter_modules(tools.bench.__path__) if not module.name.startswith("_")]
    return tuple(name for name in names if hasattr(importlib.import_module(f"tools.bench.{name}"), "rows"))


def _rows(group: str) -> list[Row]:
    print(f"measuring {group} ...", file=sys.stderr, flush=True)
    rows: list[Row] = importlib.import_module(f"tools.bench.{group}").rows()
    return rows


def record(rows: list[Row], file: Path) -> None:
    """Append a run to the history: date, commit, machine, table."""
    text = file.read_text() if file.is_file() else INTRODUCTION
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(f"{text.rstrip()}\n\n## {today}, commit {_commit()}, Python {sys.version.split()[0]}\n\n{markdown_table(rows)}\n")


def _commit() -> str:
    done = subprocess.run(["git", "-C", str(ROOT), "describe", "--always", "--dirty"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


if __name__ == "__main__":
    raise SystemExit(main())
