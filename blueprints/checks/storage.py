"""Rules about data that lasts and disks that fill: incidents 1, 7, 15 and 31. Pure."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import PurePosixPath

from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject
from blueprints.checks.services import DATABASES, Service, reached
from blueprints.estate.model import Item

_TOOLS = re.compile(r"\b(?:pg_dump|pg_dumpall|pg_basebackup|mysqldump|mongodump|restic|borg|wal-g|pgbackrest|influx backup|neo4j-admin)\b")
REHEARSED_WITHIN_DAYS = 90
REBUILT_WITHIN_S = 6 * 3600
RESTARTS_A_DAY = 3
DISK_FULL = 0.8
KEPT_TASKS = 10


def rebuild_is_rehearsed(subject: Subject) -> Answer:
    """Somebody brought it back from a backup lately, and it took less than the six hours that are promised."""
    assert subject.records is not None  # noqa: S101 - the registry asks only with it
    if not subject.records.is_deployed:
        return NotApplicable("nothing is deployed that could be lost")
    good = [rehearsal for rehearsal in subject.records.rehearsals if rehearsal.is_good]
    if not good:
        return (Found(subject.name, "it was never brought back from a backup, not even beside the real one"),)
    newest = min(good, key=lambda rehearsal: rehearsal.days_ago)
    found = []
    if newest.days_ago > REHEARSED_WITHIN_DAYS:
        found.append(Found(newest.what, f"was tried {newest.days_ago:.0f} days ago, and {REHEARSED_WITHIN_DAYS} is the most"))
    if newest.took_s > REBUILT_WITHIN_S:
        found.append(Found(newest.what, f"took {newest.took_s / 3600:.1f} h, and {REBUILT_WITHIN_S // 3600} h is the most"))
    return tuple(found)


def data_is_backed_up(subject: Subject) -> Answer:
    """Every volume has a job that saves it, or the blueprint's word on why that need not be; for a database only a job counts."""
    mounted: dict[str, list[Service]] = {}
    for service in subject.services:
        for mount in service.args.mounts:
            if mount.type == "volume" and not mount.read_only:
                mounted.setdefault(mount.source, []).append(service)
    if not mounted:
        return NotApplicable("it keeps no data of its own")
    jobs = [service for service in subject.services if _saves(service)]
    found = []
    for name, users in mounted.items():
        if all(user in jobs for user in users) or any(_covers(subject, job, users) for job in jobs):
            continue
        item = subject.estate.find("volume", name)
        word = str(item.facts.get("backup", "")) if item else ""
        holds = ", ".join(user.name for user in users)
        if any(user.family in DATABASES for user in users):
            found.append(Found(name, f"holds the data of {holds}, and no service dumps it"))
        elif not word:
            found.append(Found(name, f"holds the data of {holds}, and nothing says how it is saved or why it need not be"))
    return tuple(found)


def _saves(service: Service) -> bool:
    return bool(_TOOLS.search(service.words) or any(_TOOLS.search(config.text or "") for config in service.configs))


def _covers(subject: Subject, job: Service, users: list[Service]) -> bool:
    """The job is told of one of the users; the command line of a database client counts as its settings do."""
    own = {mount.source for mount in job.args.mounts}
    if any(mount.source in own for user in users if user is not job for mount in user.args.mounts if mount.type == "volume"):
        return True
    hosts = [reference.host for reference in subject.references if reference.service == job.name]
    return any(user in users for host in hosts for user in reached(job, host, subject.services))


def restarts_are_paced(subject: Subject) -> Answer:
    """A service that cannot start must not try again without a pause: each try leaves a container behind."""
    long_lived = [service for service in subject.services if service.args.restart in ("any", "on-failure")]
    if not long_lived:
        return NotApplicable("nothing says how it is restarted, so the engine's pause of 5 s holds")
    return tuple(
        Found(service.name, "is started again at once when it ends, without a pause and without an end")
        for service in long_lived
        if service.args.restart_delay_s <= 0 and not service.args.restart_attempts
    )


def restarts_are_few(subject: Subject) -> Answer:
    """Tasks that ended by themselves within a day."""
    assert subject.running is not None  # noqa: S101 - the registry asks only with it
    if not subject.running.services:
        return NotApplicable("nothing runs")
    return tuple(
        Found(service, f"ended {count} times within a day") for service, count in subject.running.restarts.items() if count > RESTARTS_A_DAY
    )


