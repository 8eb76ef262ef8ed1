"""One engine operation, in a child process of its own: `python -m provisioning.stacks` reads a request and writes events.

The only importer of pulumi.automation. Starts the secret server, runs preview, apply, refresh or destroy on the inline program, and
takes the state's digest. Its parent is operations.py; the request's shape is operations.Request. Knows no Django.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from pulumi import automation
from pulumi.automation.errors import CommandError, ConcurrentUpdateError, StackNotFoundError
from semver import VersionInfo

from provisioning.engine_events import MAX_MESSAGE
from provisioning.program import build
from provisioning.secret_socket import SecretServer
from provisioning.stack_recovery import owner_at_work, settle
from provisioning.state import PROJECT, canonical_digest, checkpoint_file
from provisioning.translation import Emitter, Translation, private

PLUGIN = "pulumi-resource-sprocket"
_PROVIDER_GONE = ("error reading from server: EOF", "transport: Error while dialing", "the connection is draining")
_WRONG_PASSPHRASE = {
    "message": "the passphrase does not open this stack's state; nothing was changed",
    "hint": "the control plane's database holds it, sealed: put database and state back from the same backup",
}
_GO_ON = "apply again: what is done stays done"


class EngineFailureError(Exception):
    """What went wrong, as the outcome's error carries it."""

    def __init__(self, kind: str, message: str, hint: str, where: str = "engine") -> None:
        super().__init__(message)
        self.error = {"kind": kind, "message": message, "hint": hint, "where": where}


