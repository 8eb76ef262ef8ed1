"""Reading stack.yml: everything our renderer writes, and nothing else."""

from __future__ import annotations

import pytest

from blueprints.compose import STAGES, seconds
from blueprints.compose import read_stack as read
from sprocket_v2.errors import PreviewError
from tests.provisioning.providers.stack import demo_stack, demo_text


def test_it_reads_the_demo_with_docker_names_and_units() -> None:
    stack = demo_stack()
    redis = stack.services["redis"]
    assert (redis.name, redis.memory_bytes, redis.stop_grace_s) == ("demo_redis", 128 * 1024**2, 15.0)
    assert [(m.type, m.source, m.target) for m in redis.mounts] == [("volume", "demo_redis_data", "/data")]
    assert redis.secrets[0].name == "demo_redis_redis-password_v1"
    assert {service.stage for service in stack.services.values()} == set(STAGES)
    assert [key for key, service in stack.services.items() if service.is_job] == ["postgres_restore", "api_migrate"]


def test_doubled_dollars_are_single_again() -> None:
    assert '"$(cat /run/secrets/redis-password)"' in demo_stack().services["redis"].command[2]


def test_a_locally_built_images_id_goes_to_its_components_services() -> None:
    stack = read(demo_text(), "demo", {"api": "sha256:abc"})
    assert stack.services["api"].image_id == stack.services["api_migrate"].image_id == "sha256:abc"
    assert stack.services["web"].image_id == ""


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("    init: true\n", "    init: true\n    privileged: true\n", "key 'privileged' is not taken"),
        ("      endpoint_mode: dnsrr\n", "      endpoint_mode: vip\n", "endpoint_mode has to be dnsrr"),
        ("      - type: volume\n", "      - type: bind\n", "of type 'bind'"),
        ("        mode: host\n", "        mode: ingress\n", "not in mode host"),
        ('    stop_grace_period: "15s"\n', '    stop_grace_period: "soon"\n', "duration 'soon'"),
        ('source: "redis-password"', 'source: "nobodys"', "is not defined"),
    ],
)
def test_it_refuses_what_is_not_ours_and_names_it(old: str, new: str, said: str) -> None:
    with pytest.raises(PreviewError, match=said):
        read(demo_text().replace(old, new, 1), "demo")


@pytest.mark.parametrize(
    ("text", "expected"), [("10s", 10.0), ("1m30s", 90.0), ("250ms", 0.25), ("2h", 7200.0), ("1234567ns", 0.001234567)]
)
def test_durations_become_seconds(text: str, expected: float) -> None:
    assert seconds(text, "here") == expected
