"""Where what images are made of is kept: outside the work tree, shared by all checkouts of a user."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """The base's root file system, and programs that were downloaded or built."""
    named = os.environ.get("SPROCKET_CACHE_DIR")
    cache = Path(named) if named else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sprocket"
    return cache / "images"
