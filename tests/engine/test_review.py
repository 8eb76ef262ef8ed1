"""An approved plan on real Docker: refused for each part that moved, with nothing changed; rolled back to exactly an earlier version."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from provisioning.live import live_fingerprint
from provisioning.providers.swarm.client import connect
from provisioning.state import checkpoint_file
from tests.engine.deployed import ControlPlane

pytestmark = pytest.mark.engine
PREFIX = {"prefix: s.": "prefix: r."}
APPLY = "run = actions.run_here(actions.apply(plan=Plan.objects.get(pk=ID), actor=alice, ring=False)); say(brief(run))"
SET_NEEDS = "org_actions.set_needs(org=org, actor=alice, text=NEEDS, message='another prefix')"
PLAN = """
plan = actions.propose(org=org, blueprint=newest(), actor=alice)
if plan.state == "proposed": actions.approve(plan=plan, actor=alice, reason="a test")
say({"id": plan.pk, "steps": [[s["op"], s["resource"]] for s in plan.steps], "review": plan.review, "number": plan.blueprint.number,
     "files": plan.rendering_digest, "digest": plan.digest})
"""
STATE = "s = StackState.objects.for_org(org).get(); say([s.applied_digest, s.applied_blueprint.number, s.state_digest])"
MOVES = {
    "the needs": "org_actions.set_needs(org=org, actor=alice, text=NEEDS.replace('prefix: r.', 'prefix: q.'))",
    "the secret bot-token": "secret_store.set_secret(org=org, name='bot-token', value='canary-bot-token-9876543210', actor=alice)",
}


@pytest.fixture(scope="module")
def plane(deployed: ControlPlane) -> Any:
    """The shared deployment with another prefix wanted; put back as it was, and applied, afterwards."""
    deployed.ask(SET_NEEDS, NEEDS=deployed.needs(**PREFIX))
    yield deployed
    deployed.ask(SET_NEEDS, NEEDS=deployed.needs())
    done = deployed.wait(deployed.asked_to_apply(deployed.planned()))
    assert done["state"] == "succeeded", done["error"]


def _plan(plane: ControlPlane) -> Any:
    plane.ask(SET_NEEDS, NEEDS=plane.needs(**PREFIX))
    return plane.ask(PLAN)


def _refused(plane: ControlPlane, plan: int, part: str) -> None:
    """Refused with the part's name, and neither Docker's objects nor what is known of the stack moved."""
    before = (live_fingerprint(connect(), plane.slug), plane.ask(STATE))
    run = plane.ask(APPLY, ID=plan)
    assert (run["state"], run["error"]["kind"], run["error"]["message"]) == ("failed", "stale", f"plan is stale: {part} moved")
    assert (live_fingerprint(connect(), plane.slug), plane.ask(STATE)) == before
    assert plane.ask("say(Plan.objects.get(pk=ID).state)", ID=plan) == "stale"


def test_a_plan_says_who_notices_what_it_costs_and_what_the_machine_is(plane: ControlPlane) -> None:
    review = _plan(plane)["review"]
    assert [need["new"] for need in review["needs"]] == ["r."]
    changed = {effect["service"]: effect for component in review["components"] for effect in component["services"]}
    assert changed["bot"]["disruption"] == "restart"
    assert changed["bot"]["because"]
    assert review["price"]["before"] == review["price"]["after"]
    assert {secret["state"] for secret in review["secrets"]} == {"same"}
    checks = {check["key"]: check["state"] for check in review["checks"]}
    assert (checks["host/docker"], checks["host/images"], checks["host/ports"]) == ("pass", "pass", "pass")


@pytest.mark.parametrize("part", ["the needs", "the secret bot-token"])
def test_a_row_that_moved_makes_apply_refuse_and_changes_nothing(plane: ControlPlane, part: str) -> None:
    plan = _plan(plane)
    plane.ask(MOVES[part], NEEDS=plane.needs(**PREFIX))
    _refused(plane, plan["id"], part)


def test_a_live_object_that_moved_makes_apply_refuse_and_is_not_touched(plane: ControlPlane) -> None:
    plan = _plan(plane)
    connect()._change(f"{plane.slug}_redis", lambda spec: spec["Labels"].update({"by-hand": "yes"}))
    _refused(plane, plan["id"], "the running objects")
    again = _plan(plane)
    assert [drift["resource"] for drift in again["review"]["drift"]] == ["service/redis"]


def test_an_engines_state_that_moved_makes_apply_refuse(plane: ControlPlane) -> None:
    plan = _plan(plane)
    file = checkpoint_file((plane.data / "state" / plane.slug).as_uri(), "sprocket", plane.slug)
    assert file is not None
    text = file.read_text()
    data = json.loads(text)
    data["checkpoint"]["latest"]["resources"][-1]["outputs"]["moved"] = True
    data["checkpoint"]["latest"]["manifest"]["time"] = datetime.now(UTC).isoformat()  # as `pulumi` by hand does
    try:
        file.write_text(json.dumps(data))
        _refused(plane, plan["id"], "the engine's state")
    finally:
        file.write_text(text)


def test_an_apply_does_what_was_predicted_and_a_rollback_deploys_exactly_the_files_of_then(plane: ControlPlane) -> None:
    before = plane.ask(STATE)
    plan = _plan(plane)
    done = plane.ask(APPLY, ID=plan["id"])
    assert done["state"] == "succeeded", done["error"]
    events = plane.ask("say([[e.op, e.resource] for e in RunEvent.objects.filter(run=ID, kind='resource-done')])", ID=done["id"])
    assert {(op, resource) for op, resource in events if op != "same"} == {(op, resource) for op, resource in plan["steps"]}
    assert plane.ask(STATE)[0] == plan["files"]

    back = plane.ask(
        """
