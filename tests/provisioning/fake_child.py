"""Stands in for the engine's child in unit tests: reads a request, plays what the bundle's `play.json` says. Needs no engine."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ASKED = ("op", "layer", "stack", "state_url", "plan_in", "expected_state_digest", "basis", "holds_lease")


def _say(seq: int, kind: str, **parts: Any) -> None:
    print(json.dumps({"seq": seq, "at": "2026-01-01T00:00:00+00:00", "kind": kind, **parts}), flush=True)


def _result(request: dict[str, Any], play: dict[str, Any]) -> dict[str, Any]:
    predicted = play.get("preview", {}).get("steps", []) if request["op"] == "apply" else []  # an engine that keeps its word
    answer = {"ok": True, "changes": {"create": 1}, "steps": predicted, "state_digest": "sha256:state", "error": None}
    return {**answer, **play.get("result", {}), **play.get(request["op"], {})}


def _end_politely(*_: object) -> None:
    """As the real child: a last word, then the end."""
    error = {"kind": "cancelled", "message": "cancelled", "hint": "", "where": "engine"}
    _say(98, "result", data={"ok": False, "changes": {}, "steps": [], "state_digest": "sha256:state", "error": error})
    os._exit(1)


def _ignore_term(play: dict[str, Any]) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if play.get("stubborn") else _end_politely)


def _dies_this_once(play: dict[str, Any], op: str) -> bool:
    """`die_once` names a file that remembers that it died already."""
    if op != "apply" or not play.get("die_once") or Path(play["die_once"]).exists():
        return False
    Path(play["die_once"]).touch()
    return True


def main() -> None:
    """Play one request."""
    line = sys.stdin.readline()
    if not line:
        return
    request = json.loads(line)
    play = json.loads((Path(request["bundle_dir"]) / "play.json").read_text())
    play |= play.get("layers", {}).get(request["layer"], {})
    _ignore_term(play)
    if play.get("grandchild"):
        code = "import signal,time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(60)"
        subprocess.Popen([sys.executable, "-c", code])
        time.sleep(0.3)
    if play.get("asked"):
        asked = {key: request[key] for key in ASKED}
        line = json.dumps({**asked, "secrets": sorted(request["secrets"]), "env": dict(os.environ)})
        with Path(play["asked"]).open("a") as file:
            file.write(line + "\n")
    if request["plan_out"]:
        Path(request["plan_out"]).write_text('{"resourcePlans": {}}')
    _say(1, "stage", message="working")
    for seq, event in enumerate(play.get("events", []), start=2):
        _say(seq, **event)
    if play.get("die") in (True, request["op"]) or _dies_this_once(play, request["op"]):
        sys.stderr.write(f"boom {next(iter(request['secrets'].values()), '')}\n")
        sys.stderr.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(play.get("sleep", 0))
    _say(99, "result", data=_result(request, play))


if __name__ == "__main__":
    main()
