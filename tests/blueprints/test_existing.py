"""What a deployment leans on outside, as blueprint.json says it to the preflight: in every generation, and only what something uses."""

from __future__ import annotations

from typing import Any

import pytest

from blueprints.existing import existing_data
from tests.blueprints.cases import resolution

OUTSIDE: dict[str, Any] = {
    "database": {"where": "managed", "managed": {"host": "db.example.org", "name": "league", "user": "league"}},
    "cache": {"where": "existing", "existing": {"host": "redis.example.org"}},
    "storage": {"where": "existing", "existing": {"host": "s3.example.org", "replays_bucket": "one", "images_bucket": "two"}},
}


def test_nothing_is_outside_by_default() -> None:
    assert existing_data(resolution()) == {}


@pytest.mark.parametrize("profile", ["v2", "v2-monolith"])
@pytest.mark.parametrize("wanted", [True, False])
def test_demands_follow_from_the_roles_whichever_component_plays_them(profile: str, wanted: bool) -> None:
    features = {"notifications": wanted, "report_cards": wanted}
    found = existing_data(resolution(profile=profile, features=features, **OUTSIDE))
    assert set(found) == {"database", "cache", "storage"}
    assert found["cache"]["json"] is wanted
    assert found["storage"]["public_pictures"] is wanted


def test_a_generation_without_redis_asks_nothing_of_one() -> None:
    assert set(existing_data(resolution(profile="v2-bun", **OUTSIDE))) == {"database"}


def test_pools_are_counted_by_what_keeps_them_and_jobs_are_over() -> None:
    found = existing_data(resolution(expected_members=6000, features={"scrims": True}, **OUTSIDE))["database"]["connections"]
    assert found == {"testers_api": 10, "testers_bot": 5, "testers_matchmaking": 5}
    assert existing_data(resolution(profile="v2-monolith", **OUTSIDE))["database"]["connections"] == {"testers_monolith": 4}
