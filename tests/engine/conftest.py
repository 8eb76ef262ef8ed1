"""The stage of engine tests: one per module, on Docker objects of its own; and which files must not run beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from provisioning.materials import find_engine
from tests.engine.bundles import MOUNTS
from tests.engine.deployed import ControlPlane, deployed_plane
from tests.engine.stage import EngineStage, engine_stage

FOLDER = Path(__file__).parent

# `make test` runs two engine tests at once, since most of the time they wait. A file's tests stay together, and so do these files':
# one deployment is shared by some, and the machine has one port 80, one port 443 and one edge,
# and the names of the older layout are fixed.
TOGETHER = {
    "deployed": ("test_changes", "test_local_additions", "test_neighbours", "test_runs", "test_verify"),
    "machine": ("test_ways_in", "test_edge_routes", "test_shared_edge", "test_shared_bundle_alone", "test_legacy"),
}
_GROUP_OF = {file: group for group, files in TOGETHER.items() for file in files}


@pytest.hookimpl(tryfirst=True)  # before pytest-xdist reads the marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Say which tests belong together; pytest-xdist keeps them on one worker."""
    for item in items:
        if item.path.parent == FOLDER:
            item.add_marker(pytest.mark.xdist_group(_GROUP_OF.get(item.path.stem, item.path.stem)))


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EngineStage]:
    """A stage on which one service, `cache`, runs."""
    with engine_stage(tmp_path_factory.mktemp("stage")) as stage:
        stage.bundle.add("cache", **MOUNTS)
        outcome = stage.run("apply")
        assert outcome.ok, outcome.error
        yield stage


@pytest.fixture
def stage(applied: EngineStage) -> Iterator[EngineStage]:
    """The same, with its bundle put back afterwards."""
    config, services = applied.bundle.config, {name: dict(service) for name, service in applied.bundle.services.items()}
    applied.pulumi = str(find_engine())
    yield applied
    was = (applied.bundle.config, applied.bundle.services)
    applied.bundle.config, applied.bundle.services = config, services
    if was != (config, services):
        outcome = applied.run("apply", request={"holds_lease": True})
        assert outcome.ok, outcome.error


@pytest.fixture(scope="session")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControlPlane]:
    """The six core components, deployed through a worker; shared, so every test leaves it as it was."""
    with deployed_plane(tmp_path_factory.mktemp("plane")) as plane:
        yield plane
