"""Engine operations with the real engine on real Docker: what was approved is applied, polite stops, kills, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from provisioning import processes
from provisioning.operations import Spare
from provisioning.providers.swarm.client import connect
from provisioning.state import canonical_digest, stored_digest
from tests.engine.bundles import NEVER_HEALTHY, SLEEP
from tests.engine.stage import PASSPHRASE, SECRET, EngineStage

pytestmark = pytest.mark.engine


def test_a_second_preview_changes_nothing_and_takes_two_processes(stage: EngineStage, tmp_path: Path) -> None:
    log = _counting(stage, tmp_path)
    outcome = stage.run("preview")
    assert outcome.ok
    assert outcome.changes == {"same": 4}
    assert outcome.steps == ()
    assert sorted(_calls(log)) == ["preview", "stack export"]


def test_a_second_apply_changes_nothing_and_takes_three_processes(stage: EngineStage, tmp_path: Path) -> None:
    log = _counting(stage, tmp_path)
    before = [service.version for service in connect().live_services(stage.slug)]
    outcome = stage.run("apply")
    assert outcome.changes == {"same": 4}
    assert _calls(log) == ["stack export", "up", "stack export"]
    assert [service.version for service in connect().live_services(stage.slug)] == before


def test_the_digest_of_the_export_is_that_of_the_state_file(stage: EngineStage) -> None:
    outcome = stage.run("preview")
    assert outcome.state_digest == stored_digest(stage.state_url, "sprocket", stage.slug) == canonical_digest(stage.state())


def test_a_preview_says_what_changes_and_why(stage: EngineStage) -> None:
    stage.bundle.config = "greeting = good evening\n"
    steps = {step["resource"]: step for step in stage.run("preview").steps}
    assert {name: step["op"] for name, step in steps.items()} == {"config/app": "replace", "service/cache": "update"}
    assert "data" in steps["config/app"]["reasons"]
    assert steps["service/cache"]["component"] == "cache"
    assert any(field.startswith("configs") for field in steps["service/cache"]["fields"])


def test_it_applies_what_was_approved_and_refuses_anything_else(stage: EngineStage, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    approved = stage.run("preview", request={"plan_out": str(plan)})
    stage.bundle.config = "greeting = changed after the approval\n"
    refused = stage.run("apply", request={"plan_in": str(plan), "expected_state_digest": approved.state_digest})
    assert not refused.ok
    assert refused.error is not None
    assert refused.error["kind"] == "stale"
    assert not any("changed" in item.name for item in connect().live_objects(stage.slug))


def test_it_refuses_when_the_state_moved_after_the_approval(stage: EngineStage, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    stage.bundle.config = "greeting = new\n"
    approved = stage.run("preview", request={"plan_out": str(plan)})
    assert stage.run("apply", request={"plan_in": str(plan), "expected_state_digest": approved.state_digest}).ok
    refused = stage.run("apply", request={"plan_in": str(plan), "expected_state_digest": approved.state_digest})
    assert refused.error is not None
    assert (refused.error["kind"], refused.error["message"]) == ("stale", "plan is stale: the engine's state moved")


def test_a_failing_service_is_reported_with_its_masked_lines_and_a_hint(stage: EngineStage) -> None:
    stage.bundle.services["cache"]["command"] = ["sh", "-c", f"echo my key is {SECRET}; exit 3"]
    outcome = stage.run("apply")
    assert outcome.error is not None
    assert outcome.error["where"] == "service/cache"
    assert "my key is" in outcome.error["message"]
    assert "rolled back" in outcome.error["message"]
    assert outcome.error["hint"]
    said = outcome.error["message"] + outcome.error["hint"]
    assert SECRET not in said
    assert "Traceback" not in said
    assert "  File " not in said


def test_no_secret_is_in_state_journal_processes_or_environments(stage: EngineStage) -> None:
    seen: list[bytes] = []
    stage.bundle.add("slow", command=SLEEP, deadline_s=3, healthcheck=NEVER_HEALTHY)

    def look() -> bool:
        for pid in stage.leftovers():
            for name in ("environ", "cmdline"):
                try:
                    seen.append(Path(f"/proc/{pid}/{name}").read_bytes())
                except OSError:
                    continue
        return False

    stage.run("apply", should_stop=look)
    text = b"".join(seen).decode("utf-8", "replace")
    assert "PULUMI_CONFIG_PASSPHRASE_FILE" in text
    for value in (SECRET, PASSPHRASE):
        assert value not in text
        assert value not in stage.written()
    assert not (stage.run_dir / "passphrase").exists()
    assert sorted(path.name for path in stage.run_dir.iterdir()) == ["journal.jsonl", "state-after.json", "state-before.json"]


def test_a_cancel_lets_the_step_in_hand_finish_and_leaves_no_lock(stage: EngineStage) -> None:
    stage.bundle.add("slow", command=SLEEP, deadline_s=5, healthcheck=NEVER_HEALTHY)
    stage.bundle.add("after", stage="edge")
    outcome = stage.run("apply", should_stop=lambda: any(e.resource == "service/slow" for e in stage.events))
    assert outcome.error is not None
    assert outcome.error["kind"] == "cancelled"
    assert outcome.has_result
    assert outcome.state_digest == stored_digest(stage.state_url, "sprocket", stage.slug)
    assert not any(event.resource == "service/after" and event.kind == "resource-pre" for event in stage.events)
    assert stage.leftovers() == []
    assert stage.run("preview").ok


def test_after_a_kill_nothing_lives_and_who_holds_the_lease_unlocks_and_adopts(stage: EngineStage) -> None:
    stage.bundle.add("doomed", command=SLEEP, deadline_s=60, healthcheck=NEVER_HEALTHY)
    stage.events = []

    def kill() -> None:
        stage.wait_for("service/doomed")
        stage.wait_for_service("doomed")  # the step is announced before the service exists
        os.kill(stage.group[0], signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    outcome = stage.run("apply")
    killer.join()
    assert outcome.error is not None
    assert (outcome.error["kind"], outcome.has_result) == ("died", False)
    assert stage.leftovers() == []
    [made] = [service.id for service in connect().live_services(stage.slug) if service.name.endswith("_doomed")]
    del stage.bundle.services["doomed"]["healthcheck"]
    without = stage.run("apply")
    assert without.error is not None
    assert without.error["kind"] == "conflict"
    assert stage.run("apply", request={"holds_lease": True}).ok
    adopted = [service.id for service in connect().live_services(stage.slug) if service.name.endswith("_doomed")]
    assert adopted == [made]


PARENT = """
import json, sys
from provisioning import operations
request = operations.Request(**json.load(open(sys.argv[1])))
tell = lambda pid, started, mark: print(pid, mark, flush=True)
operations.run_operation(request, on_event=lambda event: print(event.resource, flush=True), deadline_s=120, on_start=tell)
"""


def test_the_engine_stops_politely_when_its_parent_is_killed(stage: EngineStage, tmp_path: Path) -> None:
    stage.bundle.add("slow", command=SLEEP, deadline_s=5, healthcheck=NEVER_HEALTHY)
    file = tmp_path / "request.json"
    file.write_text(stage.request("apply").line())
    root = Path(__file__).resolve().parents[2]
    parent = subprocess.Popen([sys.executable, "-c", PARENT, str(file)], cwd=root, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, mark = parent.stdout.readline().split()
    for line in parent.stdout:
        if line.strip() == "service/slow":
            break
    parent.kill()
    parent.wait()
    limit = time.monotonic() + 40
    while processes.members_of(int(pid), mark):
        assert time.monotonic() < limit, "the engine went on without anybody following it"
        time.sleep(0.2)
    assert stage.run("preview").ok


def test_without_docker_a_preview_is_made_against_an_empty_host(stage: EngineStage, tmp_path: Path) -> None:
    elsewhere, stage.folder = stage.folder, tmp_path
    (tmp_path / "state").mkdir()
    try:
        outcome = stage.run("preview", request={"basis": "empty-host", "docker_host": "unix:///nonexistent/docker.sock"})
    finally:
        stage.folder = elsewhere
    assert outcome.ok, outcome.error
    assert outcome.changes == {"create": 4}


def test_a_spare_child_does_a_whole_operation(stage: EngineStage) -> None:
    spare = Spare()
    spare.refill()
    try:
        assert stage.run("preview", spare=spare).ok
        assert stage.leftovers() == []
    finally:
        spare.drop()


def test_a_refresh_sees_a_service_that_was_removed_by_hand(stage: EngineStage) -> None:
    connect().remove("service", f"{stage.slug}_cache")
    assert stage.run("refresh").ok
    outcome = stage.run("preview")
    assert {step["resource"]: step["op"] for step in outcome.steps} == {"service/cache": "create"}
    assert stage.run("apply").ok


def test_a_destroy_removes_everything(stage: EngineStage) -> None:
    assert stage.run("destroy").changes == {"delete": 4}
    assert list(connect().live_services(stage.slug)) == []
    assert list(connect().live_objects(stage.slug)) == []
    assert stage.run("apply").ok


def _counting(stage: EngineStage, folder: Path) -> Path:
    """Put a script that writes down each call in front of the engine's CLI."""
    log, shim = folder / "calls", folder / "pulumi"
    real = shutil.which(stage.pulumi) or stage.pulumi
    shim.write_text(f'#!/bin/sh\necho "$@" >> "{log}"\nexec "{real}" "$@"\n')
    shim.chmod(0o755)
    stage.pulumi = str(shim)
    return log


def _calls(log: Path) -> list[str]:
    lines = [line.removeprefix("--non-interactive ") for line in log.read_text().splitlines()]
    return [" ".join(line.split()[: 2 if line.startswith("stack") else 1]) for line in lines]
