"""The parts an approval is bound to, one digest over all of them, and the words for those that moved. Pure (ADR 0026)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class SecretSeen:
    """One secret the plan uses: the version it names, that version's keyed fingerprint, and the newest version there is."""

    version: int
    fingerprint: str
    newest: int


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything around a plan that can move between its making and its apply.

    Attributes:
        needs: digest of the needs it was made of.
        newest_needs: digest of the newest needs there were; another one means that somebody has changed the needs since.
        release: template release of the files; `release_here` is the one this control plane had.
        live: fingerprint of the Docker objects. state: digest of the engine's state. deployed: rendering digest of the last apply.
    """

    needs: str
    newest_needs: str
    files: str
    release: str
    release_here: str
    secrets: Mapping[str, SecretSeen]
    live: str
    state: str
    deployed: str


def digest_of(parts: Parts, shown: Mapping[str, Any]) -> str:
    """`sha256:<hex>` over the parts and over all the page shows: steps, the engine's own plan, checks, prices."""
    text = json.dumps({"parts": asdict(parts), "shown": shown}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def moved(approved: Parts, now: Parts) -> tuple[str, ...]:
    """What differs, in the words of the error; a secret by its name."""
    return tuple(dict.fromkeys(_moved(approved, now)))


def _moved(approved: Parts, now: Parts) -> Iterator[str]:
    if (approved.needs, approved.newest_needs) != (now.needs, now.newest_needs):
        yield "the needs"
    if approved.files != now.files:
        yield "the files"
    if (approved.release, approved.release_here) != (now.release, now.release_here):
        yield "the template release"
    for name in sorted({*approved.secrets, *now.secrets}):
        if approved.secrets.get(name) != now.secrets.get(name):
            yield f"the secret {name}"
    if approved.live != now.live:
        yield "the running objects"
    if approved.state != now.state:
        yield "the engine's state"
    if approved.deployed != now.deployed:
        yield "what is deployed"


def stale_words(names: tuple[str, ...]) -> str:
    """`plan is stale: the needs and the files moved`."""
    listed = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    return f"plan is stale: {listed} moved"
