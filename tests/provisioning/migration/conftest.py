"""An imported estate whose migration can begin: rows, needs of v2, where the data is, every secret; and steps that only remember."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from blueprints.estate_actions import keep_import
from orgs.models import Organization
from orgs.needs import Needs
from orgs.needs_file import write_needs
from provisioning import secret_store
from provisioning.migration import actions, registry, runner
from provisioning.migration.registry import MachineStep
from provisioning.migration.work import Evidence, Work
from sprocket_v2.errors import ApplyError
from tests.blueprints.migration.estates import SOURCE, imported_estate
from tests.orgs.answers import answers

STORAGE = {"where": "existing", "existing": {"host": "spaces.example.org", "replays_bucket": "new-replays", "images_bucket": "new-images"}}
COPY_SECRETS = {"migration-database-password": "canary-database-password", "migration-storage-access-key": "CanaryAccessKey",
                "migration-storage-secret-key": "CanarySecretKey0123", "migration-cache-password": "canary-cache-password"}  # fmt: skip
V2_SECRETS = {"discord-client-id": "123456789012345678", "discord-client-secret": "canary-client-secret", "bot-token": "canary-bot-token",
              "storage-access-key": "CanaryAccessKey", "storage-secret-key": "CanarySecretKey0123"}  # fmt: skip


def needs_text(**changes: Any) -> str:
    """v2's needs as a file."""
    return write_needs(Needs.model_validate(answers(slug="league", storage=STORAGE, **changes)))


@pytest.fixture
def imported(demo: Organization, alice: Any, data_dir: Any) -> Organization:
    """Alice's estate, of which only the rows are known."""
    keep_import(org=demo, estate=imported_estate(), sources=[{"name": "estate.yml", "kind": "file", "bytes": 1}], actor=alice)
    return demo


@pytest.fixture
def ready(imported: Organization, alice: Any) -> Organization:
    """Nothing is in the way."""
    actions.settle(org=imported, actor=alice, needs_text=needs_text(), source_text=SOURCE)
    for name, value in COPY_SECRETS.items():
        actions.set_copy_secret(org=imported, name=name, value=value, actor=alice)
    target = Organization.objects.get(slug="league")
    for name, value in V2_SECRETS.items():
        secret_store.set_secret(org=target, name=name, value=value, actor=alice)
    return imported


class Story:
    """Steps that do nothing and remember in which order; one may be told to fail or to die."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.fails: dict[str, str] = {}
        self.dies: set[str] = set()
        self.during: Callable[[Work], None] = lambda _work: None

    def step(self, key: str) -> MachineStep:
        return MachineStep(self._act(key, "do"), self._act(key, "check"), self._act(key, "undo"), self._act(key, "rehearse"))

    def _act(self, key: str, what: str) -> Callable[[Work], Evidence]:
        def act(work: Work) -> Evidence:
            self.told.append(f"{what} {key}")
            if what == "do":
                self.during(work)
            if f"{what} {key}" in self.dies:
                raise KeyboardInterrupt  # as a kill: nothing is written
            if f"{what} {key}" in self.fails:
                raise ApplyError(self.fails[f"{what} {key}"], hint="mend it")
            return {what: key}

        return act


@pytest.fixture
def story(monkeypatch: pytest.MonkeyPatch) -> Story:
    """The steps of every migration in this test."""
    told = Story()
    monkeypatch.setattr(runner, "STEPS", {key: told.step(key) for key in registry.STEPS})
    return told
