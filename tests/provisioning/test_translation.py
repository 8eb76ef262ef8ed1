"""The engine's events become ours: masked, without values, written to the parent and to the journal alike."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from provisioning.secret_socket import SecretServer
from provisioning.translation import Emitter, Translation

SECRET = 'can"ary-value-0123456789'
COMPONENT = "urn:pulumi:demo::sprocket::sprocket:blueprint:Component::redis"
SERVICE = "urn:pulumi:demo::sprocket::sprocket:blueprint:Component$sprocket:swarm:Service::redis"


class Desk:
    """A translation with its two outputs."""

    def __init__(self, folder: Path) -> None:
        self.out = io.StringIO()
        self.journal = folder / "journal.jsonl"
        self.translation = Translation(Emitter(self.out, self.journal, SecretServer({"demo/x@1": SECRET}, folder).mask))

    def take(self, **event: Any) -> None:
        kinds = ("resource_pre_event", "res_outputs_event", "res_op_failed_event", "diagnostic_event", "summary_event")
        self.translation.take(SimpleNamespace(**{**dict.fromkeys(kinds), **event}))

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.getvalue().splitlines()]


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def _step(op: str, **more: Any) -> SimpleNamespace:
    state = SimpleNamespace(parent=COMPONENT, inputs={"env": SECRET})
    defaults: dict[str, Any] = {
        "urn": SERVICE,
        "op": op,
        "type": "sprocket:swarm:Service",
        "new": state,
        "old": None,
        "keys": None,
        "diffs": None,
        "detailed_diff": {},
    }
    return SimpleNamespace(metadata=SimpleNamespace(**{**defaults, **more}))


def _diagnostic(message: str, severity: str = "error") -> SimpleNamespace:
    return SimpleNamespace(message=message, severity=severity, urn=SERVICE)


def test_a_step_names_resource_component_and_changed_paths(desk: Desk) -> None:
    desk.take(resource_pre_event=_step("update", detailed_diff={"image": 1, "env.LEVEL": 2}))
    [event] = desk.events
    assert (event["kind"], event["resource"], event["component"], event["op"]) == ("resource-pre", "service/redis", "redis", "update")
    assert event["fields"] == ["image", "env.LEVEL"]


def test_no_input_value_is_in_an_event(desk: Desk) -> None:
    desk.take(resource_pre_event=_step("create"))
    desk.take(res_outputs_event=_step("create"))
    assert "ary-value" not in desk.out.getvalue() + desk.journal.read_text()


FORMS: list[Callable[[str], str]] = [
    str,
    lambda v: base64.b64encode(v.encode()).decode(),
    json.dumps,
    lambda v: json.dumps({"a": v}),
]


@pytest.mark.parametrize("form", FORMS)
def test_a_secret_value_in_a_message_is_masked_in_every_form(desk: Desk, form: Callable[[str], str]) -> None:
    desk.take(diagnostic_event=_diagnostic(f"wrong password {form(SECRET)} given"))
    written = desk.out.getvalue() + desk.journal.read_text()
    assert "ary-value" not in written
    assert base64.b64encode(SECRET.encode()).decode() not in written
    assert "wrong password" in written


def test_the_journal_holds_the_same_lines_and_is_private(desk: Desk) -> None:
    desk.take(resource_pre_event=_step("create"))
    assert desk.journal.read_text() == desk.out.getvalue()
    assert desk.journal.stat().st_mode & 0o777 == 0o600


def test_a_parent_that_is_gone_does_not_stop_the_journal(desk: Desk) -> None:
    desk.out.close()
    desk.take(resource_pre_event=_step("create"))
    assert "service/redis" in desk.journal.read_text()


def test_what_stays_the_same_is_said_once_and_debug_talk_never(desk: Desk) -> None:
    desk.take(resource_pre_event=_step("same"))
    desk.take(res_outputs_event=_step("same"))
    desk.take(diagnostic_event=_diagnostic("registering resource", "debug"))
    desk.take(diagnostic_event=_diagnostic("  ", "info"))
    assert [(event["kind"], event["op"]) for event in desk.events] == [("resource-done", "same")]


STACKS = [
    "port 8080 is taken\nhint: free it",
    "port 8080 is taken\nhint: free it\nTraceback (most recent call last)\n  File x",
    "Unexpected <class 'Exception'>: port 8080 is taken\nhint: free it:\n  File \"/x/server.py\", line 77, in wrapper\n    return 1",
    "Preview failed: Unexpected <class 'Exception'>: port 8080 is taken\nhint: free it",
]


@pytest.mark.parametrize("text", STACKS)
def test_errors_are_kept_with_their_resource_and_without_a_traceback(desk: Desk, text: str) -> None:
    desk.take(diagnostic_event=_diagnostic(text))
    assert desk.translation.errors == [("service/redis", "port 8080 is taken\nhint: free it")]
    assert [event["kind"] for event in desk.events] == ["diagnostic"]


def test_a_replacement_keeps_what_forced_it(desk: Desk) -> None:
    desk.take(resource_pre_event=_step("replace", keys=["name"], detailed_diff={"name": 1}))
    assert desk.translation.steps.listed()[0]["reasons"] == ("name",)


def test_the_layer_goes_before_a_resources_name_in_steps_events_and_errors(desk: Desk) -> None:
    desk.translation.layer = "layer_2"
    desk.take(res_outputs_event=_step("create"))
    desk.take(diagnostic_event=SimpleNamespace(message="does not start", severity="error", urn=SERVICE))
    assert [event["resource"] for event in desk.events] == ["layer_2/service/redis"] * 2
    assert [step["resource"] for step in desk.translation.steps.listed()] == ["layer_2/service/redis"]
    assert desk.translation.errors == [("layer_2/service/redis", "does not start")]
