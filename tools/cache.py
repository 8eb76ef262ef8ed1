"""Where what was fetched or built is kept: outside the work tree, shared by all checkouts of a user."""

from __future__ import annotations

import os
from pathlib import Path


def cache_root() -> Path:
    """The folder named by SPROCKET_CACHE_DIR, else the user's cache."""
    named = os.environ.get("SPROCKET_CACHE_DIR")
    return Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sprocket"
