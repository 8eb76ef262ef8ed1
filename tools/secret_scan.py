"""Looks for secrets in this repository's files, as `sprocket check .` does, but not in its history: part of `make check`."""

from __future__ import annotations

import sys
from pathlib import Path

from blueprints.checks.registry import RULES, failed, run_checks
from blueprints.checks.subjects import subject_of_folder

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Say every place; 1 when there is one."""
    rules = [rule for rule in RULES if rule.reads == "texts"]
    found = [place for outcome in failed(run_checks(subject_of_folder(ROOT, with_history=False), rules)) for place in outcome.found]
    for place in found:
        print(f"{place.where}: {place.what}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
