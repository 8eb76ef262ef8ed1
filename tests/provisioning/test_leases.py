"""One worker at a time, numbered; a worker that comes back late can write nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from orgs.models import Organization
from provisioning import leases
from provisioning.models import Run, RunEvent, StackLease
from provisioning.recorder import LeaseLostError, Recorder
from provisioning.states import RunState


def _expire(org: Organization) -> None:
    StackLease.objects.for_org(org).update(expires=timezone.now() - timedelta(seconds=1))


def _running(org: Organization, lease: leases.Lease) -> Run:
    return Run.objects.create(organization=org, number=1, kind="apply", state=RunState.RUNNING, fencing=lease.fencing)


def test_the_second_worker_gets_no_lease_while_the_first_holds_it(demo: Organization) -> None:
    assert leases.acquire(demo, "one")
    assert leases.acquire(demo, "two") is None


def test_two_organizations_do_not_wait_for_each_other(demo: Organization, other: Organization) -> None:
    assert leases.acquire(demo, "one")
    assert leases.acquire(other, "two")


def test_each_new_lease_has_a_higher_number(demo: Organization) -> None:
    first = leases.acquire(demo, "one")
    assert first
    leases.release(first)
    second = leases.acquire(demo, "two")
    assert second
    assert second.fencing == first.fencing + 1


def test_a_lease_lives_45_seconds_by_the_databases_clock(demo: Organization) -> None:
    leases.acquire(demo, "one")
    left = StackLease.objects.for_org(demo).annotate(now=Now()).get()
    assert timedelta(seconds=43) < left.expires - left.now <= timedelta(seconds=45)


def test_a_dead_lease_can_be_taken_and_its_old_owner_cannot_renew(demo: Organization) -> None:
    old = leases.acquire(demo, "one")
    assert old
    _expire(demo)
    new = leases.acquire(demo, "two")
    assert new
    assert not leases.renew(old)
    leases.release(old)
    assert leases.is_alive(demo.pk)
    assert leases.renew(new)


def test_a_late_worker_can_neither_write_nor_finish_its_run(demo: Organization) -> None:
    old = leases.acquire(demo, "one")
    assert old
    late = _running(demo, old)
    _expire(demo)
    new = leases.acquire(demo, "two")
    assert new
    Run.objects.filter(pk=late.pk).update(fencing=new.fencing)
    current = Run.objects.get(pk=late.pk)
    assert not late.write(under=old.fencing, worker="one")
    assert not late.move(RunState.SUCCEEDED, under=old.fencing)
    assert current.move(RunState.FAILED, under=new.fencing)
    assert Run.objects.get(pk=late.pk).state == RunState.FAILED


def test_a_worker_whose_lease_ran_out_cannot_finish_even_when_nobody_took_over(demo: Organization) -> None:
    lease = leases.acquire(demo, "one")
    assert lease
    run = _running(demo, lease)
    _expire(demo)
    assert not run.move(RunState.SUCCEEDED, under=lease.fencing)


def test_events_of_a_late_worker_are_not_stored(demo: Organization) -> None:
    lease = leases.acquire(demo, "one")
    assert lease
    recorder = Recorder(_running(demo, lease), lease)
    recorder.say("begun")
    StackLease.objects.for_org(demo).update(owner="two", fencing=lease.fencing + 1)
    with pytest.raises(LeaseLostError):
        recorder.say("still here")
    assert [event.message for event in RunEvent.objects.for_org(demo)] == ["begun"]


def test_a_state_that_moved_meanwhile_is_not_overwritten(demo: Organization, alice: Any) -> None:
    run = Run.objects.create(organization=demo, number=1, kind="apply", requested_by=alice)
    mine, theirs = Run.objects.get(pk=run.pk), Run.objects.get(pk=run.pk)
    assert theirs.move(RunState.CANCELLED)
    assert not mine.move(RunState.RUNNING)
    assert Run.objects.get(pk=run.pk).state == RunState.CANCELLED
    assert Run.objects.get(pk=run.pk).finished is not None
