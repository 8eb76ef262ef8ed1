"""A place for engine operations in tests: state, runs and a bundle in a folder of its own, Docker objects under a slug of its own."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provisioning import processes
from provisioning.engine_events import Event
from provisioning.materials import find_engine
from provisioning.operations import Outcome, Request, Verb, run_operation
from provisioning.providers.swarm.client import connect
from tests.engine.bundles import Bundle

SECRET = "engine-canary-value-0123456789"
PASSPHRASE = "engine-passphrase-0123456789"


class EngineStage:
    """Runs operations on one bundle and remembers the last one's events and process group."""

    def __init__(self, folder: Path) -> None:
        self.slug = "t" + secrets.token_hex(5)
        self.folder = folder
        self.bundle = Bundle(self.slug)
        self.events: list[Event] = []
        self.group: tuple[int, str, str] = (0, "", "")
        self.pulumi = str(find_engine())
        (folder / "state").mkdir()

    @property
    def run_dir(self) -> Path:
        return self.folder / "run"

    @property
    def state_url(self) -> str:
        return (self.folder / "state").as_uri()

    def request(self, op: Verb, **more: Any) -> Request:
        """A request on the bundle as it is now."""
        return Request(
            op=op,
            org=self.slug,
            stack=self.slug,
            bundle_dir=str(self.bundle.write(self.folder / "bundle")),
            state_url=self.state_url,
            run_dir=str(self.run_dir),
            pulumi=self.pulumi,
            passphrase=PASSPHRASE,
            secrets={f"{self.slug}/key@{self.bundle.secret_version}": SECRET} if op == "apply" else {},
            fingerprints={"key": f"{self.bundle.secret_version:064x}"},
            **more,
        )

    def run(self, op: Verb, *, request: dict[str, Any] | None = None, **options: Any) -> Outcome:
        """One operation to its end."""
        self.events = []
        kept: dict[str, Any] = {"deadline_s": 90.0, "on_event": self.events.append, "on_start": self._note, **options}
        return run_operation(self.request(op, **(request or {})), **kept)

    def _note(self, pid: int, started: str, mark: str) -> None:
        self.group = (pid, started, mark)

    def leftovers(self) -> list[int]:
        """Living processes of the last operation."""
        return processes.members_of(self.group[0], self.group[2])

    def wait_for(self, resource: str, kind: str = "resource-pre", *, limit_s: float = 30.0) -> None:
        """Until the operation in another thread says so."""
        limit = time.monotonic() + limit_s
        while not any(event.resource == resource and event.kind == kind for event in self.events):
            assert time.monotonic() < limit, [event.line() for event in self.events]
            time.sleep(0.05)

    def wait_for_service(self, key: str, *, limit_s: float = 30.0) -> None:
        """Until the swarm has it."""
        limit = time.monotonic() + limit_s
        while not any(service.name == f"{self.slug}_{key}" for service in connect().live_services(self.slug)):
            assert time.monotonic() < limit, [event.line() for event in self.events]
            time.sleep(0.05)

    def written(self) -> str:
        """Everything on disk: state, run folder, journal."""
        return "".join(path.read_bytes().decode("utf-8", "replace") for path in self.folder.rglob("*") if path.is_file())

    def state(self) -> Any:
        """The engine's state."""
        file = self.folder / "state" / ".pulumi" / "stacks" / "sprocket" / f"{self.slug}.json"
        return json.loads(file.read_text())["checkpoint"]["latest"]

    def clean_up(self) -> None:
        """Remove every Docker object of this slug, whatever happened."""
        swarm = connect()
        for service in swarm.live_services(self.slug):
            swarm.remove("service", service.name)
        limit = time.monotonic() + 60
        while time.monotonic() < limit:
            found = swarm.live_objects(self.slug)
            for item in found:
                with contextlib.suppress(Exception):  # in use until its last task is gone
                    swarm.remove(item.kind, item.name)
            if not found:
                return
            time.sleep(0.3)


@contextlib.contextmanager
def engine_stage(folder: Path) -> Iterator[EngineStage]:
    """A stage that leaves nothing behind."""
    stage = EngineStage(folder)
    try:
        yield stage
    finally:
        stage.clean_up()
