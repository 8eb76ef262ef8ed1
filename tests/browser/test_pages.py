"""Every page: nothing axe calls serious, in light and dark; nothing wider than a phone; usable by keyboard. Runs after the walk."""

from __future__ import annotations

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
PAGES = ("", "new", "releases", "o/{}/", "o/{}/needs", "o/{}/needs/import", "o/{}/needs/history", "o/{}/blueprints/1", "o/{}/blueprints/1/lines?path=stack.yml",
         "o/{}/compare", "o/{}/compare?view=side",
         "o/{}/routes", "o/{}/secrets", "o/{}/preflight", "o/{}/migration", "o/{}/plans/1", "o/{}/runs", "o/{}/runs/1", "o/{}/people", "o/{}/history", "o/{}/settings", "o/{}/drift", "o/{}/drift/adopt", "o/{}/remove", "nothing-here")  # fmt: skip


@pytest.fixture(scope="module")
def shown(site: Site) -> Site:
    """A site with one organization that has needs, blueprints and runs; made here when the walk did not."""
    if site.slug not in site.sprocket("org", "list"):
        pytest.fail("the walk did not leave its organization")
    return site


@pytest.mark.parametrize("path", PAGES)
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(page: Page, shown: Site, path: str, theme: str) -> None:
    page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
    page.goto(f"{shown.url}/{path.format(shown.slug)}")
    found = Axe().run(page).response["violations"]
    serious = [
        (v["id"], v["nodes"][0]["target"], v["nodes"][0].get("failureSummary", "")[:200])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert serious == []


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_needs_no_sideways_scrolling(browser: Browser, signed_in: str, shown: Site, path: str) -> None:
    context = browser.new_context(storage_state=signed_in, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto(f"{shown.url}/{path.format(shown.slug)}")
    beyond = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    context.close()
    assert beyond <= 0


def test_the_first_stop_of_the_keyboard_is_the_way_past_the_header(page: Page, shown: Site) -> None:
    page.goto(f"{shown.url}/o/{shown.slug}/needs")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(4):
        page.keyboard.press("Tab")
    assert page.evaluate("document.querySelector('main').contains(document.activeElement)")


def test_a_wrong_answer_is_marked_beside_its_question_and_nothing_is_saved(page: Page, shown: Site) -> None:
    page.goto(f"{shown.url}/o/{shown.slug}/needs")
    page.locator("#q-access-localhost-host").fill("bad`host.localhost")
    page.get_by_role("button", name="Save the needs").click()
    expect(page.get_by_text("Nothing was saved.")).to_be_visible()
    marked = page.locator("[data-key='access.localhost.host'] .error")
    expect(marked).to_contain_text("is not a host name")


def test_a_lines_number_opens_where_it_comes_from_by_keyboard(page: Page, shown: Site) -> None:
    page.goto(f"{shown.url}/o/{shown.slug}/blueprints/1/lines?path=config/redis/redis.conf")
    page.get_by_role("link", name="Line 11", exact=True).focus()
    page.keyboard.press("Enter")
    expect(page.locator("#origin")).to_contain_text("templates/components/redis/config/redis.conf.j2:10")
    expect(page.locator("#L11")).to_have_attribute("title", re.compile(r"needs options\.redis\.memory_mib"))


def test_a_copy_button_copies(page: Page, shown: Site) -> None:
    page.goto(f"{shown.url}/o/{shown.slug}/needs")
    button = page.locator("#panel [data-copy]").first
    button.click()
    expect(button).to_have_text("Copied")
    assert page.evaluate("navigator.clipboard.readText()").endswith("/login")


def test_signed_out_nothing_is_shown(browser: Browser, shown: Site) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{shown.url}/o/{shown.slug}/")
    expect(page.get_by_text("There are no passwords here")).to_be_visible()
    context.close()
