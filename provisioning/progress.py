"""How far the engine's command line is, while set-up fetches or builds it: read from the file set-up writes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings

from provisioning.materials import find_engine
from sprocket_v2.errors import SetupError


def engine_progress() -> dict[str, Any] | None:
    """None when the engine is there; else step, of and message."""
    try:
        find_engine()
    except SetupError as error:
        file = Path(settings.SPROCKET_CACHE_DIR) / "pulumi" / "progress.json"
        try:
            data: dict[str, Any] = json.loads(file.read_text())
        except (OSError, ValueError):
            return {"step": 0, "of": 5, "message": f"{error.message}. {error.hint}"}
        return data
    return None
