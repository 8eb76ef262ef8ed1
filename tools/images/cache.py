"""Where what images are made of is kept: outside the work tree, shared by all checkouts of a user."""

from __future__ import annotations

from pathlib import Path

from tools.cache import cache_root


def cache_dir() -> Path:
    """The base's root file system, and programs that were downloaded or built."""
    return cache_root() / "images"
