"""A legacy estate moves to v2 on the same machine: planned, rehearsed beside it, taken back once, then for good. The tests go in order."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from provisioning.migration.workbench import running_container
from provisioning.providers.swarm.client import connect
from tests.engine.legacy import CACHE_PASSWORD, KEYS, PASSWORD, STARTED, LegacyEstate, docker, legacy_estate
from tests.engine.scanner import scan_folder
from tests.engine.taking_over import ADOPT, APPLY, PROPOSE

pytestmark = [pytest.mark.engine, pytest.mark.timeout(420)]
ODD = "odd \"name.it's; drop table x"


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LegacyEstate]:
    """One estate for the whole story."""
    with legacy_estate(tmp_path_factory.mktemp("legacy")) as made:
        yield made


def states(migration: Any) -> dict[str, str]:
    """Step -> state."""
    return {step["key"]: step["state"] for step in migration["steps"]}


def evidence(migration: Any, key: str) -> Any:
    """What a step has seen."""
    return next(step["evidence"] for step in migration["steps"] if step["key"] == key)


def leftovers(estate: LegacyEstate) -> list[str]:
    """What is left of containers made for a copy."""
    names = [f"{estate.old}-migration-{number}" for number in range(1, 9)]
    kinds = (("service", ""), ("network", ""), ("volume", "_work"))
    return [name + end for name in names for kind, end in kinds if connect().find(kind, name + end) is not None]


def test_the_plan_blocks_until_v2_the_data_and_the_secrets_are_known(estate: LegacyEstate) -> None:
    [error] = estate.migrate("plan", code=2)["errors"]
    assert "nobody has said yet what v2 is to be" in error["message"]
    assert estate.cli("migrate", "suggest", estate.old)["discord"]["bot"] is True
    found = estate.migrate("plan", "--to", str(estate.needs_file()), "--source", str(estate.source_file()), code=1)
    assert {blocker["key"] for blocker in found["blockers"]} == {"copy-secrets", "re-enter", "undecided"}
    estate.migrate("start", code=1)
    estate.bring_secrets()
    estate.decide("tool", "keep")
    found = estate.migrate("plan")
    assert found["before"]["services"] == len(STARTED)
    assert {o["row"]["role"]: o["into"] for o in found["outcomes"] if o["row"]["kind"] == "service"}["rabbitmq"] == "postgres"


def test_a_rehearsal_that_runs_out_of_disk_fails_in_words_and_leaves_nothing(estate: LegacyEstate) -> None:
    before = estate.versions()
    refused = estate.migrate("rehearse", "--memory-mib", "64", code=1)
    [error] = [step["error"] for step in refused["steps"] if step["state"] == "failed"]
    assert "MiB are free, the copy needs" in error["message"]
    assert leftovers(estate) == []
    estate.cli("migrate", "resume", estate.old, code=1)
    estate.migrate("back")
    filler = threading.Thread(target=_fill_up, args=(f"{estate.old}-migration-2",))
    filler.start()
    failed = estate.migrate("rehearse", "--memory-mib", "300", code=1)
    filler.join()
    [error] = [step["error"] for step in failed["steps"] if step["state"] == "failed"]
    assert "no room is left" in error["message"]
    assert leftovers(estate) == []
    assert estate.versions() == before
    estate.migrate("back")


def _fill_up(service: str) -> None:
    """Take the room away once the dump has begun."""
    limit = time.monotonic() + 60
    while time.monotonic() < limit:
        container = running_container(connect(), service)
        if container and connect().run_in(container, ["test", "-d", "/work/dump"])[0] == 0:
            connect().run_in(container, ["sh", "-c", "dd if=/dev/zero of=/work/filler bs=1M count=400"], timeout_s=60)
            return
        time.sleep(0.05)


def test_a_rehearsal_copies_everything_beside_the_estate_and_touches_nothing(estate: LegacyEstate) -> None:
    estate.redis("SET main:scrim:7 open")
    before, objects = estate.versions(), estate.objects("old-replays")
    done = estate.migrate("rehearse")
    assert done["state"] == "done", done
    assert set(states(done).values()) == {"done"}
    assert evidence(done, "restore")["checksum"] == evidence(done, "dump")["checksum"]
    assert evidence(done, "dump")["tables"][ODD]["rows"] == 4000
    assert [bucket["objects"] for bucket in evidence(done, "buckets")["buckets"]] == [40, 1]
    assert evidence(done, "drain")["open"] == {"open scrims": 1}
    assert evidence(done, "freeze")["would_stop"] == {estate.of("web"): 1, estate.of("api"): 2, estate.of("bot"): 1}
    assert evidence(done, "verify")["before"] == evidence(done, "verify")["after"]
    assert all(step["duration_s"] is not None for step in done["steps"])
    assert (estate.versions(), estate.objects("old-replays"), estate.running()) == (before, objects, STARTED)
    assert (estate.objects("new-replays"), leftovers(estate)) == ({}, [])
    assert list(connect().live_services(estate.slug)) == []


def test_the_cut_over_waits_for_open_scrims_survives_a_kill_and_goes_all_the_way_back(estate: LegacyEstate) -> None:
    specs = estate.specs()
    begun = estate.migrate("start")
    assert (begun["state"], states(begun)["announce"], states(begun)["freeze"]) == ("asking", "waiting", "waiting")
    assert estate.running() == STARTED
    estate.migrate("start", code=5)
    estate.killed_while("drain", "confirm")
    left = estate.cli("migrate", "status", estate.old)
    assert (left["state"], states(left)["freeze"], states(left)["drain"]) == ("running", "done", "running")
    assert evidence(left, "drain")["open"] == {"open scrims": 1}
    assert estate.running()["web"] == 0
    estate.redis("DEL main:scrim:7")
    asking = estate.migrate("resume")
    assert asking["state"] == "asking", asking
    assert states(asking)["verify"] == "done" and states(asking)["no-return"] == "waiting"
    assert evidence(asking, "drain")["open"] == {}
    assert {key for key, count in estate.running().items() if count} == {"broker", "cache", "tool"}
    assert estate.v2_sql("select count(*) from sprocket.no_rows") == "0"
    back = estate.migrate("back")
    assert back["state"] == "undone", back
    assert estate.running() == STARTED
    assert estate.specs() == specs
    assert list(connect().live_services(estate.slug)) == []
    assert leftovers(estate) == []


def test_the_estate_is_taken_over_as_it_runs(estate: LegacyEstate) -> None:
    specs = estate.specs()
    old = f"org = Organization.objects.get(slug={estate.old!r})\n"
    taken = estate.ask(old + ADOPT, ONLY=f"{estate.old}-.*", FORMERLY="")
    assert (taken["holds"], taken["taken"]["service"]) == (True, len(STARTED)), taken["proof"]
    assert estate.ask(old + APPLY, ID=estate.ask(old + PROPOSE)["id"])["state"] == "succeeded"
    assert estate.specs() == specs


def test_the_cut_over_is_made_again_for_good_and_what_was_taken_over_is_retired(estate: LegacyEstate) -> None:
    estate.migrate("start")
    asking = estate.migrate("confirm")
    assert asking["state"] == "asking", asking
    assert evidence(asking, "restore")["checksum"] == evidence(asking, "dump")["checksum"]
    assert evidence(asking, "buckets")["copied"] == 0  # they are there since the first time
    assert estate.objects("new-replays") == estate.objects("old-replays")
    assert evidence(asking, "verify")["rows"] >= evidence(asking, "dump")["rows"]
    estate.migrate("confirm", "--name", "Another League", code=2)
    done = estate.migrate("confirm", "--name", estate.name)
    assert done["state"] == "done", done
    assert estate.running() == {"tool": 1}  # decided to be kept
    assert (
        estate.ask(
            "from provisioning.importing.actions import is_taken_over; say(is_taken_over(Organization.objects.get(slug=OLD)))",
            OLD=estate.old,
        )
        is False
    )
    assert evidence(done, "retire")["volumes_kept"] == [estate.of("cache-data")]
    assert evidence(done, "retire")["in_use_by_others"] == [f"network {estate.of('net')}"]
    assert (
        docker("exec", estate.of("db"), "psql", "-XqAt", "-U", "sprocket_main", "-c", "select count(*) from sprocket.no_rows")[1].strip()
        == "0"
    )
    assert estate.v2_sql('select count(*) || \' \' || sum(a_row) from "odd ""name"."it\'s; drop table x"') == "4000 8002000"
    verdict = estate.cli("verify", estate.slug)
    assert verdict["runs"]["state"] == "ok", verdict
    estate.migrate("back", code=5)
    assert leftovers(estate) == []


def test_no_password_is_in_anything_the_control_plane_wrote(estate: LegacyEstate) -> None:
    assert scan_folder(estate.data, [PASSWORD, CACHE_PASSWORD, KEYS[1]]) == {}
