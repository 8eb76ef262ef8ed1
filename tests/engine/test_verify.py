"""Verify on a real deployment: it is green as it is, and says so when something is broken on purpose."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from provisioning.providers.swarm.client import connect
from tests.engine.deployed import ControlPlane

pytestmark = pytest.mark.engine


def _verdict(plane: ControlPlane) -> dict[str, Any]:
    found: dict[str, Any] = plane.ask("say(actions.verify_now(org=org).as_dict())")
    return found


def _check(verdict: dict[str, Any], name: str) -> dict[str, Any]:
    [check] = [check for check in verdict["checks"] if check["name"] == name]
    found: dict[str, Any] = check
    return found


def _container(plane: ControlPlane, component: str) -> str:
    [service] = [service for service in connect().live_services(plane.slug) if service.name == f"{plane.slug}_{component}"]
    return service.running[0].container


def _sql(plane: ControlPlane, *statements: str) -> str:
    command = ["psql", "-X", "-q", "-U", "sprocket", "-d", "sprocket", *[word for text in statements for word in ("-c", text)]]
    code, output = connect().run_in(_container(plane, "postgres"), command)
    assert code == 0, output
    return output


@contextmanager
def _scaled(name: str, replicas: int) -> Iterator[None]:
    def scale(count: int) -> None:
        subprocess.run(["docker", "service", "scale", f"{name}={count}"], check=True, capture_output=True, timeout=90)

    scale(replicas)
    try:
        yield
    finally:
        scale(1)


def test_what_was_deployed_is_green_in_every_check(deployed: ControlPlane) -> None:
    verdict = _verdict(deployed)
    assert [check for check in verdict["checks"] if check["state"] != "ok"] == []
    assert (verdict["runs"]["text"], verdict["usable"]["text"]) == ("runs", "usable")
    names = {check["name"] for check in verdict["checks"]}
    assert {
        "route/web/sign-in",
        "route/api/graphql",
        "route/api/cors-foreign",
        "inside/web-api",
        "bot",
        "closed/postgres",
        "usable/sign-in",
    } <= names


def test_it_changes_nothing(deployed: ControlPlane) -> None:
    before = (
        [(s.name, s.version) for s in connect().live_services(deployed.slug)],
        _sql(deployed, "select count(*) from sprocket.organization"),
    )
    _verdict(deployed)
    after = (
        [(s.name, s.version) for s in connect().live_services(deployed.slug)],
        _sql(deployed, "select count(*) from sprocket.organization"),
    )
    assert before == after


def test_it_finds_a_bot_that_was_scaled_to_nothing(deployed: ControlPlane) -> None:
    name = f"{deployed.slug}_bot"
    with _scaled(name, 0):
        verdict = _verdict(deployed)
    assert _check(verdict, f"service/{name}")["detail"] == "somebody scaled it to nothing"
    assert (_check(verdict, "bot")["state"], verdict["runs"]["state"], verdict["green"]) == ("skipped", "failed", False)


def test_it_finds_an_api_that_is_away(deployed: ControlPlane) -> None:
    with _scaled(f"{deployed.slug}_api", 0):
        verdict = _verdict(deployed)
    assert not verdict["green"]
    assert _check(verdict, "route/api/health")["state"] == "failed"
    assert verdict["usable"]["text"] == "not usable while it does not run"


def test_a_database_nobody_can_sign_in_to_is_not_plain_green(deployed: ControlPlane) -> None:
    _sql(
        deployed,
        "create table public.kept as select * from mledb.player",
        'create table public.kept_users as select * from sprocket."user"',
    )
    _sql(deployed, "delete from mledb.player", 'delete from sprocket."user"')
    try:
        verdict = _verdict(deployed)
    finally:
        _sql(deployed, "insert into mledb.player select * from public.kept", 'insert into sprocket."user" select * from public.kept_users')
        _sql(deployed, "drop table public.kept", "drop table public.kept_users")
    assert (verdict["runs"]["state"], verdict["usable"]["state"], verdict["green"]) == ("ok", "warning", False)
    assert "nobody can sign in" in verdict["usable"]["text"]
