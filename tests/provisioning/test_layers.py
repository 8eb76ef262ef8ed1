"""An organization of several stacks: one plan, one approval, one run over all of them. Engine and Docker are scripted."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from blueprints.models import Blueprint, BlueprintFile
from blueprints.rendering import digest_of
from orgs.models import NeedsRevision, Organization
from provisioning import actions, planning, secret_store
from provisioning.collect import collect
from provisioning.live import LiveService, LiveTask
from provisioning.materials import rendering_of
from provisioning.models import Plan, Run, StackState
from provisioning.state import digest_over
from provisioning.states import PlanState, RunKind, RunState
from sprocket_v2.errors import PreviewError
from tests.layered import COLLECTED, LAYERS, LayeredBundle
from tests.provisioning.conftest import Engine, FakeDocker

Make = Callable[..., Blueprint]
pytestmark = pytest.mark.usefixtures("engine")
BEFORE = {layer: f"sha256:{layer}-before" for layer in LAYERS}
AFTER = {layer: f"sha256:{layer}-after" for layer in LAYERS}
FAILURE = {"kind": "failed", "message": "store does not become healthy", "hint": "", "where": "layer_2/service/store"}


def _step(layer: str, name: str) -> dict[str, Any]:
    return {"resource": f"{layer}/service/{name}", "component": name, "type": "t", "op": "create", "fields": [], "reasons": []}


STEPS = {"layer_1": [_step("layer_1", "edge")], "layer_2": [_step("layer_2", "store")], "platform": [_step("platform", "app")]}
PLAYED = {
    layer: {
        "preview": {"steps": STEPS[layer], "changes": {"create": 1, "same": 1}, "state_digest": BEFORE[layer]},
        "apply": {"changes": {"create": 1}, "state_digest": AFTER[layer]},
    }
    for layer in LAYERS
}


@pytest.fixture
def make(demo: Organization, alice: Any, engine: Engine) -> Make:
    """Stores a blueprint of three layers that tells the scripted child what to play for each."""

    def blueprint(bundle: LayeredBundle | None = None, **layers: dict[str, Any]) -> Blueprint:
        made = (bundle or LayeredBundle("demo")).rendering()
        played = {layer: {**PLAYED[layer], **layers.get(layer, {})} for layer in LAYERS}
        play = json.dumps({**engine.play, "layers": played})
        facts = {**made.blueprint, "files": [*made.blueprint["files"], {"path": "play.json", "sha256": digest_of(play)[7:]}]}
        files = {**made.files, "play.json": play, "blueprint.json": json.dumps(facts)}
        number = Blueprint.objects.for_org(demo).count() + 1
        needs = NeedsRevision.objects.create(organization=demo, number=number, text="", data={}, digest="sha256:needs", author=alice)
        row = Blueprint.objects.create(
            organization=demo, number=number, needs_revision=needs, digest=digest_of(files["blueprint.json"]), template_release="1"
        )
        BlueprintFile.objects.bulk_create(
            BlueprintFile(blueprint=row, path=path, text=text, sha256=hashlib.sha256(text.encode()).hexdigest())
            for path, text in files.items()
        )
        return row

    return blueprint


def _approved(blueprint: Blueprint, actor: Any) -> Plan:
    return actions.approve(plan=actions.propose(org=blueprint.organization, blueprint=blueprint, actor=actor), actor=actor)


def _applied(plan: Plan, actor: Any) -> Run:
    return actions.run_here(actions.apply(plan=plan, actor=actor, ring=False))


def _asked(engine: Engine, op: str) -> list[str]:
    return [asked["layer"] for asked in engine.asked if asked["op"] == op]


def test_a_plan_holds_every_layers_steps_engine_plan_and_state(make: Make, engine: Engine, alice: Any) -> None:
    blueprint = make()
    plan = actions.propose(org=blueprint.organization, blueprint=blueprint, actor=alice)
    assert [step["resource"] for step in plan.steps] == ["layer_1/service/edge", "layer_2/service/store", "platform/service/app"]
    assert plan.changes == {"create": 3, "same": 3}
    assert plan.state_digest == digest_over(BEFORE)
    kept = json.loads(plan.engine_plan)["layers"]
    assert {layer: entry["state_digest"] for layer, entry in kept.items()} == BEFORE
    assert [entry["plan"] for entry in kept.values()] == [{"resourcePlans": {}}] * 3
    assert [asked["stack"] for asked in engine.asked] == ["demo-layer_1", "demo-layer_2", "demo-platform"]
    assert len({asked["state_url"] for asked in engine.asked}) == 1


def test_an_apply_binds_each_layer_to_its_own_plan_and_state_in_order(make: Make, engine: Engine, demo: Organization, alice: Any) -> None:
    run = _applied(_approved(make(), alice), alice)
    assert run.state == RunState.SUCCEEDED
    applies = [asked for asked in engine.asked if asked["op"] == "apply"]
    assert [(asked["layer"], asked["expected_state_digest"]) for asked in applies] == list(BEFORE.items())
    assert len({asked["plan_in"] for asked in applies}) == 3
    assert run.changes == {"create": 3}
    assert StackState.objects.for_org(demo).get().state_digest == digest_over(AFTER)
    said = [event.message for event in run.events.all()]
    assert [text for text in said if " of 3" in text] == ["layer_1, 1 of 3", "layer_2, 2 of 3", "platform, 3 of 3"]


def test_an_apply_ends_at_the_first_layer_that_fails_and_remembers_how_far_it_came(
    make: Make, engine: Engine, demo: Organization, alice: Any
) -> None:
    failing = {"apply": {"ok": False, "error": FAILURE, "state_digest": "sha256:half", "changes": {}}}
    plan = _approved(make(layer_2=failing), alice)
    run = _applied(plan, alice)
    assert (run.state, run.error) == (RunState.FAILED, FAILURE)
    assert _asked(engine, "apply") == ["layer_1", "layer_2"]
    plan.refresh_from_db()
    assert (plan.state, plan.reason) == (PlanState.STALE, "its apply ended half-way; what was done stays")
    state = StackState.objects.for_org(demo).get()
    reached = {"layer_1": AFTER["layer_1"], "layer_2": "sha256:half", "platform": BEFORE["platform"]}
    assert (state.state_digest, state.applied_digest) == (digest_over(reached), "")


def test_a_first_layer_that_fails_without_a_change_leaves_the_plan_as_it_is(make: Make, alice: Any) -> None:
    failing = {"apply": {"ok": False, "error": FAILURE, "state_digest": BEFORE["layer_1"], "changes": {}}}
    plan = _approved(make(layer_1=failing), alice)
    assert _applied(plan, alice).state == RunState.FAILED
    plan.refresh_from_db()
    assert plan.state == PlanState.APPROVED


def test_a_layer_whose_child_dies_three_times_needs_recovery_and_the_rest_is_not_begun(
    make: Make, engine: Engine, demo: Organization, alice: Any
) -> None:
    run = _applied(_approved(make(layer_2={"die": "apply"}), alice), alice)
    assert run.state == RunState.NEEDS_RECOVERY
    assert _asked(engine, "apply") == ["layer_1", "layer_2"] * 3
    state = StackState.objects.for_org(demo).get()
    assert (state.state_digest, state.live_fingerprint) == ("", "")


def test_an_interrupted_apply_previews_every_layer_again_before_it_goes_on(make: Make, engine: Engine, alice: Any) -> None:
    plan = _approved(make(), alice)
    run = actions.apply(plan=plan, actor=alice, ring=False)
    Run.objects.filter(pk=run.pk).update(deliveries=1)
    assert actions.run_here(run).state == RunState.SUCCEEDED
    assert [(asked["op"], asked["layer"]) for asked in engine.asked[3:]] == [
        *(("preview", layer) for layer in LAYERS),
        *(("apply", layer) for layer in LAYERS),
    ]


def test_a_removal_goes_backwards_and_a_refresh_forwards(make: Make, engine: Engine, demo: Organization, alice: Any) -> None:
    _applied(_approved(make(), alice), alice)
    for kind in (RunKind.REFRESH, RunKind.DESTROY):
        run = actions.run_here(actions.request_run(org=demo, kind=kind, actor=alice, ring=False))
        assert run.state == RunState.SUCCEEDED, run.error
    assert _asked(engine, "refresh") == list(LAYERS)
    assert _asked(engine, "destroy") == list(reversed(LAYERS))


def test_a_removal_that_fails_leaves_the_layers_below_alone(make: Make, engine: Engine, demo: Organization, alice: Any) -> None:
    failing = {"destroy": {"ok": False, "error": FAILURE, "state_digest": "sha256:half"}}
    _applied(_approved(make(layer_2=failing), alice), alice)
    run = actions.run_here(actions.request_run(org=demo, kind=RunKind.DESTROY, actor=alice, ring=False))
    assert run.state == RunState.FAILED
    assert _asked(engine, "destroy") == ["platform", "layer_2"]


def test_when_nothing_moved_the_engine_stays_off(make: Make, engine: Engine, monkeypatch: pytest.MonkeyPatch, alice: Any) -> None:
    blueprint = make(**{layer: {"preview": {"state_digest": BEFORE[layer]}} for layer in LAYERS})
    _applied(_approved(blueprint, alice), alice)
    digests: list[list[str]] = []
    monkeypatch.setattr(planning, "known_state_digest", lambda _slug, layers: digests.append(list(layers)) or digest_over(AFTER))
    before = len(engine.asked)
    assert _applied(_approved(blueprint, alice), alice).state == RunState.SUCCEEDED
    assert engine.asked[before:] == []
    assert digests[0] == list(LAYERS)


def test_a_plan_made_without_the_engine_is_refused_once_a_layers_state_moved(
    make: Make, monkeypatch: pytest.MonkeyPatch, docker: FakeDocker, alice: Any
) -> None:
    blueprint = make(**{layer: {"preview": {"state_digest": BEFORE[layer]}} for layer in LAYERS})
    _applied(_approved(blueprint, alice), alice)
    monkeypatch.setattr(planning, "known_state_digest", lambda _slug, _layers: digest_over(AFTER))
    plan = _approved(blueprint, alice)
    monkeypatch.setattr(planning, "known_state_digest", lambda _slug, _layers: "sha256:elsewhere")
    run = _applied(plan, alice)
    assert run.error is not None
    assert (run.error["kind"], run.error["message"]) == ("stale", "plan is stale: the engine's state moved")


def test_without_docker_all_layers_are_previewed_on_one_empty_state(make: Make, engine: Engine, docker: FakeDocker, alice: Any) -> None:
    docker.is_reachable = False
    blueprint = make()
    plan = actions.propose(org=blueprint.organization, blueprint=blueprint, actor=alice)
    assert (plan.basis, len(plan.steps)) == ("empty-host", 3)
    assert {asked["state_url"].rsplit("/", 1)[1] for asked in engine.asked} == {"empty-state"}
    assert len({asked["state_url"] for asked in engine.asked}) == 1


def test_a_preview_now_is_over_all_layers_and_keeps_no_plan(make: Make, engine: Engine, demo: Organization) -> None:
    result = actions.preview_now(org=demo, rendering=rendering_of(make()))
    assert result.changes == {"create": 3, "same": 3}
    assert [asked["layer"] for asked in engine.asked] == list(LAYERS)


def test_a_layer_that_cannot_be_previewed_is_named(make: Make, demo: Organization, engine: Engine) -> None:
    with pytest.raises(PreviewError, match="store does not become healthy"):
        actions.preview_now(org=demo, rendering=rendering_of(make(layer_2={"preview": {"ok": False, "error": FAILURE}})))
    assert _asked(engine, "preview") == ["layer_1", "layer_2"]


def test_a_reference_to_nothing_never_starts_an_engine(make: Make, engine: Engine, demo: Organization, alice: Any) -> None:
    bundle = LayeredBundle("demo")
    bundle.stacks[1]["references"] = {"layer_1": ["vault_token"]}
    with pytest.raises(PreviewError, match="layer_1 does not tell 'vault_token'"):
        actions.propose(org=demo, blueprint=make(bundle), actor=alice)
    assert engine.asked == []


def test_a_blueprint_that_would_leave_an_applied_stack_behind_is_refused(
    make: Make, engine: Engine, demo: Organization, alice: Any
) -> None:
    _applied(_approved(make(), alice), alice)
    bundle = LayeredBundle("demo")
    del bundle.stacks[2]
    before = len(engine.asked)
    with pytest.raises(PreviewError, match="'platform' is not in this blueprint"):
        actions.propose(org=demo, blueprint=make(bundle), actor=alice)
    assert len(engine.asked) == before
    actions.run_here(actions.request_run(org=demo, kind=RunKind.DESTROY, actor=alice, ring=False))
    assert actions.propose(org=demo, blueprint=make(bundle), actor=alice).state == PlanState.PROPOSED


def test_a_collected_secret_is_missing_nowhere_and_handed_over_once_its_layer_is_up(
    make: Make, engine: Engine, docker: FakeDocker, demo: Organization, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    docker.services = [LiveService("vault-demo", "s1", 1, "vault", 1, False, (LiveTask("t", "running", "running", container="c1"),))]
    asked: list[list[str]] = []
    monkeypatch.setattr(docker, "run_in", lambda _c, command, **_: (asked.append(list(command)), (0, "canary-root-token\n"))[1])
    plan = _approved(make(LayeredBundle("demo", secrets={"token": COLLECTED})), alice)
    run = _applied(plan, alice)
    assert run.state == RunState.SUCCEEDED, run.error
    assert asked == [["cat", "/tmp/token"]]
    applies = {item["layer"]: item["secrets"] for item in engine.asked if item["op"] == "apply"}
    assert applies == {"layer_1": [], "layer_2": ["demo/token@1"], "platform": ["demo/token@1"]}
    assert secret_store.secret_versions(demo) == {"token": 1}
    assert "canary-root-token" not in repr(list(run.events.values())) + repr(Run.objects.values()) + repr(Plan.objects.values())


def test_a_secret_that_cannot_be_collected_ends_the_apply_there_and_what_was_done_is_remembered(
    make: Make, engine: Engine, demo: Organization, alice: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("provisioning.execution.collect", partial(collect, patience_s=0.0))
    plan = _approved(make(LayeredBundle("demo", secrets={"token": COLLECTED})), alice)
    run = _applied(plan, alice)
    assert run.error is not None
    assert (run.state, run.error["where"]) == (RunState.FAILED, "secret token")
    assert _asked(engine, "apply") == ["layer_1"]
    plan.refresh_from_db()
    assert plan.state == PlanState.STALE
    reached = {**BEFORE, "layer_1": AFTER["layer_1"]}
    assert StackState.objects.for_org(demo).get().state_digest == digest_over(reached)
