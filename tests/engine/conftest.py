"""The stage of engine tests: one per module, on Docker objects of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from provisioning.materials import find_engine
from tests.engine.bundles import MOUNTS
from tests.engine.deployed import ControlPlane, deployed_plane
from tests.engine.stage import EngineStage, engine_stage


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
