"""Networks with addresses known beforehand, and states from before there were any."""

from __future__ import annotations

from typing import Any

import pytest

from provisioning.providers.kinds import KINDS
from provisioning.providers.swarm import network
from provisioning.providers.swarm.network import NetworkArgs
from sprocket_v2.errors import ApplyError

KIND = KINDS["sprocket:swarm:Network"]
LABELS = {"sprocket.org": "demo", "sprocket.component": "networks", "sprocket.resource": "network/entry"}
ENTRY = NetworkArgs("demo_entry", LABELS, internal=True, subnet="198.18.0.16/28")


class Swarm:
    """Holds one network."""

    def __init__(self, found: dict[str, Any] | None = None) -> None:
        self.found = found
        self.made: list[dict[str, Any]] = []

    def find(self, _kind: str, _name: str) -> dict[str, Any] | None:
        return self.found

    def create(self, _kind: str, spec: dict[str, Any]) -> str:
        self.made.append(spec)
        return "n1"


def there(subnet: str | None) -> Any:
    """A swarm that has the network with these addresses; None while Docker has not given it any yet."""
    return Swarm({"Id": "n0", "Internal": True, "Labels": LABELS, "IPAM": {"Config": [{"Subnet": subnet}] if subnet else None}})


def test_it_is_made_with_the_addresses_it_was_asked_for() -> None:
    swarm: Any = Swarm()
    assert network.create(swarm, ENTRY) == "n1"
    assert (swarm.made[0]["Subnet"], swarm.made[0]["Internal"]) == ("198.18.0.16/28", True)


@pytest.mark.parametrize("subnet", ["198.18.0.16/28", None])
def test_ours_is_adopted_and_read_as_it_is(subnet: str | None) -> None:
    assert network.create(there(subnet), ENTRY) == "n0"
    assert network.read(there(subnet), ENTRY) == ("n0", ENTRY)


def test_one_with_other_addresses_is_refused_and_shows_as_drift() -> None:
    with pytest.raises(ApplyError, match=r"with the addresses 10\.0\.7\.0/24, wanted are 198\.18\.0\.16/28"):
        network.create(there("10.0.7.0/24"), ENTRY)
    found = network.read(there("10.0.7.0/24"), ENTRY)
    assert found is not None
    assert found[1].subnet == "10.0.7.0/24"


def test_addresses_docker_chose_are_its_own_affair() -> None:
    plain = NetworkArgs("demo_entry", LABELS, internal=True)
    assert network.read(there("10.0.7.0/24"), plain) == ("n0", plain)


def test_a_state_from_before_there_were_addresses_has_not_changed() -> None:
    old = {"name": "demo_edge", "labels": LABELS, "internal": False}
    assert KIND.changed(old, {**old}) == []
    assert KIND.changed(old, {**old, "subnet": ""}) == []
    assert KIND.changed(old, {**old, "subnet": "198.18.0.16/28"}) == ["subnet"]
