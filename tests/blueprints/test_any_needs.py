"""Whatever an organization answers: it renders, or is refused with a named reason; and what is rendered hangs together.

500 sets of answers with `make test`, 10,000 with `make soak`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from blueprints import strict_yaml
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
OPTIONS = st.one_of(
    st.just({}), st.just({}), st.just({}), st.dictionaries(st.sampled_from(sorted(catalog().components)), BY_HAND, min_size=1, max_size=1)
)
INSIDE = re.compile(r"(?:https?|tcp)://([a-z0-9_-]+):(\d+)")


@st.composite
def any_needs(draw: st.DrawFn) -> Needs:
    """Any valid needs, with parts switched on and off by hand."""
    answers = {**draw(valid_answers()), "storage": draw(STORAGE), "cache": draw(CACHE), "options": draw(OPTIONS)}
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
    assert all(component.reasons for component in resolution.components)
    return render(resolution, catalog())


def check(needs: Needs) -> None:
    """Everything a reader of the bundle relies on."""
    rendering = rendered(needs)
    if rendering is None:
        return
    event("rendered")
    stack: Any = strict_yaml.load(rendering.files["stack.yml"], "stack.yml")
    _schema().validate(stack)
    _references_resolve(rendering, stack)
    _hosts_resolve(rendering, stack)
    ports = Counter((p["protocol"], p["published"]) for s in stack["services"].values() for p in s.get("ports", ()))
    assert not [port for port, count in ports.items() if count > 1]
    assert set(rendering.secrets) == set(stack["secrets"])


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
    """Every address inside the deployment is an alias on a network that one of the file's readers shares."""
    aliases: dict[str, set[str]] = {}
    for key, service in stack["services"].items():
        for network, attached in service["networks"].items():
            for alias in (key, *(attached or {}).get("aliases", ())):
                aliases.setdefault(alias, set()).add(network)
    for service in stack["services"].values():
        files = [stack["configs"][item["source"]]["file"].removeprefix("./") for item in service.get("configs", ())]
        texts = [rendering.files[path] for path in files] + [str(value) for value in service.get("environment", {}).values()]
        for host, _ in (found for text in texts for found in INSIDE.findall(text)):
            if host not in ("localhost", "0"):
                assert aliases.get(host, set()) & set(service["networks"]), host


@lru_cache
def _schema() -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / "tools" / "schemas" / "compose-spec.json").read_text()))


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]


@settings(max_examples=500, deadline=None, suppress_health_check=SLOW, derandomize=True)
@given(any_needs())
def test_any_needs_render_or_are_refused_with_a_named_reason(needs: Needs) -> None:
    check(needs)


@pytest.mark.soak
@settings(max_examples=10_000, deadline=None, suppress_health_check=SLOW)
@given(any_needs())
def test_ten_thousand_needs_render_or_are_refused_with_a_named_reason(needs: Needs) -> None:
    check(needs)


def _shape(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shape(item) for item in value]
    return type(value).__name__


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW, derandomize=True)
@given(any_needs(), printable(60).filter(bool), printable(60).filter(bool), printable(100))
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
