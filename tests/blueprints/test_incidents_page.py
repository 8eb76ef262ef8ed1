"""The page of incidents follows the rules."""

from __future__ import annotations

from blueprints.checks.registry import RULES
from tools import incidents


def test_the_page_is_current() -> None:
    assert incidents.PAGE.read_text() == incidents.page(), "`make golden` writes it"


def test_it_names_every_rule_once() -> None:
    page = incidents.page()
    assert all(page.count(f"`{rule.id}`") == 1 for rule in RULES)
