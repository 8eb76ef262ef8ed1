"""What the control plane itself costs: previews of many organizations through one and two workers, memory at rest and at work, one child
process, one event of a run's journal.

Needs the Pulumi CLI and no Docker: the previews are made against an empty host.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.engine.deployed import ControlPlane
from tools.bench.row import Row, elapsed_ms, ms, ratio_row
from tools.setup import pulumi

ROOT = Path(__file__).resolve().parent.parent.parent
GROUP = "workers"
ORGANIZATIONS, EVENTS, CHILDREN = 20, 2000, 5
_MAKE = f"""
from orgs.people import create_user
alice = create_user(username="alice", admin=True)
for number in range({ORGANIZATIONS}):
    slug = f"league-{{number}}"
    org = org_actions.create_organization(slug=slug, name="A League", actor=alice)
    org_actions.attach(org=org, name="demo-schema.sql", content=open("orgs/demo-schema.sql", "rb").read(), actor=alice)
    org_actions.set_needs(org=org, actor=alice, text=NEEDS.replace(SLUG, slug), message="first")
    set_secrets(SECRETS)
"""
_PREVIEWS = """
orgs = list(Organization.objects.all())
blueprints = {org.pk: blueprint_actions.make_blueprint(org=org, actor=alice) for org in orgs}
Run.objects.all().delete()
Plan.objects.all().delete()
begun = time.perf_counter()
runs = [actions.request_run(org=org, kind="preview", actor=alice, blueprint=blueprints[org.pk]).pk for org in orgs]
while Run.objects.filter(pk__in=runs, state__in=("queued", "running")).exists() and time.perf_counter() < begun + 300: time.sleep(0.05)
taken = time.perf_counter() - begun
assert not Run.objects.exclude(state="succeeded").exists(), Run.objects.exclude(state="succeeded").first().error
say(taken)
"""
_EVENTS = """
from datetime import UTC, datetime
from provisioning import leases
from provisioning.engine_events import Event
from provisioning.recorder import Recorder
org = Organization.objects.first()
run = Run.objects.for_org(org).first()
lease = leases.acquire(org, "bench")
Run.objects.filter(pk=run.pk).update(fencing=lease.fencing, state="running")
recorder = Recorder(run, lease)
events = [Event(seq=0, kind="resource", at=datetime.now(UTC).isoformat(), resource=f"service/{n}", message="creating") for n in range(EVENTS)]
begun = time.perf_counter()
for event in events: recorder.take(event)
recorder.flush()
say((time.perf_counter() - begun) / EVENTS * 1000)
"""


def rows() -> list[Row]:
    """The rows; skipped with the reason where the engine's command line is not here."""
    if pulumi.find() is None:
        return [Row(GROUP, "worker rows", skipped="the Pulumi CLI is not here: make setup")]
    with tempfile.TemporaryDirectory() as folder:
        plane = ControlPlane(Path(folder) / "data")
        plane.environment["DOCKER_HOST"] = f"unix://{folder}/no-engine.sock"
        plane.migrate()
        plane.ask(_MAKE)
        one, two, at_work = _throughput(plane)
        event = float(plane.ask(_EVENTS, EVENTS=EVENTS))
        at_rest, worker = _memory_at_rest(plane)
    child, bare = _child()
    return [
        Row(GROUP, f"previews of {ORGANIZATIONS} organizations, 2 workers", one / two, "x", 4.0, 1.6, f"{two:.1f} s", f"{one:.1f} s", "1 worker"),
        Row(GROUP, "memory of a worker child, idle", worker, "MiB", 100.0, None, f"{worker:.0f} MiB", "", "bare imports 71 MiB"),
        Row(GROUP, "memory of one running operation", at_work, "MiB", 300.0, None, f"{at_work:.0f} MiB", "", "child, engine and provider"),
        Row(GROUP, "memory of the whole control plane, idle", at_rest, "MiB", 350.0, None, f"{at_rest:.0f} MiB", "", "web, 2 workers, beat; file broker"),
        ratio_row(GROUP, "one child process, ready for a request", child, bare, goal=1.5, limit="python -c 'import pulumi.automation'"),
        Row(GROUP, "one event of a run's journal", event, "ms", 1.0, None, ms(event), "", f"as a row, {EVENTS} in batches"),
    ]  # fmt: skip


