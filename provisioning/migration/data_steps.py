"""The steps that copy: the database with rows and content compared table by table, and the buckets object by object."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from django.db.models.functions import Now

from blueprints.migration.source import ACCESS_KEY, DATABASE_PASSWORD, SECRET_KEY
from provisioning.backup_actions import stack_held, standing_still, waited_for
from provisioning.migration import tables
from provisioning.migration.buckets import Endpoint, Pair, Store, compare, copy
from provisioning.migration.database import DUMP_FILES, FOLDER, Connection, Place, problem_with, refuse_little_room
from provisioning.migration.work import Evidence, Work
from provisioning.migration.workbench import DUMP, SCRATCH, WORK, Workbench, running_container
from provisioning.models import StackState
from sprocket_v2.errors import ApplyError

if TYPE_CHECKING:
    from provisioning.providers.swarm.client import DockerSwarm

_SPARE = 64 * 2**20  # what a server needs beside the data


def workbench(work: Work) -> Workbench:
    """This migration's container for the copy."""
    image = work.database_service().image
    name = f"{work.org.slug}-migration-{work.migration.number}"
    return Workbench(work.swarm, name, image, work.source.database.networks, int(work.migration.plan.get("memory_mib", 0)))


def estate_database(work: Work) -> Connection:
    """The estate's database, to be read."""
    there = work.source.database
    return Connection(there.name, there.user, there.host, there.port, there.sslmode, work.secret(work.org, DATABASE_PASSWORD))


def measure(work: Work) -> Evidence:
    """How large the database is, whether our tools can read it, and whether the copy has room: in Docker's folder and in ours."""
    bench = workbench(work)
    place = bench.make(work.beat)
    size, version = place.size(estate_database(work))
    if version // 10000 > _major(bench.image):
        raise ApplyError(
            f"the estate's PostgreSQL is {version // 10000}, v2's {bench.image}: a newer one cannot be loaded into an older",
            hint="choose a profile with a newer Postgres, or use the estate's database as a managed one",
            where=work.source.database.host,
        )
    copies = 3 if work.is_rehearsal else 1  # the dump; in a rehearsal also the scratch database and its journal
    refuse_little_room(place.room(WORK), copies * size + (_SPARE if work.is_rehearsal else 0), bench.name)
    work.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    room = os.statvfs(work.folder)
    refuse_little_room(room.f_bavail * room.f_frsize, size, str(work.folder))
    return {"database_bytes": size, "server": version}


def _major(image: str) -> int:
    tag = image.partition("@")[0].rpartition(":")[2]
    digits = "".join(character for character in tag.partition("-")[0].partition(".")[0] if character.isdecimal())
    return int(digits or 0)


# --- the dump


def dump(work: Work) -> Evidence:
    """Count and dump one snapshot of the estate's database."""
    place = workbench(work).make(work.beat)
    work.say("counting and dumping")
    counted = place.dump(estate_database(work), DUMP, limit_s=work.budget_s)
    work.say(f"{tables.total_rows(counted)} rows in {len(counted)} tables")
    if not work.is_rehearsal:
        work.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        place.fetch(DUMP, work.folder / "dump")
    return _evidence(counted)


def dumped(work: Work) -> Evidence:
    """The rehearsal's dump is checked when it is loaded; a cut-over's is here by now, and is read through."""
    if work.is_rehearsal:
        return {}
    problem = problem_with(work.folder / "dump")
    if problem:
        raise ApplyError(f"the dump did not arrive whole: {problem}", hint="resume dumps again", where=str(work.folder))
    workbench(work).remove()
    return {"dump_bytes": (work.folder / "dump" / "database.dump").stat().st_size}


def forget_dump(work: Work) -> Evidence:
    """Remove the dump here, and the container it was made in."""
    shutil.rmtree(work.folder, ignore_errors=True)
    workbench(work).remove()
    return {}


def _evidence(counted: tables.Tables) -> Evidence:
    return {"rows": tables.total_rows(counted), "tables": tables.as_data(counted), "checksum": tables.checksum(counted)}


# --- the restore


@dataclass(frozen=True)
class Deployment:
    """v2, as what stops and starts its services wants to know it."""

    slug: str
    swarm: DockerSwarm


