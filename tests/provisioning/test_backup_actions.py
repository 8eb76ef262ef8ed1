"""Who may ask for backups and restores, what stands still meanwhile, and what a purge or a risky apply does first. Docker is a fake."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from orgs.models import AuditEvent, Organization
from provisioning import backup_actions, docker_door, leases
from provisioning.backups import Backup
from provisioning.live import LiveObject, LiveService, LiveTask
from provisioning.models import StackState
from sprocket_v2.errors import ApplyError, DeniedError, StaleError

NAME = "20300131T040000Z"
GOOD = f"{NAME} ok 2048 scheduled\n"
ROWS = '{"table" : "a.b", "rows" : 3}\n{"equal": true, "took_ms": 900}\n'


def service(name: str, *, wanted: int = 1) -> LiveService:
    """One that runs as wanted."""
    tasks = tuple(LiveTask(f"t{i}", "running", "running", container=f"c-{name}") for i in range(wanted))
    return LiveService(f"demo_{name}", name, 1, "image", wanted, False, tasks)


@dataclass
class Hands:
    """A deployment of a database, its backup, an API that knows the password, a web that does not, and a migration job."""

    answers: dict[str, tuple[int, str]] = field(default_factory=lambda: {"list": (0, GOOD), "newest": (0, GOOD)})
    services: list[LiveService] = field(default_factory=lambda: [service(name) for name in ("postgres", "backup", "api", "web")])
    objects: list[LiveObject] = field(default_factory=lambda: [LiveObject("volume", "demo_postgres_data", "v")])
    done: list[str] = field(default_factory=list)

    def live_services(self, _org: str, _adopted: object = ()) -> Sequence[LiveService]:
        return [*self.services, replace(service("api_migrate", wanted=0), is_job=True)] if self.services else []

    def live_objects(self, _org: str, _adopted: object = ()) -> Sequence[LiveObject]:
        return self.objects

    def run_in(self, container: str, command: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        assert (container, list(command[:2])) == ("c-backup", ["sh", "/backup/backup.sh"])
        self.done.append(" ".join(command[2:]))
        return self.answers.get(command[2], (0, ""))

    def find(self, _kind: str, name: str) -> dict[str, Any]:
        component = name.removeprefix("demo_").partition("_")[0]
        secrets = [] if component == "web" else [{"SecretName": "demo_postgres_db-password_v1"}]
        labels = {"sprocket.component": component, "sprocket.kind": "job" if name.endswith("migrate") else "service"}
        return {"Spec": {"Labels": labels, "TaskTemplate": {"ContainerSpec": {"Secrets": secrets}}}}

    def scale(self, name: str, replicas: int) -> int:
        self.done.append(f"scale {name} {replicas}")
        place = next(i for i, one in enumerate(self.services) if one.name == name)
        before = self.services[place].wanted
        self.services[place] = service(name.removeprefix("demo_"), wanted=replicas)
        return before

    def run_again(self, name: str) -> None:
        self.done.append(f"again {name}")

    def tasks(self, name: str) -> Sequence[dict[str, Any]]:
        return [{"ID": str(self.done.count(f"again {name}")), "Status": {"State": "complete"}}]

    def last_lines(self, _service: str, _count: int = 200) -> list[str]:
        return []


@pytest.fixture
def hands(monkeypatch: pytest.MonkeyPatch, data_dir: Path) -> Hands:
    fake = Hands()
    monkeypatch.setattr(docker_door, "_connect", lambda: fake)
    return fake


def test_bob_may_neither_take_nor_try_nor_restore_a_backup(demo: Organization, bob: Any, hands: Hands) -> None:
    with pytest.raises(DeniedError):
        backup_actions.take(org=demo, actor=bob)
    for restore in (backup_actions.restore_to_scratch, backup_actions.restore_live):
        with pytest.raises(DeniedError):
            restore(org=demo, name=NAME, actor=bob)
    assert hands.done == []


def test_a_backup_that_was_taken_is_noted_and_in_the_audit_trail(demo: Organization, alice: Any, hands: Hands) -> None:
    hands.answers |= {"now": (0, f"{NAME}\n"), "show": (0, GOOD)}
    assert backup_actions.take(org=demo, actor=alice).name == NAME
    seen = StackState.objects.for_org(demo).get().backups
    assert (seen["name"], seen["bytes"]) == (NAME, 2048)
    assert AuditEvent.objects.for_org(demo).filter(what="backup taken", detail__contains=NAME).exists()


def test_the_scripts_last_line_is_the_error(demo: Organization, alice: Any, hands: Hands) -> None:
    hands.answers["now"] = (1, "pg_dump: error: connection\nthe database did not answer within 60 s\n")
    with pytest.raises(ApplyError) as caught:
        backup_actions.take(org=demo, actor=alice)
    assert caught.value.message == "the database did not answer within 60 s"


def test_a_live_restore_stops_who_holds_the_password_migrates_and_starts_them(demo: Organization, alice: Any, hands: Hands) -> None:
    hands.answers |= {"now": (0, "20300201T040000Z\n"), "show": (0, "20300201T040000Z ok 1 before-restore\n"), "restore-live": (0, ROWS)}
    done = backup_actions.restore_live(org=demo, name=NAME, actor=alice)
    assert (done.rows, done.took_s, done.first) == ({"a.b": 3}, 0.9, "20300201T040000Z")
    assert hands.done == [
        "list", "now before-restore", "show 20300201T040000Z", "scale demo_api 0", f"restore-live {NAME}", "again demo_api_migrate",
        "scale demo_api 1", "newest",
    ]  # fmt: skip
    assert leases.acquire(demo, "the next one") is not None


def test_a_live_restore_that_fails_starts_the_applications_again(demo: Organization, alice: Any, hands: Hands) -> None:
    hands.answers["restore-live"] = (1, "the restored tables do not have the rows that backup counted\n")
    with pytest.raises(ApplyError, match="do not have the rows"):
        backup_actions.restore_live(org=demo, name=NAME, actor=alice, backup_first=False)
    assert hands.done == ["list", "scale demo_api 0", f"restore-live {NAME}", "scale demo_api 1"]
    assert leases.acquire(demo, "the next one") is not None


def test_a_damaged_backup_or_an_unknown_one_stops_nothing(demo: Organization, alice: Any, hands: Hands) -> None:
    hands.answers["list"] = (0, f"{NAME} bad 2048 scheduled\n")
    for name, words in ((NAME, "the checksum of backup"), ("20010101T000000Z", "there is no backup"), ("newest", "has no good backup")):
        with pytest.raises(ApplyError, match=words):
            backup_actions.restore_live(org=demo, name=name, actor=alice)
    assert set(hands.done) == {"list"}


def test_nothing_is_restored_while_somebody_works_on_the_stack(demo: Organization, alice: Any, hands: Hands) -> None:
    assert leases.acquire(demo, "an apply")
    with pytest.raises(StaleError, match="somebody else works on this stack"):
        backup_actions.restore_live(org=demo, name=NAME, actor=alice)
    assert hands.done == []


def test_a_removal_without_a_backup_says_so_and_only_good_ones_count(
    demo: Organization, alice: Any, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    hands.services = []
    made, problem = backup_actions.before_destroy(org=demo, actor=alice)
    assert (made, problem) == (None, "no backup could be taken first: no backup service runs in demo")
    hands.objects = []
    assert backup_actions.before_destroy(org=demo, actor=alice) == (None, "")
    assert backup_actions.last_kept("demo") is None
    kept = [Backup(name, 1, "", good, ()) for name, good in (("20260101T000000Z", True), ("20260103T000000Z", False))]
    monkeypatch.setattr(backup_actions.backups, "kept", lambda _folder: kept)
    assert backup_actions.last_kept("demo") == kept[0]


def test_a_risky_apply_takes_one_first_and_goes_on_where_it_cannot(demo: Organization, hands: Hands) -> None:
    steps = [{"op": "update", "resource": "service/postgres"}]
    hands.answers |= {"now": (0, f"{NAME}\n"), "show": (0, GOOD)}
    assert backup_actions.before_apply(demo, [], ["service/postgres"], lambda: None) == ""
    assert hands.done == []
    assert backup_actions.before_apply(demo, steps, ["service/postgres"], lambda: None) == f"backup {NAME} was taken first, 2.0 KiB"
    hands.answers["now"] = (1, "no space left on device\n")
    said = backup_actions.before_apply(demo, steps, ["service/postgres"], lambda: None)
    assert said == "no backup was taken before this: no space left on device"


def test_what_cannot_be_seen_leaves_what_was_seen_before(demo: Organization, hands: Hands) -> None:
    backup_actions.note(demo)
    before = StackState.objects.for_org(demo).get().backups
    assert before["name"] == NAME
    hands.services = []
    backup_actions.note(demo)
    assert StackState.objects.for_org(demo).get().backups == before


def test_a_restore_that_was_tried_is_remembered_with_how_long_it_took_also_after_the_next_look(
    demo: Organization, hands: Hands, alice: Any
) -> None:
    hands.answers["restore-scratch"] = hands.answers["count"] = (0, ROWS)
    backup_actions.restore_to_scratch(org=demo, name=NAME, actor=alice)
    backup_actions.note(demo)
    state = StackState.objects.for_org(demo).get()
    assert (state.backups["tried"]["name"], state.backups["tried"]["took_s"], state.backups["name"]) == (NAME, 0.9, NAME)
