"""Writes docs/incidents.md from the incidents and the rules: `python -m tools.incidents`, and with `make golden`."""

from __future__ import annotations

import sys
from pathlib import Path

from blueprints.checks.incidents import INCIDENTS
from blueprints.checks.registry import RULES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "incidents.md"
_HEAD = """# Incidents and the rules that came of them

Forty things went wrong with the estate that this project replaces. Each is at least one rule now; `sprocket check` runs them over an
organization, a needs file, a bundle or a folder. Made by `python -m tools.incidents`; a test keeps it current.

- *lint* and *secret scan* need nothing but the blueprint or the estate. *Preflight* asks the control plane's records or, with `--target`,
  the machine. *Probe* asks what runs, with `--probe`.
- **block** ends the command with exit code 1; a **warning** does with `--strict`.

| # | what happened, and why | rule | severity | kind | what it demands | what to do |
|---|---|---|---|---|---|---|
"""


def main() -> int:
    """Rewrite the page; says whether it changed."""
    text = page()
    changed = not PAGE.is_file() or PAGE.read_text() != text
    if changed:
        PAGE.write_text(text)
    print(f"{'rewritten' if changed else 'as it was'}: {PAGE.relative_to(ROOT)}")
    return 0


def page() -> str:
    """The whole page."""
    rows = []
    for incident in INCIDENTS:
        first = f"{incident.what} {incident.why}"
        for rule in (rule for rule in RULES if rule.incident == incident.number):
            number = str(incident.number) if first else ""
            rows.append(f"| {number} | {first} | `{rule.id}` | {rule.severity} | {rule.kind} | {rule.title} | {_cell(rule.todo)} |")
            first = ""
    return _HEAD + "\n".join(rows) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(main())
