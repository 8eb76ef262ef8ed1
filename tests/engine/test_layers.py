"""An organization of three stacks on a real swarm: one plan, one approval, one run; in order, each told by the former, removed in reverse."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioning.providers.swarm.client import connect
from tests.engine.layered_plane import LayeredPlane, layered_plane
from tests.layered import COLLECTED, LayeredBundle

pytestmark = pytest.mark.engine
CRASHES = ["sh", "-c", "echo cannot start; exit 3"]
TOKEN = "canary-token-0123456789"


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LayeredPlane]:
    with layered_plane(tmp_path_factory.mktemp("layers")) as plane:
        yield plane


@pytest.fixture
def league(fresh: LayeredPlane) -> LayeredPlane:
    """The three layers, applied; the tests go on from each other's end, in any order."""
    fresh.bundle = LayeredBundle(fresh.slug)
    plan = fresh.proposed()
    if plan["steps"]:
        done = fresh.applied(plan)
        assert done["state"] == "succeeded", done
    return fresh


def test_the_first_plan_is_over_all_layers_and_names_each_step_by_its_layer(fresh: LayeredPlane) -> None:
    plan = fresh.proposed()
    assert plan["steps"] == {
        "layer_1/network/ingress": "create",
        "layer_1/service/vault": "create",
        "layer_1/service/edge": "create",
        "layer_2/config/greeting": "create",
        "layer_2/service/store": "create",
        "platform/service/app": "create",
    }
    assert plan["changes"] == {"create": 6}
    done = fresh.applied(plan)
    assert done["state"] == "succeeded", done
    order = [word for word in done["events"] if word in ("layer_1, 1 of 3", "layer_2, 2 of 3", "platform, 3 of 3")]
    assert order == ["layer_1, 1 of 3", "layer_2, 2 of 3", "platform, 3 of 3"]
    assert done["verdict"]["runs"]["state"] == "ok", done["verdict"]


def test_a_second_plan_has_nothing_to_do_and_starts_no_engine(league: LayeredPlane) -> None:
    plan = league.proposed()
    assert (plan["steps"], plan["asked"]) == ({}, 0)
    before = league.versions()
    assert league.applied(plan)["state"] == "succeeded"
    assert league.versions() == before


def test_a_change_in_the_middle_touches_no_other_layer(league: LayeredPlane) -> None:
    before = league.versions()
    league.bundle.greeting = "good evening"
    plan = league.proposed()
    assert plan["steps"] == {"layer_2/config/greeting": "replace", "layer_2/service/store": "update"}
    assert league.applied(plan)["state"] == "succeeded"
    after = league.versions()
    assert {key for key in after if after[key] != before[key]} == {"store"}


def test_a_failing_layer_leaves_the_former_applied_and_the_later_untouched_and_a_new_plan_goes_on(league: LayeredPlane) -> None:
    before = league.versions()
    league.bundle.commands = {"edge": ["sh", "-c", "exec redis-server --save '' --port 6380"], "store": CRASHES}
    league.bundle.environment = {"SEEN": "yes"}
    plan = league.proposed()
    assert set(plan["steps"]) == {"layer_1/service/edge", "layer_2/service/store", "platform/service/app"}
    failed = league.applied(plan)
    assert (failed["state"], failed["error"]["where"], failed["plan_state"]) == ("failed", "layer_2/service/store", "stale")
    assert failed["applied"] == ""
    assert "cannot start" in failed["error"]["message"]
    after = league.versions()
    assert after["edge"] != before["edge"]
    assert after["app"] == before["app"]
    del league.bundle.commands["store"]
    rest = league.proposed()
    assert "platform/service/app" in rest["steps"]
    assert "layer_1/service/edge" not in rest["steps"]
    assert league.applied(rest)["state"] == "succeeded"


def test_an_apply_is_refused_when_one_layers_state_moved_since(league: LayeredPlane) -> None:
    league.bundle.greeting = "good night"
    old = league.proposed()
    league.bundle.greeting = "good morning"
    assert league.applied(league.proposed())["state"] == "succeeded"
    refused = league.applied(old)
    assert (refused["state"], refused["error"]["kind"]) == ("failed", "stale")


def test_a_service_removed_by_hand_is_made_again_in_its_layer(league: LayeredPlane) -> None:
    connect().remove("service", league.bundle.name("store"))
    plan = league.proposed()
    assert plan["steps"] == {"layer_2/service/store": "create"}
    assert league.applied(plan)["state"] == "succeeded"


def test_what_a_service_made_itself_is_collected_and_handed_to_a_later_layer(league: LayeredPlane) -> None:
    league.bundle.secrets = {"token": COLLECTED}
    league.bundle.commands = {"vault": ["sh", "-c", f"echo {TOKEN} > /tmp/token; exec redis-server --save ''"]}
    plan = league.proposed()
    assert "platform/secret/token" in plan["steps"]
    done = league.applied(plan)
    assert done["state"] == "succeeded", done
    [app] = [service for service in connect().live_services(league.slug) if service.name == league.bundle.name("app")]
    assert connect().run_in(app.running[0].container, ["cat", "/run/secrets/token"]) == (0, TOKEN)
    written = b"".join(p.read_bytes() for p in league.plane.data.rglob("*") if p.is_file()).decode("utf-8", "replace")
    assert written.count(TOKEN) == written.count(f"echo {TOKEN}"), "only this test's own command names the value"


def test_a_layer_that_is_told_something_else_than_its_files_say_changes_nothing(league: LayeredPlane) -> None:
    before = league.versions()
    league.bundle.stacks[0]["outputs"]["realm"] = "another"
    league.bundle.greeting = "never seen"
    outcome = league.applied_alone("layer_2")
    assert outcome["error"]["message"] == "layer_1 tells 'main' for 'realm', where this layer's files say 'another'"
    assert "make a new plan" in outcome["error"]["hint"]
    assert league.versions() == before


def test_a_blueprint_without_a_stack_that_is_applied_is_refused(league: LayeredPlane) -> None:
    league.bundle.stacks = league.bundle.stacks[:2]
    with pytest.raises(AssertionError, match="is not in this blueprint, and would be left behind"):
        league.proposed()


def test_a_destroy_goes_backwards_and_leaves_nothing(league: LayeredPlane) -> None:
    done = league.run("destroy")
    assert done["state"] == "succeeded", done
    assert [word for word in done["events"] if " of 3" in word] == ["platform, 3 of 3", "layer_2, 2 of 3", "layer_1, 1 of 3"]
    assert connect().live_services(league.slug) == []
    assert connect().live_objects(league.slug) == []
