"""Drift of every kind on a real engine: found by field, put back by one ordinary plan, adopted into the needs; other templates
rolled out to what runs; at last its removal."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from blueprints.catalog import TEMPLATES
from provisioning.live import live_fingerprint
from provisioning.providers.swarm.client import connect
from tests.engine.deployed import ControlPlane, deployed_plane

pytestmark = pytest.mark.engine
LOOK = """
from provisioning.review.drift import standing
run = actions.run_here(actions.request_run(org=org, kind="drift", actor=alice, ring=False))
now = standing(org)
say({**brief(run), "words": now.words, "found": now.report.differences if now.report else None})
"""
PUT_BACK = """
from provisioning.review.facts import applied_blueprint
plan = actions.plan_from(actions.request_run(org=org, kind="preview", actor=alice, blueprint=applied_blueprint(org), ring=False))
actions.approve(plan=plan, actor=alice, reason="put back what somebody did by hand")
say({"id": plan.pk, "steps": {s["resource"]: [s["op"], s["fields"]] for s in plan.steps}})
"""
ADOPT = """
from provisioning.review.adoption import adopt
revision, draft = adopt(org=org, actor=alice)
say({"said": {d.key: d.new for d in draft.said}, "unsaid": {d.resource: d.why for d in draft.unsaid}})
"""
PLAN = """
plan = actions.propose(org=org, blueprint=newest(), actor=alice)
if plan.state == "proposed": actions.approve(plan=plan, actor=alice, reason="a test")
say({"id": plan.pk, "state": plan.state, "steps": [[s["op"], s["resource"], s["fields"]] for s in plan.steps]})
"""
APPLY = "run = actions.run_here(actions.apply(plan=Plan.objects.get(pk=ID), actor=alice, ring=False)); say(brief(run))"
INVENTORY = """
from provisioning.review.removal import inventory
found = inventory(org)
say({"goes": [i.name for i in found.goes], "stays": [i.name for i in found.stays], "orphans": [i.name for i in found.orphans]})
"""
DESTROY = "run = actions.run_here(actions.destroy(org=org, actor=alice, ring=False)); say(brief(run))"
OTHER_TEMPLATES = """
from dataclasses import asdict
from pathlib import Path
from blueprints import catalog
catalog.load_catalog.__defaults__ = (Path(FOLDER),)
from provisioning.releases import actions as releases
"""
ROLL_OUT = f"""{OTHER_TEMPLATES}
roll_out = releases.begin(actor=alice, slugs=[SLUG], reason="more memory for Redis", via="cli")
limit = time.monotonic() + 90
while roll_out.state == "running" and time.monotonic() < limit: releases.advance(roll_out, here=True)
members = [[m.wave, m.state, [[s["op"], s["resource"]] for s in m.plan.steps] if m.plan else m.why] for m in roll_out.members.all()]
say({{"state": roll_out.state, "why": roll_out.why_stopped, "members": members}})
"""
HAND_MADE = "sprocket-by-hand/postgres:1"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """A deployment of this file's own, and an image that nobody's release names."""
    _docker("tag", "postgres:15-bookworm", HAND_MADE)
    try:
        with deployed_plane(tmp_path_factory.mktemp("plane")) as made:
            yield made
    finally:
        _docker("rmi", HAND_MADE)


def _docker(*arguments: str) -> None:
    subprocess.run(["docker", *arguments], check=True, capture_output=True, timeout=60)


def _by_hand(plane: ControlPlane, service: str, change: Any) -> None:
    connect()._change(f"{plane.slug}_{service}", change)


def _container(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = spec["TaskTemplate"]["ContainerSpec"]
    return found


def _extra(plane: ControlPlane) -> None:
    """A service under the organization's label that no version has, as an old state leaves it behind."""
    _docker(
        "service", "create", "--detach", "--name", f"{plane.slug}_extra", "--label", f"sprocket.org={plane.slug}",
        "--endpoint-mode", "dnsrr", "--stop-grace-period", "1s", "--no-resolve-image", "redis:7.0-bookworm", "sleep", "600",
    )  # fmt: skip


