"""Specification and back, the wire, and what may never be sent."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from provisioning.providers.swarm.allowed import refuse_forbidden
from provisioning.providers.swarm.service_spec import args_of, spec_for
from provisioning.providers.wire import changed_paths, service_of, to_plain
from sprocket_v2.errors import ApplyError
from tests.provisioning.providers.stack import demo_stack

SERVICES = demo_stack().services


def _ids(_kind: str, name: str) -> str:
    return f"id-of-{name}"


def _spec(name: str) -> dict[str, Any]:
    return copy.deepcopy(spec_for(SERVICES[name], _ids))


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_specification_read_back_is_what_was_wished(name: str) -> None:
    assert args_of(_spec(name), lambda network: network.removeprefix("id-of-"), "") == SERVICES[name]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_arguments_survive_the_wire_where_numbers_become_floats(name: str) -> None:
    plain = to_plain(SERVICES[name])
    plain["replicas"] = float(plain["replicas"])
    plain["memory_bytes"] = float(plain["memory_bytes"])
    assert service_of(plain) == SERVICES[name]
    assert changed_paths(plain, to_plain(SERVICES[name])) == []


def test_a_difference_is_named_by_its_path() -> None:
    old, new = to_plain(SERVICES["api"]), to_plain(SERVICES["api"])
    new["environment"] = {**new["environment"], "WEB_URL": "http://other"}
    new["secrets"] = [{**new["secrets"][0], "name": "demo_db-password_v2"}, *new["secrets"][1:]]
    assert changed_paths(old, new) == ["environment.WEB_URL", "secrets[0].name"]


def test_a_service_of_ours_is_sent_exactly_as_before_estates_were_known() -> None:
    redis = _spec("redis")
    task = redis["TaskTemplate"]
    container = {key: value for key, value in task["ContainerSpec"].items() if key not in ("Args", "Secrets", "Configs", "Healthcheck")}
    assert container == {
        "Image": "redis:7.0-bookworm",
        "Labels": {"com.docker.stack.namespace": "demo"},
        "Env": [],
        "Init": True,
        "StopGracePeriod": 15_000_000_000,
        "Mounts": [{"Type": "volume", "Source": "demo_redis_data", "Target": "/data"}],
    }
    assert {key: value for key, value in task.items() if key != "ContainerSpec"} == {
        "Resources": {"Limits": {"MemoryBytes": 128 * 1024**2}},
        "RestartPolicy": {"Condition": "any", "Delay": 2_000_000_000},
        "LogDriver": {"Name": "json-file", "Options": {"max-size": "10m", "max-file": "3"}},
        "Networks": [{"Target": "id-of-demo_data", "Aliases": ["redis"]}],
        "ForceUpdate": 0,
    }
    policy = {"Parallelism": 1, "Order": "stop-first", "Monitor": 5_000_000_000}
    assert {key: value for key, value in redis.items() if key not in ("Name", "Labels", "TaskTemplate")} == {
        "Mode": {"Replicated": {"Replicas": 1}},
        "UpdateConfig": {**policy, "FailureAction": "rollback"},
        "RollbackConfig": {**policy, "FailureAction": "pause"},
        "EndpointSpec": {"Mode": "dnsrr", "Ports": []},
    }


def test_docker_stack_and_we_see_the_same_labels() -> None:
    spec = _spec("web")
    assert spec["Labels"]["com.docker.stack.namespace"] == "demo"
    assert spec["TaskTemplate"]["ContainerSpec"]["Labels"] == {"com.docker.stack.namespace": "demo"}


def test_a_job_is_never_rolled_back_and_a_service_always() -> None:
    assert _spec("api_migrate")["UpdateConfig"]["FailureAction"] == "continue"
    assert _spec("api")["UpdateConfig"]["FailureAction"] == "rollback"


def test_our_own_specifications_pass_the_allow_list() -> None:
    for name in SERVICES:
        refuse_forbidden(_spec(name), "demo", lambda _kind, _name: "demo")


def _with_mount(spec: dict[str, Any], mount: dict[str, Any]) -> None:
    spec["TaskTemplate"]["ContainerSpec"]["Mounts"].append(mount)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: _with_mount(s, {"Type": "bind", "Source": "/", "Target": "/host"}), "mount of type bind"),
        (lambda s: _with_mount(s, {"Type": "bind", "Source": "/var/run/docker.sock", "Target": "/s"}), "docker.sock"),
        (lambda s: _with_mount(s, {"Type": "volume", "Target": "/data"}), "volume ''"),
        (lambda s: _with_mount(s, {"Type": "volume", "Source": "theirs", "Target": "/data"}), "volume 'theirs'"),
        (
            lambda s: _with_mount(
                s, {"Type": "volume", "Source": "mine", "Target": "/d", "VolumeOptions": {"DriverConfig": {"Name": "x"}}}
            ),
            "volume driver",
        ),
        (lambda s: s["TaskTemplate"]["ContainerSpec"].update(CapabilityAdd=["NET_ADMIN"]), "CapabilityAdd"),
        (lambda s: s["TaskTemplate"]["ContainerSpec"].update(Privileges={"SELinuxContext": {}}), "privileges"),
        (lambda s: s["TaskTemplate"]["ContainerSpec"].update(Sysctls={"a": "b"}), "Sysctls"),
        (lambda s: s["TaskTemplate"]["Networks"].append({"Target": "host"}), "network 'host'"),
        (lambda s: s.update(Mode={"Global": {}}), "mode Global"),
    ],
)
def test_what_a_tenant_may_never_have_is_refused(spoil: Any, said: str) -> None:
    spec = _spec("web")
    spoil(spec)
    with pytest.raises(ApplyError, match=said):
        refuse_forbidden(spec, "demo", lambda _kind, name: "" if name in ("theirs", "host") else "demo")
