"""Two people and what they can undo: propose, approve by a second person, apply, cancel, go on, drift put back and adopted, roll back, destroy.

Runs last: it goes on from the walk's deployment, and takes it away. With SPROCKET_SCREENSHOTS pictures are taken on the way.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.site import Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]
ENDED = re.compile("succeeded|cancelled|failed")
LONG_MS = 180_000


@pytest.fixture(scope="module")
def bob(browser: Browser, signed_in: str, site: Site) -> Iterator[Page]:
    """Invited by Alice on the people's page, as an approver; signed in by the link she is shown once."""
    alice = browser.new_context(storage_state=signed_in)
    page = alice.new_page()
    page.goto(f"{site.url}/o/{site.slug}/people")
    page.get_by_label("User name").fill("bob")
    for role in ("viewer", "approver"):
        page.get_by_label(re.compile(f"^{role}")).check()
    page.get_by_role("button", name="Set").click()
    link = page.locator("#new-link").inner_text()
    alice.close()
    his = browser.new_context(viewport={"width": 1280, "height": 900})
    page = his.new_page()
    page.goto(link)
    page.get_by_role("button", name="Sign in as bob").click()
    yield page
    his.close()


def test_a_second_person_approves_what_the_first_proposed(page: Page, bob: Page, site: Site) -> None:
    page.goto(f"{site.url}/o/{site.slug}/settings")
    page.get_by_label(re.compile("Two people")).check()
    page.get_by_role("button", name="Set").first.click()
    page.goto(f"{site.url}/o/{site.slug}/needs")
    page.locator("#q-features-match-statistics").check()
    page.locator("#q-features-machine-metrics").check()
    page.locator("#q-features-dashboards").check()
    page.get_by_role("button", name="Save the needs").click()
    plan = _proposed(page, site)
    page.get_by_label("Reason").fill("stand-ins are fine here")
    page.get_by_role("button", name="Approve exactly this").click()
    expect(page.get_by_role("button", name="Apply")).to_have_count(0)  # it is her own: somebody else has to agree
    _picture(page, "plan-of-ones-own")
    _approved(bob, f"{site.url}{plan}")
    page.reload()
    expect(page.get_by_text("bob said yes")).to_be_visible()


def test_a_run_is_cancelled_and_what_is_left_is_planned_and_applied(page: Page, bob: Page, site: Site) -> None:
    page.goto(f"{site.url}/o/{site.slug}/plans/2")
    page.get_by_role("button", name="Apply").click()
    expect(page.locator(".resources li", has_text="service/").first).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(re.compile("cancelled"), timeout=LONG_MS)
    expect(page.get_by_role("alert")).to_be_visible()
    _picture(page, "run-cancelled")
    page.get_by_role("button", name="Plan what is left").click()
    plan = _shown_plan(page)
    _approved(bob, f"{site.url}{plan}")
    _applied(page, f"{site.url}{plan}")


def test_what_somebody_did_by_hand_is_found_put_back_and_adopted(page: Page, bob: Page, site: Site) -> None:
    by_hand = ["docker", "service", "update", "--detach=false", "--quiet", "--no-resolve-image", "--env-add"]
    subprocess.run([*by_hand, "LEAGUE_COLOUR=green", f"{site.slug}_bot"], check=True, timeout=120, capture_output=True)
    _looked(page, site)
    expect(page.locator(".resources")).to_contain_text("service/bot")
    expect(page.locator(".resources")).to_contain_text("environment.LEAGUE_COLOUR")
    _picture(page, "drift")
    page.get_by_role("button", name="Plan to put it back").click()
    plan = _shown_plan(page)
    _approved(bob, f"{site.url}{plan}")
    _applied(page, f"{site.url}{plan}")
    _looked(page, site)
    expect(page.get_by_role("status").first).to_contain_text("Everything runs as")

    subprocess.run([*by_hand, "LEAGUE_COLOUR=green", f"{site.slug}_bot"], check=True, timeout=120, capture_output=True)
    _looked(page, site)
    page.get_by_role("link", name="See the draft").click()
    expect(page.locator("main")).to_contain_text("LEAGUE_COLOUR")
    _picture(page, "drift-adopt")
    page.get_by_role("button", name="Save these needs").click()
    page.goto(f"{site.url}/o/{site.slug}/needs/history")
    expect(page.locator("main")).to_contain_text("adopted from what runs: service/bot environment.LEAGUE_COLOUR was added")


