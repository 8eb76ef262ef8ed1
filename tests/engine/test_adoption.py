"""What somebody made by hand is taken over without a change: by the engine's ids, with every label, version and task as it was."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from tests.engine.deployed import ControlPlane
from tests.engine.docker_cli import docker
from tests.engine.taking_over import ADOPT, APPLY, LET_GO, PROPOSE

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
CANARY = "kq8ZtR4vWm2Xc7Lb9Ny3"
IMAGE = "redis:7.0-bookworm"
MAKE = """
from orgs.people import create_user
alice = create_user(username="alice", admin=True)
org = org_actions.create_organization(slug=SLUG, name="Taken over", actor=alice)
org_actions.set_needs(org=org, actor=alice, text=NEEDS)
"""
NEEDS = """
name: Taken over
slug: {slug}
owner: {{name: Alice Example, contact: alice}}
games: [rocket-league]
profile: legacy-22
applications: stand-in
access: {{canonical: localhost, localhost: {{host: sprocket.localhost}}}}
"""
GONE = """
from blueprints.actions import current_blueprint
from sprocket_v2.errors import SprocketError
row = current_blueprint(org=org, actor=alice)
try:
    plan = actions.propose(org=org, blueprint=row, actor=alice)
    say({"where": "", "message": str([(s["resource"], s["op"]) for s in plan.steps]), "hint": ""})
except SprocketError as error:
    say({"where": error.where, "message": error.message, "hint": error.hint})
