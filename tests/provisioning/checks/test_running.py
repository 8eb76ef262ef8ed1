"""What runs as rules see it: a deployment whose containers answer from a script."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from blueprints.checks.facts import Reach, Setting, Store
from blueprints.checks.model import Subject
from provisioning.checks.answers import ages_in, size_of, store_in
from provisioning.checks.running import ended_within_a_day, running_of
from provisioning.live import LiveObject, LiveService, LiveTask
from sprocket_v2.errors import ApplyError
from tests.blueprints.checks.estates import service, subject

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
SEALED = json.dumps({"initialized": True, "sealed": True})
Answer = Callable[[str, Sequence[str]], tuple[int, str]]


@dataclass
class Hands:
    """Services that run one task each, and what their containers answer to a command."""

    names: list[str]
    answer: Answer = lambda _container, _command: (127, "executable file not found in $PATH")
    raw: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    generation: int = 0
    asked: list[tuple[str, list[str]]] = field(default_factory=list)

    def live_services(self, _org: str) -> list[LiveService]:
        tasks = {name: (LiveTask(f"{name}-{self.generation}", "running", "running", container=f"c-{name}"),) for name in self.names}
        return [LiveService(name, name, 1, "image", 1, False, tasks[name]) for name in self.names]

    def live_objects(self, _org: str) -> list[LiveObject]:
        return []

    def local_image_id(self, _reference: str) -> str:
        return ""

    def last_lines(self, _service: str, _count: int = 200) -> list[str]:
        return []

    def run_in(self, container: str, command: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        self.asked.append((container, list(command)))
        return self.answer(container, command)

    def tasks(self, name: str) -> list[dict[str, Any]]:
        return self.raw.get(name, [])

    def run_again(self, _service: str) -> None:
        self.generation += 1


def _task(state: str, at: str) -> dict[str, Any]:
    return {"Status": {"State": state, "Timestamp": at}}


APP = service("app", environment={"CACHE_HOST": "cache", "CACHE_PORT": "6379"})
CACHE = service("cache", "redis:7", files={"/usr/local/etc/redis/redis.conf": "maxmemory 85mb\nappendonly yes\n"})
VAULT = service("vault", "openbao/openbao:2")


def test_a_port_is_tried_from_inside_the_container_that_is_told_of_it() -> None:
    hands = Hands(["app", "cache"], lambda _c, command: (0, "") if command[0] == "bash" else (1, ""))
    assert running_of(subject(APP, CACHE), hands, "demo").reaches == (Reach("app", "cache", 6379, True),)
    assert [(c, command[-2:]) for c, command in hands.asked if command[0] == "bash"] == [("c-app", ["cache", "6379"])]


def test_where_no_program_can_open_a_port_nothing_is_said_of_it() -> None:
    assert running_of(subject(APP, CACHE), Hands(["app", "cache"]), "demo").reaches == ()


def test_a_program_that_is_not_there_gives_way_to_the_next() -> None:
    def answer(_container: str, command: Sequence[str]) -> tuple[int, str]:
        return (1, "refused") if command[0] == "nc" else (127, f"{command[0]}: executable file not found")

    assert running_of(subject(APP, CACHE), Hands(["app", "cache"], answer), "demo").reaches == (Reach("app", "cache", 6379, False),)


def test_a_sealed_store_is_seen_as_sealed() -> None:
    hands = Hands(["vault"], lambda _c, command: (2, SEALED) if command[0] == "bao" else (127, "not found"))
    assert running_of(subject(VAULT), hands, "demo").stores == (Store("vault", True, True),)


def test_a_store_is_restarted_only_when_somebody_asks_for_it_and_asked_again_until_it_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.checks.running.time.sleep", lambda _s: None)
    said = iter([SEALED, SEALED, json.dumps({"initialized": True, "sealed": False})])
    hands = Hands(["vault"], lambda _c, command: (2, next(said)) if command[0] == "bao" else (127, "not found"))
    [store] = running_of(subject(VAULT), hands, "demo", restart_s=60).stores
    assert (store.is_sealed, hands.generation, store.restarted_s is not None) == (False, 1, True)


def test_a_container_that_cannot_be_asked_is_no_answer() -> None:
    def broken(_container: str, _command: Sequence[str]) -> tuple[int, str]:
        raise ApplyError("no such container")

    found = running_of(subject(VAULT, APP, CACHE), Hands(["vault", "app", "cache"], broken), "demo")
    assert (found.stores, found.reaches, found.settings) == ((), (), ())


def test_a_cache_is_asked_what_its_settings_are_and_the_password_is_in_no_argument() -> None:
    says = {"maxmemory": "maxmemory\n0\n", "appendonly": "appendonly\nyes\n"}
    hands = Hands(["cache"], lambda _c, command: (0, says[command[-1]]) if command[0] == "sh" else (1, ""))
    assert running_of(subject(CACHE), hands, "demo").settings == (
        Setting("cache", "maxmemory", str(85 * 1024**2), "0"),
        Setting("cache", "appendonly", "yes", "yes"),
    )
    assert all("$(cat /run/secrets/redis-password" in command[2] for _, command in hands.asked if command[0] == "sh")


def _logged() -> Subject:
    return subject(service("loki", "grafana/loki:3", log_driver="syslog"), service("app", log_driver="syslog"))


def test_a_line_is_written_and_asked_for_until_it_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.checks.running.time.sleep", lambda _s: None)
    answers = iter(['{"data": {"result": []}}', '{"data": {"result": [{"stream": {}}]}}'])

    def answer(_container: str, command: Sequence[str]) -> tuple[int, str]:
        return (0, next(answers)) if command[0] == "wget" else (0, "") if command[0] == "sh" else (127, "not found")

    hands = Hands(["loki", "app"], answer)
    seconds = running_of(_logged(), hands, "demo").log_line_s
    assert seconds is not None
    assert 0 <= seconds < 5
    [written] = [command[2] for _, command in hands.asked if command[0] == "sh"]
    assert written.endswith("> /proc/1/fd/1")


def test_a_line_that_never_comes_is_none_and_a_search_that_cannot_be_asked_is_no_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("provisioning.checks.running.FOUND_WITHIN_S", 0.01)
    monkeypatch.setattr("provisioning.checks.running.time.sleep", lambda _s: None)
    never = Hands(["loki", "app"], lambda _c, command: (0, '{"data": {"result": []}}') if command[0] == "wget" else (0, ""))
    assert running_of(_logged(), never, "demo").log_line_s is None
    assert running_of(_logged(), Hands(["loki", "app"]), "demo").log_line_s == -1.0
    assert running_of(subject(APP), Hands(["app"]), "demo").log_line_s == -1.0


CSV = """#datatype,string,long,dateTime:RFC3339,string
,result,table,_time,_measurement

