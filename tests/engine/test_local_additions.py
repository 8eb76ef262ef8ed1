"""Local additions on a real engine: one value and one service of an organization's own come, work, and go; nothing else is touched."""

from __future__ import annotations

import socket

import pytest

from provisioning.providers.swarm.client import connect
from tests.engine.deployed import ControlPlane
from tests.engine.test_changes import SET_NEEDS, _inside, _service_versions

pytestmark = pytest.mark.engine
WEBHOOK = "canary-webhook-0123456789"
ADDITIONS = """
additions:
  environment:
    web:
      LEAGUE_COLOUR: "green {{ 7*7 }} $HOME"
  services:
    helper:
      image: redis:7.0-bookworm
      command: [sh, -c, "echo kept > /data/file; exec sleep 600"]
      environment:
        GREETING: "{{ 7*7 }} $HOME"
      networks: [data]
      volumes: ["files:/data"]
      secrets: [local-webhook]
      deploy: {resources: {limits: {memory: 64M, cpus: "0.25"}}}
"""


def test_a_value_and_a_service_come_work_and_go_again(deployed: ControlPlane) -> None:
    slug = deployed.slug
    before = _service_versions(slug)
    deployed.ask(SET_NEEDS, TEXT=deployed.needs() + ADDITIONS)
    refused = deployed.ask("run = actions.request_run(org=org, kind='preview', actor=alice, blueprint=newest()); say(brief(run))")
    done = deployed.wait(refused["id"])
    assert done["state"] == "failed"
    assert "local-webhook" in done["error"]["message"]

    deployed.ask("secret_store.set_secret(org=org, name='local-webhook', value=VALUE, actor=alice); say(None)", VALUE=WEBHOOK)
    plan = deployed.planned()
    steps = deployed.ask("say(Plan.objects.get(pk=ID).steps)", ID=plan)
    assert {(step["op"], step["resource"]) for step in steps} == {
        ("create", "volume/local_helper-files"),
        ("create", "secret/local-webhook"),
        ("create", "service/local_helper"),
        ("update", "service/web"),
    }
    done = deployed.wait(deployed.asked_to_apply(plan))
    assert done["state"] == "succeeded", done["error"]
    assert any(check["name"] == f"service/{slug}_local_helper" and check["state"] == "ok" for check in done["verdict"]["checks"])
    assert _inside(slug, "web", ["sh", "-c", 'printf %s "$LEAGUE_COLOUR"']) == "green {{ 7*7 }} $HOME"
    assert _inside(slug, "local_helper", ["sh", "-c", 'printf %s "$GREETING"']) == "{{ 7*7 }} $HOME"
    assert _inside(slug, "local_helper", ["cat", "/run/secrets/local-webhook"]) == WEBHOOK
    assert _inside(slug, "local_helper", ["sh", "-c", "redis-cli -h redis ping 2>&1"]).strip().startswith("NOAUTH"), (
        "it reaches the data network"
    )
    now = _service_versions(slug)
    assert {name for name in before if before[name] != now[name]} == {f"{slug}_web"}

    plan = deployed.planned()
    assert deployed.ask("say(Plan.objects.get(pk=ID).steps)", ID=plan) == [], "a second look finds nothing to do"

    deployed.ask(SET_NEEDS, TEXT=deployed.needs())
    done = deployed.wait(deployed.asked_to_apply(deployed.planned()))
    assert done["state"] == "succeeded", done["error"]
    assert f"{slug}_local_helper" not in _service_versions(slug)
    left = {(item.kind, item.name) for item in connect().live_objects(slug) if "local" in item.name}
    assert left == {("volume", f"{slug}_local_helper-files")}, "data stays until it is purged"
    assert _inside(slug, "web", ["sh", "-c", 'printf %s "$LEAGUE_COLOUR"']) == ""


def test_a_port_that_is_in_use_on_the_machine_is_named_and_nothing_is_left(deployed: ControlPlane) -> None:
    before = _service_versions(deployed.slug)
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        text = ADDITIONS.replace("networks: [data]", f'networks: [edge]\n      ports: ["{port}:6379"]').replace(
            "      secrets: [local-webhook]\n", ""
        )
        deployed.ask(SET_NEEDS, TEXT=deployed.needs() + text.replace("  environment:\n    web:", "  environment:\n    bot:"))
        done = deployed.wait(deployed.asked_to_apply(deployed.planned()))
    assert done["state"] == "failed"
    assert f"Entry port {port} is taken by another program on this machine" in done["error"]["message"]
    deployed.ask(SET_NEEDS, TEXT=deployed.needs())
    done = deployed.wait(deployed.asked_to_apply(deployed.planned()))
    assert done["state"] == "succeeded", done["error"]
    after = _service_versions(deployed.slug)
    assert set(after) == set(before)
    assert {name for name in before if before[name] != after[name]} <= {f"{deployed.slug}_bot"}
