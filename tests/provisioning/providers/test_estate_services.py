"""Services as somebody else made them: what ours look like stays, theirs come back as they were, and only the difference is laid over."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from blueprints.compose import Mount
from blueprints.estate.secrecy import without_secrets
from blueprints.estate.withholding import clear_values, with_values
from blueprints.exceptions import exceptions_of, is_excepted, read_exceptions
from provisioning.importing.normalise import differences
from provisioning.providers.swarm.allowed import refuse_forbidden
from provisioning.providers.swarm.overlay import overlay
from provisioning.providers.swarm.service_spec import args_of, spec_for
from sprocket_v2.errors import ApplyError, CatalogError

KEY = b"k" * 32
# As `docker service create` leaves one: defaults written out, an engine's own key, a value in clear.
LIVE: dict[str, Any] = {
    "Name": "prod-web-1a2b3c4",
    "Labels": {"traefik.enable": "true", "com.docker.stack.namespace": "prod"},
    "TaskTemplate": {
        "ContainerSpec": {
            "Image": "asaxplayinghorse/web:main@sha256:" + "0" * 64,
            "Env": ["MODE=production", "BOT_TOKEN=kq8ZtR4vWm2Xc7Lb9Ny3"],
            "Init": False,
            "StopGracePeriod": 10_000_000_000,
            "DNSConfig": {},
            "Isolation": "default",
            "TTY": True,
            "Healthcheck": {"Interval": 0, "Retries": 0},
            "Mounts": [{"Type": "bind", "Source": "/etc/hostname", "Target": "/host", "ReadOnly": True}],
        },
        "Resources": {"Limits": {"MemoryBytes": 64 * 1024**2}},
        "RestartPolicy": {"Condition": "any", "Delay": 5_000_000_000, "MaxAttempts": 0},
        "Placement": {"Constraints": ["node.role==manager"], "Platforms": [{"Architecture": "amd64", "OS": "linux"}]},
        "Networks": [{"Target": "net1", "Aliases": ["web"]}],
        "ForceUpdate": 3,
        "Runtime": "container",
    },
    "Mode": {"Replicated": {"Replicas": 2}},
    "EndpointSpec": {"Mode": "vip"},
}


def _ids(_kind: str, name: str) -> str:
    return name


def test_every_difference_of_a_live_service_has_a_rule_or_is_said() -> None:
    args = args_of(LIVE, _ids_name, "")
    counts, unknown = differences(LIVE, spec_for(args, _ids))
    assert unknown == ("TaskTemplate.ContainerSpec.TTY",)
    assert {"N02", "N03", "N04", "N05"} <= set(counts)


def _ids_name(target: str) -> str:
    return target


def test_only_what_differs_is_laid_over_what_runs() -> None:
    args = args_of(LIVE, _ids_name, "")
    wanted = replace(args, environment={**args.environment, "MODE": "test", "NEW": "1"}, replicas=3)
    spec = overlay(LIVE, spec_for(args, _ids), spec_for(wanted, _ids))
    container = spec["TaskTemplate"]["ContainerSpec"]
    assert container["Env"] == ["MODE=test", "BOT_TOKEN=kq8ZtR4vWm2Xc7Lb9Ny3", "NEW=1"]
    assert container["TTY"] is True
    assert spec["Mode"]["Replicated"]["Replicas"] == 3
    spec["Mode"]["Replicated"]["Replicas"] = 2
    container["Env"] = LIVE["TaskTemplate"]["ContainerSpec"]["Env"]
    assert spec == LIVE


def test_a_value_that_was_withheld_comes_back_from_the_running_service_only() -> None:
    clear = args_of(LIVE, _ids_name, "")
    without, why = without_secrets(clear, KEY)
    assert list(why) == ["environment.BOT_TOKEN"]
    assert without.environment["BOT_TOKEN"].startswith("withheld:")
    assert with_values(without, clear_values(clear, without)) == clear
    with pytest.raises(ApplyError, match="no value with that fingerprint"):
        with_values(without, {})


def test_an_adopted_service_keeps_what_it_has_and_gets_nothing_more() -> None:
    refuse_forbidden(LIVE, "org", lambda *_: "", live=LIVE)
    more = json.loads(json.dumps(LIVE))
    more["TaskTemplate"]["ContainerSpec"]["Mounts"].append({"Type": "bind", "Source": "/", "Target": "/all"})
    with pytest.raises(ApplyError, match=r"a mount of type bind \(/\)"):
        refuse_forbidden(more, "org", lambda *_: "", live=LIVE)
    fresh = json.loads(json.dumps(LIVE))
    del fresh["TaskTemplate"]["ContainerSpec"]["TTY"]
    with pytest.raises(ApplyError, match="network 'net1', which is not this organization's"):
        refuse_forbidden(fresh, "org", lambda *_: "somebody", live=None, binds=(Mount("bind", "/etc/hostname", "/host", True),))


def test_the_release_says_which_component_may_have_which_path() -> None:
    socket = Mount("bind", "/var/run/docker.sock", "/var/run/docker.sock", True)
    assert is_excepted(socket, exceptions_of("legacy-docker-socket-proxy"))
    assert not is_excepted(Mount("bind", socket.source, socket.target, False), exceptions_of("legacy-docker-socket-proxy"))
    assert not is_excepted(socket, exceptions_of("legacy-vault"))
    assert is_excepted(Mount("bind", "/srv/any/unseal-tokens", "/vault/unseal-tokens"), exceptions_of("legacy-vault"))
    assert not is_excepted(Mount("bind", "/srv/../unseal-tokens", "/vault/unseal-tokens"), exceptions_of("legacy-vault"))
    with pytest.raises(CatalogError, match="an exception is a component with its binds"):
        read_exceptions("web: {everything: true}\n")
