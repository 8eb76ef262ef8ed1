"""Events survive the way through a pipe, and steps are counted once per resource."""

from __future__ import annotations

from provisioning.engine_events import Event, Step, Steps, event_from, resource_of

URN = "urn:pulumi:demo::sprocket::sprocket:blueprint:Component$sprocket:swarm:Service::redis"


def test_an_event_is_the_same_behind_the_pipe() -> None:
    event = Event(
        3, "2026-01-01T00:00:00+00:00", "resource-done", URN, "service/redis", "redis", "update", ("image",), "moved\non", {"a": 1}
    )
    line = event.line()
    assert line.count("\n") == 1
    assert event_from(line) == event


def test_a_torn_or_foreign_line_is_no_event() -> None:
    for line in ("", '{"seq": 1', "hello", "[]", '{"seq": "x", "at": "", "kind": "log"}', "null"):
        assert event_from(line) is None


def test_a_resource_is_named_by_kind_and_name() -> None:
    assert resource_of(URN) == "service/redis"
    assert resource_of(URN.replace("::redis", "::service/redis")) == "service/redis"
    vault = URN.replace("sprocket:swarm:Service::redis", "sprocket:vault:AuthMethod::vault-auth/github")
    assert resource_of(vault, "layer_2") == "layer_2/vault-auth/github"
    assert resource_of("urn:pulumi:demo::sprocket::pulumi:pulumi:Stack::sprocket-demo") == ""
    assert resource_of("urn:pulumi:demo::sprocket::sprocket:blueprint:Component::redis") == ""
    assert resource_of("") == ""


def test_the_parts_of_a_replacement_are_one_step() -> None:
    steps = Steps()
    for op in ("create-replacement", "replace", "delete-replaced"):
        steps.add(Step("service/redis", "redis", "sprocket:swarm:Service", op, ("name",), ("name",)))
    steps.add(Step("service/redis", "redis", "sprocket:swarm:Service", "same"))
    assert steps.changes() == {"replace": 1}
    assert [(step["resource"], step["op"], step["reasons"]) for step in steps.listed()] == [("service/redis", "replace", ("name",))]


def test_what_stays_the_same_is_counted_and_not_listed() -> None:
    steps = Steps()
    steps.add(Step("service/redis", "redis", "sprocket:swarm:Service", "same"))
    steps.add(Step("service/web", "web", "sprocket:swarm:Service", "create"))
    assert steps.changes() == {"same": 1, "create": 1}
    assert [step["resource"] for step in steps.listed()] == ["service/web"]
