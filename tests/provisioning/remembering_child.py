"""Stands in for the engine's child where a test needs a world that outlives it: makes things one by one, keeps a state, needs no Docker.

A thing is a file in the bundle's `world` folder. It is made with O_EXCL, so that making one twice is an error and not a count; one that
is there without being in the state is adopted, as the real provider does. Ends politely on TERM and when its parent is gone.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from provisioning.state import canonical_digest, checkpoint_file

_stopping = threading.Event()


def _say(kind: str, **parts: Any) -> None:
    _say.seq += 1  # type: ignore[attr-defined]
    print(json.dumps({"seq": _say.seq, "at": "2026-01-01T00:00:00+00:00", "kind": kind, **parts}), flush=True)  # type: ignore[attr-defined]


_say.seq = 0  # type: ignore[attr-defined]


class State:
    """What this engine remembers, in the place and form of the real one's local state."""

    def __init__(self, request: dict[str, Any]) -> None:
        file = checkpoint_file(request["state_url"], "sprocket", request["stack"])
        assert file
        self.file = file
        self.things: list[str] = self._read()["resources"] if file.is_file() else []

    def _read(self) -> dict[str, Any]:
        latest: dict[str, Any] = json.loads(self.file.read_text())["checkpoint"]["latest"]
        return latest

    def keep(self) -> None:
        """Write it whole or not at all."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        part = self.file.with_suffix(".part")
        part.write_text(json.dumps({"checkpoint": {"latest": {"resources": self.things}}}))
        part.replace(self.file)

    @property
    def digest(self) -> str:
        return canonical_digest({"resources": self.things})


def _step(name: str) -> dict[str, Any]:
    return {"resource": f"service/{name}", "component": name, "type": "t", "op": "create", "fields": [], "reasons": []}


def _make(name: str, world: Path) -> None:
    """Create or adopt."""
    world.mkdir(parents=True, exist_ok=True)
    try:
        with (world / name).open("x") as file:
            file.write(str(os.getpid()))
    except FileExistsError:
        _say("log", message=f"{name} is there already: adopted")


def _carry_out(request: dict[str, Any], play: dict[str, Any]) -> dict[str, Any]:
    state = State(request)
    steps = [_step(name) for name in play["services"] if name not in state.things]
    same = len(play["services"]) - len(steps)
    changes = {**({"create": len(steps)} if steps else {}), **({"same": same} if same else {})}
    error = None
    for step in steps if request["op"] == "apply" else ():
        if _stopping.is_set():
            error = {"kind": "cancelled", "message": "cancelled", "hint": "", "where": "engine"}
            break
        _say("resource-pre", resource=step["resource"], component=step["component"], op="create")
        _make(step["component"], Path(play["world"]))
        time.sleep(play["step_s"])
        state.things.append(step["component"])
        state.keep()
        _say("resource-done", resource=step["resource"], component=step["component"], op="create")
    return {"ok": error is None, "changes": changes, "steps": steps, "state_digest": state.digest, "error": error}


def _stop_when_parent_is_gone() -> None:
    while sys.stdin.readline():
        pass
    _stopping.set()


def main() -> None:
    """Carry out one request."""
    signal.signal(signal.SIGTERM, lambda *_: _stopping.set())
    line = sys.stdin.readline()
    if not line:
        return
    request = json.loads(line)
    play = json.loads((Path(request["bundle_dir"]) / "play.json").read_text())
    threading.Thread(target=_stop_when_parent_is_gone, daemon=True).start()
    with Path(play["asked"]).open("a") as file:
        file.write(request["op"] + "\n")
    if request["plan_out"]:
        Path(request["plan_out"]).write_text('{"resourcePlans": {}}')
    _say("stage", message="working")
    _say("result", data=_carry_out(request, play))
    sys.stdout.flush()
    os._exit(0)  # the thread above waits for a line that never comes


if __name__ == "__main__":
    main()
