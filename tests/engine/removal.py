"""Removes every Docker object of a slug: what tests made, and nothing else."""

from __future__ import annotations

from provisioning.purge import remove_leftovers


def remove_everything(slug: str) -> None:
    """Services first; the rest once their last tasks are gone."""
    remove_leftovers(slug)
