"""The step engine: order, people, pauses, failures, crashes, two workers, and the way back. The steps themselves only remember."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.db.models.functions import Now
from django.utils import timezone

from orgs.models import AuditEvent, Organization
from provisioning.migration import actions, lease, runner
from provisioning.migration.rows import Migration, MigrationStep
from provisioning.migration.work import Work
from sprocket_v2.errors import ApplyError, DeniedError, NeedsError, StaleError
from tests.provisioning.migration.conftest import Story, needs_text

BEFORE_FREEZE = ["do prepare", "check prepare", "do rehearsed", "check rehearsed"]


def begun(org: Organization, alice: Any) -> Migration:
    """A cut-over that waits for somebody to announce it."""
    return run(actions.start(org=org, actor=alice, ring=False))


def run(migration: Migration) -> Migration:
    return actions.carry_on_here(migration, on_note=lambda _message: None)


def states(migration: Migration) -> dict[str, str]:
    return dict(migration.steps.values_list("key", "state"))


def confirmed(org: Organization, alice: Any, **more: Any) -> Migration:
    return run(actions.confirm(org=org, actor=alice, ring=False, **more))


def test_it_stops_before_anything_of_the_estate_does_and_waits_for_a_person(ready: Organization, alice: Any, story: Story) -> None:
    migration = begun(ready, alice)
    assert (migration.state, story.told) == ("asking", BEFORE_FREEZE)
    assert states(migration)["announce"] == "waiting"
    with pytest.raises(StaleError, match="waits for a person"):
        actions.resume(org=ready, actor=alice, ring=False)


def test_every_step_is_done_then_checked_in_order_up_to_the_point_of_no_return(ready: Organization, alice: Any, story: Story) -> None:
    begun(ready, alice)
    migration = confirmed(ready, alice)
    machine = [step.key for step in migration.steps.all() if step.who == "machine" and step.key != "retire"]
    assert story.told == [f"{what} {key}" for key in machine for what in ("do", "check")]
    assert migration.state == "asking"
    with pytest.raises(NeedsError, match="not the organization's"):
        actions.confirm(org=ready, actor=alice, typed="demo league", ring=False)
    done = confirmed(ready, alice, typed="Demo League")
    assert (done.state, story.told[-2:]) == ("done", ["do retire", "check retire"])
    assert done.finished is not None
    assert all(step.duration_s is not None for step in done.steps.filter(who="machine"))
    assert AuditEvent.objects.for_org(ready).filter(what="migration: no-return confirmed").exists()


def test_a_failed_step_stops_it_says_why_and_is_tried_again(ready: Organization, alice: Any, story: Story) -> None:
    begun(ready, alice)
    story.fails["check dump"] = "the checksum is wrong"
    failed = confirmed(ready, alice)
    step = failed.steps.get(key="dump")
    assert (failed.state, step.state, step.error["message"]) == ("failed", "failed", "the checksum is wrong")
    assert states(failed)["buckets"] == "waiting"
    with pytest.raises(StaleError, match="cannot be gone on without"):
        actions.confirm(org=ready, actor=alice, reason="never mind", ring=False)
    del story.fails["check dump"]
    story.told.clear()
    assert run(actions.resume(org=ready, actor=alice, ring=False)).state == "asking"
    assert story.told[:2] == ["do dump", "check dump"]


def test_what_is_still_open_may_be_accepted_with_a_reason_and_a_name(ready: Organization, alice: Any, story: Story) -> None:
    begun(ready, alice)
    story.fails["do drain"] = "still open: scrims 2"
    confirmed(ready, alice)
    with pytest.raises(NeedsError, match="needs a reason"):
        actions.confirm(org=ready, actor=alice, ring=False)
    migration = confirmed(ready, alice, reason="both teams agreed")
    step = migration.steps.get(key="drain")
    assert (step.state, step.person, step.reason) == ("skipped", alice, "both teams agreed")
    assert migration.state == "asking"


def test_a_pause_comes_after_the_step_in_hand(ready: Organization, alice: Any, story: Story) -> None:
    begun(ready, alice)
    story.during = lambda work: _pause(ready, alice) if work.step.key == "freeze" else None
    paused = confirmed(ready, alice)
    assert (paused.state, states(paused)["freeze"], states(paused)["drain"]) == ("paused", "done", "paused")
    with pytest.raises(StaleError, match="it is paused"):
        actions.pause(org=ready, actor=alice)
    assert run(actions.resume(org=ready, actor=alice, ring=False)).state == "asking"


def _pause(org: Organization, alice: Any) -> None:
    actions.pause(org=org, actor=alice)


def test_the_way_back_undoes_the_last_step_first_and_ends(ready: Organization, alice: Any, story: Story) -> None:
    begun(ready, alice)
    story.fails["do restore"] = "the copy is not the same: sprocket.player has 3 rows, there were 4"
    confirmed(ready, alice)
    story.told.clear()
    back = run(actions.back(org=ready, actor=alice, ring=False))
    assert back.state == "undone"
    undone = ["restore", "deploy", "switch", "secrets", "buckets", "dump", "quiesce", "drain", "freeze", "rehearsed", "prepare"]
    assert story.told == [f"undo {key}" for key in undone]
    assert set(states(back).values()) == {"undone", "waiting"}
    assert begun(ready, alice).number == 2


def test_there_is_no_way_back_after_the_point_of_no_return(ready: Organization, alice: Any, story: Story) -> None:
    begun(ready, alice)
    confirmed(ready, alice)
    story.fails["do retire"] = "a service does not go"
    failed = confirmed(ready, alice, typed="Demo League")
    assert failed.state == "failed"
    with pytest.raises(StaleError, match="point of no return lies behind"):
        actions.back(org=ready, actor=alice, ring=False)


def test_a_way_back_that_fails_is_resumed_where_it_was(ready: Organization, alice: Any, story: Story) -> None:
    begun(ready, alice)
    confirmed(ready, alice)
    story.fails["undo switch"] = "the port is taken"
    failed = run(actions.back(org=ready, actor=alice, ring=False))
    assert (failed.state, states(failed)["deploy"], states(failed)["switch"]) == ("failed", "undone", "failed")
    story.fails.clear()
    story.told.clear()
    assert run(actions.resume(org=ready, actor=alice, ring=False)).state == "undone"
    assert story.told[0] == "undo switch"


@pytest.mark.parametrize("moment", ["do dump", "check dump", "do freeze", "undo switch"])
def test_a_crash_costs_the_step_it_was_in_and_nothing_else(ready: Organization, alice: Any, story: Story, moment: str) -> None:
    begun(ready, alice)
    story.dies.add(moment)
    if moment.startswith("undo"):
        confirmed(ready, alice)
        migration = actions.back(org=ready, actor=alice, ring=False)
    else:
        migration = actions.confirm(org=ready, actor=alice, ring=False)
    with pytest.raises(KeyboardInterrupt):
        run(migration)
    migration.refresh_from_db()
    key = moment.partition(" ")[2]
    assert (migration.state, states(migration)[key]) == ("running", "running")
    story.dies.clear()
    story.told.clear()
    Migration.objects.filter(pk=migration.pk).update(sent_at=Now())
    assert runner.reconcile() >= 1
    migration.refresh_from_db()
    done = run(migration)
    assert done.state == ("undone" if moment.startswith("undo") else "asking")
    assert story.told[0] == (moment if moment.startswith("undo") else f"do {key}")


def test_without_a_worker_a_person_resumes_what_a_killed_command_left(ready: Organization, alice: Any, story: Story) -> None:
    begun(ready, alice)
    story.dies.add("do dump")
    migration = actions.confirm(org=ready, actor=alice, ring=False)
    with pytest.raises(KeyboardInterrupt):
        run(migration)
    story.dies.clear()
    Migration.objects.filter(pk=migration.pk).update(expires=timezone.now() + timedelta(seconds=30))
    with pytest.raises(StaleError, match="it is running"):
        actions.resume(org=ready, actor=alice, ring=False)
    Migration.objects.filter(pk=migration.pk).update(expires=Now())
    story.told.clear()
    assert run(actions.resume(org=ready, actor=alice, ring=False)).state == "asking"
    assert story.told[0] == "do dump"


def test_a_step_that_takes_its_worker_down_every_time_is_not_tried_for_ever(ready: Organization, alice: Any, story: Story) -> None:
    begun(ready, alice)
    story.dies.add("do dump")
    migration = actions.confirm(org=ready, actor=alice, ring=False)
    for _ in range(3):
        with pytest.raises(KeyboardInterrupt):
            run(migration)
        Migration.objects.filter(pk=migration.pk).update(state="queued")
        migration.refresh_from_db()
    failed = run(migration)
    assert (failed.state, failed.steps.get(key="dump").error["message"]) == ("failed", "its worker was lost 3 times in this step")


def test_a_second_worker_keeps_its_hands_off_while_the_first_holds_the_lease(ready: Organization, alice: Any, story: Story) -> None:
    migration = actions.start(org=ready, actor=alice, ring=False)
    with lease.hold(migration) as held:
        assert held is not None
        assert run(migration).state == "queued"
        assert story.told == []
    assert run(migration).state == "asking"


def test_a_worker_whose_lease_was_taken_over_writes_nothing_more(ready: Organization, alice: Any, story: Story) -> None:
    def taken_over(work: Work) -> None:
        Migration.objects.filter(pk=work.migration.pk).update(fencing=99, expires=timezone.now() + timedelta(minutes=1))

    story.during = taken_over
    migration = run(actions.start(org=ready, actor=alice, ring=False))
    assert (migration.state, states(migration)["prepare"], migration.fencing) == ("running", "running", 99)
    assert MigrationStep.objects.for_org(ready).get(key="prepare").evidence == {}


def test_a_rehearsal_that_fails_removes_its_copy_and_one_that_does_well_ends_with_that(
    ready: Organization, alice: Any, story: Story
) -> None:
    story.fails["rehearse restore"] = "no room is left"
    failed = run(actions.rehearse(org=ready, actor=alice, ring=False))
    assert (failed.state, story.told[-1]) == ("failed", "do clean")
    assert failed.steps.get(key="clean").evidence == {"do": "clean", "after_failure": True}
    assert run(actions.back(org=ready, actor=alice, ring=False)).state == "undone"
    story.fails.clear()
    story.told.clear()
    done = run(actions.rehearse(org=ready, actor=alice, ring=False))
    assert done.state == "done"
    assert [told.partition(" ")[2] for told in story.told] == [step.key for step in done.steps.all()]
    assert {told.partition(" ")[0] for told in story.told} == {"rehearse"}


def test_one_at_a_time_and_only_by_those_who_may(ready: Organization, alice: Any, bob: Any, story: Story) -> None:
    with pytest.raises(DeniedError):
        actions.start(org=ready, actor=bob, ring=False)
    begun(ready, alice)
    with pytest.raises(StaleError, match="Cut-over 1 is asking"):
        actions.rehearse(org=ready, actor=alice, ring=False)
    with pytest.raises(DeniedError):
        actions.confirm(org=ready, actor=bob, ring=False)


def test_what_is_in_the_way_is_said_all_at_once(imported: Organization, alice: Any, story: Story) -> None:
    with pytest.raises(NeedsError, match="nobody has said yet"):
        actions.start(org=imported, actor=alice, ring=False)
    actions.settle(org=imported, actor=alice, needs_text=needs_text())
    with pytest.raises(ApplyError, match="where the estate's database") as caught:
        actions.start(org=imported, actor=alice, ring=False)
    assert "5 secrets have to be typed in again" in caught.value.message


def test_v2_may_not_be_somebody_elses_organization(imported: Organization, alice: Any, other: Organization) -> None:
    with pytest.raises(NeedsError, match="slug other is taken"):
        actions.settle(org=imported, actor=alice, needs_text=needs_text().replace("slug: league", "slug: other"))
    with pytest.raises(NeedsError, match="the estate's own"):
        actions.settle(org=imported, actor=alice, needs_text=needs_text().replace("slug: league", "slug: demo"))
    assert not Organization.objects.filter(slug="league").exists()
