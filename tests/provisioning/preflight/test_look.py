"""The whole look: from needs and secrets to results on the page, in the command, and in the refusal of a plan or an apply."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from typer.testing import CliRunner

from blueprints.actions import draw_newest
from blueprints.models import Blueprint
from orgs import actions as org_actions
from orgs.models import Organization
from provisioning import actions
from provisioning.models import Plan
from provisioning.preflight import network
from provisioning.preflight.look import look
from provisioning.preflight.result import Preflight, Result, gathered, refuse_blocks, without_values
from provisioning.secret_store import set_secret
from provisioning.states import PlanState, RunState
from sprocket_v2.cli.main import app
from sprocket_v2.cli.output import out
from sprocket_v2.errors import PreviewError
from tests.orgs.answers import answers
from tests.provisioning.conftest import Engine
from tests.provisioning.preflight.conftest import PASSWORD, Server, free_port

HOST = {"HTTP_HOST": "localhost"}


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """The peers of these tests are on this machine, where none may be in earnest."""
    monkeypatch.setattr(network, "is_of_this_machine", lambda _address: False)


@pytest.fixture
def managed(demo: Organization, alice: Any, data_dir: Path, postgres: Server, league: str, here: None) -> Organization:
    """The demo organization on an existing database; the password is set."""
    server = {"host": "db.example.org", "port": postgres.port, "name": league, "user": league}
    given = answers(slug="demo", access={"localhost": {"host": "demo.localhost"}}, database={"where": "managed", "managed": server})
    org_actions.set_needs(org=demo, actor=alice, data=given)
    set_secret(org=demo, name="db-password", value=PASSWORD, actor=alice)
    return demo


def of(preflight: Preflight, kind: str) -> dict[str, str]:
    return {r.key.partition("/")[2]: r.state for r in preflight.results if r.key.startswith(f"{kind}/")}


def test_a_fit_database_and_what_is_known_to_bite_are_told_together(managed: Organization, postgres: Server, league: str) -> None:
    found = look(managed, draw_newest(org=managed))
    assert not found.blocks
    assert of(found, "database") == {
        "reach": "pass", "tls": "warn", "sign-in": "pass", "version": "pass", "right-schema": "pass", "right-table": "pass",
        "connections": "pass", "content": "warn",
    }  # fmt: skip
    known = [r for r in found.results if r.key.startswith("known/")]
    assert any("mledb.player" in r.sentence and r.remedy for r in known)
    assert {r.state for r in known} == {"warn", "note"}
    assert "Nothing keeps it from being deployed" in found.words


def test_the_pools_that_are_counted_are_the_blueprints(managed: Organization) -> None:
    facts = draw_newest(org=managed).blueprint["existing"]["database"]
    assert facts["connections"] == {"demo_api": 4, "demo_bot": 2}
    assert "password" not in json.dumps({k: v for k, v in facts.items() if k != "secret"})


def test_a_secret_nobody_set_blocks_and_nobody_is_asked(demo: Organization, alice: Any, data_dir: Path, here: None) -> None:
    given = answers(
        slug="demo", access={"localhost": {"host": "demo.localhost"}}, cache={"where": "existing", "existing": {"host": "redis.example.org"}},
        storage={"where": "existing", "existing": {"host": "s3.example.org", "replays_bucket": "one", "images_bucket": "two"}},
    )  # fmt: skip
    org_actions.set_needs(org=demo, actor=alice, data=given)
    found = look(demo, draw_newest(org=demo))
    assert {r.key for r in found.blocks} == {
        "cache/secret-redis-password", "storage/secret-storage-access-key", "storage/secret-storage-secret-key",
    }  # fmt: skip
    assert all("Secrets page" in r.remedy for r in found.blocks)


def test_redis_and_storage_are_reached_where_the_needs_say(demo: Organization, alice: Any, data_dir: Path, here: None) -> None:
    port = free_port()
    given = answers(
        slug="demo", access={"localhost": {"host": "demo.localhost"}}, features={"notifications": True, "report_cards": True},
        cache={"where": "existing", "existing": {"host": "redis.example.org", "port": port}},
        storage={"where": "existing", "existing": {"host": "s3.example.org", "port": port, "replays_bucket": "one", "images_bucket": "two"}},
    )  # fmt: skip
    org_actions.set_needs(org=demo, actor=alice, data=given)
    for name in ("redis-password", "storage-access-key", "storage-secret-key"):
        set_secret(org=demo, name=name, value="canaryCanaryCanary", actor=alice)
    rendering = draw_newest(org=demo)
    assert rendering.blueprint["existing"]["cache"]["json"] is True
    assert rendering.blueprint["existing"]["storage"]["public_pictures"] is True
    found = look(demo, rendering)
    assert {(r.key, r.field) for r in found.blocks} == {("cache/reach", "cache.existing.port"), ("storage/reach", "storage.existing.port")}
    assert "canaryCanaryCanary" not in repr(found)


def test_without_existing_services_nobody_is_asked(demo: Organization, alice: Any, data_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args: Any, **_more: Any) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr("socket.create_connection", refuse)
    org_actions.set_needs(org=demo, actor=alice, data=answers(slug="demo", access={"localhost": {"host": "demo.localhost"}}))
    found = look(demo, draw_newest(org=demo))
    assert found.results
    assert {r.key.partition("/")[0] for r in found.results} == {"known"}


def test_the_page_looks_when_it_is_asked_and_shows_no_value(
    managed: Organization, postgres: Server, league: str, alice: Any, client: Client
) -> None:
    client.force_login(alice)
    before = client.get("/o/demo/preflight", **HOST).content.decode()
    assert "Not looked yet" in before
    assert f"db.example.org:{postgres.port}" in before
    postgres.run(f"alter database {league} owner to boss; revoke create on schema public from {league}, public", league)
    page = client.post("/o/demo/preflight/look", **HOST).content.decode()
    assert "may not create a schema" in page
    assert f"GRANT CREATE ON DATABASE {league} TO {league};" in page
    assert 'href="/o/demo/needs#q-database-managed-user"' in page
    assert PASSWORD not in page
    assert "Preflight" in client.get("/o/demo/", **HOST).content.decode()


def test_the_page_without_existing_services_tells_what_is_known_at_once(
    demo: Organization, alice: Any, data_dir: Path, client: Client
) -> None:
    client.force_login(alice)
    assert "no needs yet" in client.get("/o/demo/preflight", **HOST).content.decode()
    org_actions.set_needs(org=demo, actor=alice, data=answers(slug="demo", access={"localhost": {"host": "demo.localhost"}}))
    page = client.get("/o/demo/preflight", **HOST).content.decode()
    assert "The database begins empty" in page
    assert "Look now" not in page


def test_a_viewer_reads_and_does_not_look(managed: Organization, django_user_model: Any, client: Client) -> None:
    from orgs.models import Membership

    viewer = django_user_model.objects.create(username="viewer")
    Membership.objects.create(organization=managed, user=viewer, roles=["viewer"])
    client.force_login(viewer)
    assert "Look now" not in client.get("/o/demo/preflight", **HOST).content.decode()
    assert client.post("/o/demo/preflight/look", **HOST).status_code in (403, 404)


def test_the_command_ends_with_one_when_something_blocks(managed: Organization, postgres: Server, league: str) -> None:
    done = CliRunner().invoke(app, ["--json", "preflight", "demo"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["blocked"] is False
    postgres.run(f"alter role {league} connection limit 1")
    done = CliRunner().invoke(app, ["--json", "preflight", "demo"])
    out.json = False
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    [blocking] = [r for r in found["results"] if r["state"] == "block"]
    assert (blocking["key"], blocking["field"]) == ("database/connections", "database.managed.host")
    words = CliRunner().invoke(app, ["preflight", "demo"])
    assert words.exit_code == 1
    assert "Raise max_connections" in words.stdout


def test_a_proposal_is_refused_in_the_words_of_the_preflight_and_no_engine_starts(
    managed: Organization, engine: Engine, postgres: Server, league: str, alice: Any
) -> None:
    from blueprints.actions import make_blueprint

    for name, value in (
        ("discord-client-id", "123456789012345678"),
        ("discord-client-secret", "x" * 20),
        ("bot-token", "local_dev_placeholder"),
    ):
        set_secret(org=managed, name=name, value=value, actor=alice)
    postgres.run("create table public.wp_posts (id int)", league)
    said = look(managed, draw_newest(org=managed)).blocks
    with pytest.raises(PreviewError) as caught:
        actions.propose(org=managed, blueprint=make_blueprint(org=managed, actor=alice), actor=alice)
    assert caught.value.message == said[0].sentence
    assert caught.value.hint == said[0].remedy
    assert caught.value.where == "database.managed.name"
    assert engine.asked == []
    assert not Plan.objects.for_org(managed).exists()


def test_an_apply_is_refused_when_the_database_was_spoiled_since_and_goes_on_when_it_is_mended(
    managed: Organization, engine: Engine, make_blueprint: Callable[..., Blueprint], postgres: Server, league: str, alice: Any
) -> None:
    facts = draw_newest(org=managed).blueprint["existing"]
    secrets = {"db-password": {"title": "Database password", "kind": "supplied", "length": 0, "version": 1, "where_to_get": ""}}
    plan = actions.propose(org=managed, blueprint=make_blueprint(secrets=secrets, says={"existing": facts}), actor=alice)
    plan = actions.approve(plan=plan, actor=alice, reason="a database of tests")
    asked = len(engine.asked)
    postgres.run(f"alter role {league} nologin")
    run = actions.run_here(actions.apply(plan=plan, actor=alice, ring=False))
    assert run.state == RunState.FAILED
    assert run.error is not None
    assert "does not let user" in run.error["message"]
    assert PASSWORD not in json.dumps(run.error)
    assert len(engine.asked) == asked, "the engine was not started"
    plan.refresh_from_db()
    assert plan.state == PlanState.APPROVED
    postgres.run(f"alter role {league} login")
    assert actions.run_here(actions.apply(plan=plan, actor=alice, ring=False)).state == RunState.SUCCEEDED


def test_results_are_in_the_order_people_read_them() -> None:
    found = gathered(
        [Result("b/1", "pass", "x."), Result("a/1", "warn", "x."), Result("b/2", "block", "no.", "do.", "f"), Result("a/2", "pass", "x.")]
    )
    assert [r.key for r in found.results] == ["b/2", "b/1", "a/1", "a/2"]
    with pytest.raises(PreviewError, match="no") as caught:
        refuse_blocks(found)
    assert caught.value.where == "f"
    refuse_blocks(gathered([Result("a/1", "warn", "x.")]))


def test_somebody_elses_words_lose_values_line_breaks_and_length() -> None:
    assert without_values("a\nhunter2hunter2\tb", {"password": "hunter2hunter2"}) == "a [password] b"
    assert len(without_values("x" * 1000, {})) == 300
