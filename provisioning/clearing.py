"""Removes Docker objects by name, services first and the rest once their last tasks are gone."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from provisioning.inventory import Item
from sprocket_v2.errors import ApplyError

LIMIT_S = 90.0


class Hands(Protocol):
    """What removes."""

    def remove(self, kind: str, name: str) -> None:
        """Remove an object; one that is gone is no error."""
        ...

    def find(self, kind: str, name: str) -> Mapping[str, Any] | None:
        """An object by name; None when it is gone."""
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
        _removed(hands, item, limit, beat)
        say(f"removed {item.words}")


def _removed(hands: Hands, item: Item, limit: float, beat: Callable[[], None]) -> None:
    """Until it is gone: it may be in use until its last task is, and a network is listed for a moment after Docker took its removal."""
    while True:
        problem: ApplyError | None = None
        try:
            hands.remove(item.kind, item.name)
        except ApplyError as error:
            problem = error
        if hands.find(item.kind, item.name) is None:
            return
        if time.monotonic() > limit:
            raise problem or ApplyError(f"{item.words} does not go away", hint="`docker events` says what holds it", where=item.name)
        beat()
        time.sleep(0.2)