def _settled(plane: ControlPlane, *services: str) -> None:
    """Until Docker has carried out what was done by hand: the end of an update is a change of the service too, which makes a plan stale."""
    limit = time.monotonic() + 60
    for service in services:
        while (_live(plane, service).get("UpdateStatus") or {}).get("State") == "updating":
            assert time.monotonic() < limit, service
            time.sleep(0.2)


def _live(plane: ControlPlane, service: str) -> Any:
    return connect().find("service", f"{plane.slug}_{service}")


def test_all_seven_kinds_are_found_by_field_and_put_back_by_one_plan(plane: ControlPlane) -> None:
    assert plane.ask(LOOK)["words"] == "in sync"
    swarm = connect()
    outbound = swarm.find("network", f"{plane.slug}_outbound")
    assert outbound is not None
    # Not on the API: its update would be rolled back by Docker when what it leans on restarts beside it.
    _by_hand(plane, "backup", lambda spec: _container(spec).update(Image=HAND_MADE))
    _by_hand(plane, "traefik", lambda spec: _container(spec).setdefault("Env", []).append("BY_HAND=1"))
    _by_hand(plane, "web", lambda spec: spec["Mode"]["Replicated"].update(Replicas=2))
    _by_hand(plane, "postgres", lambda spec: spec["Labels"].update({"by-hand": "yes"}))
    _by_hand(plane, "redis", lambda spec: spec["TaskTemplate"]["Networks"].append({"Target": outbound["Id"]}))
    swarm.remove("service", f"{plane.slug}_bot")
    _extra(plane)
    _settled(plane, "backup", "traefik", "web", "postgres", "redis")
    before = live_fingerprint(swarm, plane.slug)
    seen = plane.ask(LOOK)
    assert (seen["state"], seen["words"]) == ("succeeded", "drifted (7)"), seen["found"]
    found = {item["resource"].removeprefix("service/"): (item["kind"], item["fields"]) for item in seen["found"]}
    assert {item["resource"] for item in seen["found"] if not item.get("at")} == {"service/bot"}, "of what is gone nothing is known"
    assert "image" in found["backup"][1]
    assert found["traefik"] == ("changed", ["environment.BY_HAND"])
    assert found["web"] == ("changed", ["replicas"])
    assert found["postgres"] == ("changed", ["labels.by-hand"])
    assert {field.partition("[")[0] for field in found["redis"][1]} == {"networks"}
    assert found["bot"] == ("removed", [])
    assert found[f"{plane.slug}_extra"] == ("extra", [])
    assert live_fingerprint(swarm, plane.slug) == before, "a look changes nothing"

    back = plane.ask(PUT_BACK)
    changed = ("backup", "traefik", "web", "postgres", "redis")
    expected = {f"service/{name}": "update" for name in changed} | {"service/bot": "create", f"service/{plane.slug}_extra": "delete"}
    assert {resource: op for resource, (op, _) in back["steps"].items()} == expected
    done = plane.ask(APPLY, ID=back["id"])
    assert done["state"] == "succeeded", done["error"]
    assert plane.ask(LOOK)["words"] == "in sync"
    assert _live(plane, "extra") is None
    assert _container(_live(plane, "backup")["Spec"])["Image"] == "postgres:15-bookworm"


