"""What a person can do with backups: take, list, keep a copy here, restore to a scratch database or for real.

The work is done by the script in the deployment's own backup service, which needs no control plane; here is who may ask for it,
which copy is used, what has to stand still meanwhile, and what is noted.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from orgs import access
from orgs.actions import record
from orgs.models import Organization
from provisioning import backups, leases, secret_store
from provisioning.backups import Backup, Restored
from provisioning.docker_door import docker_hands
from provisioning.materials import data_dir
from provisioning.models import StackState
from sprocket_v2.errors import ApplyError, SprocketError, StaleError

if TYPE_CHECKING:
    from provisioning.providers.swarm.client import DockerSwarm

SCRIPT = ("sh", "/backup/backup.sh")
PASSWORD = "db-password"  # noqa: S105 - a name
LONGEST_S = 4 * 3600.0
STOP_S, START_S = 120.0, 300.0
OnStep = Callable[[str], None]
T = TypeVar("T")


class Standing(Protocol):
    """A deployment whose services can be stopped and started."""

    @property
    def slug(self) -> str:
        """The organization's."""
        ...

    @property
    def swarm(self) -> DockerSwarm:
        """The Docker client."""
        ...


def _silent(_step: str) -> None:
    return


class Place:
    """The backup service of a running deployment: where its script is asked."""

    def __init__(self, slug: str) -> None:
        self.slug, self.swarm = slug, docker_hands()
        name = f"{slug}_backup"
        found = next((service for service in self.swarm.live_services(slug) if service.name == name), None)
        # An unhealthy one still answers: its last attempt failed, and that is when it is asked.
        tasks = [task for task in found.tasks if task.desired == "running" and task.container] if found else []
        tasks = [task for task in tasks if task.state in ("running", "starting")]
        if not tasks:
            hint = f"`docker service ps --no-trunc {name}` says why" if found else f"deploy it: `sprocket apply {slug}`"
            raise ApplyError(f"no backup service runs in {slug}", hint=f"{hint}; a managed database is backed up by its host", where=name)
        self.container = tasks[0].container

    def ask(self, *words: str, limit_s: float = LONGEST_S) -> str:
        """What the script says.

        Raises:
            ApplyError: with its own last line.
        """
        code, text = self.swarm.run_in(self.container, [*SCRIPT, *words], timeout_s=limit_s)
        if code:
            last = next((line for line in reversed(text.splitlines()) if line.strip()), "it said nothing")
            raise ApplyError(last, hint=f"`docker service logs --tail 20 {self.slug}_backup` says more", where=f"{self.slug}_backup")
        return text

    def all(self) -> list[Backup]:
        """All of them, read through, newest first."""
        return backups.read_listing(self.ask("list"))

    def take(self, reason: str) -> Backup:
        """Make one now; it is read back before this returns."""
        name = backups.checked_name(self.ask("now", reason).splitlines()[-1].strip())
        [made] = backups.read_listing(self.ask("show", name))
        if not made.is_good:
            raise ApplyError(f"the checksum of backup {name} is wrong right after it was made", hint="check the disk", where=self.slug)
        return made


def kept_folder(slug: str) -> Path:
    """Where the control plane keeps copies of an organization's backups; a purge of the deployment does not touch it."""
    return data_dir() / "backups" / slug


def take(*, org: Organization, actor: Any, reason: str = "by-hand", copy: bool = False, via: str = "cli") -> Backup:  # noqa: ANN401 - rows
    """Make a backup now, and with `copy` keep a copy in the control plane's data folder.

    Raises:
        DeniedError. ApplyError: no backup service runs, or it could not make one.
    """
    access.require(actor, org, "apply")
    place = Place(org.slug)
    made = place.take(reason)
    if copy:
        made = keep(place, made)
    _note(org, place)
    record(org=org, actor=actor, what="backup taken", detail=f"{made.name}, {made.bytes} bytes, {reason}", via=via)
    return made