def restore(work: Work) -> Evidence:
    """Load the dump beside v2's database, compare, exchange, run the migrations, start."""
    service = work.database_service()
    container = running_container(work.swarm, service.name)
    if not container:
        raise ApplyError("v2's database does not run", hint=f"docker service ps {service.name}", where=service.name)
    place = Place(work.swarm, container, service.name)
    user, name = service.environment["POSTGRES_USER"], service.environment["POSTGRES_DB"]
    beside = Connection(f"{name}_migrated", user)
    size = int(work.evidence_of("prepare").get("database_bytes", 0))
    try:
        place.arrive({file: work.folder / "dump" / file for file in DUMP_FILES})
        refuse_little_room(place.room(service.environment["PGDATA"].rpartition("/")[0]), 2 * size, service.name)
        work.say("loading beside v2's database")
        loaded = place.load(beside, FOLDER, limit_s=work.budget_s)
        refuse_differences(work, loaded)
        _exchange(work, place, beside, name)
    except ApplyError:
        with suppress(ApplyError):  # what went wrong first is what is told
            place.ask("drop", beside)
        raise
    finally:
        with suppress(ApplyError):
            place.leave()
    return _evidence(loaded)


def _exchange(work: Work, place: Place, beside: Connection, name: str) -> None:
    work.say("exchanging the two")
    with stack_held(work.target) as beat, standing_still(Deployment(work.target.slug, work.swarm), work.say, beat):
        waited_for(lambda: place.ask("exchange", beside, name), beat)
    for wanted in work.stack.services.values():  # after a crash in between, some may have been left at 0
        if not wanted.is_job and wanted.replicas:
            work.swarm.scale(wanted.name, wanted.replicas)
    StackState.objects.for_org(work.target).update(live_fingerprint="", updated=Now())


def refuse_differences(work: Work, loaded: tables.Tables) -> None:
    """Raise with the table's name where the loaded database is not what was dumped."""
    found = tables.differences(tables.from_data(work.evidence_of("dump")["tables"]), loaded)
    if found:
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        raise ApplyError(
            f"the copy is not the same: {'; '.join(found[:3])}{more}", hint="resume loads it again; nothing was exchanged", where="restore"
        )


def restored(work: Work) -> Evidence:
    """The evidence of the load says it; that v2 still has the rows is looked at when it is verified."""
    if work.kept.get("checksum") != work.evidence_of("dump").get("checksum"):
        raise ApplyError("the restored database has another checksum than the dump", hint="resume loads it again", where="restore")
    return {}


def restore_scratch(work: Work) -> Evidence:
    """The rehearsal's: into a server nobody can reach, compared; it goes with its container."""
    place = workbench(work).make(work.beat)
    work.say("loading into a scratch database")
    loaded = place.load(SCRATCH, DUMP, limit_s=work.budget_s)
    refuse_differences(work, loaded)
    return _evidence(loaded)


# --- the buckets


def stores(work: Work) -> tuple[Store, Store]:
    """The estate's object storage, and v2's."""
    there, here = work.source.storage, work.needs.storage.existing
    if there is None or here is None:
        raise ApplyError("there are no buckets to copy", hint="this is a fault of the plan: please report it", where="buckets")
    theirs = Endpoint(there.host, there.port, there.tls, work.secret(work.org, ACCESS_KEY), work.secret(work.org, SECRET_KEY))
    keys = [work.secret(work.target, name) for name in ("storage-access-key", "storage-secret-key")]
    return Store(theirs), Store(Endpoint(here.host, here.port, here.tls, keys[0], keys[1]))


def pairs(work: Work) -> tuple[Pair, ...]:
    """Which bucket goes where; a rehearsal's objects get a prefix of their own, and are shown to nobody."""
    there, here = work.source.storage, work.needs.storage.existing
    if there is None or here is None:
        return ()
    prefix = f"rehearsal-{work.migration.number}/" if work.is_rehearsal else ""
    return (
        Pair(there.replays_bucket, here.replays_bucket, prefix),
        Pair(there.images_bucket, here.images_bucket, prefix, public=not work.is_rehearsal),
    )


def copy_buckets(work: Work) -> Evidence:
    """Copy what is not there yet."""
    source, target = stores(work)
    copied = 0
    for pair in pairs(work):
        work.say(f"copying {pair.source} to {pair.target}/{pair.prefix}")
        copied += copy(source, target, pair, work.beat)
    return {"copied": copied}


def buckets_are_equal(work: Work) -> Evidence:
    """Names, sizes and content on both sides."""
    source, target = stores(work)
    return {"buckets": [compare(source, target, pair, work.beat) for pair in pairs(work)]}


def remove_copies(work: Work) -> Evidence:
    """The rehearsal's objects, and no others."""
    if not work.is_rehearsal:
        return {}
    _, target = stores(work)
    return {"removed": sum(target.remove(pair.target, pair.prefix) for pair in pairs(work))}
