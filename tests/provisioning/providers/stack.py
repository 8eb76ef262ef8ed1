"""The demo's stack, read: real arguments for the provider's tests."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from blueprints.catalog import load_catalog
from blueprints.compose import StackSpec, read_stack
from blueprints.render import render
from blueprints.resolve import resolve
from orgs.needs_file import parse_needs

DEMO = Path(__file__).resolve().parents[3] / "orgs" / "demo.yaml"


@lru_cache(maxsize=1)
def demo_text() -> str:
    """stack.yml of the demo organization."""
    catalog = load_catalog()
    resolution = resolve(parse_needs(DEMO.read_text()), catalog, None, {"demo-schema.sql": b"select 1;\n"})
    return render(resolution, catalog).files["stack.yml"]


def demo_stack() -> StackSpec:
    """The same, read."""
    return read_stack(demo_text(), "demo")