def _throughput(plane: ControlPlane) -> tuple[float, float, float]:
    """Seconds through one and through two workers, and the most MiB one operation took beside its worker."""
    with _workers(plane, 1) as [worker], _watched(worker) as most:
        one = float(plane.ask(_PREVIEWS, limit_s=400.0))
    with _workers(plane, 2):
        two = float(plane.ask(_PREVIEWS, limit_s=400.0))
    return one, two, most[0]


@contextlib.contextmanager
def _workers(plane: ControlPlane, count: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Workers of one child each, ready."""
    started = [_start(plane, "celery", "-A", "sprocket_v2", "worker", "-c", "1", "-n", f"w{number}@bench") for number in range(count)]
    try:
        limit = time.monotonic() + 90
        while any(len(_descendants(process.pid)) < 2 for process in started):  # the pool's child, and the spare one that it keeps
            assert time.monotonic() < limit, "a worker does not come up"
            time.sleep(0.2)
        yield started
    finally:
        for process in started:
            _end(process)


def _start(plane: ControlPlane, *words: str) -> subprocess.Popen[bytes]:
    quiet = subprocess.DEVNULL
    return subprocess.Popen(
        [sys.executable, "-m", *words], env=plane.environment, cwd=ROOT, stdout=quiet, stderr=quiet, start_new_session=True
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(10)


@contextlib.contextmanager
def _watched(worker: subprocess.Popen[bytes]) -> Iterator[list[float]]:
    """The most MiB that what a worker's pool started had at one moment, beside the pool itself."""
    most, over = [0.0], threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            own = {worker.pid, *_children([worker.pid])}
            below = [pid for pid in _descendants(worker.pid) if pid not in own]
            most[0] = max(most[0], _pss_mib(below))

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    yield most
    over.set()
    thread.join()


def _memory_at_rest(plane: ControlPlane) -> tuple[float, float]:
    """MiB of web, two workers and beat together, and of one pool child, after they have done nothing for a while."""
    web = _start(plane, "sprocket_v2.cli.main", "serve", "--port", str(plane.port))
    beat = _start(plane, "celery", "-A", "sprocket_v2", "beat", "--schedule", str(plane.data.parent / "beat"))
    try:
        with _workers(plane, 2) as workers:
            time.sleep(4)
            tops = [web.pid, beat.pid, *(worker.pid for worker in workers)]
            everything = [*tops, *(pid for top in tops for pid in _descendants(top))]
            [child, *_] = _children([workers[0].pid])
            return _pss_mib(everything), _pss_mib([child])
    finally:
        _end(web)
        _end(beat)


def _child() -> tuple[float, float]:
    """Least milliseconds until a child could take a request, and of the same imports without us."""
    from provisioning.operations import Child

    ours, bare = [], []
    for _ in range(CHILDREN):
        bare.append(elapsed_ms(lambda: subprocess.run([sys.executable, "-c", "import pulumi.automation"], check=True)))
        begun = time.perf_counter()
        child = Child()
        child.send("{}\n")  # no request: it says so and ends, once it has imported everything
        while child.next_line(10.0) is not None:
            pass
        ours.append((time.perf_counter() - begun) * 1000)
        child.end(grace_s=2.0)
    return min(ours), min(bare)


def _pss_mib(pids: Sequence[int]) -> float:
    """Memory that is these processes' own share, in MiB; one that has gone counts nothing."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _children(parents: Sequence[int]) -> list[int]:
    found = []
    for pid in parents:
        with contextlib.suppress(OSError):
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(word) for word in (task / "children").read_text().split()]
    return found


def _descendants(pid: int) -> list[int]:
    found, level = [], [pid]
    while level := _children(level):
        found += level
    return found
