"""An admin with a legacy estate in a browser: bring the exports, read the ledger, decide a row, look at the way to v2 and at the checks.

With SPROCKET_SCREENSHOTS pictures are taken on the way.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.blueprints.estate.made_exports import layer_1_of_2022, layer_2, platform
from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
SLUG = "estate"
COMPARISON = "compare/estates?a=profile:legacy-22&b=profile:v2"
COMPOSE = "services:\n  toy:\n    image: somebody/toy:1\n    network_mode: host\n"


def _picture(page: Page, name: str) -> None:
    folder = os.environ.get("SPROCKET_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), caret="initial", full_page=True)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three exports, as the estate's were, and a Compose file with something nobody knows."""
    folder = tmp_path_factory.mktemp("sources")
    made = {"layer_1.json": layer_1_of_2022(), "layer_2.json": layer_2(), "platform.json": platform()}
    for name, export in made.items():
        (folder / name).write_bytes(export.json())
    (folder / "compose.yml").write_text(COMPOSE)
    return [str(folder / name) for name in (*made, "compose.yml")]


def test_from_the_exports_to_the_way_to_v2(page: Page, site: Site, sources: list[str]) -> None:
    page.goto(f"{site.url}/new")
    page.get_by_label("League name").fill("Old Estate")
    page.get_by_label("Short name").fill(SLUG)
    page.get_by_role("button", name="Create, then say what it needs").click()
    page.goto(f"{site.url}/o/{SLUG}/import")
    expect(page.get_by_text("Nothing was imported yet")).to_be_visible()

    page.locator("#sources").set_input_files(sources)
    page.get_by_role("button", name="Only look").click()
    expect(page.locator("#look")).to_contain_text("Nothing was kept")
    _picture(page, "import")
    page.locator("#sources").set_input_files(sources)
    page.get_by_role("button", name="Import", exact=True).click()

    page.goto(f"{site.url}/o/{SLUG}/ledger")
    expect(page.locator("#reconciliation")).to_contain_text("The totals reconcile")
    expect(page.locator("#quarantine")).to_contain_text("to rotate")
    toy = page.locator("li", has_text=re.compile("toy")).filter(has_text="not recognised").first
    expect(toy).to_contain_text("undecided")
    _picture(page, "ledger")
    toy.get_by_role("checkbox").check()
    page.get_by_label("Decide").select_option("drop")
    page.get_by_label("because").fill("A toy of somebody's")
    page.get_by_role("button", name="Decide the ticked rows").click()
    expect(page.get_by_text("A toy of somebody's").first).to_be_visible()

    page.goto(f"{site.url}/o/{SLUG}/migration")
    expect(page.get_by_role("heading", level=1)).to_contain_text("v2")
    _picture(page, "migration")


@pytest.mark.parametrize("path", ["import", "ledger", "migration", COMPARISON])
def test_its_pages_are_readable_by_everybody_and_on_a_phone(page: Page, browser: Browser, signed_in: str, site: Site, path: str) -> None:
    page.goto(f"{site.url}/o/{SLUG}/{path}")
    found = Axe().run(page).response["violations"]
    assert [(v["id"], v["nodes"][0]["target"]) for v in found if v["impact"] in ("serious", "critical")] == []
    context = browser.new_context(storage_state=signed_in, viewport={"width": 390, "height": 844})
    phone = context.new_page()
    phone.goto(f"{site.url}/o/{SLUG}/{path}")
    beyond = phone.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    context.close()
    assert beyond <= 0


def test_the_comparison_explains_the_simplification_and_each_service_that_stays(
    page: Page, browser: Browser, signed_in: str, site: Site
) -> None:
    page.goto(f"{site.url}/o/{SLUG}/compare")
    page.get_by_role("link", name="Compare with an estate").click()
    page.get_by_label("From").select_option("profile:legacy-22")
    page.get_by_label("to", exact=True).select_option("profile:v2")
    page.get_by_role("button", name="Compare", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("22 services become")
    for service in page.locator("ul.services > li").all():
        assert len(service.locator(":scope > div:last-child").inner_text().split()) >= 3, "a reason"
    _picture(page, "comparison")
    phone = browser.new_context(storage_state=signed_in, viewport={"width": 390, "height": 844})
    narrow = phone.new_page()
    narrow.goto(f"{site.url}/o/{SLUG}/{COMPARISON}")
    _picture(narrow, "comparison-phone")
    phone.close()


def test_the_checks_of_the_legacy_blueprint_list_its_weaknesses(page: Page, site: Site) -> None:
    needs = (Path(__file__).resolve().parents[2] / "orgs" / "legacy.yaml").read_text().replace("slug: legacy", f"slug: {SLUG}")
    page.goto(f"{site.url}/o/{SLUG}/needs/import")
    page.locator("textarea").fill(needs)
    page.get_by_role("button").filter(has_text=re.compile("Save|Import|Take")).first.click()
    page.goto(f"{site.url}/o/{SLUG}/")
    page.get_by_role("button", name=re.compile("blueprint", re.IGNORECASE)).first.click()
    page.goto(f"{site.url}/o/{SLUG}/blueprints/1/checks")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.locator("main")).to_contain_text("I34")
    _picture(page, "checks")
