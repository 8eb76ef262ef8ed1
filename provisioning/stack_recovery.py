"""What a run that was ended may have left in an engine's state, and what the next one does about it before it begins (rule 5).

Nothing is looked up here: whatever was being made is forgotten by the state, and the provider finds it by its name and owner labels when
the next apply asks for it. So it is taken on where it is there, and made where it is not; never made twice.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from provisioning import processes
from provisioning.state import Lock, locks_of, pending_in, stored_deployment

Cli = Callable[..., str]
Say = Callable[[str], None]
ENGINE = "pulumi"


def owner_at_work(state_url: str, project: str, stack: str) -> Lock | None:
    """Whoever holds a lock on a local state and lives: the engine, started by hand on this machine. Our own groups are ended before."""
    here = socket.gethostname()
    locks = locks_of(state_url, project, stack)
    return next((lock for lock in locks if lock.hostname == here and processes.runs_as(lock.pid, ENGINE)), None)


def settle(state_url: str, project: str, stack: str, cli: Cli, say: Say, run_dir: Path) -> None:
    """Drop the pending operations of a dead run from the state; the former state is kept beside the run.

    Args:
        cli: one command of the engine's on this stack.
    """
    known = stored_deployment(state_url, project, stack)
    if known is not None and not pending_in(known):
        return
    text = cli("stack", "export")
    exported: Mapping[str, Any] = json.loads(text)
    pending = pending_in(exported["deployment"])
    if not pending:
        return
    (run_dir / "state-unsettled.json").write_text(text, encoding="utf-8")
    exported["deployment"].pop("pending_operations")
    settled = run_dir / "state-settled.json"
    settled.write_text(json.dumps(exported), encoding="utf-8")
    cli("stack", "import", "--file", str(settled))
    settled.unlink()
    say(f"the last run was ended while {', '.join(pending)}: looked for by name and label, and taken on where it is there")