"""


@dataclass
class Ugly:
    """An estate as people leave it: drawn suffixes, an orphan, a config made by hand, a router twice, a tag that moves, a token in clear."""

    mark: str

    def make(self) -> None:
        m = self.mark
        docker("tag", IMAGE, f"{m}/redis:latest")
        docker("network", "create", "-d", "overlay", "--attachable", f"{m}-net-1a2b3c4")
        docker("volume", "create", "--label", "kept=yes", f"{m}-data-9f8e7d6")
        docker("config", "create", f"{m}-config-by-hand", "-", given="maxmemory 10mb\n")
        docker("secret", "create", f"{m}-password-0c0ffee", "-", given=CANARY)
        rule = "traefik.http.routers.twice.rule=Host(`twice.example.org`)"
        common = ["--detach", "--no-resolve-image", "--restart-delay", "1s"]
        docker("service", "create", *common, "--name", f"{m}-web-1a2b3c4", "--network", f"{m}-net-1a2b3c4", "--label", "traefik.enable=true",
               "--label", rule, "--env", f"BOT_TOKEN={CANARY}", "--env", "MODE=production", "--constraint", "node.role==manager",
               "--mount", f"type=volume,source={m}-data-9f8e7d6,target=/data", "--secret", f"source={m}-password-0c0ffee,target=/run/secrets/p,mode=0444",
               "--config", f"source={m}-config-by-hand,target=/etc/r.conf", "--limit-memory", "64M", IMAGE, "redis-server", "--port", "6380")  # fmt: skip
        docker("service", "create", *common, "--name", f"{m}-orphan-7654321", "--label", rule, "--mode", "global",
               "--mount", "type=bind,source=/etc/hostname,target=/host/name,readonly", "--mount", "type=volume,target=/scratch",
               "--network", "host", "--stop-grace-period", "1500us", IMAGE, "sleep", "6000")  # fmt: skip
        docker("service", "create", *common, "--name", f"{m}-plain", "--endpoint-mode", "dnsrr", "--network", f"{m}-net-1a2b3c4",
               "--health-cmd", "redis-cli ping", "--health-interval", "2s", "--update-order", "start-first", "--log-driver", "json-file",
               "--log-opt", "max-size=1m", "--cap-drop", "CAP_NET_RAW", f"{m}/redis:latest")  # fmt: skip
        limit = time.monotonic() + 60
        while any("0/1" in line for line in docker("service", "ls", "--filter", f"name={m}", "--format", "{{.Replicas}}").splitlines()):
            assert time.monotonic() < limit
            time.sleep(0.5)

    def names(self) -> list[str]:
        return [f"{self.mark}-web-1a2b3c4", f"{self.mark}-orphan-7654321", f"{self.mark}-plain"]

    def standing(self) -> dict[str, Any]:
        """Ids, versions and whole specifications of everything, and the containers that run."""
        there = docker("service", "ls", "--filter", f"name={self.mark}", "--format", "{{.Name}}").split()
        services = json.loads(docker("service", "inspect", *there))
        found = {s["Spec"]["Name"]: (s["ID"], s["Version"]["Index"], s["Spec"]) for s in services}
        for kind, name in (
            ("network", "net-1a2b3c4"),
            ("volume", "data-9f8e7d6"),
            ("config", "config-by-hand"),
            ("secret", "password-0c0ffee"),
        ):
            [item] = json.loads(docker(kind, "inspect", f"{self.mark}-{name}"))
            found[name] = (item.get("ID") or item.get("Id") or item["Name"], item.get("Version"), item.get("Spec"))
        found["containers"] = sorted(docker("ps", "-q", "--no-trunc", "--filter", f"name={self.mark}").split())
        return found

    def remove(self) -> None:
        for name in self.names():
            subprocess.run(["docker", "service", "rm", name], capture_output=True, check=False, timeout=60)
        limit = time.monotonic() + 60
        while docker("ps", "-aq", "--filter", f"name={self.mark}") and time.monotonic() < limit:
            time.sleep(0.5)
        subprocess.run(["docker", "rmi", f"{self.mark}/redis:latest"], capture_output=True, check=False, timeout=60)
        for kind, name in (
            ("network", "net-1a2b3c4"),
            ("volume", "data-9f8e7d6"),
            ("config", "config-by-hand"),
            ("secret", "password-0c0ffee"),
        ):
            subprocess.run(["docker", kind, "rm", f"{self.mark}-{name}"], capture_output=True, check=False, timeout=60)


@pytest.fixture(scope="module")
def ugly() -> Iterator[Ugly]:
    estate = Ugly("u" + secrets.token_hex(4))
    try:
        estate.make()
        yield estate
    finally:
        estate.remove()


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory, ugly: Ugly) -> ControlPlane:
    plane = ControlPlane(tmp_path_factory.mktemp("plane") / "data")
    plane.migrate()
    plane.ask(MAKE, NEEDS=NEEDS.format(slug=plane.slug))
    return plane


def test_it_is_taken_over_without_a_change_and_let_go_without_a_change(plane: ControlPlane, ugly: Ugly) -> None:
    before = ugly.standing()
    taken = plane.ask(ADOPT, ONLY=f"{ugly.mark}-.*", FORMERLY="")
    assert taken["taken"] == {"service": 3, "network": 1, "volume": 1, "config": 1, "secret": 1}
    assert taken["unknown"] == 2
    assert taken["normalised"]
    assert taken["holds"], taken["proof"]
    assert taken["steps"]["import"] == 7
    assert taken["said"] == [f"{ugly.mark}-plain: TaskTemplate.ContainerSpec.CapabilityDrop[0] is not among what is modelled"]

    first = plane.ask(PROPOSE)
    assert {op for op, _ in first["steps"].values()} == {"import"}, first["steps"]
    assert len(first["steps"]) == 7
    assert not [path for path, text in first["files"].items() if CANARY in text]
    assert "withheld:" in first["files"]["platform/stack.yml"]

    run = plane.ask(APPLY, ID=first["id"])
    assert run["state"] == "succeeded", run
    assert ugly.standing() == before
    assert not [event for event in run["events"] if CANARY in event]
    assert not [path for path in plane.data.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]

    second = plane.ask(PROPOSE)
    assert second["steps"] == {}

    docker("service", "update", "--detach=false", "--quiet", "--no-resolve-image", "--env-add", "MODE=by-hand", f"{ugly.mark}-web-1a2b3c4")
    drifted = plane.ask(PROPOSE)
    [(resource, (op, fields))] = drifted["steps"].items()
    assert resource.endswith(f"service/{ugly.mark}-web-1a2b3c4")
    assert op == "update"
    assert fields == ["environment.MODE"]

    put_back = plane.ask(APPLY, ID=drifted["id"])
    assert put_back["state"] == "succeeded", put_back
    [web] = json.loads(docker("service", "inspect", f"{ugly.mark}-web-1a2b3c4"))
    was = before[f"{ugly.mark}-web-1a2b3c4"][2]["TaskTemplate"]["ContainerSpec"]["Env"]
    assert sorted(web["Spec"]["TaskTemplate"]["ContainerSpec"]["Env"]) == sorted(was), "docker's own update above shuffles them"

    docker("service", "rm", f"{ugly.mark}-plain")
    gone = plane.ask(GONE)
    assert gone["message"].startswith(f"service/{ugly.mark}-plain, taken over as ")
    assert gone["message"].endswith(" is gone")
    assert "import the estate again" in gone["hint"]

    running = ugly.standing()
    assert plane.ask(LET_GO)[0] == "estate let go"
    assert ugly.standing() == running