,,0,2026-03-01T11:59:30Z,cpu
,,1,2026-03-01T11:00:00Z,mem
"""


def test_ages_are_read_from_what_influx_says() -> None:
    assert ages_in(CSV, NOW) == {"cpu": 30.0, "mem": 3600.0}


def test_every_input_of_the_collector_has_an_age_or_none() -> None:
    items = (
        service("influx", "influxdb:2", environment={"DOCKER_INFLUXDB_INIT_BUCKET": "demo", "DOCKER_INFLUXDB_INIT_ORG": "demo"}),
        service("telegraf", "telegraf:1", files={"/etc/telegraf/telegraf.conf": "[[inputs.cpu]]\n[[inputs.redis]]\n"}),
    )
    hands = Hands(["influx", "telegraf"], lambda container, _command: (0, CSV) if container == "c-influx" else (1, ""))
    metrics = running_of(subject(*items), hands, "demo").metrics
    assert metrics is not None
    assert (sorted(metrics), metrics["redis"]) == (["cpu", "redis"], None)
    assert running_of(subject(*items), Hands(["influx", "telegraf"]), "demo").metrics is None


def test_tasks_that_failed_within_a_day_are_counted_and_those_somebody_ended_are_not() -> None:
    tasks = [
        _task("failed", "2026-03-01T11:00:00.5Z"),
        _task("rejected", "2026-02-28T13:00:00Z"),
        _task("failed", "2026-02-28T11:00:00Z"),
        _task("shutdown", "2026-03-01T11:30:00Z"),
        _task("running", "2026-03-01T11:30:00Z"),
    ]
    assert ended_within_a_day(tasks, NOW) == 2


@pytest.mark.parametrize(
    ("text", "expected"), [("85mb", str(85 * 1024**2)), ("1k", "1000"), ("100", "100"), ("allkeys-lru", "allkeys-lru")]
)
def test_sizes_are_compared_in_bytes(text: str, expected: str) -> None:
    assert size_of(text) == expected


def test_what_is_no_status_is_no_store() -> None:
    assert store_in("vault", "Error checking seal status", None) is None
    assert store_in("vault", f"warning\n{SEALED}", 3.0) == Store("vault", True, True, 3.0)
