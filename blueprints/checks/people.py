"""Rules about people: incident 40. Pure."""

from __future__ import annotations

from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject


def somebody_can_take_over(subject: Subject) -> Answer:
    """The needs name an owner and a deputy who is somebody else."""
    if subject.needs is None:
        return NotApplicable("its needs are not at hand")
    owner, deputy = subject.needs.owner, subject.needs.deputy
    if deputy is None:
        return (Found("deputy", "nobody can take over from the owner"),)
    if (deputy.name.casefold(), deputy.contact.casefold()) == (owner.name.casefold(), owner.contact.casefold()):
        return (Found("deputy", "is the owner"),)
    return ()


def two_people_can_apply(subject: Subject) -> Answer:
    """Two accounts that may apply: one person's absence is no outage."""
    assert subject.records is not None  # noqa: S101 - the registry asks only with it
    people = subject.records.operators
    if len(people) >= 2:
        return ()
    return (Found("people", f"only {people[0]} may apply" if people else "nobody may apply"),)


RULES = (
    Rule("I40-deputy", "warning", "lint", "The needs name an owner and a deputy.",
         "Name a deputy in the needs: somebody who can decide when the owner is away.", somebody_can_take_over),
    Rule("I40-two-people", "warning", "preflight", "Two people can sign in and apply.",
         "Invite a second person on the page People, with the role owner or operator.", two_people_can_apply, "records"),
)  # fmt: skip
