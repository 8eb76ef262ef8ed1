"""The filters: what each kind of file gets, and that nothing but their results may be printed."""

from __future__ import annotations

import json
import re
import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprints.quoting import (
    FILTERS,
    Quoted,
    emitted,
    kind_of,
    quote_compose,
    quote_json,
    quote_shell,
    refuse_bare,
    text_html,
    text_markdown,
    word,
)
from sprocket_v2.errors import RenderError
from tests.blueprints.cases import HOSTILE
from tests.orgs.answers import printable


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a", '"a"'), ("", '""'), ('"', '"\\""'), ("\\", '"\\\\"'), ("a\nb", '"a\\nb"'), ("\x00", '"\\u0000"'), ("\x7f", '"\\u007f"'), ("\x85", '"\\u0085"'),
        ("\u2028", '"\\u2028"'), ("\ufeff", '"\\ufeff"'), ("é🚀", '"é🚀"'), ("$X", '"$X"'), (1, "1"), (True, "true"), (False, "false"), (None, "null"),
        (["a", 1, True], '["a", 1, true]'), (("a",), '["a"]'), ({"a": {"b": []}}, '{"a": {"b": []}}'), ([], "[]"), ({}, "{}"), (1.5, "1.5"),
    ],
)  # fmt: skip
def test_a_value_is_written_as_json_on_one_line(value: object, text: str) -> None:
    assert quote_json(value) == text
    assert json.loads(text) == (list(value) if isinstance(value, tuple) else value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object(), {1: "a"}, {"a": {1, 2}}, b"x"])
def test_a_value_that_is_no_plain_data_is_refused(value: object) -> None:
    with pytest.raises((TypeError, ValueError)):
        quote_json(value)


def test_a_dollar_is_doubled_for_compose_in_values_at_any_depth_and_in_no_key() -> None:
    assert quote_compose("${X} $Y $$") == '"$${X} $$Y $$$$"'
    assert quote_compose({"$k": ["$a", {"b": "$c"}], "n": 1}) == '{"$k": ["$$a", {"b": "$$c"}], "n": 1}'
    assert quote_compose(7) == "7"


def test_what_was_written_is_remembered_in_order_and_given_out_once() -> None:
    emitted.take()
    quote_json("a")
    quote_compose("$b")
    word("c")
    assert emitted.take() == ["a", "$$b"]
    assert emitted.take() == []


@pytest.mark.parametrize("value", ["a", "", "a.b_c:/@+%-9", 8080, "x" * 300])
def test_a_plain_word_is_printed_as_it_is(value: object) -> None:
    assert word(value) == str(value)


@pytest.mark.parametrize(
    "value", ["a b", "$a", "`", "'", '"', "a\n", "\n", "a#", "{a}", "<a>", "é", "a;b", "a,b", "a&b", "(", "*", "=", "x" * 301, True, "a\\b"]
)
def test_a_word_that_could_mean_something_is_refused(value: object) -> None:
    with pytest.raises(RenderError) as caught:
        word(value)
    assert "is not a plain word" in caught.value.message


@given(printable(60))
def test_a_shell_word_is_one_word_with_that_value(value: str) -> None:
    assert shlex.split(str(quote_shell(value))) == [value]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_real_shell_prints_a_hostile_value_as_it_is(value: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f"printf '%s|' {quote_shell(value)}"], capture_output=True, check=True, env={"VAR": "expanded", "X": "expanded"}
    )
    assert done.stdout.decode() == f"{value}|"
    assert done.stderr == b""


@pytest.mark.parametrize("line_filter", [quote_shell, text_markdown])
@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\x1bb", "a\u2028b", "a\u202eb"])
def test_more_than_one_printable_line_has_no_place_in_a_script_or_a_table(line_filter: object, value: str) -> None:
    with pytest.raises(RenderError):
        line_filter(value)  # type: ignore[operator]


@pytest.mark.parametrize("value", HOSTILE)
def test_markdown_has_every_character_of_meaning_escaped_and_the_text_kept(value: str) -> None:
    text = str(text_markdown(value))
    assert re.search(r"(?<!\\)(?:\\\\)*[`*_{}\[\]<>|#&~]", text) is None
    assert re.sub(r"\\(.)", r"\1", text) == value


def test_html_is_escaped_for_text_and_for_attributes() -> None:
    assert text_html("<a href=\"x\" b='y'>&</a>") == "&lt;a href=&quot;x&quot; b=&#x27;y&#x27;&gt;&amp;&lt;/a&gt;"


@pytest.mark.parametrize(
    "value",
    ["a", 1, True, None, [], Quoted("a") + "b", Quoted("a").upper(), "%s" % Quoted("a"), "".join([Quoted("a"), "b"]), f"{Quoted('a')}"],
)
def test_only_what_a_filter_wrote_may_be_printed_and_no_text_made_from_it(value: object) -> None:
    with pytest.raises(RenderError) as caught:
        refuse_bare(value)
    assert caught.value.hint == "write {{ value | q }}, or this file kind's own filter"


@pytest.mark.parametrize("kind", sorted(FILTERS))
def test_what_any_filter_of_any_kind_wrote_may_be_printed(kind: str) -> None:
    for written in (each("a") for each in FILTERS[kind].values()):
        assert refuse_bare(written) is written
    emitted.take()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("a/b.json", "data"),
        ("a.yml", "data"),
        ("a.yaml", "data"),
        ("R.md", "markdown"),
        ("i.html", "html"),
        ("f.sh", "shell"),
        ("redis.conf", "plain"),
        ("Caddyfile", "plain"),
    ],
)
def test_the_kind_of_a_file_is_its_ending(path: str, kind: str) -> None:
    assert kind_of(path) == kind


@given(st.text())
def test_any_text_is_one_line_of_ascii_controls_free_json(value: str) -> None:
    written = str(quote_json(value))
    assert json.loads(written) == value
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]", written)
