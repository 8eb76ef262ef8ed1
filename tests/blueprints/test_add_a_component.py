"""Adding a component touches one folder: a copy of `_example` is in catalog, form, reasons, files and comparison."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from blueprints.catalog import TEMPLATES, Catalog, load_catalog
from blueprints.diff import compare
from blueprints.forms import groups_for
from blueprints.render import render
from blueprints.resolve import resolve
from orgs.needs import Needs
from orgs.needs_file import parse_needs

DEMO = Path(__file__).resolve().parents[2] / "orgs" / "demo.yaml"
SCHEMA = {"demo-schema.sql": b"select 1;\n"}


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    """A release with one folder more."""
    root = tmp_path / "templates"
    shutil.copytree(TEMPLATES, root)
    folder = root / "components" / "uptime"
    shutil.copytree(root / "components" / "_example", folder)
    for name in ("component.yaml", "stack.yml.j2"):
        file = folder / name
        file.write_text(file.read_text().replace("example:", "uptime:").replace("services.example", "services.uptime"))
    return load_catalog(root)


def _needs(enabled: bool) -> Needs:
    text = DEMO.read_text()
    return parse_needs(text + ("options:\n  uptime:\n    enabled: true\n    greeting: up and well\n" if enabled else ""))


def test_it_is_in_the_catalog_and_in_the_form(catalog: Catalog) -> None:
    assert "uptime" in catalog.components
    groups = {group.name: group for group in groups_for({}, catalog, (), {})}
    assert [question.key for question in groups["options-uptime"].questions] == [
        "options.uptime.enabled",
        "options.uptime.memory_mib",
        "options.uptime.cpu_percent",
        "options.uptime.copies",
        "options.uptime.greeting",
    ]


def test_it_is_left_out_until_somebody_asks_for_it(catalog: Catalog) -> None:
    assert resolve(_needs(False), catalog, None, SCHEMA).component("uptime") is None


def test_asked_for_it_is_rendered_with_its_reason_and_its_answers(catalog: Catalog) -> None:
    resolution = resolve(_needs(True), catalog, None, SCHEMA)
    component = resolution.component("uptime")
    assert component is not None
    assert component.reasons == ("switched on under Options",)
    files = render(resolution, catalog).files
    assert "up and well" in files["config/uptime/index.html"]
    assert 'GREETING: "up and well"' in files["stack.yml"]


def test_it_is_the_only_new_thing_in_the_comparison(catalog: Catalog) -> None:
    old, new = (render(resolve(_needs(on), catalog, None, SCHEMA), catalog) for on in (False, True))
    comparison = compare(old, new, _needs(False), _needs(True))
    assert [(c.name, c.change) for c in comparison.components] == [("uptime", "added"), ("traefik", "changed")]
    assert [need.key for need in comparison.needs or ()] == ["options.uptime.enabled", "options.uptime.greeting"]