def keep(place: Place, backup: Backup) -> Backup:
    """Fetch a copy of a backup of the deployment."""
    files = place.swarm.read_folder(place.container, f"{backups.FOLDER}/{backup.name}")
    backups.keep(kept_folder(place.slug), backup.name, files)
    return Backup(backup.name, backup.bytes, backup.reason, True, ("deployment", "control plane"))


def listing(*, org: Organization, on_step: OnStep = _silent) -> list[Backup]:
    """Every backup there is, in the deployment and here, newest first. Without a running deployment: those kept here, and a word why."""
    deployed: list[Backup] = []
    try:
        place = Place(org.slug)
    except ApplyError as error:
        on_step(f"{error.message}: these are the copies kept by the control plane")
    else:
        deployed = place.all()
        _note(org, place)
    return backups.together(deployed, backups.kept(kept_folder(org.slug)))


def restore_to_scratch(*, org: Organization, name: str, actor: Any, on_step: OnStep = _silent) -> Restored:  # noqa: ANN401 - rows
    """Load a backup into a database beside the real one, compare the rows of each table with those counted when it was made, drop it.

    Raises:
        ApplyError: the backup is damaged or not there, or the rows differ.
    """
    access.require(actor, org, "apply")
    place = Place(org.slug)
    name = _ready(place, name, on_step)
    on_step("loading it into a scratch database")
    text = place.ask("restore-scratch", name)
    live = backups.read_rows(place.ask("count"))
    restored = Restored(name, backups.read_rows(text), live, backups.read_took_s(text))
    _note_tried(org, restored)
    record(org=org, actor=actor, what="backup tried", detail=f"{name}: {sum(restored.rows.values())} rows", via="cli")
    return restored


def restore_live(
    *,
    org: Organization,
    name: str,
    actor: Any,  # noqa: ANN401 - rows
    on_step: OnStep = _silent,
    backup_first: bool = True,
) -> Restored:
    """Put a backup in the place of the running database: back up what is there, stop who uses it, exchange, run the migrations, start.

    The exchange is one transaction: until then the database is as it was, and if anything fails the applications come back to it.

    Raises:
        DeniedError, StaleError (somebody works on the stack), ApplyError.
    """
    access.require(actor, org, "destroy")
    with stack_held(org) as beat:
        place = Place(org.slug)
        name = _ready(place, name, on_step)
        first = ""
        if backup_first:
            on_step("taking a backup of what is there now")
            first = waited_for(lambda: place.take("before-restore"), beat).name
        with standing_still(place, on_step, beat):
            on_step("restoring")
            text = waited_for(lambda: place.ask("restore-live", name), beat)
        restored = Restored(name, backups.read_rows(text), {}, backups.read_took_s(text), first)
        StackState.objects.for_org(org).update(live_fingerprint="")
        _note(org, place)
        _note_tried(org, restored)
    record(org=org, actor=actor, what="backup restored", detail=f"{name}; before it {first or 'none was taken'}", via="cli")
    return restored


def _ready(place: Place, name: str, on_step: OnStep) -> str:
    """The backup's name, once a good copy of it is in the deployment; `newest` is the newest good one.

    Raises:
        ApplyError: it is damaged everywhere, or nowhere. Nothing was touched.
    """
    deployed, copies = place.all(), backups.kept(kept_folder(place.slug))
    if name == "newest":
        good = [backup.name for backup in (*deployed, *copies) if backup.is_good]
        if not good:
            raise ApplyError(f"{place.slug} has no good backup", hint=f"`sprocket backup {place.slug}` makes one", where=place.slug)
        name = max(good)
    name = backups.checked_name(name)
    here = next((backup for backup in deployed if backup.name == name), None)
    copy = next((backup for backup in copies if backup.name == name), None)
    if here and here.is_good:
        return name
    if copy and copy.is_good:
        on_step("copying it into the deployment")
        files = {file: kept_folder(place.slug) / name / file for file in backups.FILES}
        place.swarm.write_folder(place.container, f"{backups.FOLDER}/{backups.INCOMING}", files)
        place.ask("adopt", name)
        return name
    if here or copy:
        raise ApplyError(
            f"the checksum of backup {name} is wrong: it is damaged, and nothing was touched",
            hint=f"choose another: `sprocket backups {place.slug}` lists them with their checksums",
            where=name,
        )
    raise ApplyError(f"there is no backup {name}", hint=f"`sprocket backups {place.slug}` lists them", where=place.slug)


