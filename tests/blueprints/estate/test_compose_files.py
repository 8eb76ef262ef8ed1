"""People's Compose files: both syntaxes of everything, every danger and gap with its line, and what hostile files do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprints.compose import Attached, Healthcheck, Mount, Mounted, Port, ServiceArgs
from blueprints.estate.compose_files import read_compose
from blueprints.estate.model import Estate, Item
from sprocket_v2.errors import EstateError, SprocketError

KEY = b"k" * 32
LONG = """
services:
  api:
    image: example/core:1
    command: ["run", "it"]
    environment: {A: "1", B: 2, C: true}
    ports: [{target: 80, published: 8080, protocol: tcp, mode: host}]
    volumes:
      - {type: volume, source: data, target: /data, read_only: true}
      - {type: bind, source: ./conf, target: /conf}
    networks: {front: {aliases: [b, a]}}
    secrets: [{source: db, target: /app/secret/db.txt, mode: 256, uid: "7"}]
    configs: [{source: c, target: /c.json}]
    depends_on: {db: {condition: service_healthy}}
    healthcheck: {test: ["CMD", "ping"], interval: 10s, timeout: 5s, retries: 2, start_period: 1m}
    deploy:
      replicas: 2
      labels: {a: b}
      resources: {limits: {cpus: "0.5", memory: 128M}, reservations: {memory: 64m}}
      restart_policy: {condition: on-failure, delay: 5s, max_attempts: 3, window: 1m30s}
      update_config: {order: start-first, parallelism: 2, monitor: 5s, failure_action: rollback}
      placement: {constraints: [node.role==manager], max_replicas_per_node: 1}
networks: {front: {name: front_net, internal: true}}
volumes: {data: {driver_opts: {type: none, o: bind, device: /mnt}}}
secrets: {db: {external: true, name: db_v2}}
configs: {c: {content: "hello"}}
"""
SHORT = """
services:
  api:
    image: example/core:1
    command: run it
    environment: [A=1, B=2, C=true]
    ports: ["8080:80", "127.0.0.1:53:53/udp", "3000-3001:4000-4001", 9000]
    volumes: ["data:/data:ro", "./conf:/conf", "/scratch"]
    networks: [front]
    secrets: [db]
    depends_on: [db]
    healthcheck: {test: ping}
    labels: ["traefik.http.routers.api.rule=Host(`api.example.org`)"]
    restart: unless-stopped
