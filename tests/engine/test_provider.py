"""The provider on real Docker: adoption, strangers, ports, images, jobs, networks; each through its own functions, without the engine."""

from __future__ import annotations

import secrets
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from blueprints.compose import Attached, Healthcheck, Mount, Port, ServiceArgs
from provisioning.providers.swarm import network, service, volume
from provisioning.providers.swarm.client import DockerSwarm, connect
from provisioning.providers.swarm.network import NetworkArgs
from provisioning.providers.swarm.volume import VolumeArgs
from sprocket_v2.errors import ApplyError
from tests.engine.removal import remove_everything

pytestmark = pytest.mark.engine
IMAGE = "redis:7.0-bookworm"


@pytest.fixture(scope="module")
def swarm() -> DockerSwarm:
    return connect()


@pytest.fixture
def slug() -> Iterator[str]:
    """A slug of its own; everything of it is removed afterwards."""
    name = "p" + secrets.token_hex(5)
    yield name
    remove_everything(name)


def _labels(slug: str, resource: str, **more: str) -> dict[str, str]:
    return {"sprocket.org": slug, "sprocket.component": "thing", "sprocket.resource": resource, **more}


def _network(swarm: DockerSwarm, slug: str) -> str:
    network.create(swarm, NetworkArgs(f"{slug}_data", _labels(slug, "network/data"), True))
    return f"{slug}_data"


def _service(swarm: DockerSwarm, slug: str, **more: Any) -> ServiceArgs:
    kind = {"sprocket.stage": "data", "sprocket.kind": "service", "sprocket.deadline_s": "40"}
    args = ServiceArgs(
        name=f"{slug}_thing", labels=_labels(slug, "service/thing", **kind), image=IMAGE, image_id="", entrypoint=(), command=("sleep", "600"),
        environment={}, user="", healthcheck=None, mounts=(), secrets=(), configs=(), networks=(Attached(_network(swarm, slug), ("thing",)),),
        ports=(), replicas=1, nano_cpus=0, memory_bytes=64 * 1024**2, init=True, stop_grace_s=1.0, restart="any", restart_delay_s=1.0,
        order="stop-first", monitor_s=2.0, log_driver="json-file", log_options={"max-size": "1m"},
    )  # fmt: skip
    return replace(args, **more)


def _job(args: ServiceArgs, code: int) -> ServiceArgs:
    labels = {**args.labels, "sprocket.kind": "job"}
    return replace(args, labels=labels, restart="none", command=("sh", "-c", f"echo the job says {code}; exit {code}"))


def test_what_was_made_is_read_back_as_it_was_wished(swarm: DockerSwarm, slug: str) -> None:
    args = _service(swarm, slug, environment={"A": "x$y", "B": "1e3"}, healthcheck=Healthcheck(("CMD", "true"), 1.0, 1.0, 3, 1.0))
    service.create(swarm, args, str)
    found = service.read(swarm, args)
    assert found is not None
    assert found[1] == args


def test_creating_again_adopts_and_changes_nothing(swarm: DockerSwarm, slug: str) -> None:
    args = _service(swarm, slug)
    first = service.create(swarm, args, str)
    version = swarm.find("service", args.name)
    assert service.create(swarm, args, str) == first
    assert swarm.find("service", args.name) == version


def test_a_hand_changed_service_shows_and_is_converged_when_adopted(swarm: DockerSwarm, slug: str) -> None:
    args = _service(swarm, slug)
    service.create(swarm, args, str)
    service.update(swarm, replace(args, environment={"BY": "hand"}), str)
    found = service.read(swarm, args)
    assert found is not None and found[1].environment == {"BY": "hand"}
    service.create(swarm, args, str)
    again = service.read(swarm, args)
    assert again is not None and again[1] == args


def test_a_strangers_object_of_our_name_is_refused_and_named(swarm: DockerSwarm, slug: str) -> None:
    swarm.create("volume", {"Name": f"{slug}_data", "Labels": {}})
    try:
        with pytest.raises(ApplyError, match=f"volume {slug}_data exists and was not made by Sprocket"):
            volume.create(swarm, VolumeArgs(f"{slug}_data", _labels(slug, "volume/data")))
    finally:
        swarm.remove("volume", f"{slug}_data")


def test_another_organizations_volume_is_not_mounted(swarm: DockerSwarm, slug: str) -> None:
    swarm.create("volume", {"Name": f"{slug}-theirs", "Labels": {"sprocket.org": "somebody"}})
    try:
        args = _service(swarm, slug, mounts=(Mount("volume", f"{slug}-theirs", "/data"),))
        with pytest.raises(ApplyError, match="is not this organization's"):
            service.create(swarm, args, str)
        assert swarm.find("service", args.name) is None
    finally:
        swarm.remove("volume", f"{slug}-theirs")


def test_a_job_ends_well_or_fails_with_its_words_and_is_gone(swarm: DockerSwarm, slug: str) -> None:
    args = _service(swarm, slug)
    service.create(swarm, _job(args, 0), str)
    service.delete(swarm, args)
    with pytest.raises(ApplyError, match="the job says 3"):
        service.create(swarm, _job(args, 3), str)
    assert swarm.find("service", args.name) is None


def test_a_service_that_never_becomes_healthy_fails_within_its_deadline(swarm: DockerSwarm, slug: str) -> None:
    args = _service(
        swarm, slug, healthcheck=Healthcheck(("CMD", "false"), 1.0, 1.0, 3, 0.0), command=("sh", "-c", "echo waiting; exec sleep 600")
    )
    args = replace(args, labels={**args.labels, "sprocket.deadline_s": "12"})
    begun = time.monotonic()
    with pytest.raises(ApplyError, match="waiting") as caught:
        service.create(swarm, args, str)
    assert time.monotonic() - begun < 12 + 30
    assert "hint" not in caught.value.message
    assert swarm.find("service", args.name) is None


def test_an_update_that_never_becomes_healthy_is_rolled_back(swarm: DockerSwarm, slug: str) -> None:
    args = _service(swarm, slug)
    args = replace(args, labels={**args.labels, "sprocket.deadline_s": "10"})
    service.create(swarm, args, str)
    with pytest.raises(ApplyError, match="rolled back to the previous version"):
        service.update(swarm, replace(args, command=("sh", "-c", "echo no; exit 7")), str)
    found = service.read(swarm, args)
    assert found is not None and found[1].command == args.command


def test_a_taken_port_is_named_before_anything_happens(swarm: DockerSwarm, slug: str) -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        port = taken.getsockname()[1]
        args = _service(swarm, slug, ports=(Port(port, port, "tcp"),))
        with pytest.raises(ApplyError, match=f"port {port} is taken by another program"):
            service.create(swarm, args, str)
    assert swarm.find("service", args.name) is None


def test_a_missing_image_and_a_wrong_one_are_two_messages(swarm: DockerSwarm, slug: str) -> None:
    with pytest.raises(ApplyError, match="is not on this machine"):
        service.create(swarm, _service(swarm, slug, image="nobody/nothing:1"), str)
    with pytest.raises(ApplyError, match="is another one than the blueprint's"):
        service.create(swarm, _service(swarm, slug, image_id="sha256:" + "0" * 64), str)


def test_docker_that_cannot_be_reached_is_three_messages(tmp_path: Any) -> None:
    with pytest.raises(ApplyError, match="no Docker on this machine"):
        connect(f"unix://{tmp_path}/nothing.sock")
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(dead))
    with pytest.raises(ApplyError, match="Docker is not started"):
        connect(f"unix://{dead}")