# --- what has to stand still


@contextmanager
def stack_held(org: Organization) -> Iterator[Callable[[], None]]:
    """The lease on the organization's stack: no apply runs meanwhile. Gives what keeps it alive."""
    lease = leases.acquire(org, leases.this_worker())
    if lease is None:
        raise StaleError("somebody else works on this stack", hint="`sprocket runs` shows who; try again when it is done", where=org.slug)

    def beat() -> None:
        if not leases.renew(lease):
            raise StaleError("the lease on the stack is lost", hint="`sprocket runs` shows who has it", where=org.slug)

    try:
        yield beat
    finally:
        leases.release(lease)


def waited_for(work: Callable[[], T], beat: Callable[[], None]) -> T:
    """Do it in a thread and keep the lease alive meanwhile."""
    with ThreadPoolExecutor(1) as pool:
        doing = pool.submit(work)
        while True:
            try:
                return doing.result(timeout=leases.RENEW_EVERY_S)
            except NotYet:
                if doing.done():  # its own time-out, not ours
                    raise
                beat()


@contextmanager
def standing_still(place: Standing, on_step: OnStep, beat: Callable[[], None]) -> Iterator[None]:
    """Everything that knows the database's password is stopped, and started again whatever happens; migrations first."""
    users = _users(place, "service")
    on_step(f"stopping {', '.join(users) or 'nothing'}")
    wanted: dict[str, int] = {}
    try:
        for name in users:
            wanted[name] = place.swarm.scale(name, 0)
        _until(place, lambda running: not any(running.get(name) for name in users), STOP_S, "did not stop", beat)
        yield
        for name in _users(place, "job"):
            on_step(f"running {name}")
            _once_more(place, name, beat)
    finally:
        on_step(f"starting {', '.join(wanted) or 'nothing'}")
        for name, count in wanted.items():
            place.swarm.scale(name, count)
    _until(place, lambda running: all(running.get(name, 0) >= count for name, count in wanted.items()), START_S, "did not start", beat)


def _users(place: Standing, kind: str) -> list[str]:
    """Services that mount the database's password, beside the database, its backup, and the job that loads starting data."""
    found = []
    for live in place.swarm.live_services(place.slug):
        spec = (place.swarm.find("service", live.name) or {}).get("Spec") or {}
        labels = spec.get("Labels") or {}
        mounted = (((spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}).get("Secrets")) or ()
        holds = any(f"_{PASSWORD}_" in str(item.get("SecretName")) for item in mounted)
        stays = labels.get("sprocket.component") in ("postgres", "backup")
        if holds and not stays and labels.get("sprocket.kind") == kind:
            found.append(live.name)
    return sorted(found)


def _until(place: Standing, is_so: Callable[[dict[str, int]], bool], limit_s: float, failure: str, beat: Callable[[], None]) -> None:
    limit, renewed = time.monotonic() + limit_s, time.monotonic()
    while not is_so(running := {service.name: len(service.running) for service in place.swarm.live_services(place.slug)}):
        if time.monotonic() > limit:
            names = ", ".join(f"{name} {count}" for name, count in sorted(running.items()))
            raise ApplyError(f"the applications {failure} within {limit_s:.0f} s", hint=f"running: {names}", where=place.slug)
        if time.monotonic() - renewed > leases.RENEW_EVERY_S:
            beat()
            renewed = time.monotonic()
        time.sleep(0.3)