networks: {front: }
volumes: {data: }
secrets: {db: {file: ./db.txt}}
"""


def read(text: str) -> Estate:
    """The estate of one file."""
    return read_compose(text.encode(), "docker-compose.yml", KEY)


def service(text: str, name: str = "api") -> tuple[Item, ServiceArgs]:
    """A service that has to be there."""
    item = read(text).find("service", name)
    assert item is not None
    assert item.service is not None
    return item, item.service


def rules_of(text: str) -> dict[str, str]:
    """Rule -> where it was last remarked."""
    return {remark.rule: remark.where for remark in read(text).all_remarks()}


def one(lines: str, more: str = "") -> str:
    """A file of one service with these lines."""
    return "services:\n  api:\n    image: example/core:1\n" + "".join(f"    {line}\n" for line in lines.splitlines()) + more


def test_the_long_syntax_is_taken_over_whole() -> None:
    item, args = service(LONG)
    assert item.completeness == "full"
    assert args.environment == {"A": "1", "B": "2", "C": "true"}
    assert args.ports == (Port(80, 8080, "tcp", "host"),)
    assert args.mounts == (Mount("volume", "data", "/data", read_only=True), Mount("bind", "./conf", "/conf"))
    assert args.networks == (Attached("front_net", ("a", "b")),)
    assert args.secrets == (Mounted("db_v2", "/app/secret/db.txt", 256, "7", "0"),)
    assert args.configs == (Mounted("c", "/c.json", 0o444),)
    assert args.healthcheck == Healthcheck(("CMD", "ping"), 10, 5, 2, 60)
    assert (args.nano_cpus, args.memory_bytes, args.reserved_memory_bytes) == (500_000_000, 128 * 1024**2, 64 * 1024**2)
    assert (args.restart, args.restart_delay_s, args.restart_attempts, args.restart_window_s) == ("on-failure", 5, 3, 90)
    assert (args.order, args.update_parallelism, args.monitor_s, args.failure_action) == ("start-first", 2, 5, "rollback")
    assert (args.constraints, args.max_per_node, args.replicas, args.labels) == (("node.role==manager",), 1, 2, {"a": "b"})
    assert item.facts["depends_on"] == ["db"]


def test_the_short_syntax_is_taken_over_whole() -> None:
    item, args = service(SHORT)
    assert args.command == ("run", "it")
    assert args.environment == {"A": "1", "B": "2", "C": "true"}
    assert args.ports == (
        Port(80, 8080, "tcp", "ingress"), Port(53, 53, "udp", "ingress"), Port(4000, 3000, "tcp", "ingress"), Port(4001, 3001, "tcp", "ingress"),
        Port(9000, 0, "tcp", "ingress"),
    )  # fmt: skip
    assert args.mounts == (
        Mount("volume", "data", "/data", read_only=True),
        Mount("bind", "./conf", "/conf"),
        Mount("volume", "", "/scratch"),
    )
    assert args.secrets == (Mounted("db", "/run/secrets/db", 0o444),)
    assert args.healthcheck == Healthcheck(("CMD-SHELL", "ping"), 30, 30, 3, 0)
    assert args.restart == "any"
    assert item.facts["depends_on"] == ["db"]


def test_rows_are_counted_and_routes_are_rows_of_their_own() -> None:
    estate = read(SHORT + "x-common: {}\n")
    assert estate.rows_in_source["docker-compose.yml"] == {"structure": 1, "service": 1, "route": 1, "network": 1, "volume": 1, "secret": 1}
    route = estate.of("route")[0]
    assert (route.name, route.facts["hosts"], route.origin.address) == ("api", ["api.example.org"], "3")


def test_every_part_says_what_is_known_of_it() -> None:
    estate = read(LONG)
    network, volume = estate.find("network", "front_net"), estate.find("volume", "data")
    secret, config = estate.find("secret", "db_v2"), estate.find("config", "c")
    assert network is not None and network.part is not None and network.part.internal
    assert volume is not None and volume.part is not None and volume.part.driver_options == {"type": "none", "o": "bind", "device": "/mnt"}
    assert secret is not None and secret.part is not None and secret.part.external and secret.completeness == "name"
    assert config is not None and config.facts["text"] == "hello" and config.completeness == "full"


@pytest.mark.parametrize(
    ("lines", "rule", "line"),
    [
        ("network_mode: host", "compose.host-network", 4), ("privileged: true", "compose.privileged", 4),
        ("volumes:\n  - /var/run/docker.sock:/var/run/docker.sock:ro", "compose.engine-socket", 4),
        ("volumes:\n  - {type: bind, source: /run/docker.sock, target: /s}", "compose.engine-socket", 4),
        ("env_file: [.env, more.env]", "compose.env-file", 4), ("user: x\nenvironment:\n  A: ${NOWHERE}", "compose.interpolation", 6),
        ("environment: [FROM_SHELL]", "compose.interpolation", 4), ("profiles: [debug]", "compose.profile", 4), ("sysctls: {a: b}", "compose.unread", 4),
        ("ports: [nonsense]", "compose.unread", 2), ("environment:\n  PASSWORD: opensesame-1", "secret.in-clear", 5),
        ("x-note:\n  password: opensesame-1", "secret.in-clear", 5),
    ],
)  # fmt: skip
def test_every_danger_and_gap_is_remarked_at_its_line(lines: str, rule: str, line: int) -> None:
    found = rules_of(one(lines))
    assert found.get(rule) == f"docker-compose.yml:{line}", found


@pytest.mark.parametrize("lines", ["env_file: .env", "environment: {A: '${X}'}", "environment: [A]", "environment: {A: }", "ports: [x]"])
def test_what_the_file_does_not_say_leaves_a_service_partial(lines: str) -> None:
    assert service(one(lines))[0].completeness == "partial"


def test_a_service_that_is_built_has_no_image() -> None:
    item, args = service("services:\n  api:\n    build: .\n")
    assert (args.image, item.completeness, item.remarks[0].rule) == ("", "partial", "compose.build")


def test_a_variable_with_a_default_takes_it_and_a_doubled_dollar_is_one() -> None:
    item, args = service(one("environment: {A: '${X:-one}', B: '$${Y}', C: '${Z-}'}"))
    assert args.environment == {"A": "one", "B": "${Y}", "C": ""}
    assert item.completeness == "full"


def test_a_service_that_extends_another_is_refused_and_the_others_stay() -> None:
    estate = read(one("user: x", "  web:\n    extends: {file: base.yml, service: web}\n"))
    assert [item.name for item in estate.of("service")] == ["api"]
    assert estate.refused["docker-compose.yml"] == {"service": 1}
    assert [(r.rule, r.where) for r in estate.remarks] == [("compose.extends", "docker-compose.yml:6")]


def test_anchors_and_merges_are_followed_and_noted() -> None:
    text = "x-env: &env {A: '1', B: '2'}\nservices:\n  api:\n    image: example/core:1\n    environment:\n      <<: *env\n      B: '3'\n"
    assert service(text)[1].environment == {"A": "1", "B": "3"}
    assert rules_of(text)["compose.anchor"] == "docker-compose.yml:6"


def test_an_include_is_remarked() -> None:
    assert rules_of(one("user: x", "include: [other.yml]\n"))["compose.include"] == "docker-compose.yml:5"


def test_a_key_given_twice_counts_once() -> None:
    text = one("user: x\nuser: y")
    assert service(text)[1].user == "x"
    assert rules_of(text)["compose.refused"] == "docker-compose.yml:5"


@pytest.mark.parametrize("row", ["", " 7", " [a]"])
def test_a_service_that_is_no_mapping_is_refused_alone(row: str) -> None:
    estate = read(one("user: x", f"  web:{row}\n"))
    assert estate.refused["docker-compose.yml"] == {"service": 1}
    assert estate.remarks[0].where == "docker-compose.yml:5"


def test_no_secret_of_a_file_is_in_its_estate() -> None:
    address = "postgres://a:" + "opensesame-2@db/x"
    text = one(
        f'environment: {{DB_PASSWORD: opensesame-1, URL: "{address}"}}\ncommand: redis-server --requirepass opensesame-3\n'
        "build: {args: {TOKEN: opensesame4567890}}",
        "configs:\n  c:\n    content: |\n      password: opensesame-5\n",
    )
    estate = read(text)
    assert "opensesame" not in repr(estate)
    assert set(service(text)[0].withheld) == {"environment.DB_PASSWORD", "environment.URL", "command.2"}
    assert len([r for r in estate.all_remarks() if r.rule == "secret.in-clear"]) == 5


BOMB = (
    "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))
    + "services: {x: *i}\n"
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no mapping"), ("- a", "no mapping"), ("a: b", "no services"), ("services: [a]", "no services"), ("a: [", "not YAML"), ("services: {}\n---\nb: c", "second document"),
        ("a: " + "[" * 60 + "]" * 60, "nested too deeply"), (BOMB, "anchors stand for more"), ("a: " + "x" * 600_000, "larger than"), ("\x00", "not YAML"),
        ("a: &a\n  b: *a\nservices: {}", "nested|anchors"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_refused_in_words(text: str, message: str) -> None:
    with pytest.raises(EstateError, match=message) as caught:
        read(text)
    assert caught.value.hint


@given(st.data())
def test_a_mutated_file_never_fails_with_anything_but_an_error_in_words(data: Any) -> None:
    content = bytearray((LONG + SHORT.replace("api", "web").replace("services:", "x-s:")).encode())
    for _ in range(data.draw(st.integers(1, 6))):
        place = data.draw(st.integers(0, len(content) - 1))
        content[place : place + data.draw(st.integers(0, 3))] = data.draw(
            st.sampled_from([b"\n", b"  ", b": ", b"- ", b"[", b"}", b"&a ", b"*a ", b"!x ", b"'", b"${", b"\xff", b"|"])
        )
    try:
        assert repr(read_compose(bytes(content), "x.yml", KEY))
    except SprocketError as error:
        assert error.hint or error.where
