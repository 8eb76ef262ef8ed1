"""Docker's own command line, for what tests do beside the control plane."""

from __future__ import annotations

import subprocess


def docker(*words: str, given: str = "") -> str:
    """One call of it; what it printed.

    Args:
        given: its standard input.
    """
    done = subprocess.run(["docker", *words], capture_output=True, text=True, check=False, timeout=120, input=given or None)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
