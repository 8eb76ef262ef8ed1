"""Runs through a real worker on real Docker: applied and verified, left alone when nothing moved, finished after the worker's death."""

from __future__ import annotations

import signal
import sqlite3
import time
from typing import Any

import pytest

from provisioning import processes
from provisioning.live import live_fingerprint
from provisioning.providers.swarm.client import connect
from tests.engine.deployed import SECRETS, ControlPlane

pytestmark = pytest.mark.engine
CORE = ("postgres", "redis", "api", "bot", "web", "traefik")


def test_the_first_apply_brings_up_six_components_and_says_they_are_usable(deployed: ControlPlane) -> None:
    run = deployed.ask("run = Run.objects.filter(kind='apply').earliest('pk'); say(brief(run))")
    assert run["verdict"]["green"], [check for check in run["verdict"]["checks"] if check["state"] != "ok"]
    events = deployed.ask("say([[e.seq, e.kind, e.resource, e.component] for e in RunEvent.objects.filter(run=ID)])", ID=run["id"])
    done = {resource for _, kind, resource, _ in events if kind == "resource-done"}
    assert {f"service/{name}" for name in CORE} <= done
    assert [seq for seq, *_ in events] == list(range(1, len(events) + 1))
    assert ("service/redis", "redis") in [(resource, component) for *_, resource, component in events]


def test_data_is_healthy_before_jobs_and_jobs_are_finished_before_applications(deployed: ControlPlane) -> None:
    code = "say([[e.kind, e.resource] for e in RunEvent.objects.filter(run=Run.objects.filter(kind='apply').earliest('pk'))])"
    order = [tuple(item) for item in deployed.ask(code)]
    place = order.index
    assert place(("resource-done", "service/postgres")) < place(("resource-pre", "service/postgres_restore"))
    assert place(("resource-done", "service/postgres_restore")) < place(("resource-pre", "service/api_migrate"))
    assert place(("resource-done", "service/api_migrate")) < min(
        place(("resource-pre", f"service/{name}")) for name in ("api", "bot", "web")
    )


def test_a_second_apply_leaves_the_engine_off(deployed: ControlPlane) -> None:
    # Twice, because a test before this one may have ended in a failed apply: after one the control plane trusts nothing it noted.
    code = """
for _ in range(2):
    began = time.monotonic()
    plan = actions.approve(plan=actions.propose(org=org, blueprint=newest(), actor=alice), actor=alice, reason="stand-ins are fine here")
    run = actions.run_here(actions.apply(plan=plan, actor=alice, ring=False))
say({**brief(run), "took": time.monotonic() - began, "said": [e.message for e in run.events.all()], "steps": plan.steps})
"""
    run = deployed.ask(code)
    assert run["state"] == "succeeded"
    assert run["steps"] == []
    assert run["said"] == ["nothing has moved since the last apply: the engine was not needed"]
    assert run["verdict"]["green"]
    assert run["took"] < 2.0


def test_data_written_into_a_volume_is_no_change_to_a_plan(deployed: ControlPlane) -> None:
    [redis] = [service for service in connect().live_services(deployed.slug) if service.name.endswith("_redis")]
    before = live_fingerprint(connect(), deployed.slug)
    time.sleep(1.1)  # Docker tells when its top folder changed, in seconds
    assert connect().run_in(redis.running[0].container, ["sh", "-c", "touch /data/written && rm /data/written"])[0] == 0
    assert live_fingerprint(connect(), deployed.slug) == before


def test_a_preview_that_leaves_no_row_finds_nothing_to_do(deployed: ControlPlane) -> None:
    code = """
rows = lambda: (Run.objects.count(), Plan.objects.count())
before = rows()
result = actions.preview_now(org=org, rendering=blueprint_actions.draw_newest(org=org))
say({"changes": result.changes, "steps": result.steps, "basis": result.basis, "same": rows() == before})
"""
    found = deployed.ask(code)
    assert set(found["changes"]) == {"same"}
    assert (found["steps"], found["basis"], found["same"]) == ([], "live", True)


def test_no_secret_is_in_database_runs_folder_journal_or_state(deployed: ControlPlane) -> None:
    code = "say([secret_store.sealer().open(org.slug, v.secret.name, v.version, v.sealed) for v in SecretVersion.objects.for_org(org)])"
    values = [value for value in deployed.ask(code) if not value.startswith("not-used")]
    values.remove(SECRETS["discord-client-id"])  # a public number, in every sign-in link
    assert {SECRETS["bot-token"], SECRETS["discord-client-secret"]} < set(values)
    text = "\n".join(sqlite3.connect(deployed.data / "db.sqlite3").iterdump())
    text += "".join(path.read_bytes().decode("utf-8", "replace") for path in deployed.data.rglob("*") if path.is_file())
    text += (deployed.data.parent / "worker.log").read_text()
    planted = values[0]
    assert _leaks(values, text) == []
    assert _leaks(values, f"{text} {planted} ") == [planted]


def test_an_apply_goes_on_after_its_whole_worker_was_killed(deployed: ControlPlane) -> None:
    """The worker and its pool are killed in the middle; the engine's child stops by itself, and the next worker does the rest."""
    change = "org_actions.set_needs(org=org, actor=alice, text=NEEDS, message='another prefix')"
    deployed.ask(change, NEEDS=deployed.needs(**{"prefix: s.": "prefix: t."}))
    run_id = deployed.asked_to_apply(deployed.planned())
    running = _until_engine_works(deployed, run_id)
    deployed.stop_worker(signal.SIGKILL)
    limit = time.monotonic() + 60
    while processes.members_of(running["pid"], running["mark"]):
        assert time.monotonic() < limit, "the engine's child outlived its parent"
        time.sleep(0.2)
    assert deployed.ask("say(brief(Run.objects.get(pk=ID)))", ID=run_id)["state"] == "running"
    deployed.ask("from django.utils import timezone; StackLease.objects.update(expires=timezone.now())")  # 45 s have passed
    deployed.start_worker()
    done = deployed.wait(run_id)
    assert (done["state"], done["deliveries"]) == ("succeeded", 2), done["error"]
    assert done["verdict"]["green"]
    deployed.ask(change, NEEDS=deployed.needs())
    assert deployed.wait(deployed.asked_to_apply(deployed.planned()))["state"] == "succeeded"


def test_a_missing_secret_is_named_before_anything_starts(deployed: ControlPlane) -> None:
    code = """
from provisioning.secret_store import missing_secrets, wanted_secrets
from provisioning.models import Secret
from django.db import transaction
with transaction.atomic():
    Secret.objects.for_org(org).filter(name="bot-token").delete()
    try: actions.propose(org=org, blueprint=newest(), actor=alice); said = ""
    except Exception as error: said = error.message + error.hint
    transaction.set_rollback(True)
say(said)
"""
    said = deployed.ask(code)
    assert "1 secret is missing: bot-token" in said
    assert f"sprocket secret set {deployed.slug} bot-token" in said


def _until_engine_works(plane: ControlPlane, run_id: int) -> dict[str, Any]:
    code = """
limit = time.monotonic() + 60
while not RunEvent.objects.filter(run=ID, kind="resource-pre").exists() and time.monotonic() < limit: time.sleep(0.02)
say(brief(Run.objects.get(pk=ID)))
"""
    found: dict[str, Any] = plane.ask(code, ID=run_id)
    assert found["state"] == "running", found
    return found


def _leaks(values: list[str], text: str) -> list[str]:
    return [value for value in values if value in text]
