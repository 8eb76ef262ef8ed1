"""A bundle that shares the host's entry ports works on a machine without an edge and without a control plane, too."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from blueprints.rendering import Rendering, read_bundle
from provisioning.providers.swarm.client import connect
from provisioning.verify import verify
from tests.engine.deployed import SECRETS, ControlPlane

pytestmark = pytest.mark.engine
EXPORT = """
from pathlib import Path
from blueprints.rendering import write_bundle
org_actions.set_needs(org=org, actor=alice, text=NEEDS, message="shared")
newest()
write_bundle(blueprint_actions.rendering_of_row(blueprint_actions.newest_blueprint(org)), Path(TO))
say(None)
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ControlPlane, Path]]:
    """A shared organization's bundle, exported and filled; nothing is deployed yet."""
    folder = tmp_path_factory.mktemp("alone")
    plane, bundle = ControlPlane(folder / "data"), folder / "bundle"
    try:
        plane.set_up()
        plane.ask(EXPORT, TO=str(bundle), NEEDS=plane.needs(**{"access:\n": "access:\n  shared: true\n"}))
        (bundle / "secrets").mkdir()
        for name, value in SECRETS.items():
            (bundle / "secrets" / name).write_text(value)
        _sh(bundle, "sh fill.sh")
        yield plane, bundle
    finally:
        plane.clean_up()


def test_one_line_of_the_runbook_gives_it_entry_ports_of_its_own(alone: tuple[ControlPlane, Path]) -> None:
    plane, bundle = alone
    line = "OWN_PORTS=1 sh deploy.sh"
    assert f"`{line}`" in (bundle / "RUNBOOK.md").read_text()
    _sh(bundle, line)
    assert _published(plane.slug) == [plane.port]
    verdict = verify(_facts(bundle).blueprint, _facts(bundle).lock, connect())
    assert {check.name for check in verdict.checks if check.state != "ok"} == {"route/edge"}


def test_deployed_again_without_it_the_ports_are_given_back(alone: tuple[ControlPlane, Path]) -> None:
    plane, bundle = alone
    _sh(bundle, "sh deploy.sh")
    assert _published(plane.slug) == []


def _facts(bundle: Path) -> Rendering:
    return read_bundle(bundle)


def _published(slug: str) -> list[int]:
    return [port for service in connect().live_services(slug) for port in service.published_ports]


def _sh(folder: Path, command: str) -> None:
    environment = {**os.environ, "DEPLOY_LIMIT_S": "150"}
    done = subprocess.run(
        ["sh", "-c", command], cwd=folder, env=environment, capture_output=True, text=True, timeout=240, check=False, stdin=subprocess.DEVNULL
    )  # fmt: skip
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
