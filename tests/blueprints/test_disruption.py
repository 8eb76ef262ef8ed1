"""What the change of one service costs, and which field causes it."""

from __future__ import annotations

from typing import Any

import pytest

from blueprints.disruption import ServiceEffect, effects_of


def spec(**changes: Any) -> dict[str, Any]:
    """A service as `diff` sees it: a database with a volume, updated stop-first."""
    return {
        "image": "postgres:16.4",
        "environment": {"A": "1"},
        "networks": {"data": {"name": "demo_data"}},
        "volumes": {"data": {"type": "volume", "name": "demo_data", "target": "/data"}, "/tmp": {"type": "tmpfs", "target": "/tmp"}},
        "secrets": {"password": {"name": "demo_password_v1"}},
        "configs": {},
        "deploy": {"kind": "service", "update_config": {"order": "stop-first"}},
        **changes,
    }


def effect(old: dict[str, Any] | None, new: dict[str, Any] | None) -> ServiceEffect:
    [found] = effects_of({"db": old} if old else {}, {"db": new} if new else {})
    return found


START_FIRST = {"kind": "service", "update_config": {"order": "start-first"}}
JOB = {"kind": "job", "update_config": {"order": "stop-first"}}
ELSEWHERE = {"data": {"type": "volume", "name": "demo_other", "target": "/data"}}
CASES: list[tuple[dict[str, Any], str, tuple[str, ...]]] = [
    ({"environment": {"A": "2"}}, "restart", ("environment.A",)),
    ({"image": "postgres:16.5"}, "restart", ("image",)),
    ({"image": "postgres:17.0", "environment": {"A": "2"}}, "data at risk", ("image",)),
    ({"volumes": ELSEWHERE}, "data at risk", ("volumes.data",)),
    ({"volumes": {}}, "data at risk", ("volumes.data",)),
    ({"networks": {"data": {"name": "demo_new"}}, "environment": {}}, "recreate", ("networks.data",)),
    ({"secrets": {"password": {"name": "demo_password_v2"}}}, "restart", ("secrets.password",)),
    ({"deploy": START_FIRST}, "rolling update", ("deploy.update_config.order",)),
]


@pytest.mark.parametrize(("change", "disruption", "because"), CASES)
def test_the_field_that_causes_the_class_is_named(change: dict[str, Any], disruption: str, because: tuple[str, ...]) -> None:
    found = effect(spec(), spec(**change))
    assert (found.disruption, found.because) == (disruption, because)
    assert found.volumes == (("demo_data",) if disruption == "data at risk" else ())


def test_a_new_service_disturbs_nobody_and_one_that_goes_is_taken_down() -> None:
    assert effect(None, spec()) == ServiceEffect("db", "none", ("service",))
    assert effect(spec(), None) == ServiceEffect("db", "recreate", ("service",))


def test_a_job_stops_nothing() -> None:
    assert effect(spec(deploy=JOB), spec(deploy=JOB, image="postgres:17.0")) == ServiceEffect("db", "none", ("image",))
    assert effect(spec(deploy=JOB), None).disruption == "none"


def test_a_service_that_stays_is_not_listed() -> None:
    assert list(effects_of({"db": spec()}, {"db": spec()})) == []
