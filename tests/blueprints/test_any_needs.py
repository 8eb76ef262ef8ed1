"""Whatever an organization answers, in whatever generation: it renders, or is refused with a named reason; and what is rendered hangs together.

About a hundred sets of answers with `make unit`, 500 with `make test`, 10,000 with `make soak`, the same number for each profile.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from blueprints import strict_yaml
from blueprints.catalog import TEMPLATES
from blueprints.closure import answered_by
from blueprints.context import PING_PORT
from blueprints.host_edge import draw_edge, member_of
from blueprints.lock import Lock, LockedImage
from blueprints.parse_back import forget
from blueprints.render import render
from blueprints.rendering import Rendering
from blueprints.resolve import resolve
from orgs.needs import Needs
from sprocket_v2.errors import ResolveError
from tests.blueprints.additions import any_additions
from tests.blueprints.cases import catalog
from tests.orgs.answers import printable, valid_answers

ROOT = Path(__file__).resolve().parents[2]
LOCK = Lock({key: LockedImage(image.name, image.tag, "sha256:" + "0" * 64) for key, image in catalog().images().items()})
BUCKETS = st.lists(st.from_regex(r"\A[a-z][a-z0-9-]{1,10}[a-z0-9]\Z"), min_size=2, max_size=2, unique=True)
STORAGE = st.one_of(
    st.just({"where": "deployment"}),
    BUCKETS.map(lambda b: {"where": "existing", "existing": {"host": "s3.example.org", "replays_bucket": b[0], "images_bucket": b[1]}}),
)
CACHE = st.sampled_from([{"where": "deployment"}, {"where": "existing", "existing": {"host": "redis.example.org", "tls": True}}])
BY_HAND = st.fixed_dictionaries({"enabled": st.booleans()})
INSIDE = re.compile(r"(?:https?|tcp)://([a-z0-9_-]+):(\d+)")
PROFILES = sorted(name for name, profile in catalog().profiles.items() if not profile.has_layers)  # those with layers: test_layered
CASES = int(os.environ.get("SPROCKET_ANY_NEEDS", "100"))
HOST_KEYS = ("host", "hostname", "endPoint", "endpoint")  # in the applications' settings
HOST_VARIABLES = ("POSTGRES_HOST", "DB_HOST", "PG_HOST", "CACHE_HOST", "PRIVATE_API_URL")


@st.composite
def any_needs(draw: st.DrawFn, profile: str) -> Needs:
    """Any valid needs of a generation, with parts switched on and off by hand; mostly with features that the generation has."""
    components = st.sampled_from(sorted(catalog().of(profile)))
    options = st.one_of(st.just({}), st.just({}), st.just({}), st.dictionaries(components, BY_HAND, min_size=1, max_size=1))
    answers = {**draw(valid_answers()), "storage": draw(STORAGE), "cache": draw(CACHE), "options": draw(options), "profile": profile}
    if draw(st.integers(0, 7)):
        offered = answered_by(catalog().of(profile).values())
        answers["features"] = {name: yes for name, yes in answers["features"].items() if f"features.{name}" in offered}
    answers["access"] = {**answers["access"], "shared": draw(st.booleans())}
    answers["additions"] = draw(st.one_of(st.just({}), st.just({}), any_additions()))
    return Needs.model_validate(answers)


def rendered(needs: Needs) -> Rendering | None:
    """The rendering; None when it was refused with a reason that names a place and a remedy."""
    data = needs.database.starting_data
    try:
        resolution = resolve(needs, catalog(), LOCK, {data.file: b"select 1;\n"} if data.file else {})
    except ResolveError as error:
        assert error.message
        assert error.hint
        assert error.where
        event(re.sub(r"[^a-z.]+", " ", error.where.split(".")[0]))
        return None
    for component in resolution.components:
        wanted = [reason for reason in component.reasons if not reason.endswith((" needs it", " needs one of its kind"))]
        assert bool(wanted) != bool(component.through), component.name  # an answer wants it, or answers are behind those who need it
    return render(resolution, catalog())


def check(needs: Needs) -> None:
    """Everything a reader of the bundle relies on."""
    rendering = rendered(needs)
    if rendering is None:
        return
    event("rendered")
    stack: Any = strict_yaml.load(rendering.files["stack.yml"], "stack.yml")
    _schema().validate(stack)
    _entry_ports_are_somebodys(rendering, stack)
    _references_resolve(rendering, stack)
    _hosts_resolve(rendering, stack)
    ports = Counter((p["protocol"], p["published"]) for s in stack["services"].values() for p in s.get("ports", ()))
    assert not [port for port, count in ports.items() if count > 1]
    assert set(rendering.secrets) == set(stack["secrets"])
    slug = rendering.blueprint["organization"]["slug"]
    owned = [name for component in rendering.blueprint["components"] for name in component["services"]]
    assert sorted(owned) == sorted(f"{slug}_{name}" for name in stack["services"])
    assert all(component["services"] for component in rendering.blueprint["components"])


def _entry_ports_are_somebodys(rendering: Rendering, stack: Any) -> None:
    """Traefik publishes them, or the host's edge can: with every name of the deployment, and each port that would be published."""
    shared = rendering.blueprint["access"]["shared"]
    published = {port["published"] for port in stack["services"]["traefik"].get("ports", ())}
    if shared is None:
        assert published
        return
    event("shared")
    assert not published
    own = strict_yaml.load(rendering.files["own-ports.yml"], "own-ports.yml")["services"]["traefik"]["ports"]
    member = member_of(rendering.blueprint["organization"]["slug"], shared)
    assert {entry.port for entry in member.names} == {port["published"] for port in own}
    if PING_PORT not in {entry.port for entry in member.names}:
        draw_edge("host-edge-0123456789ab", [member], "traefik:v3.7", TEMPLATES)


