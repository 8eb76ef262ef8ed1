"""What the rows of the pure core work on: the demo organization, variants of it, and bare Jinja2 on the same templates."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import jinja2
import yaml

from blueprints import render as renderer
from blueprints.catalog import Catalog, load_catalog
from blueprints.resolve import Resolution, resolve
from orgs.needs import Features, Needs
from orgs.needs_file import parse_needs

ROOT = Path(__file__).resolve().parent.parent.parent
DEMO = ROOT / "orgs" / "demo.yaml"


@lru_cache(maxsize=1)
def catalog() -> Catalog:
    """The release's own."""
    return load_catalog()


def demo_needs(**changes: Any) -> Needs:
    """The demo organization's needs, with some top-level answers changed."""
    return Needs.model_validate({**_demo_answers(), **changes})


@lru_cache(maxsize=1)
def _demo_answers() -> dict[str, Any]:
    return parse_needs(DEMO.read_text(), "orgs/demo.yaml").model_dump()


@lru_cache(maxsize=1)
def attachments() -> dict[str, bytes]:
    """The files the demo's needs name."""
    return {"demo-schema.sql": (ROOT / "orgs" / "demo-schema.sql").read_bytes()}


def demo(**changes: Any) -> Resolution:
    """The resolution of `demo_needs`."""
    return resolve(demo_needs(**changes), catalog(), None, attachments())


def largest(**changes: Any) -> Resolution:
    """The demo with every feature on: the largest blueprint of this release."""
    return demo(**{"features": dict.fromkeys(Features.model_fields, True), **changes})


def organization(number: int) -> Resolution:
    """An organization of its own: other slug, other name."""
    return demo(slug=f"league-{number}", name=f"League number {number}")


@dataclass(frozen=True, slots=True)
class Printed:
    """One template that was rendered and the values it saw."""

    template: str
    values: Mapping[str, Any]


def printed(resolution: Resolution) -> tuple[Printed, ...]:
    """Every template our own renderer renders for a resolution, in order, with its values."""
    seen: list[Printed] = []
    ours = renderer._text

    def record(root: Path, template: str, kind: str, values: Mapping[str, Any], marking: bool = False) -> str:
        seen.append(Printed(template, values))
        return ours(root, template, kind, values, marking)

    with patch.object(renderer, "_text", record):
        renderer.render(resolution, catalog())
    return tuple(seen)


def bare_environment(root: Path) -> jinja2.Environment:
    """Plain Jinja2: StrictUndefined, JSON as the quoting filter, nothing checked."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(root),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        auto_reload=False,
    )
    environment.filters.update(q=json.JSONEncoder(ensure_ascii=False).encode, text=str, word=str)
    return environment


def bare_jinja2(work: tuple[Printed, ...]) -> Callable[[], list[str]]:
    """The same templates with the same values in bare Jinja2, compiled once."""
    environment = bare_environment(catalog().root)
    compiled = [(environment.get_template(item.template), item.values) for item in work]
    return lambda: [template.render(values) for template, values in compiled]


def bare_parse(files: Mapping[str, str]) -> Callable[[], None]:
    """Every YAML file parsed with CSafeLoader, every JSON file with the standard library."""
    structured = [(path, text) for path, text in files.items() if path.endswith((".yml", ".yaml", ".json"))]

    def parse() -> None:
        for path, text in structured:
            if path.endswith(".json"):
                json.loads(text)
            else:
                yaml.load(text, Loader=yaml.CSafeLoader)

    return parse
