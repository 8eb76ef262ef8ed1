"""Two organizations on one host do not touch each other; a bundle deployed with Docker alone reaches the same verdict."""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from blueprints.rendering import read_bundle
from provisioning.providers.swarm.client import connect
from provisioning.verify import verify
from tests.engine.deployed import SECRETS, ControlPlane

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlPlane, Path]]:
    """A second organization, deployed by its exported bundle and `deploy.sh`, with no control plane running."""
    folder = tmp_path_factory.mktemp("alone")
    plane = ControlPlane(folder / "data")
    bundle = folder / "bundle"
    try:
        plane.set_up()
        plane.ask(
            "newest()\nfrom pathlib import Path\nfrom blueprints.rendering import write_bundle\nwrite_bundle(blueprint_actions.rendering_of_row(blueprint_actions.newest_blueprint(org)), Path(TO)); say(None)",
            TO=str(bundle),
        )
        (bundle / "secrets").mkdir()
        for name, value in SECRETS.items():
            (bundle / "secrets" / name).write_text(value)
        _sh(bundle, "sh fill.sh")
        _sh(bundle, "sh deploy.sh")
        yield plane, bundle
    finally:
        plane.clean_up()


def _sh(folder: Path, command: str) -> str:
    environment = {**os.environ, "DEPLOY_LIMIT_S": "150"}
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def test_the_exported_bundle_reaches_the_same_verdict_with_docker_alone(alone: tuple[ControlPlane, Path]) -> None:
    rendering = read_bundle(alone[1])
    verdict = verify(rendering.blueprint, rendering.lock, connect())
    assert verdict.is_green, [check for check in verdict.checks if check.state != "ok"]


def test_deployed_again_it_changes_nothing(alone: tuple[ControlPlane, Path]) -> None:
    plane, bundle = alone
    before = _containers(plane.slug)
    _sh(bundle, "sh deploy.sh")
    assert _containers(plane.slug) == before


def test_its_secret_files_are_private_and_checked(alone: tuple[ControlPlane, Path]) -> None:
    modes = {path.name: path.stat().st_mode & 0o777 for path in (alone[1] / "secrets").iterdir()}
    assert set(modes.values()) == {0o600}
    assert set(modes) == set(read_bundle(alone[1]).secrets)


def test_every_command_of_the_runbook_works(alone: tuple[ControlPlane, Path]) -> None:
    _, bundle = alone
    blocks = re.findall(r"```sh\n(.*?)```", (bundle / "RUNBOOK.md").read_text(), re.DOTALL)
    commands = [line for block in blocks for line in block.strip().splitlines()]
    assert len(commands) >= 15
    for command in dict.fromkeys(commands):
        _sh(bundle, command)


def test_the_control_plane_takes_over_what_the_bundle_deployed(alone: tuple[ControlPlane, Path]) -> None:
    plane, _ = alone
    before = _containers(plane.slug)
    plane.ask("say(None)")
    plane.start_worker()
    for name in ("db-password", "redis-password", "jwt-secret"):
        value = (alone[1] / "secrets" / name).read_text()
        plane.ask("secret_store.set_secret(org=org, name=NAME, value=VALUE, actor=alice); say(None)", NAME=name, VALUE=value)
    done = plane.wait(plane.asked_to_apply(plane.planned()))
    assert done["state"] == "succeeded", done["error"]
    plane.stop_worker()
    after = _containers(plane.slug)
    assert {name: after[name] for name in ("postgres", "redis")} == {name: before[name] for name in ("postgres", "redis")}


def test_two_organizations_share_nothing_but_the_machine(deployed: ControlPlane, alone: tuple[ControlPlane, Path]) -> None:
    swarm = connect()
    one, two = deployed.slug, alone[0].slug
    objects = {slug: {(item.kind, item.name) for item in swarm.live_objects(slug)} for slug in (one, two)}
    assert not objects[one] & objects[two]
    ports = {slug: {port for s in swarm.live_services(slug) for port in s.published_ports} for slug in (one, two)}
    assert ports[one] and ports[two] and not ports[one] & ports[two]
    addresses = {slug: json.loads(_curl(slug, "api", 3001, "/__standin/deps"))["postgres"] for slug in (one, two)}
    assert addresses[one].startswith("ok") and addresses[two].startswith("ok")
    assert _postgres_container(one) != _postgres_container(two)


def test_one_organizations_password_does_not_open_the_others_database(deployed: ControlPlane, alone: tuple[ControlPlane, Path]) -> None:
    swarm = connect()
    password = (alone[1] / "secrets" / "db-password").read_text()
    command = ["sh", "-c", 'PGPASSWORD="$0" psql -X -w -h postgres -U sprocket -d sprocket -Atc "select 1"', password]
    opened = swarm.run_in(_postgres_container(alone[0].slug), command)
    refused = swarm.run_in(_postgres_container(deployed.slug), command)
    assert opened == (0, "1\n")
    assert refused[0] != 0 and "password authentication failed" in refused[1]


def _containers(slug: str) -> dict[str, list[str]]:
    return {s.name.split("_", 1)[1]: sorted(t.container for t in s.running) for s in connect().live_services(slug) if not s.is_job}


def _postgres_container(slug: str) -> str:
    return _containers(slug)["postgres"][0]


def _curl(slug: str, name: str, port: int, path: str) -> str:
    code, output = connect().run_in(_containers(slug)[name][0], ["curl", f"http://127.0.0.1:{port}{path}"])
    assert code == 0, output
    return output
