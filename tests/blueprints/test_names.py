"""Docker names: what they are made of, and the limit of 63."""

from __future__ import annotations

import pytest

from blueprints.names import MAX_LENGTH, content_version, docker_name, part_of
from sprocket_v2.errors import ResolveError


def test_a_name_is_slug_component_part_version() -> None:
    assert docker_name("demo", "redis") == "demo_redis"
    assert docker_name("demo", "redis", "data") == "demo_redis_data"
    assert docker_name("demo", "redis", "redis-conf", "1a2b3c4d") == "demo_redis_redis-conf_1a2b3c4d"
    assert docker_name("demo", "api", "jwt-secret", "v2") == "demo_api_jwt-secret_v2"
    assert docker_name("demo", "data", version="v2") == "demo_data_v2"


def test_63_characters_are_taken_and_64_refused() -> None:
    assert len(docker_name("a" * 20, "b" * 31, "c" * 10)) == MAX_LENGTH == 63
    with pytest.raises(ResolveError) as caught:
        docker_name("a" * 20, "b" * 31, "c" * 11)
    assert "has 64 characters, the most is 63" in caught.value.message
    assert caught.value.hint == "use a shorter slug, or a shorter name in the component's folder"
    assert caught.value.where == "b" * 31


@pytest.mark.parametrize("component", ["Redis", "re dis", "re/dis", "redis\n", "re`dis", "ré", "re$dis"])
def test_a_name_docker_would_not_take_is_refused_for_what_it_holds(component: str) -> None:
    with pytest.raises(ResolveError) as caught:
        docker_name("demo", component)
    assert caught.value.message.endswith("holds more than a-z, 0-9, _, - and .")
    assert caught.value.where == component


@pytest.mark.parametrize(
    ("file", "part"),
    [
        ("production.json", "production-json"),
        ("a/b.c", "a-b-c"),
        ("A_B.yml", "a-b-yml"),
        (".env", "env"),
        ("x--y", "x--y"),
        ("ü.txt", "txt"),
    ],
)
def test_a_files_name_becomes_a_part(file: str, part: str) -> None:
    assert part_of(file) == part


def test_other_content_is_another_version_of_eight_hex_digits() -> None:
    assert content_version("a") == "ca978112"
    assert content_version("a\n") != content_version("a")
