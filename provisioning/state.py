"""The engine's state as a value: its digest, and where a local state keeps it. Pure; the state itself is written by the engine alone."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

PROJECT = "sprocket"  # the engine's project, the same for all organizations


def canonical_digest(deployment: Mapping[str, Any]) -> str:
    """`sha256:<hex>` of a deployment's canonical JSON without its manifest (which holds the time of writing), as D5 asks."""
    bare = {key: value for key, value in deployment.items() if key != "manifest"}
    text = json.dumps(bare, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def digest_over(digests: Mapping[str, str]) -> str:
    """One digest over the layers' digests, by layer. A single unnamed stack's is its own; empty while one of them is not known."""
    if set(digests) == {""}:
        return digests[""]
    if not digests or not all(digests.values()):
        return ""
    text = json.dumps(dict(digests), sort_keys=True, separators=(",", ":"))
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def checkpoint_file(state_url: str, project: str, stack: str) -> Path | None:
    """The file in which a local back end keeps a stack; None for a back end elsewhere."""
    parts = urlsplit(state_url)
    if parts.scheme != "file":
        return None
    return Path(unquote(parts.path)) / ".pulumi" / "stacks" / project / f"{stack}.json"


@dataclass(frozen=True, slots=True)
class Lock:
    """Who says that it works on a stack: a process by its number, on a machine by its name."""

    pid: int
    username: str
    hostname: str


def locks_of(state_url: str, project: str, stack: str) -> list[Lock]:
    """The locks on a local state; none for a back end elsewhere."""
    file = checkpoint_file(state_url, project, stack)
    found = []
    for path in (file.parents[2] / "locks" / "organization" / project / stack).glob("*.json") if file else ():
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            found.append(Lock(int(data["pid"]), str(data["username"]), str(data["hostname"])))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # gone by now, or torn: nobody can be asked about it
    return found


def pending_in(deployment: Mapping[str, Any]) -> list[str]:
    """What a run that was ended had begun and never heard the answer of, such as `creating service/redis`."""
    pending = deployment.get("pending_operations") or ()
    return [f"{item['type']} {str(item['resource']['urn']).rsplit('::', maxsplit=1)[-1]}" for item in pending]


def stored_deployment(state_url: str, project: str, stack: str) -> dict[str, Any] | None:
    """A local state, read without starting the engine; None when there is none, it is elsewhere, or not readable."""
    file = checkpoint_file(state_url, project, stack)
    try:
        found = json.loads(file.read_text(encoding="utf-8"))["checkpoint"]["latest"] if file else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None


def stored_digest(state_url: str, project: str, stack: str) -> str:
    """The digest of a local state, read without starting the engine; empty when there is none or it is not readable.

    Equal to the digest of `pulumi stack export` (an engine test says so). Only used to skip work; before anything changes, the
    engine's own export decides.
    """
    found = stored_deployment(state_url, project, stack)
    return canonical_digest(found) if found else ""