def test_what_the_needs_can_say_is_adopted_and_stays_as_it_runs(plane: ControlPlane) -> None:
    _by_hand(plane, "redis", lambda spec: _container(spec).setdefault("Env", []).append("BY_HAND=1"))
    _by_hand(plane, "web", lambda spec: spec["Mode"]["Replicated"].update(Replicas=2))
    _by_hand(plane, "postgres", lambda spec: spec["Labels"].update({"by-hand": "yes"}))
    _extra(plane)
    _settled(plane, "redis", "web", "postgres")
    adopted = plane.ask(ADOPT)
    assert adopted["said"].keys() == {"additions.environment.redis.BY_HAND", "options.web.copies", "additions.services.extra"}
    assert adopted["said"]["options.web.copies"] == "2"
    assert list(adopted["unsaid"]) == ["service/postgres"]
    assert "labels say whose a service is" in adopted["unsaid"]["service/postgres"]

    plan = plane.ask(PLAN)
    steps = {resource: (op, fields) for op, resource, fields in plan["steps"]}
    assert "service/redis" not in steps, "what was adopted is as the needs have it"
    assert "service/web" not in steps
    assert steps["service/postgres"] == ("update", ["labels.by-hand"])
    assert (steps["service/local_extra"][0], steps[f"service/{plane.slug}_extra"][0]) == ("create", "delete")
    done = plane.ask(APPLY, ID=plan["id"])
    assert done["state"] == "succeeded", done["error"]
    assert "BY_HAND=1" in _container(_live(plane, "redis")["Spec"])["Env"]
    assert _live(plane, "extra") is None
    assert _live(plane, "local_extra")["Spec"]["TaskTemplate"]["ContainerSpec"]["Args"] == ["sleep", "600"]
    assert plane.ask(LOOK)["words"] == "in sync"


def test_other_templates_are_rolled_out_and_verified(plane: ControlPlane, tmp_path: Path) -> None:
    """A release whose Redis may use more memory; everything else writes the same files."""
    plane.stop_worker()  # it has the templates of the repository, and would stop a roll-out of others
    templates = tmp_path / "templates"
    shutil.copytree(TEMPLATES, templates)
    manifest = templates / "components" / "redis" / "component.yaml"
    before, after = "    default: 128\n", "    default: 136\n"
    assert before in manifest.read_text()
    manifest.write_text(manifest.read_text().replace(before, after, 1))
    seen = plane.ask(f"{OTHER_TEMPLATES}\nsay(asdict(releases.outlook_for(org)))", FOLDER=str(templates))
    assert (seen["state"], [row["service"] for row in seen["services"]]) == ("clean", ["redis"]), seen
    done = plane.ask(ROLL_OUT, FOLDER=str(templates))
    assert done["state"] == "done", done
    [[wave, state, steps]] = done["members"]
    assert (wave, state) == (1, "verified")
    assert ["update", "service/redis"] in steps
    assert {resource for _, resource in steps if resource.startswith("service/")} == {"service/redis"}
    assert _live(plane, "redis")["Spec"]["TaskTemplate"]["Resources"]["Limits"]["MemoryBytes"] == 136 * 2**20


def test_a_removal_takes_orphans_too_keeps_the_data_and_a_purge_is_a_second_act(plane: ControlPlane) -> None:
    orphan = {name: f"{plane.slug}_orphan_{name}" for name in ("service", "network", "volume")}
    label = ("--label", f"sprocket.org={plane.slug}")
    stranger = f"{plane.slug}stranger"
    _docker("network", "create", "--driver", "overlay", *label, orphan["network"])
    _docker("volume", "create", *label, orphan["volume"])
    _docker("volume", "create", stranger)
    _docker(
        "service", "create", "--detach", "--name", orphan["service"], *label, "--endpoint-mode", "dnsrr", "--stop-grace-period", "1s", "--no-resolve-image",
        "--network", orphan["network"], "redis:7.0-bookworm", "sleep", "600",
    )  # fmt: skip
    try:
        found = plane.ask(INVENTORY)
        assert set(orphan.values()) <= set(found["orphans"])
        assert f"{plane.slug}_redis" in found["goes"]
        assert {f"{plane.slug}_postgres_data", orphan["volume"]} <= set(found["stays"])
        assert stranger not in found["goes"] + found["stays"]
        gone = plane.ask(DESTROY)
        assert gone["state"] == "succeeded", gone["error"]
        swarm = connect()
        assert swarm.live_services(plane.slug) == []
        assert sorted(item.name for item in swarm.live_objects(plane.slug)) == sorted(found["stays"])
        assert swarm.find("volume", stranger) is not None
        purged = plane.ask("from provisioning.purge import purge; say(purge(org=org, actor=alice))")
        assert sorted(purged) == sorted(found["stays"])
        assert swarm.live_objects(plane.slug) == []
        assert swarm.find("volume", stranger) is not None
    finally:
        _docker("volume", "rm", stranger)
