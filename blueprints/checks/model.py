"""Rules, what they look at and what they say. Values only.

A rule is a small function over a `Subject`. What a subject does not hold is no reason to pass: the rule then says that it had nothing to
look at, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from blueprints.checks.facts import Records, Running, Target
from blueprints.checks.references import Reference, references_of
from blueprints.checks.routers import Router, routers_of
from blueprints.checks.services import Service, services_of
from blueprints.estate.model import Estate
from orgs.needs import Needs

Severity = Literal["block", "warning", "info"]
Kind = Literal["lint", "preflight", "probe", "secret scan"]
State = Literal["passed", "failed", "not applicable", "not asked"]
Part = Literal["blueprint", "texts", "history", "records", "target", "running"]
SEVERITIES: tuple[Severity, ...] = ("block", "warning", "info")
KINDS: tuple[Kind, ...] = ("lint", "secret scan", "preflight", "probe")


@dataclass(frozen=True, slots=True)
class Found:
    """One place where a rule does not hold: where, and what is there. Never a secret's value."""

    where: str
    what: str


@dataclass(frozen=True, slots=True)
class NotApplicable:
    """The subject has nothing that the rule is about, and why. It is not the same as having passed."""

    reason: str


@dataclass(frozen=True)
class Subject:
    """What is checked.

    Attributes:
        name: as people call it: an organization, a file, a folder.
        estate: every service, network, volume and so on, whatever they were read from.
        blueprint: blueprint.json as data; empty for an estate that no blueprint was made of.
        secrets: the references of secrets.json by name.
        texts: path -> text of every file that is looked through for secrets; None where there are no files.
        history: the same for what files once held (commit:path -> text); None where nobody looked.
        needs: the answers behind it, where they are known.
        unused_inputs: component -> inputs which its templates never use; None where the templates are not at hand.
        records: what the control plane knows; None for a file.
        target: the machine it would run on; None where it was not asked.
        running: what runs; None where it was not asked.
    """

    name: str
    estate: Estate
    blueprint: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    texts: Mapping[str, str] | None = None
    history: Mapping[str, str] | None = None
    needs: Needs | None = None
    unused_inputs: Mapping[str, tuple[str, ...]] | None = None
    records: Records | None = None
    target: Target | None = None
    running: Running | None = None

    @cached_property
    def services(self) -> tuple[Service, ...]:
        """The services that stay, with what else is known of them."""
        return services_of(self.estate)

    @cached_property
    def routers(self) -> tuple[Router, ...]:
        """Every router of the proxy, from labels and files."""
        return routers_of(self.services, self.estate)

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """Every host that a service's settings name."""
        return references_of(self.services)


Answer = Iterable[Found] | NotApplicable


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule.

    Attributes:
        id: `I10-duplicate-router`: the incident it comes from, and what it is about.
        title: what is demanded, in one sentence.
        todo: what to do where it does not hold.
        reads: the part of the subject without which it cannot look.
    """

    id: str
    severity: Severity
    kind: Kind
    title: str
    todo: str
    look: Callable[[Subject], Answer]
    reads: Part = "blueprint"

    @property
    def incident(self) -> int:
        """The number of the incident."""
        return int(self.id[1:3])


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a rule said of a subject; `reason` is why it was not applicable or not asked."""

    rule: Rule
    state: State
    found: tuple[Found, ...] = ()
    reason: str = ""
