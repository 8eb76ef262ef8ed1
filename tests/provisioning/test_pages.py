"""The pages about making it real: empty states, secrets that never come out, plans, and a run's stream."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from blueprints.actions import make_blueprint
from orgs import actions as org_actions
from orgs.models import Organization
from provisioning.host_edge.effects import joining
from provisioning.models import Plan, Run, RunEvent, SecretVersion, StackState
from provisioning.secret_store import stack_state
from provisioning.stream import _events

HOST = {"HTTP_HOST": "localhost"}
DEMO = (Path(__file__).resolve().parents[2] / "orgs" / "demo.yaml").read_text()


@pytest.fixture
def with_needs(demo: Organization, alice: Any, client: Client) -> Organization:
    """The demo organization with its needs; Alice is signed in."""
    org_actions.attach(org=demo, name="demo-schema.sql", content=b"select 1;\n", actor=alice)
    org_actions.set_needs(org=demo, actor=alice, text=DEMO)
    client.force_login(alice)
    return demo


def test_empty_states_say_what_to_do_next(db: None, django_user_model: Any, client: Client) -> None:
    client.force_login(django_user_model.objects.create(username="nobody"))
    text = client.get("/", **HOST).content.decode()
    assert "No organization yet" in text
    assert "Create the first one" in text


def test_the_next_thing_to_do_follows_from_what_is_there(demo: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    assert "Answer the questions" in client.get("/o/demo/", **HOST).content.decode()
    org_actions.attach(org=demo, name="demo-schema.sql", content=b"select 1;\n", actor=alice)
    org_actions.set_needs(org=demo, actor=alice, text=DEMO)
    assert "Bring what only you can get: Discord bot token" in client.get("/o/demo/", **HOST).content.decode()


def test_a_secret_goes_in_and_never_comes_out(with_needs: Organization, client: Client) -> None:
    value = "canary-client-secret-value"
    answer = client.post("/o/demo/secrets/set", {"name": "discord-client-secret", "value": value}, follow=True, **HOST)
    assert "is set (version 1)" in answer.content.decode()
    assert SecretVersion.objects.for_org(with_needs).count() == 1
    for path in ("", "secrets", "needs", "people", "runs"):
        assert value not in client.get(f"/o/demo/{path}", **HOST).content.decode()


def test_a_secret_of_the_wrong_form_is_refused_and_not_shown(with_needs: Organization, client: Client) -> None:
    for value in ("short", "not a snowflake at all"):
        answer = client.post("/o/demo/secrets/set", {"name": "discord-client-id", "value": value}, **HOST)
        assert answer.status_code == 422
        assert value not in answer.content.decode()
    assert not SecretVersion.objects.exists()


def test_a_secret_nobody_needs_is_404(with_needs: Organization, client: Client) -> None:
    assert client.post("/o/demo/secrets/set", {"name": "nonsense", "value": "x" * 20}, **HOST).status_code == 404


def _run(org: Organization, state: str = "running") -> Run:
    run = Run.objects.create(organization=org, number=7, kind="apply", state=state, started=timezone.now())
    for seq, (kind, resource, op) in enumerate(
        [
            ("resource-pre", "service/redis", "create"),
            ("resource-done", "service/redis", "create"),
            ("resource-pre", "service/api", "create"),
        ],
        1,
    ):
        RunEvent.objects.create(organization=org, run=run, seq=seq, at=timezone.now(), kind=kind, resource=resource, op=op)
    return run


def test_a_running_run_is_followed_and_each_resource_has_its_latest_word(with_needs: Organization, client: Client) -> None:
    _run(with_needs)
    text = client.get("/o/demo/runs/7", **HOST).content.decode()
    assert 'sse-connect="/o/demo/runs/7/events"' in text
    assert text.count("service/redis") == 1
    assert "is-done" in text
    assert "is-working" in text


def test_a_failed_run_says_what_and_what_to_do(with_needs: Organization, client: Client) -> None:
    run = _run(with_needs, "failed")
    Run.objects.filter(pk=run.pk).update(
        error={"message": "port 8080 is taken", "hint": "choose another", "where": "demo_traefik"}, finished=timezone.now()
    )
    text = client.get("/o/demo/runs/7", **HOST).content.decode()
    for words in ("port 8080 is taken", "choose another", "demo_traefik"):
        assert words in text
    assert "sse-connect" not in text


@pytest.mark.django_db(transaction=True)
def test_the_stream_begins_where_the_browser_stopped_and_ends_with_the_run(demo: Organization) -> None:
    run = _run(demo, "succeeded")

    async def read(seen: int) -> list[bytes]:
        return [message async for message in _events(run.pk, demo, seen)]

    whole = asyncio.run(read(0))
    assert [line for message in whole for line in message.split(b"\n") if line.startswith((b"id:", b"event:"))] == [
        b"id: 3",
        b"event: state",
        b"id: 3",
        b"event: done",
    ]
    assert b"service/api" in whole[0]
    assert asyncio.run(read(3))[-1].startswith(b"id: 3\nevent: done")


def test_removing_a_deployment_needs_its_slug(with_needs: Organization, client: Client) -> None:
    answer = client.post("/o/demo/destroy", {"slug": "dem"}, follow=True, **HOST)
    assert "not confirmed" in answer.content.decode()
    assert not Run.objects.exists()


def test_the_organizations_page_says_how_old_the_newest_backup_is(with_needs: Organization, alice: Any, client: Client) -> None:
    def page() -> str:
        return " ".join(client.get("/o/demo/", **HOST).content.decode().split())

    assert "Backups" not in page()
    applied = make_blueprint(org=with_needs, actor=alice)
    stack_state(with_needs)
    states = StackState.objects.for_org(with_needs)
    states.update(applied_blueprint=applied)
    assert "No backup has been seen yet. The first is made right after the start, then one every night at 4:00 UTC." in page()
    now = timezone.now()
    name = f"{now - timedelta(hours=5):%Y%m%dT%H%M%SZ}"
    states.update(backups={"name": name, "bytes": 3 * 2**20, "seen": now.isoformat()})
    assert "5 hours old, 3.0 MiB" in page()
    assert f"sprocket restore demo {name} --to scratch" in page()
    assert "too old" not in page()
    states.update(backups={"name": f"{now - timedelta(days=3):%Y%m%dT%H%M%SZ}", "bytes": 1, "seen": now.isoformat()})
    assert "The newest backup is 3 days old, which is too old." in page()


def test_the_organizations_page_says_that_it_shares_the_entry_ports(with_needs: Organization, alice: Any, client: Client) -> None:
    words = "shared with other organizations on this host"
    for needs, says in ((DEMO, False), (DEMO.replace("access:\n", "access:\n  shared: true\n"), True)):
        org_actions.set_needs(org=with_needs, actor=alice, text=needs)
        stack_state(with_needs)
        StackState.objects.for_org(with_needs).update(applied_blueprint=make_blueprint(org=with_needs, actor=alice))
        assert (words in client.get("/o/demo/", **HOST).content.decode()) is says


def test_a_plan_of_several_stacks_is_shown_layer_by_layer(with_needs: Organization, alice: Any, client: Client) -> None:
    blueprint = make_blueprint(org=with_needs, actor=alice)
    steps = [
        {"resource": f"{layer}/service/{name}", "layer": layer, "op": "create", "fields": [], "reasons": []}
        for layer, name in (("layer_1", "traefik"), ("layer_1", "vault"), ("platform", "web"))
    ]
    Plan.objects.create(organization=with_needs, number=1, blueprint=blueprint, steps=steps)
    text = client.get("/o/demo/plans/1", **HOST).content.decode()
    shown = re.findall(r'<h3 class="layer">(.*?)</h3>|<code>(service/.*?)</code>', text)
    assert shown == [("layer_1", ""), ("", "service/traefik"), ("", "service/vault"), ("platform", ""), ("", "service/web")]


def test_a_plan_says_what_happens_to_the_hosts_edge(with_needs: Organization, alice: Any, client: Client) -> None:
    blueprint = make_blueprint(org=with_needs, actor=alice)
    edge = joining(others=2, is_there=True, is_as_wanted=False).as_dict()
    Plan.objects.create(organization=with_needs, number=1, blueprint=blueprint, edge=edge)
    assert "2 other organizations on this host do not answer" in client.get("/o/demo/plans/1", **HOST).content.decode()
