"""A stage for runs without engine and Docker: a child that plays a script, a reader that remembers, blueprints of a few files."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from blueprints.models import Blueprint, BlueprintFile
from orgs.models import NeedsRevision, Organization
from provisioning import docker_door, execution, operations, secret_store
from provisioning.live import LiveObject, LiveService, LiveTask
from provisioning.materials import rendering_of
from provisioning.models import Plan
from provisioning.review.binding import plan_digest, seen_now
from provisioning.verdict import Check, verdict_of
from sprocket_v2.errors import ApplyError

SECRETS = {
    "jwt-secret": {"title": "Session key", "kind": "generated", "length": 64, "version": 1, "where_to_get": ""},
    "storage-key": {
        "title": "Storage",
        "kind": "placeholder",
        "placeholder": "not-used-by-this",
        "length": 0,
        "version": 1,
        "where_to_get": "",
    },
    "bot-token": {"title": "Bot token", "kind": "supplied", "length": 0, "version": 1, "where_to_get": "Discord's developer pages"},
}
STEP = {"resource": "service/web", "component": "web", "type": "t", "op": "create", "fields": [], "reasons": []}
ONE_STEP = {"steps": [STEP], "changes": {"create": 1}, "state_digest": "sha256:before"}
TOKEN = "local_dev_placeholder"


@dataclass
class FakeDocker:
    """Remembers services and objects; can be made unreachable."""

    services: list[LiveService] = field(default_factory=list)
    objects: list[LiveObject] = field(default_factory=list)
    is_reachable: bool = True
    taken_ports: set[int] = field(default_factory=set)

    def live_services(self, org: str, adopted: object = ()) -> Sequence[LiveService]:
        if not self.is_reachable:
            raise ApplyError("Docker is not started", hint="start it")
        return list(self.services)

    def live_objects(self, org: str, adopted: object = ()) -> Sequence[LiveObject]:
        return list(self.objects)

    def remove(self, kind: str, name: str) -> None:
        self.services = [item for item in self.services if (kind, item.name) != ("service", name)]
        self.objects = [item for item in self.objects if (item.kind, item.name) != (kind, name)]

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        there = {("service", item.name) for item in self.services} | {(item.kind, item.name) for item in self.objects}
        return {"Name": name} if (kind, name) in there else None

    def local_image_id(self, reference: str) -> str:
        return ""

    def run_in(self, container: str, command: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        return 0, ""

    def last_lines(self, service: str, count: int = 200) -> list[str]:
        return []

    def about(self) -> tuple[str, int, str]:
        return "27.5.1", 8 * 2**30, ""

    def publishers(self, port: int) -> list[str]:
        return []

    def is_port_free(self, port: int) -> bool:
        return port not in self.taken_ports

    def restart(self) -> None:
        """Give the first service a new task, as after a crash."""
        self.services[0] = replace(self.services[0], tasks=(LiveTask("t-new", "running", "running"),))

    def change(self) -> None:
        """Change the first service's spec, as somebody's hand would."""
        self.services[0] = replace(self.services[0], version=self.services[0].version + 1)


@pytest.fixture
def data_dir(settings: LazySettings, tmp_path: Path) -> Path:
    settings.SPROCKET_DATA_DIR = tmp_path / "data"
    settings.SPROCKET_MASTER_KEY_FILE = tmp_path / "data" / "keys" / "secret.key"
    settings.SPROCKET_STATE_URL = ""
    return tmp_path / "data"


@pytest.fixture
def docker(monkeypatch: pytest.MonkeyPatch) -> FakeDocker:
    fake = FakeDocker([LiveService("demo_web", "s1", 7, "web:1", 1, False, (LiveTask("t1", "running", "running"),))])
    monkeypatch.setattr(docker_door, "_connect", lambda: fake)
    return fake


@dataclass
class Engine:
    """The scripted child: what it is asked and what it answers."""

    file: Path
    asked_file: Path
    play: dict[str, Any] = field(default_factory=dict)
    verdict_state: str = "ok"

    @property
    def asked(self) -> list[dict[str, Any]]:
        """The requests the child was given."""
        return [json.loads(line) for line in self.asked_file.read_text().splitlines()] if self.asked_file.exists() else []


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data_dir: Path, docker: FakeDocker) -> Engine:
    asked = tmp_path / "asked.jsonl"
    stage = Engine(tmp_path / "play.json", asked, {"asked": str(asked)})
    monkeypatch.setattr(operations, "CHILD_MODULE", "tests.provisioning.fake_child")
    monkeypatch.setenv("SPROCKET_PULUMI", "/bin/true")
    check = lambda *_args, **_more: verdict_of([Check("service/demo_web", "Web", stage.verdict_state)])  # type: ignore[arg-type]  # noqa: E731
    monkeypatch.setattr(execution, "verify_bundle", check)
    return stage


@pytest.fixture
def make_blueprint(demo: Organization, alice: Any, engine: Engine) -> Callable[..., Blueprint]:
    """Stores a blueprint whose bundle tells the scripted child what to play."""

    def make(org: Organization = demo, secrets: dict[str, Any] = SECRETS, says: dict[str, Any] | None = None, **play: Any) -> Blueprint:
        return stored_blueprint(org, alice, {"preview": ONE_STEP, **engine.play, **play}, secrets=secrets, says=says)

    return make


def stored_blueprint(
    org: Organization, author: Any, play: dict[str, Any], *, secrets: dict[str, Any], says: dict[str, Any] | None = None
) -> Blueprint:
    """A blueprint of a few files; `play` tells the child that stands in for the engine what to do."""
    number = Blueprint.objects.for_org(org).count() + 1
    needs = NeedsRevision.objects.create(
        organization=org,
        number=NeedsRevision.objects.for_org(org).count() + 1,
        text="",
        data={},
        digest=f"sha256:needs{number}",
        author=author,
    )
    files = {
        "stack.yml": "services: {}\n",
        "play.json": json.dumps(play),
        "secrets.json": json.dumps({"secrets": secrets}),
        "blueprint.lock.json": json.dumps({"images": {}, "secrets": {name: item["version"] for name, item in secrets.items()}}),
    }
    listed = [{"path": path, "sha256": hashlib.sha256(text.encode()).hexdigest()} for path, text in files.items()]
    facts = {
        "organization": {"slug": org.slug},
        "needs_digest": needs.digest,
        "template_release": "1",
        "files": listed,
        "number": number,
        **(says or {}),
    }
    files["blueprint.json"] = json.dumps(facts)
    digest = "sha256:" + hashlib.sha256(files["blueprint.json"].encode()).hexdigest()
    row = Blueprint.objects.create(organization=org, number=number, needs_revision=needs, digest=digest, template_release="1")
    BlueprintFile.objects.bulk_create(
        BlueprintFile(blueprint=row, path=path, text=text, sha256=hashlib.sha256(text.encode()).hexdigest()) for path, text in files.items()
    )
    return row


@pytest.fixture
def token(demo: Organization, alice: Any, data_dir: Path) -> None:
    """The one secret a person has to bring."""
    secret_store.set_secret(org=demo, name="bot-token", value=TOKEN, actor=alice)


def rewritten(plan: Plan, **columns: Any) -> Plan:
    """The plan as if it had been made and approved with these columns, digest and approvals included."""
    for name, value in columns.items():
        setattr(plan, name, value)
    plan.seen = seen_now(plan.organization, rendering_of(plan.blueprint))
    plan.digest = plan_digest(plan)
    plan.save()
    plan.approvals.update(digest=plan.digest)
    return plan
