"""What the blueprint itself knows to bite. Apart from `look`, whose checks load libraries that few deployments need."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from blueprints.rendering import Rendering
from provisioning.preflight.result import Result


def findings(rendering: Rendering) -> Iterator[Result]:
    """What the blueprint itself knows to bite, such as limits of the application generation."""
    for number, finding in enumerate(rendering.blueprint.get("findings", ()), start=1):
        state: Any = "warn" if finding["severity"] == "warning" else "note"
        yield Result(f"known/{number}", state, finding["message"], finding["hint"])
