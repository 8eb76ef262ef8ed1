"""Which engine tests must not run beside each other; `make test` loads this as a plug-in and runs two groups at once.

pytest-xdist's own marks (`--dist loadgroup`) do nothing with pytest 9.2: they change a node's id, which cannot be changed any more.
"""

from __future__ import annotations

from pathlib import PurePosixPath

import pytest
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

# Most of the time an engine test waits. A file's tests stay together, and so do these files': one deployment is shared by some,
# and the machine has one port 80, one port 443 and one edge, and the names of the older layout are fixed.
TOGETHER = {
    "deployed": ("test_changes", "test_local_additions", "test_neighbours", "test_runs", "test_verify"),
    "machine": ("test_ways_in", "test_edge_routes", "test_shared_edge", "test_shared_bundle_alone", "test_legacy"),
}
_GROUP_OF = {file: group for group, files in TOGETHER.items() for file in files}


def group_of(nodeid: str) -> str:
    """The group of a test by its node id: `tests/engine/test_runs.py::test_a[b]` -> `deployed`."""
    file = PurePosixPath(nodeid.partition("::")[0]).stem
    return _GROUP_OF.get(file, file)


class ByGroup(LoadScopeScheduling):
    """One group's tests on one worker, in their order; the largest groups first."""

    def _split_scope(self, nodeid: str) -> str:
        return group_of(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """pytest-xdist's hook."""
    return ByGroup(config, log)
