"""The peer of the engine's rows: bare `stack.preview()` and `stack.up()` in a live process, same stack, program and provider.

Run as a process of its own with a JSON request on standard input; prints one JSON line of seconds. Not a group: it has no rows.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path


def main() -> int:
    """Time what is asked for, `times` times each."""
    from pulumi import automation

    from provisioning.program import build

    request = json.loads(sys.stdin.readline())
    with tempfile.TemporaryDirectory() as folder:
        passphrase = Path(folder) / "passphrase"
        passphrase.write_text(request["passphrase"])
        work = Path(folder) / "work"
        work.mkdir()
        (work / "Pulumi.yaml").write_text("name: sprocket\nruntime: python\n")
        workspace = automation.LocalWorkspace(
            work_dir=str(work),
            program=lambda: build(Path(request["bundle"]), request["fingerprints"]),
            env_vars={
                "PULUMI_BACKEND_URL": request["state_url"],
                "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
                "PULUMI_SKIP_UPDATE_CHECK": "true",
                "SPROCKET_ORG": request["org"],
                "SPROCKET_BASIS": "live",
            },
        )
        stack = automation.Stack.select(request["org"], workspace)
        taken: dict[str, list[float]] = {"preview": [], "up": []}
        for _ in range(request["times"]):
            for name in request["what"]:
                begun = time.perf_counter()
                getattr(stack, name)(suppress_outputs=True, suppress_progress=True)
                taken[name].append(time.perf_counter() - begun)
    print(json.dumps(taken))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
