"""The values a migration plan is made of and made from. No secret value is ever in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from blueprints.estate.model import Kind
from blueprints.migration.rules import Fate

Who = Literal["machine", "operator", "owner"]
PERMISSION: Mapping[Who, str] = {"machine": "destroy", "operator": "apply", "owner": "destroy"}


@dataclass(frozen=True, slots=True)
class Row:
    """What the plan has to know of one row of the ledger.

    Attributes:
        role: the component it was recognised as, without `legacy-`; empty where nobody knows what it is.
        decision: somebody's, in the ledger; empty where nobody decided.
        memory_mib: its limit; 0 where it has none.
        replicas: how many copies it wants.
        value_unknown: an adopted secret or config whose value we do not have.
        hosts: of a route.
    """

    kind: Kind
    name: str
    role: str = ""
    decision: Fate | Literal[""] = ""
    reason: str = ""
    owner: str = ""
    memory_mib: int = 0
    replicas: int = 1
    value_unknown: bool = False
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of a row, and why; `decided` tells a person's decision from the default."""

    row: Row
    fate: Fate
    into: str
    why: str
    decided: bool


@dataclass(frozen=True, slots=True)
class Counts:
    """One side of the comparison. `unlimited` counts services without a memory limit; `monthly` is in US dollars, None where unknown."""

    services: int
    jobs: int
    networks: int
    volumes: int
    secrets: int
    files: int
    memory_mib: int
    unlimited: int
    monthly: int | None
    monthly_words: str


@dataclass(frozen=True, slots=True)
class Blocker:
    """What has to be done before the cut-over may begin."""

    key: str
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class StepPlan:
    """One step of the cut-over.

    Attributes:
        who: the machine, or a person who may do that in the organization.
        check: how one sees that it is done.
        way_back: what undoes it; empty after the point of no return.
        rehearsed: what the rehearsal does in its place; empty where nothing can be tried.
        is_final: the point of no return.
        limit_s: by when the machine has to be done.
    """

    key: str
    title: str
    does: str
    who: Who
    check: str
    way_back: str
    rehearsed: str = ""
    is_final: bool = False
    limit_s: int = 600


@dataclass(frozen=True, slots=True)
class MigrationPlan:
    """The whole plan. `secrets` maps v2's secrets of the same value to the legacy ones; `rotated` are those v2 makes anew."""

    source: str
    target: str
    outcomes: tuple[Outcome, ...]
    before: Counts
    after: Counts
    blockers: tuple[Blocker, ...]
    steps: tuple[StepPlan, ...]
    re_entered: Mapping[str, str] = field(default_factory=dict)
    rotated: tuple[str, ...] = ()

    def of_roles(self, *roles: str) -> tuple[str, ...]:
        """Names of the estate's services in these roles."""
        return tuple(o.row.name for o in self.outcomes if o.row.kind == "service" and o.row.role in roles)

    def of_kind(self, kind: Kind) -> tuple[Outcome, ...]:
        """What becomes of one kind."""
        return tuple(outcome for outcome in self.outcomes if outcome.row.kind == kind)

    def as_dict(self) -> dict[str, Any]:
        """The JSON shape of pages and commands."""
        return asdict(self)
