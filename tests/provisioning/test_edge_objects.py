"""The edge's Docker objects against a swarm that remembers: made, adopted, converged, removed, and never on a stranger's network."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from blueprints.host_edge import Member
from blueprints.shared import EntryName
from provisioning.host_edge import objects
from provisioning.host_edge.objects import EdgeObjects
from provisioning.live import LiveObject
from provisioning.providers.swarm import service
from sprocket_v2.errors import ApplyError

EDGE = "host-edge-0123456789ab"


class Swarm:
    """Docker, as far as the edge asks; a service is healthy as soon as it is there."""

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str], dict[str, Any]] = {}
        self.publishing: dict[int, list[str]] = {}
        self.free = True
        self.writes: list[str] = []

    def find(self, kind: str, name: str) -> dict[str, Any] | None:
        for (found_kind, found_name), item in self.objects.items():
            if found_kind == kind and name in (found_name, item.get("Id")):
                return item
        return None

    def create(self, kind: str, spec: Mapping[str, Any]) -> str:
        name = str(spec["Name"])
        self.writes.append(f"create {kind} {name}")
        item: dict[str, Any] = {"Id": f"id-{name}", "ID": f"id-{name}", "Name": name, "Version": {"Index": 1}, "Spec": dict(spec)}
        if kind == "network":
            item["Labels"] = spec["Labels"]
        if kind == "config":
            item["Spec"] = {**spec, "Data": base64.b64encode(spec["Data"]).decode()}
        self.objects[kind, name] = item
        return f"id-{name}"

    def update_service(self, service_id: str, version: int, spec: Mapping[str, Any]) -> None:
        name = str(spec["Name"])
        self.writes.append(f"update service {name}")
        self.objects["service", name] |= {"Spec": dict(spec), "Version": {"Index": version + 1}, "UpdateStatus": {"State": "completed"}}

    def remove(self, kind: str, name: str) -> None:
        self.writes.append(f"remove {kind} {name}")
        self.objects.pop((kind, name), None)

    def tasks(self, service: str) -> list[dict[str, Any]]:
        found = self.find("service", service)
        return [{"Spec": found["Spec"]["TaskTemplate"], "Status": {"State": "running"}, "DesiredState": "running"}] if found else []

    def container_image_id(self, _container: str) -> str:
        return ""

    def local_image_id(self, _reference: str) -> str:
        return "sha256:here"

    def network_name(self, network_id: str) -> str:
        return network_id.removeprefix("id-")

    def publishers(self, port: int) -> list[str]:
        return self.publishing.get(port, [])

    def is_port_free(self, _port: int) -> bool:
        return self.free

    def live_objects(self, org: str, adopted: object = ()) -> Sequence[LiveObject]:
        return [LiveObject(kind, name, "") for kind, name in self.objects if name.startswith(f"{org}_") and kind != "service"]

    def has_entry(self, slug: str, **labels: str) -> None:
        """An organization's entry network is there."""
        own = {
            "sprocket.org": slug,
            "sprocket.resource": "network/entry",
            **{key.replace("_", "."): value for key, value in labels.items()},
        }
        self.objects["network", f"{slug}_entry"] = {"Id": f"id-{slug}_entry", "Name": f"{slug}_entry", "Labels": own}


@pytest.fixture
def swarm(monkeypatch: pytest.MonkeyPatch) -> Swarm:
    monkeypatch.setattr(objects, "local_image_ids", lambda _references: {})
    found = Swarm()
    for slug in ("one", "two"):
        found.has_entry(slug)
    return found


def edge(swarm: Any) -> EdgeObjects:
    return EdgeObjects(EDGE, swarm, sleep=lambda _seconds: None)


def member(slug: str, port: int = 8080) -> Member:
    return Member(slug, f"{slug}_entry", f"{slug}_traefik", (EntryName(f"{slug}.localhost", port, False),))


def test_it_is_made_once_and_then_left_alone(swarm: Swarm) -> None:
    edge(swarm).make([member("one")])
    assert edge(swarm).is_as_wanted([member("one")]) is True
    before = list(swarm.writes)
    edge(swarm).make([member("one")])
    assert swarm.writes == before
    assert [write for write in before if "service" in write] == [f"create service {EDGE}_traefik"]


def test_a_newcomer_is_one_update_and_what_it_replaced_is_removed(swarm: Swarm) -> None:
    edge(swarm).make([member("one")])
    assert edge(swarm).is_as_wanted([member("one"), member("two")]) is False
    swarm.writes.clear()
    edge(swarm).make([member("one"), member("two")])
    kinds = [write.split()[:2] for write in swarm.writes]
    assert kinds == [["create", "config"], ["update", "service"], ["remove", "config"]]
    networks = swarm.objects["service", f"{EDGE}_traefik"]["Spec"]["TaskTemplate"]["Networks"]
    assert {network["Target"] for network in networks} == {f"id-{EDGE}_out", "id-one_entry", "id-two_entry"}


def test_removed_nothing_of_it_stays_and_the_organizations_networks_do(swarm: Swarm) -> None:
    edge(swarm).make([member("one")])
    edge(swarm).remove()
    edge(swarm).remove()
    assert set(swarm.objects) == {("network", "one_entry"), ("network", "two_entry")}
    assert edge(swarm).is_as_wanted([member("one")]) is None


@pytest.mark.parametrize("labels", [{"sprocket_resource": "network/edge"}, {"sprocket_org": "two"}])
def test_it_is_on_nothing_but_entry_networks_of_those_they_belong_to(swarm: Swarm, labels: dict[str, str]) -> None:
    swarm.has_entry("one", **labels)
    assert edge(swarm).reachable([member("one"), member("two")]) == [member("two")]
    with pytest.raises(ApplyError, match="which is not this organization's is not allowed"):
        edge(swarm).make([member("one")])
    assert ("service", f"{EDGE}_traefik") not in swarm.objects


def test_a_strangers_service_of_its_name_is_refused(swarm: Swarm) -> None:
    edge(swarm).make([member("one")])
    swarm.objects["service", f"{EDGE}_traefik"]["Spec"]["Labels"] = {"sprocket.org": "two", "sprocket.resource": "service/traefik"}
    with pytest.raises(ApplyError, match="exists and belongs to two"):
        edge(swarm).make([member("one"), member("two")])


def test_a_port_in_use_is_refused_and_nobody_is_told_whose_it_is(swarm: Swarm) -> None:
    swarm.publishing = {8080: ["secret-league_traefik"], 8081: ["one_traefik"], 8082: [f"{EDGE}_traefik"]}
    with pytest.raises(ApplyError, match="entry port 8080 is published on this host by a deployment that does not share it") as caught:
        edge(swarm).refuse_taken_ports([8080], "one")
    assert "secret" not in f"{caught.value} {caught.value.hint} {caught.value.where}"
    swarm.free = False
    edge(swarm).refuse_taken_ports([8081, 8082], "one")
    with pytest.raises(ApplyError, match="entry port 8083 is taken by another program"):
        edge(swarm).refuse_taken_ports([8083], "one")


def test_a_deployment_of_its_own_ports_is_not_told_who_has_one(swarm: Swarm) -> None:
    edge(swarm).make([member("one")])
    args = replace(edge(swarm)._stack(edge(swarm).files([member("one")])).services["traefik"], labels={"sprocket.org": "one"})
    for publisher, said in (
        ("secret-league_traefik", "port 8080 is taken by another deployment on this host"),
        ("one_web", "by service one_web"),
    ):
        swarm.publishing = {8080: [publisher]}
        with pytest.raises(ApplyError, match=said):
            service.check_before(swarm, args)  # type: ignore[arg-type]
