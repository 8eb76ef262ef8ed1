"""A running control plane and a real browser."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.site import CHROMIUM, FLAGS, Site


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Served for all browser tests; Alice is its admin."""
    running = Site(tmp_path_factory.mktemp("site"))
    try:
        running.sprocket("user", "create", "alice", "--admin")
        running.start()
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture(scope="session")
def signed_in(site: Site, browser: Browser) -> str:
    """Alice's way in, used once; the browser's state afterwards, as JSON."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(site.sprocket("user", "sign-in-link", "alice"))
    page.get_by_role("button", name="Sign in as alice").click()
    page.wait_for_url(f"{site.url}/")
    path = site._log.parent / "state.json"
    context.storage_state(path=str(path))
    context.close()
    return str(path)


@pytest.fixture
def page(browser: Browser, signed_in: str) -> Iterator[Page]:
    """A page on which Alice is signed in; errors of scripts fail the test."""
    context = browser.new_context(
        storage_state=signed_in, viewport={"width": 1280, "height": 900}, permissions=["clipboard-read", "clipboard-write"]
    )
    opened = context.new_page()
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    opened.on("console", lambda message: errors.append(message.text) if "Content Security Policy" in message.text else None)
    yield opened
    context.close()
    assert errors == []
