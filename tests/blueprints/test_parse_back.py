"""What is parsed back: every value as a value of its own, exactly the resolved structure, and nothing parsed twice."""

from __future__ import annotations

from typing import Any

import pytest

from blueprints import parse_back
from blueprints.parse_back import check_data, check_stack
from blueprints.strict_yaml import load
from sprocket_v2.errors import RenderError

SERVICE: dict[str, Any] = {
    "key": "redis",
    "image": "redis:7",
    "labels": {"sprocket.org": "demo"},
    "networks": [{"key": "data"}],
    "secrets": [{"source": "pw", "target": "/run/secrets/pw"}],
    "configs": [{"source": "redis_conf", "target": "/etc/redis.conf"}],
    "volumes": [{"source": "redis_data", "target": "/data"}],
    "tmpfs": ["/tmp"],
    "ports": [{"number": 8080, "target": 8080, "protocol": "tcp"}],
}
RESOLVED: dict[str, Any] = {
    "services": [SERVICE],
    "networks": [{"key": "data", "name": "demo_data"}],
    "volumes": [{"key": "redis_data", "name": "demo_redis_data"}],
    "configs": [{"key": "redis_conf", "name": "demo_redis_conf_1a2b3c4d"}],
    "secrets": [{"key": "pw", "name": "demo_redis_pw_v1"}],
}
STACK = """\
version: "3.9"
services:
  "redis":
    image: "redis:7"
    environment: {"NAME": "League"}
    networks: {"data": {"aliases": ["redis"]}}
    secrets: [{"source": "pw", "target": "/run/secrets/pw", "mode": 292}]
    configs: [{"source": "redis_conf", "target": "/etc/redis.conf", "mode": 292}]
    volumes: [{"type": "volume", "source": "redis_data", "target": "/data"}, {"type": "tmpfs", "target": "/tmp"}]
    ports: [{"target": 8080, "published": 8080, "protocol": "tcp"}]
    deploy: {"labels": {"sprocket.org": "demo"}}
networks: {"data": {"name": "demo_data"}}
volumes: {"redis_data": {"name": "demo_redis_data"}}
configs: {"redis_conf": {"name": "demo_redis_conf_1a2b3c4d"}}
secrets: {"pw": {"name": "demo_redis_pw_v1"}}
"""


@pytest.fixture(autouse=True)
def _know_nothing() -> None:
    parse_back.forget()


def test_a_stack_that_is_what_was_resolved_is_taken() -> None:
    check_stack(STACK, ["redis:7", "League"], RESOLVED)


SPOILED = [
    ('image: "redis:7"', 'image: "redis:8"', "services.redis.image: the file says 'redis:8', resolved was 'redis:7'"),
    (
        '    ports: [{"target": 8080, "published": 8080, "protocol": "tcp"}]\n',
        "",
        "services.redis.ports: the file says [], resolved was [{'number': 8080, 'target': 8080, 'protocol': 'tcp'}]",
    ),
    ('"published": 8080', '"published": 8081', "services.redis.ports"),
    ("    environment:", "    privileged: true\n    environment:", "services.redis: key 'privileged' is not taken"),
    ("    environment:", '    cap_add: ["ALL"]\n    environment:', "services.redis: key 'cap_add' is not taken"),
    ("    environment:", "    network_mode: host\n    environment:", "services.redis: key 'network_mode' is not taken"),
    ('"source": "redis_data"', '"source": "/var/run/docker.sock"', "services.redis.volumes"),
    ('{"type": "volume", "source": "redis_data", "target": "/data"}, ', "", "services.redis.volumes"),
    ('{"type": "tmpfs", "target": "/tmp"}', '{"type": "bind", "source": "/", "target": "/host"}', "services.redis.volumes"),
    ('"target": "/run/secrets/pw"', '"target": "/elsewhere"', "services.redis.secrets"),
    ('"target": "/etc/redis.conf"', '"target": "/elsewhere"', "services.redis.configs"),
    ('networks: {"data": {"aliases": ["redis"]}}', 'networks: {"data": {}, "edge": {}}', "services.redis.networks"),
    ('"labels": {"sprocket.org": "demo"}', '"labels": {"sprocket.org": "other"}', "services.redis.deploy.labels"),
    (
        'networks: {"data": {"name": "demo_data"}}',
        'networks: {"data": {"name": "other_data"}}',
        "networks.data.name: the file says 'other_data'",
    ),
    ('secrets: {"pw"', 'secrets: {"other": {"name": "x"}, "pw"', "secrets: the file says"),
    ('networks: {"data": {"name"', '  "extra":\n    image: "redis:7"\nnetworks: {"data": {"name"', "services: the file says"),
]