def _once_more(place: Standing, name: str, beat: Callable[[], None]) -> None:
    """Run a job again and wait for its end."""
    before = {task["ID"] for task in place.swarm.tasks(name)}
    place.swarm.run_again(name)
    limit = time.monotonic() + START_S
    while True:
        new = [task["Status"]["State"] for task in place.swarm.tasks(name) if task["ID"] not in before]
        if "complete" in new:
            return
        if {"failed", "rejected"} & set(new) or time.monotonic() > limit:
            last = (place.swarm.last_lines(name, 1) or ["it said nothing"])[0]
            raise ApplyError(f"restored, but {name} did not end well: {last}", hint=f"docker service logs --tail 20 {name}", where=name)
        beat()
        time.sleep(0.5)


# --- what is known of them, for pages


def note(org: Organization) -> None:
    """Look at the newest backup of a running deployment and keep what was seen; nothing where it cannot be seen."""
    try:
        _note(org, Place(org.slug))
    except SprocketError:
        return


def _note(org: Organization, place: Place) -> None:
    found = backups.read_listing(place.ask("newest", limit_s=20.0))
    seen = {"name": found[0].name, "bytes": found[0].bytes} if found else {"name": "", "bytes": 0}
    known = secret_store.stack_state(org).backups or {}
    kept = {"tried": known["tried"]} if "tried" in known else {}
    StackState.objects.for_org(org).update(backups={**seen, "seen": datetime.now(UTC).isoformat(timespec="seconds"), **kept})


def _note_tried(org: Organization, restored: Restored) -> None:
    """Keep which backup was brought back last, when, and how long it took: a restore nobody tried is a hope."""
    tried = {"name": restored.name, "at": datetime.now(UTC).isoformat(timespec="seconds"), "took_s": restored.took_s}
    state = secret_store.stack_state(org)
    StackState.objects.for_org(org).update(backups={**(state.backups or {}), "tried": tried})


def note_all() -> None:
    """The same for every organization whose deployment has a backup service."""
    for state in StackState.objects.exclude(applied_blueprint=None).select_related("organization"):
        note(state.organization)


# --- before something that cannot be undone


def has_a_database(slug: str) -> bool:
    """Whether the organization has a database of its own on this machine, running or not."""
    return any(item.kind == "volume" and item.name == f"{slug}_postgres_data" for item in docker_hands().live_objects(slug))


def before_destroy(*, org: Organization, actor: Any, via: str = "cli") -> tuple[Backup | None, str]:  # noqa: ANN401 - rows
    """A last backup, kept here, while the database still runs; or in words why there is none. The data itself stays either way."""
    if not has_a_database(org.slug):
        return None, ""
    try:
        return take(org=org, actor=actor, reason="before-destroy", copy=True, via=via), ""
    except ApplyError as error:
        return None, f"no backup could be taken first: {error.message}"


def last_kept(slug: str) -> Backup | None:
    """The newest good backup that is kept here."""
    good = [item for item in backups.kept(kept_folder(slug)) if item.is_good]
    return max(good, key=lambda item: item.name, default=None)


def before_apply(org: Organization, steps: Sequence[Any], risky: Sequence[str], beat: Callable[[], None]) -> str:
    """Take a backup before a plan that touches the database or migrates it; in words what came of it, empty when it was not needed.

    An apply may be the repair of a database that cannot be backed up, so it goes on without one, and says so.
    """
    if not backups.is_risky(steps, risky):
        return ""
    try:
        place = Place(org.slug)
        made = waited_for(lambda: place.take("before-apply"), beat)
    except ApplyError as error:
        return f"no backup was taken before this: {error.message}"
    return f"backup {made.name} was taken first, {backups.size_words(made.bytes)}"
