"""The engine's events turned into ours, masked and written to the parent and the run's journal. Runs in the engine's child only.

Takes the SDK's event objects by their attributes, so that stacks.py stays the only importer of the SDK.
"""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from provisioning.engine_events import COMPONENT_TYPE, QUIET_OPS, Event, Kind, Step, Steps, name_of, plain_op, resource_of

_FOUND_ON_PATH = "using pulumi-resource-sprocket from $PATH"  # a warning of the engine's; that is how we want it


_STACK = re.compile(r":?\n(Traceback \(most recent call last\)|  File \").*", re.DOTALL)
_PREFIX = re.compile(r"\A(?:Preview failed: )?Unexpected <class '[\w.]+'>: ")


def bare_message(text: str) -> str:
    """A diagnostic without the Python stack and the class name that the SDK's provider server puts around our own words."""
    return _PREFIX.sub("", _STACK.sub("", text.strip()))


class Emitter:
    """Writes events, masked, to the parent and to the run's journal. A parent that is gone does not stop the engine's clean end."""

    def __init__(self, out: IO[str], journal: Path, mask: Callable[[str], str]) -> None:
        self._out, self._mask = out, mask
        self._journal = open(journal, "a", encoding="utf-8", opener=private)  # noqa: SIM115 - for the process's life
        self._seq = 0
        self._lock = threading.Lock()

    def emit(self, kind: Kind, **parts: Any) -> None:  # noqa: ANN401 - the event's own fields
        """One event."""
        with self._lock:
            self._seq += 1
            clean: dict[str, Any] = {name: self._mask(part) if isinstance(part, str) else part for name, part in parts.items()}
            # Once more as a line: what is nested in lists is masked there. A text is masked before JSON escapes it a second time.
            line = self._mask(Event(seq=self._seq, at=datetime.now(UTC).isoformat(), kind=kind, **clean).line())
            self._journal.write(line)
            self._journal.flush()
            try:
                self._out.write(line)
                self._out.flush()
            except (BrokenPipeError, ValueError):
                return


def private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


@dataclass
class Translation:
    """The engine's events turned into ours. Values never pass: only names, operations and paths."""

    emitter: Emitter
    layer: str = ""
    steps: Steps = field(default_factory=Steps)
    errors: list[tuple[str, str]] = field(default_factory=list)

    def say(self, message: str) -> None:
        """A stage of our own."""
        self.emitter.emit("stage", message=message)

    def take(self, event: Any) -> None:  # noqa: ANN401 - the SDK's EngineEvent
        """One event of the SDK's stream."""
        if event.resource_pre_event:
            self._resource("resource-pre", event.resource_pre_event.metadata)
        elif event.res_outputs_event:
            self._resource("resource-done", event.res_outputs_event.metadata)
        elif event.res_op_failed_event:
            self._resource("resource-failed", event.res_op_failed_event.metadata)
        elif event.diagnostic_event:
            self._diagnostic(event.diagnostic_event)
        elif event.summary_event:
            self.emitter.emit("summary", data={"changes": self.steps.changes()})

    def _resource(self, kind: Kind, metadata: Any) -> None:  # noqa: ANN401 - StepEventMetadata
        resource, op = resource_of(metadata.urn, self.layer), str(getattr(metadata.op, "value", metadata.op))
        if not resource or (op in QUIET_OPS and kind == "resource-pre"):
            return
        state = metadata.new or metadata.old
        component = name_of(state.parent) if state and f"{COMPONENT_TYPE}::" in state.parent else ""
        fields = tuple(metadata.detailed_diff or metadata.diffs or ())
        fields = fields if plain_op(op) in {"update", "replace"} else ()
        reasons = tuple(metadata.keys or ()) if plain_op(op) == "replace" else ()
        self.steps.add(Step(resource, component, metadata.type, op, fields, reasons, self.layer))
        self.emitter.emit(kind, urn=metadata.urn, resource=resource, component=component, op=plain_op(op), fields=fields)

    def _diagnostic(self, event: Any) -> None:  # noqa: ANN401 - DiagnosticEvent
        text = bare_message(event.message)
        if not text or event.severity == "debug" or _FOUND_ON_PATH in text:
            return
        urn = event.urn or ""
        if event.severity == "error":
            self.errors.append((resource_of(urn, self.layer), text))
        kind: Kind = "diagnostic" if event.severity in {"error", "warning"} else "log"
        self.emitter.emit(kind, urn=urn, resource=resource_of(urn, self.layer), message=text, data={"severity": event.severity})