@pytest.mark.parametrize(("old", "new", "message"), SPOILED, ids=[s[2][:50] for s in SPOILED])
def test_a_stack_that_is_anything_else_is_refused(old: str, new: str, message: str) -> None:
    assert STACK.count(old) == 1
    with pytest.raises(RenderError) as caught:
        check_stack(STACK.replace(old, new), [], RESOLVED)
    assert caught.value.message.startswith(message)
    assert caught.value.where == "stack.yml"


@pytest.mark.parametrize("value", ["Leagu", "league", 8080.0, "8080", 292.5, "aliases: [redis]", ["redis:7", "x"], {"NAME": "Other"}, True])
def test_a_value_that_did_not_come_back_as_itself_is_refused(value: object) -> None:
    with pytest.raises(RenderError) as caught:
        check_stack(STACK, [value], RESOLVED)
    assert "did not come back as a value of its own" in caught.value.message


def test_a_value_written_twice_has_to_come_back_twice() -> None:
    check_data('a: "x"\nb: "x"\n', ["x", "x"], "a.yml", "t.yml.j2")
    with pytest.raises(RenderError):
        check_data('a: "x"\n', ["x", "x"], "a.yml", "t.yml.j2")


def test_yes_and_one_are_two_values() -> None:
    with pytest.raises(RenderError):
        check_data("a: 1\n", [True], "a.yml", "t.yml.j2")
    with pytest.raises(RenderError):
        check_data('{"a": true}', [1], "a.json", "t.json.j2")


@pytest.mark.parametrize(
    ("path", "text", "message"),
    [
        ("a.json", "{", "not JSON"),
        ("a.json", '{"a": 1, "a": 2}', "a key twice"),
        ("a.json", '{"a": {"b": 1, "b": 2}}', "a key twice"),
        ("a.json", '{"a": NaN}', "not JSON"),
        ("a.json", "# comment\n{}", "not JSON"),
        ("a.yml", "a: [", "not YAML"),
        ("a.yml", "a: 1\na: 2\n", "key 'a' twice"),
        ("a.yml", "a: &x 1\nb: *x\n", "an alias"),
    ],
)
def test_a_file_that_is_no_plain_data_names_its_template(path: str, text: str, message: str) -> None:
    with pytest.raises(RenderError) as caught:
        check_data(text, [], path, "templates/t.j2")
    assert message in caught.value.message
    assert caught.value.where.startswith("templates/t.j2")


def test_a_text_found_right_is_not_parsed_again_and_one_found_wrong_is() -> None:
    check_data("a: 1\n", [], "a.yml", "t")
    assert len(parse_back._KNOWN) == 1
    for _ in range(2):
        with pytest.raises(RenderError):
            check_data("a: [", [], "a.yml", "t")
    assert len(parse_back._KNOWN) == 1
    parse_back.forget()
    assert len(parse_back._KNOWN) == 0


def test_a_known_text_with_other_values_or_another_resolution_is_checked_again() -> None:
    check_stack(STACK, ["League"], RESOLVED)
    with pytest.raises(RenderError):
        check_stack(STACK, ["Other"], RESOLVED)
    with pytest.raises(RenderError):
        check_stack(STACK, ["League"], {**RESOLVED, "services": [{**SERVICE, "image": "redis:8"}]})


def test_what_it_remembers_is_bounded() -> None:
    for number in range(parse_back._KNOWN_MAX + 10):
        check_data(f'{{"a": {number}}}', [], "a.json", "t")
    assert len(parse_back._KNOWN) == parse_back._KNOWN_MAX


def test_the_sample_itself_is_what_docker_would_read() -> None:
    assert load(STACK)["services"]["redis"]["image"] == "redis:7"