def test_an_earlier_version_is_planned_from_the_history_and_applied(page: Page, bob: Page, site: Site) -> None:
    page.goto(f"{site.url}/o/{site.slug}/history")
    _picture(page, "history")
    page.get_by_role("button", name="Plan the way to version 2").click()
    plan = _shown_plan(page)
    expect(page.get_by_text("This goes back to version 2.")).to_be_visible()
    _picture(page, "plan-back")
    _approved(bob, f"{site.url}{plan}")
    _applied(page, f"{site.url}{plan}")
    page.goto(f"{site.url}/o/{site.slug}/history")
    expect(page.locator("#version-2")).to_contain_text("runs now")


def test_the_deployment_is_removed_by_two_people_and_its_data_stays(page: Page, browser: Browser, site: Site) -> None:
    site.sprocket("user", "create", "carol", "--admin")
    page.goto(f"{site.url}/o/{site.slug}/remove")
    expect(page.get_by_text("This organization asks for two people")).to_be_visible()
    _picture(page, "removal")
    page.locator("#destroy-slug").fill(site.slug)
    page.get_by_role("button", name="Remove").click()
    hers = browser.new_context()
    carol = hers.new_page()
    carol.goto(site.sprocket("user", "sign-in-link", "carol"))
    carol.get_by_role("button", name="Sign in as carol").click()
    carol.goto(f"{site.url}/o/{site.slug}/remove")
    carol.locator("#destroy-slug").fill(site.slug)
    carol.get_by_role("button", name="Remove").click()
    expect(carol.get_by_role("heading", level=1)).to_contain_text(re.compile("succeeded"), timeout=LONG_MS)
    _picture(carol, "removed")
    hers.close()
    left = subprocess.run(["docker", "volume", "ls", "-q", "--filter", f"name={site.slug}_"], capture_output=True, text=True, check=True)
    services = subprocess.run(
        ["docker", "service", "ls", "-q", "--filter", f"name={site.slug}_"], capture_output=True, text=True, check=True
    )
    assert (bool(left.stdout), services.stdout) == (True, "")


def _proposed(page: Page, site: Site) -> str:
    """The path of a plan of the newest needs, whose page is open afterwards."""
    page.goto(f"{site.url}/o/{site.slug}/")
    page.get_by_role("button", name="Preview").first.click()
    return _shown_plan(page)


def _shown_plan(page: Page) -> str:
    page.get_by_role("link", name=re.compile("Look at plan")).click(timeout=90_000)
    expect(page.get_by_role("heading", level=1)).to_contain_text("Plan")
    return re.sub(r"^https?://[^/]+", "", page.url)


def _approved(bob: Page, url: str) -> None:
    bob.goto(url)
    bob.get_by_label("Reason").fill("looked at by a second person")
    bob.get_by_role("button", name="Approve exactly this").click()
    expect(bob.get_by_text("bob said yes")).to_be_visible()


def _applied(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(ENDED, timeout=LONG_MS)
    expect(page.get_by_role("heading", level=1)).to_contain_text("succeeded")


def _looked(page: Page, site: Site) -> None:
    page.goto(f"{site.url}/o/{site.slug}/drift")
    page.get_by_role("button", name="Look now").click()
    page.get_by_role("link", name="See what was found").click(timeout=90_000)


def _picture(page: Page, name: str) -> None:
    folder = os.environ.get("SPROCKET_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), caret="initial", full_page=True)
