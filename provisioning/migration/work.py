"""What a step is given: the migration, its two organizations, what it was planned with, and where to put what it sees."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from blueprints.compose import ServiceArgs, StackSpec, read_stack
from blueprints.migration.source import Source, parse_source
from blueprints.models import Blueprint
from blueprints.rendering import STACK, Rendering
from orgs.models import Organization
from orgs.needs import Needs
from orgs.needs_file import parse_needs
from provisioning import secret_store
from provisioning.docker_door import docker_hands
from provisioning.materials import data_dir, rendering_of
from provisioning.migration.lease import Held, LostError
from provisioning.migration.rows import Migration, MigrationStep
from sprocket_v2.errors import ApplyError

if TYPE_CHECKING:
    from provisioning.providers.swarm.client import DockerSwarm

Evidence = dict[str, Any]
_NOTES = 60  # of a step, the newest


@dataclass
class Work:
    """One step under one lease.

    Attributes:
        memory_mib: a rehearsal keeps its copy in memory, at most so much; 0 for a volume on disk.
        on_note: also told what the step says, for a command line that follows along.
    """

    migration: Migration
    step: MigrationStep
    lease: Held
    on_note: Callable[[str], None] = lambda _message: None
    _began: float = field(default_factory=time.monotonic)

    # --- what it is about

    @property
    def org(self) -> Organization:
        """Whose estate it is."""
        return self.migration.organization

    @property
    def actor(self) -> Any:  # noqa: ANN401 - a user
        """Whose migration it is: what the machine does is done for them."""
        return self.migration.author

    @property
    def target(self) -> Organization:
        """The v2 organization."""
        if self.migration.target is None:
            raise ApplyError("v2's organization is gone", hint="start another migration", where=str(self.migration))
        return self.migration.target

    @cached_property
    def needs(self) -> Needs:
        """v2's needs, as they were when this began."""
        return parse_needs(self.migration.needs_text, "migration-needs.yaml")

    @cached_property
    def source(self) -> Source:
        """Where the estate's data is."""
        return parse_source(self.migration.source_text)

    @cached_property
    def swarm(self) -> DockerSwarm:
        """The Docker client."""
        return docker_hands()

    @property
    def is_rehearsal(self) -> bool:
        """Whether nothing is to be changed."""
        return self.migration.kind == "rehearsal"

    @property
    def folder(self) -> Path:
        """Where copies are kept on this machine while it goes on."""
        return data_dir() / "migrations" / self.org.slug / str(self.migration.number)

    def services(self, *roles: str) -> list[str]:
        """Docker names of the estate's services in these roles, or of all of them."""
        rows = [o["row"] for o in self.migration.plan["outcomes"] if o["row"]["kind"] == "service"]
        return [row["name"] for row in rows if not roles or row["role"] in roles]

    def rows(self, kind: str) -> list[str]:
        """Names of the estate's rows of a kind."""
        return [o["row"]["name"] for o in self.migration.plan["outcomes"] if o["row"]["kind"] == kind]

    def blueprint(self) -> Blueprint:
        """v2's, as the step `prepare` drew it."""
        number = self.evidence_of("prepare").get("blueprint")
        found = Blueprint.objects.for_org(self.target).filter(number=number).first() if number else None
        if found is None:
            raise ApplyError("v2's blueprint is gone", hint="start another migration", where=self.target.slug)
        blueprint: Blueprint = found
        return blueprint

    @cached_property
    def rendering(self) -> Rendering:
        """v2's files."""
        return rendering_of(self.blueprint())

    @cached_property
    def stack(self) -> StackSpec:
        """v2's services."""
        return read_stack(self.rendering.files[STACK], self.target.slug)

    def database_service(self) -> ServiceArgs:
        """v2's database, where it is in the deployment."""
        return self.stack.services["postgres"]

    def secret(self, org: Organization, name: str) -> str:
        """The newest value of a secret; handed on, never kept.

        Raises:
            ApplyError: it was never set.
        """
        version = secret_store.secret_versions(org).get(name)
        if version is None:
            raise ApplyError(
                f"secret {name} is missing", hint=f"`sprocket migrate secret {org.slug} {name}`", where=f"secrets of {org.slug}"
            )
        wanted = secret_store.Wanted(name, name, "supplied", version)
        return next(iter(secret_store.values_for(org, [wanted]).values()))

    # --- what it says

    def say(self, message: str) -> None:
        """Something a person watching would like to know. Never a secret."""
        at = datetime.now(UTC).isoformat(timespec="seconds")
        self.on_note(f"{self.step.title}: {message}")
        self.write(notes=[*self.step.notes, {"at": at, "message": message[:300]}][-_NOTES:])

    def keep(self, **evidence: Any) -> None:  # noqa: ANN401 - plain data
        """Write evidence now, so that a repetition after a crash knows it."""
        self.write(evidence={**self.step.evidence, **evidence})

    @property
    def kept(self) -> Mapping[str, Any]:
        """What was kept by this step so far, in an earlier try too."""
        evidence: Mapping[str, Any] = self.step.evidence
        return evidence

    def evidence_of(self, key: str) -> Mapping[str, Any]:
        """What another step of this migration has seen."""
        found = MigrationStep.objects.for_org(self.org).filter(migration=self.migration, key=key).first()
        evidence: Mapping[str, Any] = found.evidence if found else {}
        return evidence

    def write(self, **values: Any) -> None:  # noqa: ANN401 - columns
        """Change the step's row under our lease."""
        if not self.step.write(under=self.lease.fencing, **values):
            raise LostError("the migration is carried out by another worker by now", hint="look at it there", where=str(self.migration))

    # --- limits

    @property
    def left_s(self) -> float:
        """Seconds until the step's deadline."""
        return self.step.limit_s - (time.monotonic() - self._began)

    @property
    def budget_s(self) -> float:
        """The same for one call, which gets a second at least."""
        return max(self.left_s, 1.0)

    def beat(self) -> None:
        """Cheap to call often.

        Raises:
            LostError: the lease is gone. ApplyError: the step's time is over.
        """
        self.lease.check()
        if self.left_s <= 0:
            raise ApplyError(
                f"not done within {self.step.limit_s} s",
                hint="look at its last words; resume tries again",
                where=self.step.key,
                transient=True,
            )

    def wait_until(self, is_so: Callable[[], bool], *, every_s: float = 0.5) -> None:
        """Until it is so, or the step's time is over."""
        while not is_so():
            self.beat()
            time.sleep(every_s)