from provisioning.review.history import ask_rollback
plan = actions.plan_from(ask_rollback(org=org, number=NUMBER, actor=alice, ring=False))
actions.approve(plan=plan, actor=alice, reason="back, with the data as it is")
say({"id": plan.pk, "files": plan.rendering_digest, "rollback": plan.review["rollback"]})
""",
        NUMBER=before[1],
    )
    assert back["files"] == before[0]
    assert f"{plane.slug}_postgres_data" in back["rollback"]["data"][0]
    done = plane.ask(APPLY, ID=back["id"])
    assert done["state"] == "succeeded", done["error"]
    assert plane.ask(STATE)[:2] == before[:2]
    found = plane.ask(
        """
from provisioning.materials import rendering_of
from blueprints.models import Blueprint
say(rendering_of(Blueprint.objects.for_org(org).get(number=NUMBER)).lock["images"]["bot"]["local_id"])
""",
        NUMBER=before[1],
    )
    [bot] = [service for service in connect().live_services(plane.slug) if service.name.endswith("_bot")]
    assert bot.running[0].image_id == found
    again = plane.ask(
        "plan = actions.plan_from(actions.request_run(org=org, kind='preview', actor=alice, blueprint=Plan.objects.get(pk=ID).blueprint, ring=False)); say([plan.state, plan.steps])",
        ID=back["id"],
    )
    assert again == ["approved", []]


def test_drift_is_found_by_field_changes_nothing_and_is_put_back(plane: ControlPlane) -> None:
    look = """
from provisioning.review.drift import standing
run = actions.run_here(actions.request_run(org=org, kind="drift", actor=alice, ring=False))
now = standing(org)
say({**brief(run), "words": now.words, "found": now.report.differences if now.report else None})
"""
    assert plane.ask(look)["words"] == "in sync"
    connect()._change(f"{plane.slug}_redis", lambda spec: spec["Labels"].update({"by-hand": "yes"}))
    connect().remove("service", f"{plane.slug}_bot")
    before = (live_fingerprint(connect(), plane.slug), plane.ask(STATE))
    seen = plane.ask(look)
    assert (seen["state"], seen["words"]) == ("succeeded", "drifted (2)"), seen["error"]
    found = {item["resource"]: item for item in seen["found"]}
    assert found["service/bot"]["kind"] == "removed"
    assert found["service/redis"]["kind"] == "changed"
    assert found["service/redis"]["fields"] == ["labels.by-hand"]
    assert (live_fingerprint(connect(), plane.slug), plane.ask(STATE)) == before

    back = plane.ask(
        """
from provisioning.review.facts import applied_blueprint
plan = actions.plan_from(actions.request_run(org=org, kind="preview", actor=alice, blueprint=applied_blueprint(org), ring=False))
actions.approve(plan=plan, actor=alice, reason="put back what somebody did by hand")
say({"id": plan.pk, "steps": sorted([s["op"], s["resource"]] for s in plan.steps)})
"""
    )
    assert back["steps"] == [["create", "service/bot"], ["update", "service/redis"]]
    done = plane.ask(APPLY, ID=back["id"])
    assert done["state"] == "succeeded", done["error"]
    assert plane.ask(look)["words"] == "in sync"
