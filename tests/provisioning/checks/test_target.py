"""The machine as rules see it, from what Docker says of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from blueprints.checks.registry import failed, run_checks
from blueprints.compose import Mount
from provisioning.checks import target
from provisioning.checks.target import node_of, target_of
from tests.blueprints.checks.estates import port, routed, service, subject, traefik

NODE = {
    "ID": "abc",
    "Spec": {"Role": "manager", "Availability": "active", "Labels": {"role": "storage"}},
    "Status": {"State": "ready", "Addr": "127.0.0.1"},
    "Description": {
        "Hostname": "box",
        "Platform": {"OS": "linux", "Architecture": "x86_64"},
        "Resources": {"MemoryBytes": 8 * 1024**3},
        "Engine": {"Labels": {"disk": "ssd"}},
    },
}
STATIC = "certificatesResolvers:\n  real:\n    acme: {}\nproviders: {}\n"
REAL = {"traefik.http.routers.web.tls.certresolver": "real"}


@dataclass
class Engine:
    """Docker's words, and who has which port."""

    nodes: list[dict[str, Any]] = field(default_factory=lambda: [NODE])
    info: dict[str, Any] = field(default_factory=lambda: {"Driver": "overlay2", "LoggingDriver": "json-file", "DockerRootDir": "/"})
    publishing: dict[int, list[str]] = field(default_factory=dict)
    taken: frozenset[int] = frozenset()
    is_local: bool = True

    def machine(self) -> dict[str, Any]:
        swarm = {"Spec": {"Orchestration": {"TaskHistoryRetentionLimit": 5}}}
        return {"info": self.info, "nodes": self.nodes, "swarm": swarm, "is_local": self.is_local}

    def publishers(self, number: int) -> list[str]:
        return self.publishing.get(number, [])

    def is_port_free(self, number: int) -> bool:
        return number not in self.taken


def test_a_node_is_read_with_its_labels_memory_and_platform() -> None:
    node = node_of(NODE)
    assert (node.name, node.role, node.labels, node.engine_labels) == ("box", "manager", {"role": "storage"}, {"disk": "ssd"})
    assert (node.platform, node.memory_bytes, node.is_ready) == ("linux/x86_64", 8 * 1024**3, True)


def test_a_drained_node_takes_nothing() -> None:
    drained = {**NODE, "Spec": {**NODE["Spec"], "Availability": "drain"}}  # type: ignore[dict-item]
    found = target_of(Engine(nodes=[drained]), subject(service("a", constraints=("node.labels.role==storage",))))
    outcomes = run_checks(replace(subject(service("a", constraints=("node.labels.role==storage",))), target=found))
    assert "I32-node-for-every-service" in {outcome.rule.id for outcome in failed(outcomes)}


def test_a_port_of_ours_is_free_and_one_of_somebody_else_says_whose_it_is() -> None:
    wanted = subject(service("proxy", ports=(port(80), port(443), port(8080), port(9090))))
    engine = Engine(publishing={80: ["proxy"], 443: ["other_traefik"]}, taken=frozenset({80, 8080}))
    assert target_of(engine, wanted).ports == {80: "", 443: "other_traefik", 8080: "a program on this machine", 9090: ""}


def test_ports_that_organizations_share_are_the_edges_by_agreement() -> None:
    wanted = subject(service("proxy", ports=(port(80),)), blueprint={"access": {"shared": {"names": [{"port": 80}]}}})
    assert target_of(Engine(publishing={80: ["edge"]}), wanted).ports == {}


def test_paths_and_disk_are_seen_on_this_machine_and_not_on_another(tmp_path: Path) -> None:
    wanted = subject(service("a", mounts=(Mount("bind", str(tmp_path), "/a"), Mount("bind", str(tmp_path / "gone"), "/b"))))
    here = target_of(Engine(), wanted)
    assert here.paths == {str(tmp_path): True, str(tmp_path / "gone"): False}
    assert here.disk_used is not None
    assert 0 <= here.disk_used <= 1
    there = target_of(Engine(is_local=False), wanted)
    assert (there.paths, there.disk_used) == ({}, None)


def test_names_are_looked_up_only_where_a_certificate_is_asked_for() -> None:
    wanted = subject(traefik(STATIC), routed("web", "a.example.org", labels=REAL), routed("plain", "b.example.org"))
    asked: list[str] = []

    def resolve(host: str) -> tuple[str, ...]:
        asked.append(host)
        return ("203.0.113.7",)

    assert target_of(Engine(), wanted, resolve=resolve).names == {"a.example.org": ("203.0.113.7",)}
    assert asked == ["a.example.org"]


@pytest.mark.parametrize(("address", "expected"), [("127.0.0.1", ()), ("10.1.2.3", ()), ("8.8.4.4", ("8.8.4.4",)), ("", ())])
def test_only_an_address_of_the_internet_says_where_public_names_should_lead(address: str, expected: tuple[str, ...]) -> None:
    node = {**NODE, "Status": {"State": "ready", "Addr": address}}
    assert target_of(Engine(nodes=[node]), subject()).addresses == expected


def test_the_engines_own_log_limits_count_for_services_that_say_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "daemon.json"
    file.write_text('{"log-opts": {"max-size": "10m"}}')
    monkeypatch.setattr(target, "DAEMON", file)
    silent = subject(service("a", log_driver="", log_options={}))
    assert "I17-log-limit" in {outcome.rule.id for outcome in failed(run_checks(silent))}
    with_machine = replace(silent, target=target_of(Engine(), silent))
    assert "I17-log-limit" not in {outcome.rule.id for outcome in failed(run_checks(with_machine))}


def test_a_daemon_file_that_cannot_be_read_says_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, "DAEMON", tmp_path / "gone.json")
    assert target_of(Engine(), subject()).log_options == {}
