"""The one engine's child that a worker's process keeps started ahead of time; a process that was not told to keep one has none."""

from __future__ import annotations

import os
import threading

from provisioning.operations import Spare

_spare: Spare | None = None


def keep() -> None:
    """From now on one child waits ahead of time in this process (a worker's)."""
    global _spare  # noqa: PLW0603 - one per process, like the process itself
    if os.environ.get("SPROCKET_SPARE_CHILD", "1") != "0":
        _spare = Spare()
        refill()


def current() -> Spare | None:
    """This process's, if it keeps one."""
    return _spare


def refill() -> None:
    """Start the next one in the background."""
    if _spare is not None:
        threading.Thread(target=_spare.refill, daemon=True).start()


def drop() -> None:
    """End the one that waits."""
    if _spare is not None:
        _spare.drop()
