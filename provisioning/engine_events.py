"""What an engine operation says while it runs: one event per line of JSON, from the child (stacks.py) to the parent (operations.py).

Pure: knows neither the engine's SDK nor Django, so both ends share it. Events carry names and changed paths, never values.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

Kind = Literal["stage", "resource-pre", "resource-done", "resource-failed", "diagnostic", "log", "summary", "stalled", "result"]
QUIET_OPS = frozenset({"same", "read", "refresh", "discard"})
COMPONENT_TYPE = "sprocket:blueprint:Component"
_REPLACE_OPS = frozenset({"create-replacement", "delete-replaced", "import-replacement", "read-replacement", "discard-replaced"})
MAX_MESSAGE = 4000


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the stream.

    Attributes:
        seq: 1, 2, 3, ... within one operation.
        at: ISO 8601 with time zone.
        resource: kind and name as in the label `sprocket.resource`, e.g. `service/redis`; with the layer before it where the
            organization has several stacks (`layer_1/service/traefik`); empty when about the whole stack.
        op: create, update, replace, delete, same, ...
        fields: input paths that changed; never their values.
        data: anything else, e.g. the whole outcome of a `result`.
    """

    seq: int
    at: str
    kind: Kind
    urn: str = ""
    resource: str = ""
    component: str = ""
    op: str = ""
    fields: tuple[str, ...] = ()
    message: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def line(self) -> str:
        """One line of JSON, newline included; empty parts left out."""
        full = asdict(self)
        return json.dumps({key: value for key, value in full.items() if value or key == "seq"}, ensure_ascii=False) + "\n"


def event_from(line: str) -> Event | None:
    """The event of one line; None for a line that is none (a torn line, a stray print)."""
    try:
        data = json.loads(line)
        return Event(
            seq=int(data["seq"]),
            at=str(data["at"]),
            kind=data["kind"],
            urn=str(data.get("urn", "")),
            resource=str(data.get("resource", "")),
            component=str(data.get("component", "")),
            op=str(data.get("op", "")),
            fields=tuple(str(name) for name in data.get("fields", ())),
            message=str(data.get("message", ""))[:MAX_MESSAGE],
            data=dict(data.get("data", {})),
        )
    except (ValueError, KeyError, TypeError):
        return None


def resource_of(urn: str, layer: str = "") -> str:
    """`service/redis` from a URN such as `urn:pulumi:demo::sprocket::...$sprocket:swarm:Service::redis`; empty for none of ours.

    Args:
        layer: of the stack the URN is from; goes before it, for the same name may be in several layers.
    """
    parts = urn.split("::")
    if len(parts) < 4:
        return ""
    kind = parts[2].rsplit("$", 1)[-1]
    name = "::".join(parts[3:])
    if kind.startswith("sprocket:vault:"):
        full = name  # `vault-policy/readonly-team`: with its kind in front already
    elif kind.startswith("sprocket:swarm:"):
        kind = kind.rsplit(":", 1)[-1].lower()
        full = name if name.startswith(f"{kind}/") else f"{kind}/{name}"
    else:
        return ""
    return f"{layer}/{full}" if layer else full


def name_of(urn: str) -> str:
    """The resource's own name at the end of a URN."""
    return urn.rsplit("::", 1)[-1] if "::" in urn else ""


def plain_op(op: str) -> str:
    """One word for the parts of a replacement, which the engine reports as several operations."""
    return "replace" if op in _REPLACE_OPS else op


@dataclass(frozen=True, slots=True)
class Step:
    """What happens to one resource.

    Attributes:
        reasons: input paths that force a replacement.
        layer: of the stack it is in, which is the first word of `resource` then; empty where the organization has one stack.
    """

    resource: str
    component: str
    type: str
    op: str
    fields: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()
    layer: str = ""


class Steps:
    """Gathers the engine's step reports into one Step per resource and counts them. `same` counts, but makes no step."""

    def __init__(self) -> None:
        self._steps: dict[str, Step] = {}

    def add(self, step: Step) -> None:
        """Take note of one report; a replacement's later parts do not weaken it."""
        if not step.resource:
            return
        old = self._steps.get(step.resource, step)
        word = plain_op(step.op)
        if old is not step and (old.op == "replace" or (word == "same" and old.op != "same")):
            word = old.op
        self._steps[step.resource] = replace(
            step,
            op=word,
            component=step.component or old.component,
            fields=tuple(dict.fromkeys((*old.fields, *step.fields))),
            reasons=tuple(dict.fromkeys((*old.reasons, *step.reasons))),
        )

    def changes(self) -> dict[str, int]:
        """How many resources per operation, `same` included."""
        counts: dict[str, int] = {}
        for step in self._steps.values():
            counts[step.op] = counts.get(step.op, 0) + 1
        return counts

    def listed(self) -> list[dict[str, Any]]:
        """The steps that do something, in the engine's order, as plain data."""
        return [asdict(step) for step in self._steps.values() if step.op not in QUIET_OPS]
