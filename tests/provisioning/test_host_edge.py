"""The host's edge around runs: who may have which name, whose turn it is, and what a tenant is told. Docker and engine are scripted."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.utils import timezone

from blueprints.host_edge import Member
from blueprints.models import Blueprint
from orgs.models import AuditEvent, Organization
from provisioning import actions as provisioning
from provisioning.host_edge import actions, claims, effects
from provisioning.host_edge.lease import edge_lease, edge_row
from provisioning.host_edge.rows import EdgeMember, EntryClaim, HostEdge
from provisioning.models import Plan
from provisioning.states import PlanState, RunState
from sprocket_v2.errors import ApplyError, DeniedError
from tests.provisioning.conftest import Engine

pytestmark = pytest.mark.usefixtures("token", "engine")


@dataclass
class FakeEdge:
    """Remembers whom it was made for; `None` means that there is no edge."""

    made: list[list[str]] = field(default_factory=list)
    now: list[Member] | None = None
    gone_networks: set[str] = field(default_factory=set)
    taken_ports: set[int] = field(default_factory=set)
    breaks: bool = False

    def reachable(self, members: Sequence[Member]) -> list[Member]:
        return [member for member in members if member.slug not in self.gone_networks]

    def is_as_wanted(self, members: Sequence[Member]) -> bool | None:
        return None if self.now is None else sorted(self.now, key=str) == sorted(members, key=str)

    def is_running(self) -> bool:
        return self.now is not None

    def files(self, members: Sequence[Member]) -> dict[str, str]:
        return {"config/routes.yml": "".join(member.slug for member in members)}

    def refuse_taken_ports(self, ports: list[int], slug: str) -> None:
        taken = self.taken_ports & set(ports)
        if taken:
            raise ApplyError(f"entry port {taken.pop()} is taken")

    def make(self, members: list[Member]) -> None:
        if self.breaks:
            raise ApplyError("not healthy within 60 s", hint="look")
        self.made.append(sorted(member.slug for member in members))
        self.now = list(members)

    def remove(self) -> None:
        self.made.append([])
        self.now = None


@pytest.fixture
def edge(monkeypatch: pytest.MonkeyPatch) -> FakeEdge:
    fake = FakeEdge()
    monkeypatch.setattr(actions, "_objects", lambda _lease=None: fake)
    return fake


def shared(slug: str, host: str = "", port: int = 8080, lane: str = "") -> dict[str, Any]:
    """What a blueprint says of an organization that shares."""
    host = host or f"{slug}.localhost"
    subnet = lane or {"demo": "198.18.0.0/28", "other": "198.18.0.16/28"}[slug]
    names = [{"host": host, "port": port, "tls": False}]
    return {"network": f"{slug}_entry", "subnet": subnet, "proxy": f"{slug}_traefik", "names": names}


def facts(slug: str, **more: Any) -> dict[str, Any]:
    """A blueprint.json of one that shares."""
    return {"access": {"shared": shared(slug, **more), "ways": []}}


def own(port: int = 8080) -> dict[str, Any]:
    """A blueprint.json of one that publishes ports of its own."""
    return {"access": {"shared": None, "ways": [{"port": port, "api_port": port}]}}


def comes(org: Organization, **more: Any) -> list[str]:
    """An organization is applied; what its run says."""
    said: list[str] = []
    actions.prepare(org=org, blueprint=facts(org.slug, **more), beat=lambda: None, say=said.append)
    actions.join(org=org, shared=shared(org.slug, **more), beat=lambda: None, say=said.append)
    return said


def goes(org: Organization) -> None:
    """An organization is removed."""
    actions.leave(org=org, beat=lambda: None, say=lambda _text: None)


def prepares(org: Organization, blueprint: dict[str, Any]) -> None:
    """What an apply does before anything changes."""
    actions.prepare(org=org, blueprint=blueprint, beat=lambda: None, say=lambda _text: None)


def test_the_edge_comes_with_the_first_and_goes_with_the_last(edge: FakeEdge, demo: Organization, other: Organization) -> None:
    assert comes(demo) == ["starting the host's edge"]
    assert comes(other) == ["restarting the host's edge"]
    assert comes(other) == []
    goes(demo)
    goes(other)
    assert edge.made == [["demo"], ["demo", "other"], ["demo", "other"], ["other"], []]
    assert not EdgeMember.objects.exists()
    assert not EntryClaim.objects.exists()


def test_a_name_belongs_to_one_organization_and_nobody_is_told_to_whom(edge: FakeEdge, demo: Organization, other: Organization) -> None:
    comes(demo)
    with pytest.raises(ApplyError) as caught:
        prepares(other, facts("other", host="demo.localhost"))
    assert str(caught.value).endswith("demo.localhost at port 8080 belongs to another organization on this host")
    assert "Demo League" not in f"{caught.value} {caught.value.hint}"
    prepares(other, facts("other", host="demo.localhost", port=8081))


def test_a_name_is_reserved_before_anything_is_applied(edge: FakeEdge, demo: Organization, other: Organization) -> None:
    prepares(demo, facts("demo"))
    assert claims.live_members() == []
    with pytest.raises(ApplyError, match="belongs to another organization"):
        prepares(other, facts("other", host="demo.localhost"))
    assert edge.made == []


def test_a_lane_belongs_to_one_organization(edge: FakeEdge, demo: Organization, other: Organization) -> None:
    comes(demo)
    with pytest.raises(ApplyError, match=r"198\.18\.0\.0/28 is taken") as caught:
        prepares(other, facts("other", lane="198.18.0.0/28"))
    assert "access.entry_lane" in caught.value.hint


def test_new_names_are_routed_and_old_ones_free_only_after_the_edge_knows_it(
    edge: FakeEdge, demo: Organization, other: Organization
) -> None:
    comes(demo)
    prepares(demo, facts("demo", host="new.localhost"))
    (member,) = claims.live_members()
    assert [name.host for name in member.names] == ["demo.localhost"]
    comes(demo, host="new.localhost")
    (member,) = claims.live_members()
    assert [name.host for name in member.names] == ["new.localhost"]
    prepares(other, facts("other", host="demo.localhost"))


def test_an_edge_that_does_not_get_healthy_keeps_those_it_had(edge: FakeEdge, demo: Organization, other: Organization) -> None:
    comes(demo)
    edge.breaks = True
    with pytest.raises(ApplyError, match="not healthy"):
        comes(other)
    assert [member.slug for member in claims.live_members()] == ["demo"]
    edge.breaks = False
    comes(demo)
    assert edge.made[-1] == ["demo"]


def test_one_whose_network_is_gone_takes_nobody_down(edge: FakeEdge, demo: Organization, other: Organization) -> None:
    comes(demo)
    edge.gone_networks = {"demo"}
    comes(other)
    assert edge.made[-1] == ["other"]


def test_who_stops_sharing_is_let_go_before_it_publishes_ports(edge: FakeEdge, demo: Organization, other: Organization) -> None:
    comes(demo)
    comes(other)
    with pytest.raises(ApplyError, match="entry port 8080 is the host's edge's"):
        prepares(demo, own(8080))
    assert edge.made[-1] == ["demo", "other"]
    prepares(demo, own(8090))
    assert edge.made[-1] == ["other"]


def test_who_changes_its_lane_is_let_go_first(edge: FakeEdge, demo: Organization) -> None:
    comes(demo)
    prepares(demo, facts("demo", lane="198.18.7.0/28"))
    assert edge.made[-1] == []


def test_a_plan_counts_the_others_and_never_names_them(edge: FakeEdge, demo: Organization, other: Organization) -> None:
    first = actions.effect_of(demo, facts("demo"))
    assert first is not None
    assert (first.op, first.others, first.gap_s) == ("start", 0, 0)
    comes(demo)
    second = actions.effect_of(other, facts("other"))
    assert second is not None
    assert (second.op, second.others, second.gap_s) == ("restart", 1, effects.GAP_S)
    assert "1 other organization on this host does not answer" in second.words
    assert "demo" not in second.words
    comes(other)
    for org in (demo, other):
        stays = actions.effect_of(org, facts(org.slug))
        assert stays is not None
        assert stays.op == "stays"
    leaves = actions.effect_of(demo, own(8090))
    assert leaves is not None
    assert leaves.op == "restart"
    assert actions.effect_of(demo, {"access": {}}) is not None


def test_who_never_shared_hears_nothing_of_an_edge(edge: FakeEdge, demo: Organization) -> None:
    assert actions.effect_of(demo, own()) is None
    prepares(demo, own())
    goes(demo)
    assert edge.made == []
    assert not HostEdge.objects.exists()


def test_a_taken_port_is_said_before_anything_changes(edge: FakeEdge, demo: Organization) -> None:
    edge.taken_ports = {8080}
    for ask in (lambda: actions.effect_of(demo, facts("demo")), lambda: prepares(demo, facts("demo"))):
        with pytest.raises(ApplyError, match="entry port 8080 is taken"):
            ask()
    assert not EntryClaim.objects.exists()


def test_one_run_at_a_time_changes_the_edge(db: None) -> None:
    beats: list[int] = []
    with (
        edge_lease(),
        pytest.raises(ApplyError, match="being changed by another run") as caught,
        edge_lease(lambda: beats.append(1), patience_s=0.5),
    ):
        pass
    assert caught.value.transient
    assert beats  # its own lease was kept alive while it waited
    with edge_lease(patience_s=0):
        pass


def test_a_lease_that_ran_out_is_taken_over_and_its_holder_notices(db: None) -> None:
    with edge_lease() as late:
        HostEdge.objects.update(expires=timezone.now() - timedelta(seconds=1))
        with edge_lease(patience_s=0), pytest.raises(ApplyError, match="changed by another run by now"):
            late.renew()


def test_an_edges_name_is_longer_than_any_slug_and_stays(db: None) -> None:
    name = edge_row().name
    assert len(name) > 20
    assert edge_row().name == name


def test_only_the_platforms_admin_brings_the_edge_in_order(edge: FakeEdge, demo: Organization, alice: Any) -> None:
    comes(demo)
    edge.now = None
    with pytest.raises(DeniedError):
        actions.settle(actor=alice)
    assert actions.standing().state == "missing"
    admin = get_user_model().objects.create(username="admin", is_superuser=True)
    now = actions.settle(actor=admin)
    assert (now.state, now.is_running, now.ports) == ("current", True, (8080,))
    assert AuditEvent.objects.filter(what="host edge applied", user=admin).exists()


Make = Callable[..., Blueprint]


def _shares(blueprint: Blueprint, host: str = "demo.localhost") -> Blueprint:
    """Let a stored blueprint say that it shares."""
    import hashlib

    row = blueprint.files.get(path="blueprint.json")
    text = json.dumps({**json.loads(row.text), **facts(blueprint.organization.slug, host=host)})
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    blueprint.files.filter(path="blueprint.json").update(text=text, sha256=sha256)
    Blueprint.objects.filter(pk=blueprint.pk).update(digest=f"sha256:{sha256}")
    blueprint.refresh_from_db()
    return blueprint


def _plan(blueprint: Blueprint, actor: Any) -> Plan:
    plan = provisioning.propose(org=blueprint.organization, blueprint=blueprint, actor=actor)
    return provisioning.approve(plan=plan, actor=actor)


def test_a_run_brings_the_edge_up_to_date_after_the_engine_and_before_a_removal(
    edge: FakeEdge, make_blueprint: Make, demo: Organization, alice: Any, engine: Engine
) -> None:
    plan = _plan(_shares(make_blueprint()), alice)
    assert plan.edge["op"] == "start"
    run = provisioning.run_here(provisioning.apply(plan=plan, actor=alice, ring=False))
    assert run.state == RunState.SUCCEEDED, run.error
    assert edge.made == [["demo"]]
    assert "starting the host's edge" in [event.message for event in run.events.all()]
    gone = provisioning.run_here(provisioning.destroy(org=demo, actor=alice, ring=False))
    assert gone.state == RunState.SUCCEEDED, gone.error
    assert edge.made == [["demo"], []]


def test_an_edge_that_fails_fails_the_run_and_keeps_what_was_applied(
    edge: FakeEdge, make_blueprint: Make, demo: Organization, alice: Any
) -> None:
    plan = _plan(_shares(make_blueprint()), alice)
    edge.breaks = True
    run = provisioning.run_here(provisioning.apply(plan=plan, actor=alice, ring=False))
    assert run.state == RunState.FAILED
    assert run.error is not None
    assert (run.error["kind"], run.error["message"]) == ("edge", "not healthy within 60 s")
    plan.refresh_from_db()
    assert plan.state == PlanState.APPLIED
    edge.breaks = False
    again = provisioning.run_here(provisioning.apply(plan=_plan(plan.blueprint, alice), actor=alice, ring=False))
    assert again.state == RunState.SUCCEEDED, again.error
    assert edge.made == [["demo"]]


def test_an_apply_that_would_take_anothers_name_changes_nothing(
    edge: FakeEdge, make_blueprint: Make, demo: Organization, other: Organization, alice: Any, engine: Engine
) -> None:
    plan = _plan(_shares(make_blueprint()), alice)
    comes(other, host="demo.localhost")
    run = provisioning.run_here(provisioning.apply(plan=plan, actor=alice, ring=False))
    assert run.state == RunState.FAILED
    assert "belongs to another organization" in (run.error or {})["message"]
    assert [asked["op"] for asked in engine.asked] == ["preview"]
