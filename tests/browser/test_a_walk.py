"""The main job in a browser: create an organization, say what it needs, compare, preview, approve, apply, watch, read the verdict.

With SPROCKET_SCREENSHOTS the README's pictures are taken on the way.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.site import ROOT, Site

pytestmark = [pytest.mark.browser, pytest.mark.timeout(420)]
SECRETS = {
    "bot-token": "your_discord_bot_token_here",
    "discord-client-id": "123456789012345678",
    "discord-client-secret": "walk-client-secret-0",
}


def _picture(page: Page, name: str) -> None:
    folder = os.environ.get("SPROCKET_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"), caret="initial")  # hiding it would be a style the page forbids


def test_from_signing_in_to_the_verdict(page: Page, site: Site) -> None:
    page.goto(site.url)
    expect(page.get_by_text("No organization yet")).to_be_visible()
    page.get_by_role("link", name="New organization").click()
    page.get_by_label("League name").fill("Walk League")
    page.get_by_label("Short name").fill(site.slug)
    page.get_by_role("button", name="Create, then say what it needs").click()

    # The needs, with the panel beside that follows every answer.
    expect(page.get_by_role("heading", name="What Walk League needs")).to_be_visible()
    page.locator("#q-owner-name").fill("Alice Example")
    page.locator("#q-owner-contact").fill("alice on Discord")
    page.locator("#q-applications").select_option("stand-in")
    page.locator("#q-access-localhost-port").fill(str(site.entry_port))
    panel = page.locator("#panel")
    expect(panel.get_by_text("Postgres", exact=True)).to_be_visible()
    expect(panel.get_by_text("InfluxDB", exact=True)).to_have_count(0)
    page.locator("#q-features-match-statistics").check()
    expect(panel.get_by_text("InfluxDB", exact=True)).to_be_visible()
    expect(panel.get_by_text("Match statistics over time = yes").first).to_be_visible()
    _picture(page, "needs")
    page.locator("#q-features-match-statistics").uncheck()
    expect(panel.get_by_text("InfluxDB", exact=True)).to_have_count(0)
    page.locator("#q-database-starting-data-kind").select_option("schema-file")
    page.locator("#upload").set_input_files(str(ROOT / "orgs" / "demo-schema.sql"))
    page.get_by_role("button", name="Save the needs").click()
    expect(page.get_by_text("Needs saved as revision 1.")).to_be_visible()

    # What only a person can bring.
    page.get_by_role("link", name="Set the secrets").click()
    for name, value in SECRETS.items():
        card = page.locator(f"#{name}")
        card.locator("input[name=value]").fill(value)
        card.get_by_role("button", name="Set").click()
        expect(page.locator(f"#{name}").get_by_text("version 1", exact=False)).to_be_visible()
    assert not any(value in page.content() for value in SECRETS.values())

    # Two blueprints to compare: the second with another answer.
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name="Draw the blueprint").click()
    expect(page.get_by_role("heading", name="Blueprint 1")).to_be_visible()
    page.get_by_role("link", name="Needs").click()
    page.locator("#q-features-status-page").check()
    page.get_by_role("button", name="Save the needs").click()
    page.get_by_role("button", name="Draw the blueprint").click()
    page.get_by_role("link", name="Compare", exact=True).first.click()
    expect(page.get_by_role("heading", name="From blueprint 1 to 2")).to_be_visible()
    expect(page.get_by_text("Adds Gatus. Changes Traefik.", exact=True)).to_be_visible()
    _picture(page, "comparison")

    # Preview, approve exactly that, apply, watch.
    page.get_by_role("link", name="Overview").click()
    page.get_by_role("button", name="Preview").first.click()
    page.get_by_role("link", name=re.compile("Look at plan")).click(timeout=60_000)
    expect(page.get_by_text("service/gatus")).to_be_visible()
    page.get_by_label("Reason").fill("a walk on stand-ins")
    page.get_by_role("button", name="Approve exactly this").click()
    page.get_by_role("button", name="Apply").click()
    expect(page.get_by_role("heading", name=re.compile("apply"))).to_be_visible()
    postgres = page.locator(".resources li", has_text="service/postgres").first
    expect(postgres).to_be_visible(timeout=60_000)
    _picture(page, "run")
    page.reload()  # nothing is lost: the page is made from rows
    expect(page.locator(".resources li", has_text="network/data")).to_be_visible()
    expect(page.get_by_role("heading", name="Verdict")).to_be_visible(timeout=180_000)
    lines = page.locator(".verdict-lines li")
    expect(lines).to_have_text(["runs", "usable"])
    _picture(page, "verdict")

    page.get_by_role("link", name="Back to Walk League").click()
    expect(page.get_by_role("heading", name="Deployed")).to_be_visible()
    expect(page.get_by_text("stand-ins", exact=False).first).to_be_visible()
