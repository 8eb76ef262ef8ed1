"""Changes to a running deployment: an option on and off, a rotated secret, and what happens when the new version is broken."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from blueprints.compose import Mounted, ServiceArgs, read_stack
from provisioning.providers.swarm import service
from provisioning.providers.swarm.client import connect
from sprocket_v2.errors import ApplyError
from tests.engine.deployed import SECRETS, ControlPlane
from tests.engine.scanner import scan_docker, scan_folder

pytestmark = pytest.mark.engine
STATISTICS = "features:\n  match_statistics: true\n"
SET_NEEDS = "org_actions.set_needs(org=org, actor=alice, text=TEXT); say(None)"


def test_match_statistics_on_adds_exactly_influxdb_and_analytics_and_off_keeps_the_volume(deployed: ControlPlane) -> None:
    slug = deployed.slug
    before = _service_versions(slug)
    deployed.ask(SET_NEEDS, TEXT=deployed.needs() + STATISTICS)
    plan = deployed.planned()
    steps = deployed.ask("say(Plan.objects.get(pk=ID).steps)", ID=plan)
    assert {(step["op"], step["resource"]) for step in steps} == {
        ("create", name)
        for name in (
            "volume/influxdb_data",
            "secret/influx-password",
            "secret/influx-token",
            "config/analytics_production-json",
            "service/influxdb",
            "service/analytics",
        )
    }
    done = deployed.wait(deployed.asked_to_apply(plan))
    assert done["state"] == "succeeded", done["error"]
    now = _service_versions(slug)
    assert {name: now[name] for name in before} == before
    assert json.loads(_inside(slug, "analytics", ["curl", "http://127.0.0.1:3013/__standin/deps"])) == {"influx": "ok 204"}

    deployed.ask(SET_NEEDS, TEXT=deployed.needs())
    done = deployed.wait(deployed.asked_to_apply(deployed.planned()))
    assert done["state"] == "succeeded", done["error"]
    assert _service_versions(slug) == before
    left = {(item.kind, item.name) for item in connect().live_objects(slug) if "influx" in item.name or "analytics" in item.name}
    assert left == {("volume", f"{slug}_influxdb_data")}


def test_a_rotated_signing_key_replaces_the_api_only(deployed: ControlPlane) -> None:
    before = _service_versions(deployed.slug)
    deployed.ask("secret_store.set_secret(org=org, name='jwt-secret', value='r' * 64, actor=alice); say(None)")
    done = deployed.wait(deployed.asked_to_apply(deployed.planned()))
    assert done["state"] == "succeeded", done["error"]
    after = _service_versions(deployed.slug)
    assert {name for name in before if before[name] != after[name]} == {f"{deployed.slug}_api"}
    names = {item.name for item in connect().live_objects(deployed.slug) if "jwt-secret" in item.name}
    assert names == {f"{deployed.slug}_api_jwt-secret_v2"}


def test_a_service_somebody_removed_by_hand_is_in_the_preview_and_comes_back(deployed: ControlPlane) -> None:
    connect().remove("service", f"{deployed.slug}_bot")
    preview = """
result = actions.preview_now(org=org, rendering=blueprint_actions.draw_newest(org=org))
say([[step["op"], step["resource"]] for step in result.steps])
"""
    assert deployed.ask(preview) == [["create", "service/bot"]]
    plan = deployed.planned()
    steps = deployed.ask("say(Plan.objects.get(pk=ID).steps)", ID=plan)
    assert [(step["op"], step["resource"]) for step in steps] == [("create", "service/bot")]
    done = deployed.wait(deployed.asked_to_apply(plan))
    assert done["state"] == "succeeded", done["error"]
    assert done["verdict"]["green"]


def test_the_bus_carries_a_request_to_the_bot_and_back(deployed: ControlPlane) -> None:
    answer = json.loads(_inside(deployed.slug, "api", ["curl", "http://127.0.0.1:3001/__standin/bus?queue=bot"]))
    assert answer == {"queue": f"{deployed.slug}-bot", "answered": True, "by": "bot", "rows_left": 0}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (lambda args: _without(args, "/app/secret/jwtSecret.txt"), "missing secret JWT_SECRET"),
        (lambda args: _with_env(args, POSTGRES_HOST="api"), "cannot reach api:5432"),
        (lambda args: _without(args, "/app/secret/redis-password.txt"), "missing secret REDIS_PASSWORD"),
        (lambda args: _mounting(args, "/app/secret/db-password.txt", "/app/secret/jwtSecret.txt"), "password authentication failed"),
    ],
    ids=["no signing key", "wrong database alias", "no redis password", "wrong database password"],
)
def test_a_broken_api_fails_with_its_own_words_and_the_former_version_stays(deployed: ControlPlane, broken: Any, said: str) -> None:
    args = _live_args(deployed, "api")
    with pytest.raises(ApplyError) as caught:
        service.update(connect(), broken(args), lambda text: text)
    assert said in caught.value.message
    assert "rolled back to the previous version" in caught.value.message
    verdict = deployed.ask("say(actions.verify_now(org=org).as_dict())")
    assert verdict["green"], [check for check in verdict["checks"] if check["state"] != "ok"]


def test_an_image_that_is_not_here_is_named_before_anything_stops(deployed: ControlPlane) -> None:
    before = _service_versions(deployed.slug)
    with pytest.raises(ApplyError, match="is not on this machine"):
        service.update(connect(), replace(_live_args(deployed, "web"), image="ghcr.io/sprocketbot/web:nope", image_id=""), str)
    assert _service_versions(deployed.slug) == before


def test_no_canary_is_in_what_docker_tells_or_in_the_data_folder(deployed: ControlPlane) -> None:
    generated = deployed.ask(
        "from provisioning.materials import rendering_of\n"
        "wanted = secret_store.wanted_secrets(rendering_of(newest()).secrets)\n"
        "say([v for k, v in secret_store.values_for(org, [w for w in wanted if w.kind != 'placeholder']).items()])"
    )
    canaries = [*SECRETS.values(), *generated]
    canaries.remove(SECRETS["discord-client-id"])  # it is public: every player's browser is sent it
    assert scan_docker(deployed.slug, canaries) == {}
    assert scan_folder(deployed.data, canaries) == {}
    assert scan_folder(deployed.data.parent, canaries) == {}


def _service_versions(slug: str) -> dict[str, list[str]]:
    """Service -> the containers that run it now."""
    return {s.name: sorted(task.container for task in s.running) for s in connect().live_services(slug) if not s.is_job}


def _inside(slug: str, name: str, command: list[str]) -> str:
    swarm = connect()
    [found] = [item for item in swarm.live_services(slug) if item.name == f"{slug}_{name}"]
    code, output = swarm.run_in(found.running[0].container, command)
    assert code == 0, output
    return output


def _live_args(plane: ControlPlane, name: str) -> ServiceArgs:
    text = plane.ask("say(blueprint_actions.rendering_of_row(newest()).files['stack.yml'])")
    return read_stack(text, plane.slug).services[name]


def _without(args: ServiceArgs, target: str) -> ServiceArgs:
    return replace(args, secrets=tuple(item for item in args.secrets if item.target != target))


def _with_env(args: ServiceArgs, **more: str) -> ServiceArgs:
    return replace(args, environment={**args.environment, **more})


def _mounting(args: ServiceArgs, target: str, like: str) -> ServiceArgs:
    """The secret of one place mounted in another one too."""
    [other] = [item for item in args.secrets if item.target == like]
    return replace(_without(args, target), secrets=(*_without(args, target).secrets, Mounted(other.name, target, other.mode)))