def _references_resolve(rendering: Rendering, stack: Any) -> None:
    for name, service in stack["services"].items():
        assert set(service["networks"]) <= set(stack["networks"]), name
        for part in ("secrets", "configs"):
            assert {item["source"] for item in service.get(part, ())} <= set(stack[part] or {}), name
        volumes = {item["source"] for item in service.get("volumes", ()) if item["type"] == "volume"}
        assert volumes <= set(stack.get("volumes") or {}), name
    used = {item["source"] for s in stack["services"].values() for item in s.get("configs", ())}
    assert used == set(stack["configs"])
    for config in stack["configs"].values():
        assert config["file"].removeprefix("./") in rendering.files


def _hosts_resolve(rendering: Rendering, stack: Any) -> None:
    """Every address inside the deployment is an alias on a network its reader shares, and its port is one that listens there."""
    aliases: dict[str, set[str]] = {}
    listening: dict[str, set[int]] = {}
    ports = _listening()
    for key, service in stack["services"].items():
        for network, attached in service["networks"].items():
            for alias in (key, *(attached or {}).get("aliases", ())):
                aliases.setdefault(alias, set()).add(network)
                listening.setdefault(alias, set()).update(ports.get(key, ()), (p["target"] for p in service.get("ports", ())))
    for name, service in stack["services"].items():
        files = [stack["configs"][item["source"]]["file"].removeprefix("./") for item in service.get("configs", ())]
        environment = service.get("environment", {})
        texts = [rendering.files[path] for path in files] + [str(value) for value in environment.values()]
        found = [(host, int(port)) for text in texts for host, port in INSIDE.findall(text)]
        found += [(host, 0) for path in files if path.endswith(".json") for host in _hosts_in(json.loads(rendering.files[path]))]
        found += [(str(environment[key]), 0) for key in HOST_VARIABLES if key in environment]
        for host, port in found:
            if host not in ("localhost", "0") and "." not in host:
                assert aliases.get(host, set()) & set(service["networks"]), f"{name} does not reach {host}"
                assert not port or host == name or port in listening[host], f"{name} asks {host} on {port}"


def _hosts_in(data: Any) -> Iterator[str]:
    """Hosts in the applications' settings."""
    if isinstance(data, dict):
        for key, value in data.items():
            if key in HOST_KEYS and isinstance(value, str):
                yield value.partition(":")[0]
            else:
                yield from _hosts_in(value)


@lru_cache
def _listening() -> dict[str, set[int]]:
    """Service -> ports its manifest says it listens on."""
    found: dict[str, set[int]] = {}
    for manifest in catalog().components.values():
        for service in manifest.services:
            found[service.key] = {service.probe.port} if service.probe else set()
        found.setdefault(manifest.routed_service, set()).add(manifest.port)
    return found


@lru_cache
def _schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "tools" / "schemas" / "compose-spec.json").read_text()))


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=CASES // len(PROFILES) + 1, deadline=None, suppress_health_check=SLOW, derandomize=True)
@given(st.data())
def test_any_needs_render_or_are_refused_with_a_named_reason(profile: str, data: st.DataObject) -> None:
    check(data.draw(any_needs(profile)))


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("profile", PROFILES)
@settings(max_examples=10_000 // len(PROFILES) + 1, deadline=None, suppress_health_check=SLOW)
@given(st.data())
def test_ten_thousand_needs_render_or_are_refused_with_a_named_reason(profile: str, data: st.DataObject) -> None:
    check(data.draw(any_needs(profile)))


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return type(value).__name__


@settings(max_examples=CASES // 10 + 20, deadline=None, suppress_health_check=SLOW, derandomize=True)
@given(st.sampled_from(PROFILES).flatmap(any_needs), printable(60).filter(bool), printable(60).filter(bool), printable(100))
def test_the_structure_does_not_depend_on_free_text(needs: Needs, league: str, person: str, contact: str) -> None:
    plain = needs.model_copy(update={"name": "League", "owner": needs.owner.model_copy(update={"name": "A", "contact": "b"})})
    wild = needs.model_copy(update={"name": league, "owner": needs.owner.model_copy(update={"name": person, "contact": contact})})
    forget()
    one, two = rendered(plain), rendered(wild)
    assert (one is None) == (two is None)
    if one is None or two is None:
        return
    assert set(one.files) == set(two.files)
    for path in one.files:
        if path.endswith((".yml", ".yaml")):
            assert _shape(strict_yaml.load(one.files[path], path)) == _shape(strict_yaml.load(two.files[path], path)), path
        elif path.endswith(".json"):
            assert _shape(json.loads(one.files[path])) == _shape(json.loads(two.files[path])), path
        else:
            assert one.files[path].count("\n") == two.files[path].count("\n"), path