def disk_has_room(subject: Subject) -> Answer:
    """Docker's own disk, and how much of what ended is kept on it."""
    assert subject.target is not None  # noqa: S101 - the registry asks only with it
    target = subject.target
    if target.disk_used is None and target.kept_tasks is None:
        return NotApplicable("the disk under Docker's data cannot be seen from here")
    found = []
    if target.disk_used is not None and target.disk_used > DISK_FULL:
        found.append(Found("disk of Docker's data", f"{target.disk_used:.0%} used, and {DISK_FULL:.0%} is the most"))
    if target.kept_tasks is not None and target.kept_tasks > KEPT_TASKS:
        found.append(Found("swarm", f"keeps {target.kept_tasks} ended tasks of each service, with their containers"))
    if target.storage_driver == "vfs":
        found.append(Found("storage driver vfs", "copies every image whole for each container"))
    return tuple(found)


def _devices(subject: Subject) -> list[tuple[Item, PurePosixPath]]:
    """Volumes that are a folder of the machine, and the folder."""
    return [
        (item, PurePosixPath(item.part.driver_options["device"]))
        for item in subject.estate.of("volume")
        if item.part is not None and not item.is_leaving and str(item.part.driver_options.get("device", "")).startswith("/")
    ]


def volumes_do_not_nest(subject: Subject) -> Answer:
    """No volume's folder is another's, or lies inside it."""
    devices = _devices(subject)
    if not devices:
        return NotApplicable("no volume is a folder of the machine")
    return tuple(
        Found(inner.name, f"{lower} lies in {upper}, which is {outer.name}" if lower != upper else f"{lower} is {outer.name} too")
        for (a, path_a), (b, path_b) in combinations(devices, 2)
        for inner, lower, outer, upper in ((b, path_b, a, path_a), (a, path_a, b, path_b))
        if lower.is_relative_to(upper) and (lower != upper or inner is b)
    )


def paths_of(subject: Subject) -> tuple[str, ...]:
    """Every path of the machine that it needs."""
    binds = [mount.source for service in subject.services for mount in service.args.mounts if mount.type == "bind"]
    return tuple(dict.fromkeys((*binds, *(str(path) for _, path in _devices(subject)))))


def paths_are_there(subject: Subject) -> Answer:
    """Swarm makes no folder: a path that is missing leaves the task waiting."""
    assert subject.target is not None  # noqa: S101 - the registry asks only with it
    wanted = paths_of(subject)
    if not wanted:
        return NotApplicable("it uses no path of the machine")
    if not any(path in subject.target.paths for path in wanted):
        return NotApplicable("the machine's paths cannot be seen from here")
    return tuple(Found(path, "is not there") for path in wanted if subject.target.paths.get(path) is False)


def sizes_are_limits(subject: Subject) -> Answer:
    """An option that the volume's driver does not know limits nothing."""
    limited = [i for i in subject.estate.of("volume") if i.part is not None and not i.is_leaving and "size" in i.part.driver_options]
    volumes = [item for item in subject.estate.of("volume") if not item.is_leaving]
    if not volumes:
        return NotApplicable("it has no volume")
    return tuple(
        Found(item.name, f"size {item.part.driver_options['size']} has no effect: the local driver knows it for tmpfs only, under o")
        for item in limited
        if item.part is not None
    )


RULES = (
    Rule("I01-rebuild-is-rehearsed", "warning", "preflight", "It was brought back from a backup within 90 days, in less than 6 hours.",
         "`sprocket restore ORG newest --to scratch` tries it beside the real one and notes how long it took.",
         rebuild_is_rehearsed, "records"),
    Rule("I07-data-is-backed-up", "block", "lint", "Every volume says how it is saved; every database has a job that dumps it.",
         "Add the backup component, or write down in the manifest why the data need not be saved.", data_is_backed_up),
    Rule("I15-restarts-are-paced", "warning", "lint", "A service that ends is started again after a pause.",
         "Set deploy.restart_policy.delay to a few seconds.", restarts_are_paced),
    Rule("I15-restarts-are-few", "warning", "probe", "No service ends more than three times a day.",
         "`docker service ps --no-trunc NAME` says why it ends; until that is mended, scale it to nothing.", restarts_are_few, "running"),
    Rule("I15-disk-has-room", "warning", "preflight", "Less than four fifths of Docker's disk are used.",
         "`docker system df` says by what; `docker image prune` and `docker container prune` give back what nobody uses.",
         disk_has_room, "target"),
    Rule("I30-size-is-a-limit", "warning", "lint", "No volume is thought to have a limit that it has not.",
         "Take the option away, and limit what the program keeps (a retention), or give it a disk of its own.", sizes_are_limits),
    Rule("I31-volumes-do-not-nest", "block", "lint", "Every volume has a folder of its own.",
         "Give each volume a folder beside the others, and move the data while the services stand still.", volumes_do_not_nest),
    Rule("I31-path-is-there", "block", "preflight", "Every path of the machine that is mounted is there.",
         "Make it, with the owner that the program runs as, or mount the disk.", paths_are_there, "target"),
)  # fmt: skip
