"""Taking an estate over and letting it go: what is kept, what is refused."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import User

from orgs.actions import current_needs, needs_of
from orgs.models import Organization
from provisioning.importing.actions import adopt, require_same_engine, un_adopt
from provisioning.importing.live import read_live
from provisioning.models import Run
from provisioning.states import RunKind, RunState
from sprocket_v2.errors import ApplyError, DeniedError, StaleError
from tests.provisioning.importing.live_specs import NETWORK, STACK_DEPLOY, live
from tests.provisioning.importing.test_live import KEY, Engine

pytestmark = pytest.mark.django_db


def _live(*specs: object) -> object:
    return read_live(Engine(service=[live(spec) for spec in specs], network=[NETWORK]), KEY)  # type: ignore[arg-type]


def test_an_estate_is_taken_over_and_let_go_and_both_are_in_the_audit(demo: Organization, alice: User, settings: object) -> None:
    done = adopt(org=demo, live=_live(STACK_DEPLOY), actor=alice)
    assert done.taken["service"] == 1
    revision = current_needs(demo)
    assert revision is not None
    assert needs_of(revision).estate == "estate.json"
    un_adopt(org=demo, actor=alice)
    revision = current_needs(demo)
    assert revision is not None
    assert needs_of(revision).estate is None
    assert {"estate taken over", "estate let go"} <= {event.what for event in demo.audit_events.all()}
    with pytest.raises(StaleError, match="has taken nothing over"):
        un_adopt(org=demo, actor=alice)


def test_a_swarm_without_a_service_is_not_taken_over(demo: Organization, alice: User) -> None:
    with pytest.raises(ApplyError, match="there is no service to take over"):
        adopt(org=demo, live=_live(), actor=alice)


def test_nothing_is_let_go_while_somebody_works_on_its_stacks(demo: Organization, alice: User) -> None:
    adopt(org=demo, live=_live(STACK_DEPLOY), actor=alice)
    run = Run.objects.create(organization=demo, number=1, kind=RunKind.APPLY, state=RunState.RUNNING)
    with pytest.raises(StaleError, match="run 1 is not finished"):
        un_adopt(org=demo, actor=alice)
    Run.objects.filter(pk=run.pk).update(state=RunState.SUCCEEDED)
    un_adopt(org=demo, actor=alice)


def test_a_volunteer_who_may_not_is_refused(demo: Organization, charlie: User) -> None:
    for act in (lambda: adopt(org=demo, live=_live(STACK_DEPLOY), actor=charlie), lambda: un_adopt(org=demo, actor=charlie)):
        with pytest.raises(DeniedError):
            act()


class _Called:
    """An engine of which only the identity is asked."""

    def __init__(self, identity: str) -> None:
        self.identity = identity

    def machine(self) -> dict[str, object]:
        return {"info": {"ID": self.identity}}


def test_another_engine_than_the_one_that_applies_is_refused_with_what_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    engines = {"": "A", "unix:///a.sock": "A", "unix:///b.sock": "B"}
    monkeypatch.setattr("provisioning.importing.actions.connect", lambda host="": _Called(engines[host]))
    require_same_engine("")
    require_same_engine("unix:///a.sock")
    with pytest.raises(ApplyError, match="not the engine that previews and applies use") as caught:
        require_same_engine("unix:///b.sock")
    assert "DOCKER_HOST=unix:///b.sock" in caught.value.hint
