"""Engine operations, seen from their parent: start a child in its own session, follow its events, stop it, leave nothing behind.

Rules 3, 4, 10, 13, 14. The child is stacks.py; this module never imports the engine's SDK, and knows no database.
"""

from __future__ import annotations

import atexit
import json
import os
import queue
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any, Literal

from provisioning import processes
from provisioning.engine_events import Event, event_from
from provisioning.room import refuse_full_disk
from provisioning.secret_socket import SecretServer
from provisioning.state import PROJECT, checkpoint_file
from sprocket_v2.errors import ApplyError

Verb = Literal["preview", "apply", "refresh", "destroy"]
OnEvent = Callable[[Event], None]
PROJECT_ROOT = Path(__file__).resolve().parent.parent
ALLOWED = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "TZ",
    "TMPDIR",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "DOCKER_CERT_PATH",
    "DOCKER_TLS_VERIFY",
)  # everything else a process of ours may know stays with its parent
ALLOWED_FOR_S3 = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_ENDPOINT_URL_S3",
    "HTTPS_PROXY",
    "NO_PROXY",
)
CHILD_MODULE = "provisioning.stacks"
STALL_AFTER_S = 120.0
GRACE_S = 30.0
_LAST_WORDS_S = 2.0
_TICK_S = 0.25


