"""The catalogue's page follows the manifests, and each component's README answers what it has to."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blueprints.catalog import TEMPLATES, load_catalog
from sprocket_v2.errors import CatalogError
from tests.blueprints.cases import edit, release
from tools import catalogue

COMPONENTS = sorted(load_catalog().components)


def test_the_page_is_current() -> None:
    assert catalogue.PAGE.read_text() == catalogue.page(), "`make golden` writes it"


@pytest.mark.parametrize("name", COMPONENTS)
def test_the_page_has_every_component_with_what_it_keeps(name: str) -> None:
    manifest = load_catalog().components[name]
    page = catalogue.page()
    section = page[page.index(f" `{name}`\n") :].partition("\n### ")[0]
    assert "| Wanted when |" in section and "| Here |" in section and "| Health |" in section
    for secret in manifest.secrets:
        assert f"`{secret.name}` ({secret.kind})" in section
    for service in manifest.services:
        assert f"`{service.key}` (" in section
        assert all(f"`{name}_{volume}`" in section for volume in service.volumes)


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_readme_says_what_who_how_and_where_the_facts_are_from(name: str) -> None:
    text = (TEMPLATES / "components" / name / "README.md").read_text()
    for part in ("What it does.", "Who asks for it.", "How to see that it works.", "Without it."):
        found = re.search(rf"^\*\*{re.escape(part)}\*\* (.+)", text, re.MULTILINE)
        assert found and len(found[1]) >= 10, f"{name}: {part}"
    facts = re.search(r"^- Facts: (.+)", text, re.MULTILINE)
    assert facts and len(facts[1]) >= 10, f"{name}: the source of its facts"


@pytest.mark.parametrize("name", COMPONENTS)
def test_a_readmes_who_asks_for_it_names_the_needs_of_the_manifest(name: str) -> None:
    text = (TEMPLATES / "components" / name / "README.md").read_text()
    who = text.partition("**Who asks for it.**")[2].partition("\n\n")[0]
    for wanted in load_catalog().components[name].wanted_when:
        if wanted.need.startswith("features."):
            assert f"{wanted.need} = true" in who


def test_volumes_without_a_word_on_their_backup_are_refused(tmp_path: Path) -> None:
    root = release(tmp_path)
    edit(root / "components" / "loki" / "component.yaml", "backup:", "# backup:")
    with pytest.raises(CatalogError, match="backup does not say how"):
        load_catalog(root)
