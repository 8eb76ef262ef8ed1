"""What a removal takes and leaves, sorted from what is there; and what it did wrong, told from before and after."""

from __future__ import annotations

import pytest

from provisioning.clearing import clear
from provisioning.inventory import Item, counted, known_in, sorted_out, wrong_after
from sprocket_v2.errors import ApplyError
from tests.blueprints.cases import rendering

FOUND = [
    ("volume", "t_data"), ("volume", "t_old_data"), ("service", "t_web"), ("service", "t_stranger"), ("network", "t_net"),
    ("secret", "t_key_v1"), ("config", "t_conf"), ("service", "legacy"),
]  # fmt: skip
KNOWN = frozenset({("volume", "t_data"), ("service", "t_web"), ("network", "t_net"), ("secret", "t_key_v1"), ("service", "legacy")})
ADOPTED = frozenset({("service", "legacy")})


def test_services_go_first_volumes_and_what_others_made_stay_and_orphans_are_told() -> None:
    found = sorted_out(FOUND, KNOWN, ADOPTED)
    assert [item.words for item in found.goes] == [
        "service t_stranger", "service t_web", "network t_net", "config t_conf", "secret t_key_v1",
    ]  # fmt: skip
    assert [item.words for item in found.stays] == ["service legacy", "volume t_data", "volume t_old_data"]
    assert [item.name for item in found.orphans] == ["t_stranger", "t_conf", "t_old_data"]
    assert counted(found.goes) == "2 services, 1 network, 1 config, 1 secret (2 of them no version has)"
    assert counted(()) == "nothing"
    gone = sorted_out(FOUND[:3], frozenset(), frozenset())
    assert [item.name for item in gone.orphans] == ["t_web"], "data that a destroy has kept is no orphan"


def test_a_yes_is_to_exactly_what_was_looked_at() -> None:
    digest = sorted_out(FOUND, KNOWN, ADOPTED).digest
    assert sorted_out(reversed(FOUND), KNOWN, ADOPTED).digest == digest
    assert sorted_out(FOUND[1:], KNOWN, ADOPTED).digest != digest
    assert sorted_out(FOUND, KNOWN | {("service", "t_stranger")}, ADOPTED).digest != digest


def test_what_is_still_there_and_what_was_to_stay_and_is_gone_are_named() -> None:
    before = sorted_out(FOUND, KNOWN, ADOPTED)
    kept = [("volume", "t_data"), ("volume", "t_old_data"), ("service", "legacy")]
    assert wrong_after(before, sorted_out(kept, KNOWN, ADOPTED)) == ()
    after = sorted_out([*kept[1:], ("network", "t_net")], KNOWN, ADOPTED)
    assert wrong_after(before, after) == ("network t_net is still there", "volume t_data was to stay and is gone")


def test_everything_a_bundle_has_is_known() -> None:
    known = known_in(rendering())
    assert {kind for kind, _ in known} == {"service", "network", "volume", "config", "secret"}
    assert ("service", "testers_redis") in known
    assert ("volume", "testers_postgres_data") in known


class _Docker:
    """Refuses each name so many times, as a network whose last task is not gone yet, and still lists it once after that."""

    def __init__(self, refusals: dict[str, int]) -> None:
        self.refusals, self.removed = refusals, list[str]()

    def remove(self, kind: str, name: str) -> None:
        if self.refusals.get(name, 0):
            self.refusals[name] -= 1
            raise ApplyError(f"{name} is in use", hint="wait")
        self.removed.append(f"{kind}/{name}")

    def find(self, kind: str, name: str) -> dict[str, str] | None:
        listed = self.removed.count(f"{kind}/{name}") < (2 if kind == "network" else 1)
        return {"Name": name} if listed else None


def test_what_is_in_use_or_still_listed_is_waited_for_with_a_limit() -> None:
    items, beats = [Item("service", "a"), Item("network", "n")], list[int]()
    docker = _Docker({"n": 2})
    clear(docker, items, beat=lambda: beats.append(1))
    assert (docker.removed, len(beats)) == (["service/a", "network/n", "network/n"], 3)
    with pytest.raises(ApplyError, match="n is in use"):
        clear(_Docker({"n": 9}), items, limit_s=0.0)
    with pytest.raises(ApplyError, match="network n does not go away"):
        clear(_Docker({}), items, limit_s=0.0)
