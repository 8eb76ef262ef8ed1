"""What goes wrong around a run: the engine restarts, the node is drained, the state is damaged, its passphrase is wrong. On an engine of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blueprints.layers import stack_name
from tests.engine.deployed import ControlPlane
from tests.engine.fault_notes import WORLD, note
from tests.engine.fault_plane import LAYER, LEASE_S, RECONCILE_S, FaultPlane, League
from tests.engine.layered_plane import STORE
from tests.engine.own_engine import OwnEngine, own_engine
from tests.engine.test_faults_kills import is_whole
from tests.layered import IMAGE

pytestmark = pytest.mark.engine
TOLD_WITHIN_S = 60.0
PROPOSE = """
try: plan = actions.propose(org=org, blueprint=row, actor=alice); told = None
except Exception as error: plan, told = None, error.as_dict()
last = Run.objects.for_org(org).order_by("-pk").first()
say({"steps": plan.steps if plan else None, "told": told, "said": [e.message for e in last.events.all()]})
"""
WRONG_PASSPHRASE = """
from provisioning.secret_store import sealer, stack_state
state = stack_state(org)
say(bytes(state.sealed_passphrase).hex())
state.sealed_passphrase = sealer().seal(SLUG, "state-passphrase", 1, "not-the-one-it-was-made-with")
state.save()
"""
NO_PASSPHRASE = """
say(bytes(StackState.objects.for_org(org).get().sealed_passphrase).hex())
StackState.objects.for_org(org).delete()
"""
PUT_BACK = """
from provisioning.secret_store import stack_state
state = stack_state(org)
state.sealed_passphrase = bytes.fromhex(KEPT)
state.save()
"""


class World(FaultPlane):
    """A control plane with a worker, on an engine of its own."""

    def __init__(self, folder: Path, engine: OwnEngine) -> None:
        self.engine, self.leagues = engine, []
        self.plane = ControlPlane(folder / "data")
        times = {"SPROCKET_LEASE_S": str(LEASE_S), "SPROCKET_RECONCILE_EVERY_S": str(RECONCILE_S), "SPROCKET_DRIFT_EVERY_HOURS": "0"}
        self.plane.environment |= {"DOCKER_HOST": engine.address, **times}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    patch = pytest.MonkeyPatch()
    with own_engine(IMAGE) as engine:
        patch.setenv("DOCKER_HOST", engine.address)
        made = World(tmp_path_factory.mktemp("world"), engine)
        try:
            made.plane.migrate()
            made.worker = made.plane.start_worker()
            yield made
        finally:
            made.plane.stop_worker()
            patch.undo()


@pytest.fixture(scope="module")
def league(world: World) -> League:
    """One that is deployed; each test leaves it so."""
    made = world.league()
    _applied(made)
    return made


def _applied(league: League) -> None:
    """What the bundle says now is deployed, one of each, and nothing is left to do."""
    ended = league.ended(league.asked_to_apply(league.planned()))
    assert ended["state"] == "succeeded", ended["error"]
    is_whole(league, ended["id"])


def _still_whole(league: League) -> None:
    """The same, with nothing to do and so no further apply."""
    last = league.ask("say(Run.objects.for_org(org).filter(kind='apply', state='succeeded').order_by('-pk').first().pk)")
    is_whole(league, last)


def test_an_engine_that_is_restarted_in_the_middle_of_an_apply_ends_with_one_of_each(world: World) -> None:
    league = world.league()
    plan = league.planned()
    run = league.asked_to_apply(plan)
    _until(lambda: league.services() != [], "the first service")
    began = time.monotonic()
    world.engine.kill(stays_away=True)
    time.sleep(3)
    world.engine.come_back()
    ended = league.ended(run)
    if ended["state"] == "succeeded":
        is_whole(league, run)
    else:
        assert ended["error"]["hint"]
        _applied(league)
    seconds = time.monotonic() - began
    note(WORLD, "Docker Engine killed and restarted in the middle of an apply", "it waits or says so; applied again, one of each", seconds)


def test_a_drained_node_is_told_and_costs_time_only(world: World) -> None:
    league = world.league()
    _applied(league)
    node = world.engine.docker("node", "ls", "-q")
    world.engine.docker("node", "update", "--availability", "drain", node)
    league.bundle.labels = {"note": "to be changed while the node is drained"}
    began = time.monotonic()
    try:
        told = _told(league, began)
        seconds = time.monotonic() - began
    finally:
        world.engine.docker("node", "update", "--availability", "active", node)
    assert "no suitable node" in told
    assert "docker node update --availability active" in told
    _until(lambda: _has_settled(world.engine), "Swarm's own update goes on; a plan made in the middle of it would be stale")
    ended = league.ended(league.asked_to_apply(league.planned()))
    if ended["state"] == "failed":  # Swarm moved the service once more meanwhile; the refusal says what to do, and that is done
        assert "make a new plan" in ended["error"]["hint"], ended["error"]
        _applied(league)
    else:
        is_whole(league, ended["id"])
    note(WORLD, "the only node is drained", "said with Swarm's own words and how to make it active again; then applied", seconds)


def _has_settled(engine: OwnEngine) -> bool:
    """Whether every service runs, and Swarm changes none of them."""
    names = engine.docker("service", "ls", "-q").split()
    states = engine.docker("service", "inspect", "--format", "{{if .UpdateStatus}}{{.UpdateStatus.State}}{{end}}", *names).split()
    return "updating" not in states and set(engine.docker("service", "ls", "--format", "{{.Replicas}}").split()) == {"1/1"}


def _told(league: League, began: float) -> str:
    """The words of the refusal or of the failure, which have to come within a minute."""
    seen = _proposed(league)
    if seen["told"] is None:
        ended = league.ended(league.asked_to_apply(league.planned()))
        assert ended["state"] == "failed", ended
        seen["told"] = ended["error"]
    assert time.monotonic() - began < TOLD_WITHIN_S
    assert seen["told"]["hint"]
    return str(seen["told"])


def _older(league: League, file: Path) -> None:
    before = file.read_bytes()
    league.bundle.labels = {"note": "newer"}
    _applied(league)
    file.write_bytes(before)


DAMAGES: dict[str, Callable[[League, Path], object]] = {
    "truncated": lambda _, file: os.truncate(file, file.stat().st_size // 2),
    "emptied, as by a full disk": lambda _, file: os.truncate(file, 0),
    "bit-flipped": lambda _, file: file.write_bytes(file.read_bytes().replace(b"redis", b"sedis")),
    "older": _older,
    "deleted": lambda _, file: file.unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_is_put_back_and_nothing_is_made_again(league: League, damage: str) -> None:
    file = league.engine_folder / "stacks" / "sprocket" / f"{stack_name(league.slug, LAYER)}.json"
    DAMAGES[damage](league, file)
    began = time.monotonic()
    seen = _proposed(league)
    seconds = time.monotonic() - began
    assert (seen["steps"], seen["told"]) == ([], None), seen
    assert "was put back" in seen["said"][0]
    run = league.asked_to_apply(league.planned())
    assert league.ended(run)["state"] == "succeeded"
    is_whole(league, run)
    note(
        WORLD, f"the engine's state {damage}", "put back from the checked copy of the last operation; no step, nothing made twice", seconds
    )


@pytest.mark.parametrize(("fault", "code"), [("wrong", WRONG_PASSPHRASE), ("missing", NO_PASSPHRASE)])
def test_a_passphrase_that_does_not_open_the_state_is_named_and_nothing_is_changed(league: League, fault: str, code: str) -> None:
    labels = league.bundle.labels
    league.bundle.labels = {"note": f"a change with a {fault} passphrase"}
    kept = league.ask(code)
    began = time.monotonic()
    try:
        seen = _proposed(league)
    finally:
        league.ask(PUT_BACK, KEPT=kept)
    assert time.monotonic() - began < TOLD_WITHIN_S
    assert "passphrase" in seen["told"]["message"], seen
    assert "backup" in seen["told"]["hint"]
    note(WORLD, f"{fault} passphrase of the state", "named, with where the right one is; nothing is changed", time.monotonic() - began)
    league.bundle.labels = labels
    seen = _proposed(league)
    assert (seen["steps"], seen["told"]) == ([], None), seen
    _still_whole(league)


def _proposed(league: League) -> dict[str, Any]:
    found: dict[str, Any] = league.ask(STORE + PROPOSE, FILES=dict(league.bundle.rendering().files))
    return found


def _until(is_so: Callable[[], bool], what: str, *, limit_s: float = 60.0) -> None:
    limit = time.monotonic() + limit_s
    while not is_so():
        assert time.monotonic() < limit, what
        time.sleep(0.05)
