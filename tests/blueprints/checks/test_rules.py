"""Every rule twice: an estate that makes it speak, and one that leaves it content. Not applicable is neither."""

from __future__ import annotations

import pytest

from blueprints.checks.incidents import INCIDENTS
from blueprints.checks.model import KINDS, SEVERITIES, Rule
from blueprints.checks.registry import RULES, outcome_of
from tests.blueprints.checks.cases import routing, secret_values, settings, stores
from tests.blueprints.checks.estates import Case, subject

CASES: dict[str, Case] = {**routing.CASES, **stores.CASES, **secret_values.CASES, **settings.CASES}
each = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)


@each
def test_a_rule_says_what_it_found_and_where(rule: Rule) -> None:
    outcome = outcome_of(rule, CASES[rule.id].bad)
    assert outcome.state == "failed", outcome.reason
    assert all(found.where and found.what for found in outcome.found)
    assert CASES[rule.id].says in " ".join(f"{found.where} {found.what}" for found in outcome.found)


@each
def test_a_rule_is_content_with_what_is_right(rule: Rule) -> None:
    outcome = outcome_of(rule, CASES[rule.id].good)
    assert outcome.state == "passed", (outcome.reason, outcome.found)


def test_every_rule_has_its_two_cases_and_nothing_else_has() -> None:
    assert sorted(CASES) == [rule.id for rule in RULES]


def test_every_incident_is_a_rule_and_every_rule_comes_from_an_incident() -> None:
    assert [incident.number for incident in INCIDENTS] == list(range(1, 41))
    assert {rule.incident for rule in RULES} == {incident.number for incident in INCIDENTS}


@each
def test_a_rule_says_what_to_do(rule: Rule) -> None:
    assert rule.severity in SEVERITIES
    assert rule.kind in KINDS
    assert len(rule.todo) > 20
    assert rule.todo.endswith((".", "..."))
    assert rule.title.endswith(".")


@each
def test_a_rule_that_needs_a_part_that_is_not_there_does_not_pass(rule: Rule) -> None:
    assert outcome_of(rule, subject()).state in ("not applicable", "not asked")
