"""What an engine's failure is called; the engine itself is tested in tests/engine."""

from __future__ import annotations

import pytest
from pulumi.automation import CommandResult
from pulumi.automation.errors import CommandError

from provisioning.stacks import failure_of

FAILED = CommandError(CommandResult(stdout="", stderr="error: update failed", code=255))


@pytest.mark.parametrize(
    "text", ["error reading from server: EOF", "transport: Error while dialing: dial tcp 127.0.0.1:1: connect: refused"]
)
def test_a_provider_that_is_gone_is_nobodys_mistake(text: str) -> None:
    error = failure_of(FAILED, [("service/redis", text)])
    assert (error["kind"], error["where"]) == ("died", "service/redis")
    assert error["message"] == "the provider's process ended while it worked"


def test_dockers_own_broken_connections_are_told_as_dockers() -> None:
    text = "creating service demo_redis: Docker says rpc error: error reading from server: EOF\nhint: `sprocket doctor` checks the engine"
    error = failure_of(FAILED, [("service/redis", text)])
    assert error["kind"] == "failed"
    assert error["hint"] == "`sprocket doctor` checks the engine"