class Engine(automation.PulumiCommand):
    """The CLI: one process per call, known by number so that it can be stopped politely; asks for no version.

    The SDK's own class starts `pulumi version` each time (0.14 s); the finder has checked the version already.
    """

    def __init__(self, path: str) -> None:  # the base class would start a process
        self.command = path
        self.version = VersionInfo(3, 259, 0)  # only decides how the SDK receives events
        self.stopping = threading.Event()
        self._running: set[subprocess.Popen[str]] = set()

    def stop(self) -> None:
        """One INT to every running call; it finishes the step in hand and drops its lock."""
        if self.stopping.is_set():
            return
        self.stopping.set()
        for process in tuple(self._running):
            if process.poll() is None:
                process.send_signal(signal.SIGINT)

    def run(
        self,
        args: list[str],
        cwd: str,
        additional_env: Mapping[str, str],
        on_output: Callable[[str], Any] | None = None,
        on_error: Callable[[str], Any] | None = None,
    ) -> automation.CommandResult:
        """Run one command; raises the SDK's typed error when it fails."""
        is_reading = args[:2] == ["stack", "export"]  # wanted after a stop as well
        if self.stopping.is_set() and not is_reading:
            raise EngineFailureError("cancelled", "cancelled", "apply again to go on")
        environment = {**os.environ, **additional_env, "PULUMI_AUTOMATION_API": "true"}
        process = subprocess.Popen(
            [self.command, "--non-interactive", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=environment,
            encoding="utf-8",
        )
        self._running.add(process)
        try:
            if self.stopping.is_set() and not is_reading:
                process.send_signal(signal.SIGINT)
            stdout, stderr = process.communicate()
        finally:
            self._running.discard(process)
        result = automation.CommandResult(stdout=stdout, stderr=stderr, code=process.returncode)
        if process.returncode < 0 and not self.stopping.is_set():
            raise EngineFailureError("died", f"the engine's command line was ended by signal {-process.returncode}", _GO_ON)
        if process.returncode:
            raise automation.errors.create_command_error(result)
        return result


class Stack(automation.Stack):
    """The SDK's stack without the calls after an operation: `up` alone starts three more processes for outputs and history."""

    def __init__(self, name: str, workspace: automation.LocalWorkspace) -> None:  # the base class would start `stack select`
        self.name = name
        self.workspace = workspace

    def outputs(self) -> automation.OutputMap:
        """None: the program has no outputs, and the SDK reads them with secrets shown."""
        return {}

    def info(self, show_secrets: bool = True) -> automation.UpdateSummary:
        """An empty summary: the events said everything."""
        now = datetime.now(UTC)
        return automation.UpdateSummary(kind="update", start_time=now, message="", environment={}, config={}, result="succeeded")

    def cli(self, *args: str) -> str:
        """Output of one CLI command on this stack."""
        return self._run_pulumi_cmd_sync(list(args)).stdout


class Operation:
    """One request, carried out."""

    def __init__(self, request: Mapping[str, Any], emitter: Emitter, server: SecretServer, engine: Engine) -> None:
        self.request, self.engine, self.emitter = request, engine, emitter
        self.translation = Translation(emitter, request.get("layer", ""))
        self.run_dir = Path(request["run_dir"])
        self._server = server
        self._where = (str(request["state_url"]), PROJECT, str(request["stack"]))
        self.stack = self._opened_stack()

    def run(self) -> tuple[str, dict[str, int], list[dict[str, Any]]]:
        """State digest afterwards, changes and steps.

        Raises:
            EngineFailureError, CommandError: it did not go well; the state may have moved.
        """
        try:
            return self._run_once()
        except ConcurrentUpdateError:
            if not self.request.get("holds_lease"):
                raise
            self._unlock()
            return self._run_once()

    def _unlock(self) -> None:
        """Remove the lock of a run that was ended, and of nobody else."""
        owner = owner_at_work(*self._where)
        if owner:
            raise EngineFailureError(
                "conflict",
                f"the engine's state is locked by process {owner.pid} of {owner.username}, which is still at work",
                "somebody runs the engine by hand: wait until it has ended, then apply again",
            )
        self.emitter.emit("stage", message="removing the lock of a run that was ended")
        self.stack.cli("cancel", "--yes")

    def _run_once(self) -> tuple[str, dict[str, int], list[dict[str, Any]]]:
        op = self.request["op"]
        if self.request.get("holds_lease"):
            settle(*self._where, self.stack.cli, self.translation.say, self.run_dir)
        if op == "preview":
            return self._preview()
        self._refuse_moved_state(self._digest("before"))
        self.emitter.emit("stage", message={"apply": "applying", "refresh": "reading the live objects", "destroy": "removing"}[op])
        getattr(self, f"_{op}")()
        return self._digest("after"), self.translation.steps.changes(), self.translation.steps.listed()

    def digest_after_failure(self) -> str:
        """The state's digest once an operation failed; empty when even that cannot be had."""
        try:
            return self._digest("after")
        except (CommandError, EngineFailureError, ValueError):
            return ""

    def _preview(self) -> tuple[str, dict[str, int], list[dict[str, Any]]]:
        self.emitter.emit("stage", message="comparing with what runs")
        with ThreadPoolExecutor(1) as pool:  # a preview writes no state, so both may run at once
            digest = pool.submit(self._digest, "before")
            plan, refresh = self.request.get("plan_out") or None, bool(self.request.get("refresh"))
            self.stack.preview(plan=plan, refresh=refresh, on_event=self.translation.take, **self._options())
            state_digest = digest.result()
        self._refuse_moved_state(state_digest)
        return state_digest, self.translation.steps.changes(), self.translation.steps.listed()

    def _apply(self) -> None:
        self.stack.up(plan=self.request.get("plan_in") or None, on_event=self.translation.take, **self._options())

    def _refresh(self) -> None:
        self.stack.refresh(on_event=self.translation.take, **self._options())

    def _destroy(self) -> None:
        self.stack.destroy(on_event=self.translation.take, **self._options())

    def _options(self) -> dict[str, Any]:
        return {"color": "never", "suppress_progress": True, "suppress_outputs": True}

    def _refuse_moved_state(self, digest: str) -> None:
        expected = self.request.get("expected_state_digest", "")
        if expected and expected != digest:
            raise EngineFailureError(
                "stale", "plan is stale: the engine's state moved", "make a new plan: something else was applied meanwhile"
            )

    def _digest(self, moment: str) -> str:
        """SHA-256 of the canonical export without its manifest (D5); the export itself is kept beside the run (rule 9)."""
        text = self.stack.cli("stack", "export")
        (self.run_dir / f"state-{moment}.json").write_text(text, encoding="utf-8")
        return canonical_digest(json.loads(text)["deployment"])

    def _opened_stack(self) -> Stack:
        request = self.request
        workspace = automation.LocalWorkspace(
            work_dir=str(_folder(_state_folder(request) / "work")),
            pulumi_home=str(_folder(self.run_dir / "home")),
            program=lambda: build(Path(request["bundle_dir"]), request["fingerprints"], request.get("layer", "")),
            env_vars=self._environment(),
            pulumi_command=self.engine,
        )
        (Path(workspace.work_dir) / "Pulumi.yaml").write_text(f"name: {PROJECT}\nruntime: python\n", encoding="utf-8")
        stack = Stack(request["stack"], workspace)
        checkpoint = checkpoint_file(request["state_url"], PROJECT, request["stack"])
        if checkpoint is None:
            _select_or_create(workspace, request["stack"])
        elif not checkpoint.is_file():
            self.emitter.emit("stage", message="making the stack")
            workspace.create_stack(request["stack"])
        return stack

    def _environment(self) -> dict[str, str]:
        request = self.request
        passphrase = self.run_dir / "passphrase"
        _write_private(passphrase, request["passphrase"])
        docker = {"DOCKER_HOST": request["docker_host"]} if request.get("docker_host") else {}
        return {
            "PULUMI_BACKEND_URL": request["state_url"],
            "PULUMI_CONFIG_PASSPHRASE_FILE": str(passphrase),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "PULUMI_DIY_BACKEND_RETAIN_CHECKPOINTS": "false",
            "PATH": os.pathsep.join((str(plugin_folder(self.run_dir)), str(Path(request["pulumi"]).parent), os.environ["PATH"])),
            "SPROCKET_ORG": request["org"],
            "SPROCKET_BASIS": request["basis"],
            **self._server.environment(),
            **docker,
        }


def _select_or_create(workspace: automation.LocalWorkspace, name: str) -> None:
    try:
        workspace.select_stack(name)
    except StackNotFoundError:
        workspace.create_stack(name)


def _state_folder(request: Mapping[str, Any]) -> Path:
    """Where the engine keeps its settings of this stack: beside a local state, else in the run's folder."""
    checkpoint = checkpoint_file(request["state_url"], PROJECT, request["stack"])
    return checkpoint.parents[3] if checkpoint else Path(request["run_dir"])


def _folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return path


def _write_private(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    with open(path, "x", encoding="utf-8", opener=private) as file:
        file.write(text)


def plugin_folder(run_dir: Path) -> Path:
    """The folder that holds the provider's executable: beside this Python, else one with a small script made for this run."""
    beside = Path(sys.executable).parent
    if (beside / PLUGIN).is_file():
        return beside
    folder = _folder(run_dir / "bin")
    script = folder / PLUGIN
    script.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m provisioning.providers.plugin "$@"\n', encoding="utf-8")
    script.chmod(0o700)
    return folder


def failure_of(error: Exception, errors: list[tuple[str, str]]) -> dict[str, str]:
    """The outcome's error for an exception, with the first error the engine reported as its message."""
    if isinstance(error, EngineFailureError):
        return error.error
    if isinstance(error, ConcurrentUpdateError):
        hint = "another run holds it; when none does, the reconciler unlocks it"
        return {"kind": "conflict", "message": "the engine's state is locked", "hint": hint, "where": "engine"}
    if not isinstance(error, CommandError):
        hint = "this is a fault of the control plane: please report it with the run's events"
        return {"kind": "failed", "message": f"{type(error).__name__}: {error}"[:2000], "hint": hint, "where": "engine"}
    resource, text = _telling(errors) or ("", _last_words(str(error)))
    if _leaves_the_plan(text) or _leaves_the_plan(str(error)):
        return {
            "kind": "stale",
            "message": f"the engine would do something that was not approved: {text}"[:2000],
            "hint": "make a new plan and approve that",
            "where": resource or "engine",
        }
    if any(words in text for words in _PROVIDER_GONE) and "Docker says" not in text:  # Docker speaks gRPC too
        return {"kind": "died", "message": "the provider's process ended while it worked", "hint": _GO_ON, "where": resource or "engine"}
    if "incorrect passphrase" in f"{text}{error}":
        return {**_WRONG_PASSPHRASE, "kind": "failed", "where": "engine"}
    message, _, hint = text.partition("\nhint: ")
    hint = hint or "mend what the message names, then apply again: what is done stays done"
    return {"kind": "failed", "message": message[:MAX_MESSAGE], "hint": hint[:1000], "where": resource or "engine"}


def _telling(errors: list[tuple[str, str]]) -> tuple[str, str] | None:
    """The error that names a resource before the one that only says that something failed."""
    return next((item for item in errors if item[0]), errors[0] if errors else None)


def _leaves_the_plan(text: str) -> bool:
    return "violates plan" in text or "not allowed by the plan" in text


def _last_words(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if line.startswith("error:")), lines[-1] if lines else "the engine failed")


def perform(request: Mapping[str, Any], out: IO[str], engine: Engine) -> bool:
    """Carry out one request, its result event included; True when it went well."""
    began = time.monotonic()
    run_dir = _folder(Path(request["run_dir"]))
    server = SecretServer(
        request["secrets"], run_dir, bytes.fromhex(request.get("withhold_key", "")), bytes.fromhex(request.get("fingerprint_key", ""))
    )
    emitter = Emitter(out, run_dir / "journal.jsonl", server.mask)
    operation: Operation | None = None
    result: dict[str, Any] = {"ok": False, "changes": {}, "steps": [], "state_digest": "", "error": None}
    try:
        with server:
            operation = Operation(request, emitter, server, engine)
            result["state_digest"], result["changes"], result["steps"] = operation.run()
            result["ok"] = True
    except Exception as error:
        result["error"] = failure_of(error, operation.translation.errors if operation else [])
        if engine.stopping.is_set():
            result["error"]["kind"] = "cancelled"
        if operation and request["op"] != "preview":
            result["state_digest"] = operation.digest_after_failure()
            result["changes"] = operation.translation.steps.changes()
    finally:
        (run_dir / "passphrase").unlink(missing_ok=True)
        shutil.rmtree(run_dir / "home", ignore_errors=True)
    emitter.emit("result", data={**result, "duration_s": round(time.monotonic() - began, 3)})
    return bool(result["ok"])


def _stop_when_parent_is_gone(engine: Engine) -> None:
    """Standard input ends with the parent: then nobody follows this run, so the engine is stopped politely."""

    def wait() -> None:
        while sys.stdin.readline():
            pass
        engine.stop()

    threading.Thread(target=wait, daemon=True).start()


def main() -> int:
    """Entry of the child process."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # whatever the program or a library prints must not tear the event stream
    engine = Engine("")
    for sign in (signal.SIGTERM, signal.SIGINT):
        signal.signal(sign, lambda *_: _terminated(engine))
    line = sys.stdin.readline()
    if not line:
        return 0  # a spare that was never needed
    request = json.loads(line)
    engine.command = request["pulumi"]
    _stop_when_parent_is_gone(engine)
    done = perform(request, out, engine)
    sys.stdout.flush()
    os._exit(0 if done else 1)  # the SDK's idle threads would hold the process for seconds


def _terminated(engine: Engine) -> None:
    if not engine.command:
        os._exit(0)  # a spare has nothing to finish
    engine.stop()


if __name__ == "__main__":
    sys.exit(main())
