"""Our own YAML read back: YAML 1.2 core, and in agreement with ruamel.yaml wherever both take a text."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from blueprints.quoting import quote_json
from blueprints.strict_yaml import load
from sprocket_v2.errors import RenderError

SCALARS: list[tuple[str, Any]] = [
    ("1e3", 1000.0), ("1E+3", 1000.0), ("0o10", "0o10"), ("010", 10), ("0x1F", "0x1F"), ("1_000", "1_000"), ("12:30", "12:30"), ("no", "no"), ("off", "off"),
    ("y", "y"), ("True", True), ("FALSE", False), ("~", None), ("", None), ("Null", None), ("2024-01-01", "2024-01-01"), ("-5", -5), ("+5", 5), ("1.", 1.0),
    (".5", 0.5), ("1.5.2", "1.5.2"), ("=", "="), ("<<", "<<"), ('"1"', "1"), ("'true'", "true"), ('"\\u2028"', "\u2028"), ("a#b", "a#b"), ("0b11", "0b11"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value"), SCALARS, ids=[repr(s[0]) for s in SCALARS])
def test_a_scalar_is_what_yaml_1_2_says(text: str, value: object) -> None:
    found = load(f"key: {text}\n")["key"]
    assert found == value
    assert type(found) is type(value)


REFUSED = [
    ("a: 1\na: 2\n", "f.yml:2", "key 'a' twice"),
    ("x:\n  a: 1\n  'a': 2\n", "f.yml:3", "key 'a' twice"),
    ("a: &x [1]\nb: *x\n", "f.yml:1", "an alias"),
    ("a: !!python/name:os.system\n", "f.yml:1", "tag tag:yaml.org,2002:python/name:os.system is not plain data"),
    ("a: !x y\n", "f.yml:1", "tag !x is not plain data"),
    ("1: a\n", "f.yml:1", "key '1' is not text"),
    ("true: a\n", "f.yml:1", "key 'true' is not text"),
    ("? [a]\n: b\n", "f.yml:1", "is not text"),
    ("a: [\n", "f.yml:2", "not YAML"),
    ("a: 'x\n", "f.yml:2", "not YAML"),
    ("a: b: c\n", "f.yml:1", "not YAML"),
    ("a: 1\n---\nb: 2\n", "f.yml:2", "not YAML"),
    ("a: \x07\n", "f.yml", "not YAML"),
]


@pytest.mark.parametrize(("text", "where", "message"), REFUSED, ids=[repr(r[0])[:30] for r in REFUSED])
def test_what_is_no_plain_data_is_refused_with_its_line(text: str, where: str, message: str) -> None:
    with pytest.raises(RenderError) as caught:
        load(text, "f.yml")
    assert message in caught.value.message
    assert caught.value.where == where


_plain = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text()),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=12,
)


@given(_plain)
def test_whatever_the_quoting_filter_writes_comes_back_exactly(value: object) -> None:
    assert load(f"key: {quote_json(value)}\n") == {"key": value}
    assert json.loads(str(quote_json(value))) == value


@given(
    st.lists(
        st.tuples(
            st.text(alphabet="abyn01-.:~#'\" \\", min_size=1, max_size=8), st.text(alphabet="abnoytrue01e+-.:~#'\"[]{}, \\", max_size=10)
        ),
        max_size=4,
    )
)
def test_it_and_ruamel_agree_wherever_both_take_a_text(pairs: list[tuple[str, str]]) -> None:
    text = "".join(f"{key}: {value}\n" for key, value in pairs)
    try:
        ours = load(text)
    except RenderError:
        return
    theirs = YAML(typ="safe", pure=True).load(text)
    assert _comparable(ours) == _comparable(theirs)


def _comparable(value: Any) -> Any:
    """`.nan` and such are text to us; ruamel knows more numbers (octal, hexadecimal) and dates, which we keep as they stand."""
    if isinstance(value, dict):
        return {str(key): _comparable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_comparable(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value