@dataclass(frozen=True, slots=True)
class Request:
    """What the child is told, as one line of JSON on its standard input. Secret values travel only there.

    Attributes:
        stack: the engine's name of the stack.
        secrets: `<org>/<name>@<version>` -> value.
        fingerprints: secret name -> keyed HMAC.
        plan_in: file of an approved engine plan to apply; empty for none.
        plan_out: file a preview leaves its engine plan in; empty for none.
        expected_state_digest: refuse when the state has moved; empty to accept any.
        fingerprint_key: the organization's key (hex) for fingerprints of what a secret server holds; empty where the bundle has none.
        withhold_key: the organization's key (hex) for values that an import takes out; empty where nothing is imported.
        refresh: a preview compares with what runs now, not with what the state remembers; the state stays as it is.
        layer: which of the bundle's stacks it is; empty where it has one.
        holds_lease: nobody else can be at work on this stack, so a lock found there is a dead run's and is removed.
    """

    op: Verb
    org: str
    stack: str
    bundle_dir: str
    state_url: str
    run_dir: str
    pulumi: str
    passphrase: str = field(repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    fingerprints: Mapping[str, str] = field(default_factory=dict)
    plan_in: str = ""
    plan_out: str = ""
    basis: Literal["live", "empty-host"] = "live"
    docker_host: str = ""
    expected_state_digest: str = ""
    holds_lease: bool = False
    refresh: bool = False
    layer: str = ""
    withhold_key: str = field(default="", repr=False)
    fingerprint_key: str = field(default="", repr=False)

    def line(self) -> str:
        """The request as the child reads it."""
        return json.dumps({**asdict(self), "secrets": dict(self.secrets), "fingerprints": dict(self.fingerprints)}) + "\n"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended.

    Attributes:
        changes: operation -> number of resources, `same` included.
        steps: as in engine_events.Step, without the unchanged.
        error: message, hint, where, and kind (failed, stale, conflict, cancelled, deadline, died); None when it went well.
        has_result: False when the child ended without one, or had to be killed: then nobody knows how far the engine came.
    """

    ok: bool
    changes: Mapping[str, int] = field(default_factory=dict)
    steps: tuple[Mapping[str, Any], ...] = ()
    state_digest: str = ""
    duration_s: float = 0.0
    error: Mapping[str, str] | None = None
    has_result: bool = True


def child_environment(parent: Mapping[str, str], mark: str) -> dict[str, str]:
    """The child's whole environment: names on the allow list, and what we add."""
    kept = {name: parent[name] for name in (*ALLOWED, *ALLOWED_FOR_S3) if name in parent}
    return {"PATH": os.defpath, **kept, processes.MARK: mark, "PYTHONPATH": str(PROJECT_ROOT), "PYTHONUNBUFFERED": "1"}


class Child:
    """A started child: its imports run (or are done), and it waits for its request."""

    def __init__(self) -> None:
        self.mark = secrets.token_hex(16)
        self._process = subprocess.Popen(
            [sys.executable, "-m", CHILD_MODULE],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=PROJECT_ROOT,
            env=child_environment(os.environ, self.mark),
            start_new_session=True,
            encoding="utf-8",
            errors="replace",
        )
        self.pid = self._process.pid
        self.started = processes.start_time_of(self.pid)
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._stderr: list[str] = []
        threading.Thread(target=_pump, args=(self._process.stdout, self._lines.put), daemon=True).start()
        self._hearing = threading.Thread(target=_pump, args=(self._process.stderr, self._keep_stderr), daemon=True)
        self._hearing.start()

    def is_waiting(self) -> bool:
        """Whether it can still take a request."""
        return self._process.poll() is None

    def send(self, line: str) -> None:
        """Write one line to its standard input; a child that died is noticed by its missing result."""
        try:
            _open(self._process.stdin).write(line)
            _open(self._process.stdin).flush()
        except (BrokenPipeError, ValueError):
            return

    def next_line(self, timeout_s: float) -> str | None:
        """The next line; empty when none came in time, None at the end of the stream."""
        try:
            return self._lines.get(timeout=timeout_s)
        except queue.Empty:
            return ""

    def last_words(self) -> str:
        """The last line of its standard error: an exception's name and text. Not masked."""
        self._hearing.join(timeout=_LAST_WORDS_S)  # it may have died faster than it was heard; a grandchild may hold the pipe open
        return self._stderr[-1] if self._stderr else ""

    def stop_politely(self) -> None:
        """One TERM to the child alone: it passes one INT on to the engine, which finishes the step in hand (rule 4)."""
        if self._process.poll() is None:
            self._process.terminate()

    def end(self, *, grace_s: float = GRACE_S) -> None:
        """Wait for it and end whatever is left of its session; never leaves a process behind.

        Raises:
            ApplyError: something of it cannot be ended (a process in uninterruptible sleep).
        """
        try:
            self._process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            pass
        gone = processes.end_group(self.pid, self.mark, grace_s=2.0)
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            gone = False
        if not gone:
            raise ApplyError(
                f"process group {self.pid} does not end",
                hint="look at it with `ps -s`; the stack stays locked until it is gone",
                where="engine",
            )
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            _open(stream).close()

    def _keep_stderr(self, line: str | None) -> None:
        if line:
            self._stderr = [*self._stderr[-40:], line.rstrip()]


class Spare:
    """Keeps one child started ahead of time, so that a run does not wait for its imports (about half a second)."""

    def __init__(self) -> None:
        self._child: Child | None = None
        self._owner = os.getpid()
        self._lock = threading.Lock()
        atexit.register(self.drop)

    def refill(self) -> None:
        """Start one unless it is there."""
        with self._lock:
            if self._child is None or not self._child.is_waiting():
                self._child = Child()

    def take(self) -> Child:
        """The spare child, or a fresh one."""
        with self._lock:
            child, self._child = self._child, None
        return child if child and child.is_waiting() else Child()

    def drop(self) -> None:
        """End the spare; only in the process that started it."""
        if self._owner != os.getpid():
            return
        with self._lock:
            child, self._child = self._child, None
        if child:
            child.stop_politely()
            child.end(grace_s=2.0)


def run_operation(
    request: Request,
    *,
    on_event: OnEvent,
    deadline_s: float,
    should_stop: Callable[[], bool] = lambda: False,
    on_start: Callable[[int, str, str], None] = lambda _pid, _started, _mark: None,
    spare: Spare | None = None,
    stall_after_s: float = STALL_AFTER_S,
    grace_s: float = GRACE_S,
) -> Outcome:
    """Run one engine operation to its end.

    Args:
        on_event: called for each event, in this thread, in order; the result event too.
        deadline_s: after it the engine is stopped politely and the outcome says so.
        should_stop: asked about four times a second; True stops politely. Also the place for a heartbeat.
        on_start: gets process number, start time and mark, before the child gets its request: store them first (rule 3).
        spare: where a pre-started child may wait.
    """
    refuse_full_disk(Path(request.run_dir))
    state = checkpoint_file(request.state_url, PROJECT, request.stack)
    if state is not None:
        refuse_full_disk(state.parents[3], last_bytes=state.stat().st_size if state.is_file() else 0)
    child = spare.take() if spare else Child()
    try:
        on_start(child.pid, child.started, child.mark)
        child.send(request.line())
        mask = SecretServer(request.secrets, Path(request.run_dir)).mask
        limits = Limits(deadline_s, stall_after_s, grace_s)
        outcome = _Following(child, on_event=on_event, should_stop=should_stop, limits=limits, mask=mask).to_the_end()
    except BaseException:
        child.stop_politely()
        raise
    finally:
        child.end(grace_s=grace_s)
    return outcome


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an operation may take, be silent, and take to stop."""

    deadline_s: float
    stall_after_s: float
    grace_s: float


class _Following:
    """The loop around a running child: events, stall notice, polite stop, deadline."""

    def __init__(
        self, child: Child, *, on_event: OnEvent, should_stop: Callable[[], bool], limits: Limits, mask: Callable[[str], str]
    ) -> None:
        self._child, self._on_event, self._should_stop, self._limits, self._mask = child, on_event, should_stop, limits, mask
        self._began = self._last_event = time.monotonic()
        self._stopped_at: float | None = None
        self._stop_kind = ""
        self._last_seq = 0
        self._result: Event | None = None

    def to_the_end(self) -> Outcome:
        while self._result is None:
            line = self._child.next_line(_TICK_S)
            if line is None:
                break
            if line:
                self._take(line)
            self._watch_the_clock()
            if self._stopped_at is not None and time.monotonic() - self._stopped_at > self._limits.grace_s:
                break  # it had its grace time; `end` takes the group down
        return self._outcome()

    def _take(self, line: str) -> None:
        event = event_from(line)
        if event is None:
            return
        self._last_event, self._last_seq = time.monotonic(), event.seq
        self._on_event(event)
        if event.kind == "result":
            self._result = event

    def _watch_the_clock(self) -> None:
        now = time.monotonic()
        if self._stopped_at is None:
            if self._should_stop():
                self._stop("cancelled")
            elif now - self._began > self._limits.deadline_s:
                self._stop("deadline")
        if now - self._last_event > self._limits.stall_after_s:
            silent = round(now - self._last_event)
            self._last_event = now
            self._last_seq += 1
            at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
            self._on_event(Event(seq=self._last_seq, at=at, kind="stalled", message=f"nothing heard from the engine for {silent} s"))

    def _stop(self, kind: str) -> None:
        self._stopped_at, self._stop_kind = time.monotonic(), kind
        self._child.stop_politely()

    def _outcome(self) -> Outcome:
        data = self._result.data if self._result else {}
        error = data.get("error")
        if self._result is None:
            error = _death(self._mask(self._child.last_words()), self._stop_kind)
        if self._stop_kind and error is not None:
            error = {**error, **_stop_error(self._stop_kind, self._limits.deadline_s)}
        return Outcome(
            ok=bool(data.get("ok")),
            changes=data.get("changes", {}),
            steps=tuple(data.get("steps", ())),
            state_digest=str(data.get("state_digest", "")),
            duration_s=round(time.monotonic() - self._began, 3),
            error=error,
            has_result=self._result is not None,
        )


def _stop_error(kind: str, deadline_s: float) -> dict[str, str]:
    if kind == "cancelled":
        return {
            "kind": kind,
            "message": "cancelled",
            "hint": "what was done stays; make a plan of what is left to go on, or remove the deployment",
            "where": "engine",
        }
    return {
        "kind": kind,
        "message": f"not finished within {deadline_s:.0f} s, stopped",
        "hint": "look at the last event: that resource did not settle; mend it and apply again",
        "where": "engine",
    }


def _death(tail: str, stop_kind: str) -> dict[str, str]:
    return {
        "kind": stop_kind or "died",
        "message": "the engine's process ended without a result" + (f": {tail}" if tail else ""),
        "hint": "apply again; if it ends the same way, `sprocket doctor` looks at the machine",
        "where": "engine",
    }


def _pump(stream: IO[str] | None, put: Callable[[str | None], None]) -> None:
    try:
        for line in _open(stream):
            put(line)
    except ValueError:
        pass  # closed under us, after the end
    put(None)


def _open(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # noqa: S101 - all three are pipes
    return stream
