"""All rules, and running them over a subject. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from blueprints.checks import (
    images,
    logs,
    names,
    order,
    people,
    placement,
    routing,
    secret_store,
    secret_values,
    settings,
    storage,
)
from blueprints.checks.model import NotApplicable, Outcome, Part, Rule, Subject

_FAMILIES = (people, storage, secret_store, order, routing, secret_values, names, settings, logs, placement, images)
RULES: tuple[Rule, ...] = tuple(sorted((rule for family in _FAMILIES for rule in family.RULES), key=lambda rule: rule.id))
_NOT_ASKED = {"target": "the machine was not asked: add --target", "running": "what runs was not asked: add --probe"}
_ABSENT: dict[Part, str] = {
    "records": "a file has no records: ask for an organization",
    "texts": "there are no files to look through",
    "history": "there is no repository here whose history could be looked through",
}


def run_checks(subject: Subject, rules: Iterable[Rule] = RULES) -> tuple[Outcome, ...]:
    """What every rule says of a subject, by the rules' ids."""
    return tuple(outcome_of(rule, subject) for rule in rules)


def outcome_of(rule: Rule, subject: Subject) -> Outcome:
    """What one rule says."""
    if rule.reads != "blueprint" and getattr(subject, rule.reads) is None:
        if rule.reads in _NOT_ASKED:
            return Outcome(rule, "not asked", reason=_NOT_ASKED[rule.reads])
        return Outcome(rule, "not applicable", reason=_ABSENT[rule.reads])
    answer = rule.look(subject)
    if isinstance(answer, NotApplicable):
        return Outcome(rule, "not applicable", reason=answer.reason)
    found = tuple(answer)
    return Outcome(rule, "failed" if found else "passed", found)


def failed(outcomes: Iterable[Outcome], *severities: str) -> tuple[Outcome, ...]:
    """Those that failed with one of these severities; with any, where none is named."""
    return tuple(o for o in outcomes if o.state == "failed" and (not severities or o.rule.severity in severities))
