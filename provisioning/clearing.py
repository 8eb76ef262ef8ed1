"""Removes Docker objects by name, services first and the rest once their last tasks are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Protocol

from provisioning.inventory import Item
from sprocket_v2.errors import ApplyError

LIMIT_S = 90.0


class Hands(Protocol):
    """What removes."""

    def remove(self, kind: str, name: str) -> None:
        """Remove an object; one that is gone is no error."""
        ...


def clear(
    hands: Hands,
    items: Sequence[Item],
    *,
    limit_s: float = LIMIT_S,
    beat: Callable[[], None] = lambda: None,
    say: Callable[[str], None] = lambda _: None,
) -> None:
    """Remove all of them.

    Args:
        beat: called while waiting, so that a caller can renew its lease.
        say: told each one that went.
    Raises:
        ApplyError: one is still in use after the limit.
    """
    limit = time.monotonic() + limit_s
    for item in items:
        while True:
            try:
                hands.remove(item.kind, item.name)
                break
            except ApplyError:  # in use until its last task is gone
                if time.monotonic() > limit:
                    raise
                beat()
                time.sleep(0.2)
        say(f"removed {item.words}, which the engine did not know")
