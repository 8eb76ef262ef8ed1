"""The checks on a real deployment and a real machine: what they ask gets true answers, and what is broken on purpose is found."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blueprints.checks.facts import Running
from blueprints.checks.registry import failed, run_checks
from blueprints.compose import Mount
from provisioning.checks.target import target_of
from provisioning.providers.swarm.client import connect
from tests.blueprints.checks.estates import port, service, subject
from tests.engine.deployed import ROOT, ControlPlane

pytestmark = [pytest.mark.engine, pytest.mark.timeout(600)]
OPENBAO = "features:\n  secret_server: true\n"


@pytest.fixture(scope="module")
def plane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The demo's league with a secret server of its own."""
    made = ControlPlane(tmp_path_factory.mktemp("checks") / "data")
    try:
        made.set_up()
        made.ask("org_actions.set_needs(org=org, actor=alice, text=TEXT); say(None)", TEXT=made.needs() + OPENBAO)
        made.start_worker()
        done = made.wait(made.asked_to_apply(made.planned()))
        assert done["state"] == "succeeded", done["error"]
        yield made
    finally:
        made.clean_up()


def _check(plane: ControlPlane, *options: str, code: int = 1) -> dict[str, Any]:
    """The rules by id, as the command prints them."""
    command = [sys.executable, "-m", "sprocket_v2.cli.main", "check", plane.slug, *options, "--json"]
    done = subprocess.run(command, env=plane.environment, cwd=ROOT, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout[-3000:]}\n{done.stderr}"
    return {rule["id"]: rule for rule in json.loads(done.stdout)["rules"]}


def _said(rule: dict[str, Any]) -> list[str]:
    return [f"{found['where']}: {found['what']}" for found in rule["found"]]


def _in(plane: ControlPlane, component: str, *command: str) -> str:
    [live] = [found for found in connect().live_services(plane.slug) if found.name == f"{plane.slug}_{component}"]
    _, output = connect().run_in(live.running[0].container, command, timeout_s=30)
    return output


def test_what_runs_as_it_should_fails_nothing_but_what_is_true_of_it(plane: ControlPlane) -> None:
    rules = _check(plane, "--target", "--probe")
    assert {name: _said(rule) for name, rule in rules.items() if rule["state"] == "failed"} == {
        "I01-rebuild-is-rehearsed": [f"{plane.slug}: it was never brought back from a backup, not even beside the real one"],
        "I02-open-after-restart": [f"{plane.slug}_openbao: was never initialised: nothing can be kept in it"],
        "I40-two-people": ["people: only alice may apply"],
    }
    passed = {name for name, rule in rules.items() if rule["state"] == "passed"}
    assert {
        "I09-way-answers",
        "I10-service-beside-the-plan",
        "I14-port-opens",
        "I15-restarts-are-few",
        "I30-setting-takes-effect",
    } <= passed
    assert {"I08-memory-fits", "I15-disk-has-room", "I33-port-is-free", "I23-value-is-there", "I13-secret-values", "I36-masking"} <= passed
    assert not [name for name, rule in rules.items() if rule["state"] == "not asked"]


def test_a_restore_that_was_tried_answers_the_first_rule(plane: ControlPlane) -> None:
    code = "from provisioning import backup_actions as b\nb.take(org=org, actor=alice)\nb.restore_to_scratch(org=org, name='newest', actor=alice)\nsay(None)"
    plane.ask(code)
    assert _check(plane, code=0)["I01-rebuild-is-rehearsed"]["state"] == "passed"


def test_what_is_broken_by_hand_is_found_where_it_is(plane: ControlPlane) -> None:
    orphan = f"{plane.slug}_web-old"
    make = [
        "docker",
        "service",
        "create",
        "--detach",
        "--name",
        orphan,
        "--label",
        f"sprocket.org={plane.slug}",
        "--endpoint-mode",
        "dnsrr",
    ]
    subprocess.run([*make, "redis:7.0-bookworm"], check=True, capture_output=True, timeout=60)
    password = 'export REDISCLI_AUTH="$(cat /run/secrets/redis-password)"; redis-cli config set maxmemory '
    try:
        _in(plane, "redis", "sh", "-c", f"{password}1mb")
        rules = _check(plane, "--probe")
        assert _said(rules["I10-service-beside-the-plan"]) == [f"{orphan}: runs, and is in no blueprint"]
        [line] = _said(rules["I30-setting-takes-effect"])
        assert line.startswith(f"{plane.slug}_redis maxmemory: the file says ")
        assert line.endswith("the server 1048576")
    finally:
        subprocess.run(["docker", "service", "rm", orphan], check=False, capture_output=True, timeout=60)
        _in(plane, "redis", "sh", "-c", f"{password}85mb")


def test_a_secret_store_that_is_restarted_is_sealed_again_which_is_what_once_took_three_days(plane: ControlPlane) -> None:
    made = json.loads(_in(plane, "openbao", "bao", "operator", "init", "-key-shares=1", "-key-threshold=1", "-format=json"))
    key = made["unseal_keys_b64"][0]
    _in(plane, "openbao", "bao", "operator", "unseal", key)
    assert _check(plane, "--probe", code=0)["I02-open-after-restart"]["state"] == "passed"
    rules = _check(plane, "--probe", "--restart-secret-store", "15")
    assert _said(rules["I02-open-after-restart"]) == [f"{plane.slug}_openbao: is sealed after its restart"]


def test_a_real_node_is_asked_for_what_a_service_wants_of_it() -> None:
    with tempfile.TemporaryDirectory() as folder:
        mounts = (Mount("bind", folder, "/a"), Mount("bind", str(Path(folder) / "gone"), "/b"))
        wanted = subject(
            service("here", constraints=("node.role==manager",), mounts=mounts, memory_bytes=1024**2, ports=(port(59371),)),
            service("nowhere", constraints=("node.labels.role==storage-of-nobody",), memory_bytes=1024**2),
        )
        outcomes = run_checks(replace(wanted, target=target_of(connect(), wanted), running=Running()))
    said = {o.rule.id: [found.where for found in o.found] for o in failed(outcomes) if o.rule.kind == "preflight"}
    assert said["I32-node-for-every-service"] == ["nowhere"]
    assert said["I31-path-is-there"] == [str(Path(folder) / "gone")]
    assert not {"I33-port-is-free", "I08-memory-fits"} & set(said)
