"""Local additions as text and data: every refusal names key, line and remedy; what is taken comes back as it was."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgs.additions import LocalService
from orgs.fragment import MAX_FRAGMENT, parse_fragment, write_fragment
from orgs.needs import Needs
from orgs.needs_file import parse_needs, write_needs
from sprocket_v2.errors import NeedsError
from tests.orgs.answers import answers, needs

SERVICE: dict[str, Any] = {"image": "redis:7.0-bookworm", "deploy": {"resources": {"limits": {"memory": "64M"}}}}
IMAGE, LIMIT = "    image: redis:7.0-bookworm\n", "    deploy: {resources: {limits: {memory: 64M}}}\n"


def fragment(*lines: str, image: str = IMAGE, limit: str = LIMIT) -> str:
    """A fragment of one service, `helper`, with these lines from line 5 on."""
    return f"services:\n  helper:\n{image}{limit}" + "".join(f"    {line}\n" for line in lines)


def problems_of(text: str | bytes) -> tuple[NeedsError, ...]:
    """What is wrong with a fragment."""
    with pytest.raises(NeedsError) as caught:
        parse_fragment(text, "local.yml")
    assert all(problem.hint and problem.where for problem in caught.value.problems)
    return caught.value.problems


@pytest.mark.parametrize(
    ("line", "key", "said", "remedy"),
    [
        ("privileged: true", "helper", "privileged is not allowed", "remove it"),
        ("cap_add: [NET_ADMIN]", "helper", "cap_add is not allowed", "remove it"),
        ("network_mode: host", "helper", "edge, data and outbound only", "remove it"),
        ("pid: host", "helper", "processes of the machine", "remove it"),
        ("ipc: host", "helper", "memory with the machine", "remove it"),
        ("devices: [/dev/sda]", "helper", "devices of the machine", "remove it"),
        ("security_opt: [seccomp=unconfined]", "helper", "protections stay on", "remove it"),
        ("configs: [stack]", "helper", "bring no files", "remove it"),
        ("env_file: [/etc/shadow]", "helper", "values stand under environment", "remove it"),
        ("build: .", "helper", "from a registry", "remove it"),
        ("volumes_from: [api]", "helper", "volumes of its own only", "remove it"),
        ("labels: {sprocket.org: other}", "helper", "labels say whose a service is", "remove it"),
        ("mem_limit: 64M", "helper", "under deploy, resources, limits, memory", "remove it"),
        ("volumes: ['/var/run/docker.sock:/s.sock']", "helper.volumes.0.source", "the engine's socket", "data:/data"),
        ("volumes: ['/etc:/host']", "helper.volumes.0.source", "a folder of the machine", "data:/data"),
        ("volumes: ['./here:/host']", "helper.volumes.0.source", "a folder of the machine", "data:/data"),
        ("volumes: [{type: bind, source: /, target: /host}]", "helper.volumes.0", 'type "bind" is not allowed', "volumes of its own"),
        ("volumes: [{type: npipe, source: x, target: /host}]", "helper.volumes.0", 'type "npipe" is not allowed', "volumes of its own"),
        ("volumes: [demo_postgres_data:/data]", "helper.volumes.0.source", "is no name for an addition", "a-z, 0-9 and -"),
        ("volumes: ['data:/proc/x']", "helper.volumes.0.target", "belongs to the system", "/data"),
        ("volumes: ['data:/run/secrets']", "helper.volumes.0.target", "belongs to the system", "/data"),
        ("volumes: ['data:/a/../proc']", "helper.volumes.0.target", "is no path in the container", "/data"),
        ("networks: [host]", "helper.networks.0", "not one of the choices", "edge"),
        ("networks: [demo_data]", "helper.networks.0", "not one of the choices", "edge"),
        ("networks: {data: {aliases: [postgres]}}", "helper.networks", "is a setting of a network", "[data]"),
        ("ports: ['22:22']\n    networks: [edge]", "helper.ports.0", "the machine's own", "another"),
        ("ports: ['2375:2375']\n    networks: [edge]", "helper.ports.0", "the machine's own", "another"),
        ("ports: ['0.0.0.0:90:90']\n    networks: [edge]", "helper.ports.0", "no published port", "PORT IN THE CONTAINER"),
        ("ports: [90]\n    networks: [edge]", "helper.ports.0", "no published port", "PORT IN THE CONTAINER"),
        ("ports: ['9000:80']", "helper", "leads nowhere from the network data alone", "edge or outbound"),
        ("environment: {DB_PASSWORD: hunter2hunter2}", "helper.environment.DB_PASSWORD", "is the name of a secret", "X_FILE="),
        ("environment: {GITHUB_TOKEN: x}", "helper.environment.GITHUB_TOKEN", "is the name of a secret", "X_FILE="),
        ("environment: {STRIPE_API_KEY: x}", "helper.environment.STRIPE_API_KEY", "is the name of a secret", "X_FILE="),
        ("environment: {URL: 'https://me:hunter2@example.org'}", "helper.environment.URL", "user and password in an address", "as a secret"),
        ("environment: {LD_PRELOAD: /x.so}", "helper.environment.LD_PRELOAD", "which code a program loads", "remove it"),
        ("environment: {A-B: x}", "helper.environment.A-B", "is not an environment name", "letters, digits"),
        ("environment: {A: 1}", "helper.environment.A", "is not text", "quotes"),
        ("environment: {A: yes}", "helper.environment.A", "A", ""),
        ('environment: {A: "a\\nb"}', "helper.environment.A", "is not one printable line", "line break"),
        ("environment: [A]", "helper.environment", "is not NAME=value", "NAME"),
        ("secrets: [db-password]", "helper.secrets.0.source", "secrets of the release are not handed out", "begins with local-"),
        ("command: sleep 1", "helper.command", "a shell would have to take apart", "[sleep, infinity]"),
        ("command: [1]", "helper.command.0", "is not one printable line", "quotes"),
        ("user: ../root", "helper.user", "is no user", "1000:1000"),
        ("stop_grace_period: 3h", "helper.stop_grace_period", "is no duration", "1m30s"),
        ("healthcheck: {test: [curl, x]}", "helper.healthcheck", "test begins with", "CMD-SHELL"),
        ("unheard: of", "helper.unheard", "unknown key", "remove it"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_refused_with_key_line_and_remedy(line: str, key: str, said: str, remedy: str) -> None:
    if said == "A":  # YAML 1.2 has no yes: it is text
        assert parse_fragment(fragment(line), "local.yml")["helper"].environment == {"A": "yes"}
        return
    [problem] = problems_of(fragment(*line.split("\n    ")))
    assert said in problem.message
    assert remedy in problem.hint
    assert problem.message.startswith(f"services.{key}")
    assert problem.where == ("local.yml:2" if "leads nowhere" in said else "local.yml:5")


@pytest.mark.parametrize(
    ("image", "said"),
    [
        ("redis", "is not an image with a tag"),
        ("redis:latest", "goes by latest"),
        ("docker.io/library/redis:latest", "goes by latest"),
        ("evil.example.org/redis:1", "comes from evil.example.org"),
        ("localhost:5000/redis:1", "comes from localhost:5000"),
        ("Redis:7", "is not an image"),
        ("redis:7 --privileged", "is not an image"),
        ("redis:7@sha256:1234", "is not an image"),
        ("../redis:7", "is not an image"),
        ("redis:{{ 7 }}", "is not an image"),
        ("$IMAGE:7", "is not an image"),
    ],
)
def test_an_image_obeys_grammar_and_allow_list(image: str, said: str) -> None:
    [problem] = problems_of(fragment(image=f"    image: '{image}'\n"))
    assert said in problem.message
    assert problem.where == "local.yml:3"


@pytest.mark.parametrize(
    "image",
    ["redis:7.0-bookworm", "docker.io/library/redis:7", "ghcr.io/a/b-c/d_e:v1.2", "quay.io/a/b:1@sha256:" + "0" * 64, "a/b:1"],
)
def test_an_image_of_an_allowed_registry_is_taken(image: str) -> None:
    assert parse_fragment(fragment(image=f"    image: {image}\n"), "local.yml")["helper"].image == image


@pytest.mark.parametrize(
    "limit",
    [
        "",
        "    deploy: {}\n",
        "    deploy: {resources: {}}\n",
        "    deploy: {resources: {limits: {cpus: 0.5}}}\n",
        "    deploy: {replicas: 1}\n",
    ],
)
def test_a_memory_limit_is_mandatory(limit: str) -> None:
    [problem] = problems_of(fragment(limit=limit))
    assert "memory" in problem.message
    assert "128M" in problem.hint


@pytest.mark.parametrize("limit", ["1M", "128", "65G", "-1G", "64 M", "1e3M"])
def test_a_memory_limit_has_a_unit_and_a_measure(limit: str) -> None:
    [problem] = problems_of(fragment(limit=f"    deploy: {{resources: {{limits: {{memory: '{limit}'}}}}}}\n"))
    assert "is no memory limit" in problem.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("services: {}\nx: &a [1]\ny: *a\n", "anchors and aliases"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\nd: [*c, *c]\n", "anchors and aliases"),
        ("services: !!python/object:os.system {}\n", "a tag"),
        ("services: {}\n---\nservices: {}\n", "second document"),
        ("services: {a: 1}\nservices: {}\n", "given twice"),
        ("services: " + "[" * 40 + "]" * 40 + "\n", "nested too deeply"),
        ("services:\n  <<: {a: 1}\n", "merging"),
        ("", "no answers in it"),
        ("- a\n", "no answers in it"),
        ("services: {}\n", "at least 1"),
        ("services:\n\ta: 1\n", "not YAML"),
        ("networks: {default: {driver: host}}\n" + fragment(), "could change what is the release's"),
        ("configs: {stack: {file: stack.yml}}\n" + fragment(), "could change what is the release's"),
        ("secrets: {db-password: {external: true}}\n" + fragment(), "could change what is the release's"),
        (fragment() + "volumes: {data: {external: true, name: other_postgres_data}}\n", "could be somebody else's"),
        ("include: [other.yml]\n" + fragment(), "could change what is the release's"),
    ],
)
def test_text_that_is_no_fragment_is_refused(text: str, said: str) -> None:
    assert any(said in problem.message for problem in problems_of(text))


def test_ten_mebibytes_are_refused_at_once() -> None:
    begun = time.monotonic()
    [problem] = problems_of(b"services:\n" + b"  a: {}\n" * (10 * 1024 * 1024 // 8))
    assert "the most is 64 KiB" in problem.message
    assert time.monotonic() - begun < 0.5
    assert problems_of("é" * (MAX_FRAGMENT // 2 + 1))


def test_bytes_that_are_no_text_are_refused() -> None:
    [problem] = problems_of(b"\xff\xfe\x00")
    assert problem.message == "not UTF-8 text"


def test_every_problem_is_told_at_once() -> None:
    found = problems_of(fragment("environment: {A_TOKEN: x}", "user: ../x", image="    image: redis:latest\n"))
    assert [problem.where for problem in found] == ["local.yml:3", "local.yml:5", "local.yml:6"]


def test_a_fragment_as_people_write_it_is_taken() -> None:
    text = 'version: "3.9"\n' + fragment(
        "command: [sleep, infinity]", "environment: ['A=b=c']", "ports: ['9000:80', '9000:90/udp']", "networks: {edge: , data: }",
        "volumes: ['data:/data', {type: volume, source: more, target: /more}]", "secrets: [local-x]",
    ) + "volumes:\n  data:\n  more:\n"  # fmt: skip
    helper = parse_fragment(text, "local.yml")["helper"]
    assert helper.environment == {"A": "b=c"}
    assert [(p.published, p.target, p.protocol) for p in helper.ports] == [(9000, 80, "tcp"), (9000, 90, "udp")]
    assert helper.networks == ("edge", "data")
    assert [v.source for v in helper.volumes] == ["data", "more"]
    assert helper.secrets[0].path == "/run/secrets/local-x"
    assert parse_fragment(write_fragment({"helper": helper}), "again") == {"helper": helper}


def test_templates_are_text() -> None:
    helper = parse_fragment(fragment('environment: {A: "{{ 7*7 }}", B: "{% raw %}", C: "${D} $$"}'), "local.yml")["helper"]
    assert helper.environment == {"A": "{{ 7*7 }}", "B": "{% raw %}", "C": "${D} $$"}


@pytest.mark.parametrize(
    "change", [{"volumes": ["data:/data"]}, {"ports": ["9000:80"], "networks": ["edge"]}], ids=["one volume", "one port"]
)
def test_what_exists_once_is_not_shared_by_copies(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="2 replicas"):
        LocalService.model_validate({**SERVICE, "deploy": {**SERVICE["deploy"], "replicas": 2}, **change})


@pytest.mark.parametrize("name", ["Api", "a_b", "-a", "a" * 17, "", "a.b", "a/b", "{{x}}"])
def test_a_name_that_docker_or_people_would_stumble_over_is_refused(name: str) -> None:
    with pytest.raises(NeedsError):
        parse_needs(write_needs(needs()) + f"additions:\n  services:\n    {name!r}:\n      image: redis:7.0-bookworm\n", "x")


def test_needs_with_additions_are_written_and_read_back() -> None:
    given = needs(additions={"environment": {"api": {"LOG_FORMAT": "json"}}, "services": {"helper": {**SERVICE, "volumes": ["d:/d"]}}})
    assert parse_needs(write_needs(given)) == given
    assert Needs.model_validate(given.model_dump(mode="json")) == given


def test_a_wrong_addition_in_a_needs_file_has_its_line() -> None:
    text = write_needs(needs()) + "additions:\n  environment:\n    api:\n      A_SECRET: x\n"
    with pytest.raises(NeedsError) as caught:
        parse_needs(text, "needs.yaml")
    assert caught.value.where == f"needs.yaml:{text.count(chr(10))}"
    assert "additions.environment.api.A_SECRET" in caught.value.message


def test_a_digest_without_a_file_is_refused() -> None:
    with pytest.raises(ValueError, match="sha256 is given, yet file is not"):
        Needs.model_validate(answers(additions={"sha256": "0" * 64}))


@given(st.text(max_size=200))
def test_any_text_is_a_fragment_or_refused_with_a_remedy(text: str) -> None:
    try:
        parse_fragment(text, "local.yml")
    except NeedsError as error:
        assert all(problem.hint for problem in error.problems)
