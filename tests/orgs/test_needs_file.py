"""Needs as YAML text: lines in errors, what YAML may not do, hostile files, and text that comes back as it was."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgs.needs import Needs
from orgs.needs_file import MAX_BYTES, needs_digest, parse_needs, write_needs
from sprocket_v2.errors import NeedsError
from tests.orgs.answers import needs, valid_answers

ROOT = Path(__file__).resolve().parents[2]
TEXT = """\
# The league of the tests
name: Test League
slug: testers
owner:
  name: Alice
  contact: alice
games:
  - rocket-league
access:
  canonical: localhost
  localhost:
    host: testers.localhost
"""


def refused(text: str) -> NeedsError:
    """The error a text gives."""
    with pytest.raises(NeedsError) as caught:
        parse_needs(text, "league.yaml")
    return caught.value


def test_the_demo_organization_is_read() -> None:
    parsed = parse_needs((ROOT / "orgs" / "demo.yaml").read_text())
    assert (parsed.slug, parsed.applications, parsed.database.starting_data.file) == ("demo", "stand-in", "demo-schema.sql")


def test_a_file_is_read_as_the_answers_it_states() -> None:
    assert parse_needs(TEXT) == needs(access={"canonical": "localhost", "localhost": {"host": "testers.localhost"}})


LINES: list[tuple[str, str, str, str]] = [
    ("slogan: hi\n", "league.yaml:13", "slogan: unknown key", "check the spelling, or remove it; `sprocket needs questions` lists all keys"),
    ("features:\n  scrims: true\n  scrimz: true\n", "league.yaml:15", "features.scrimz: unknown key", "check the spelling, or remove it; `sprocket needs questions` lists all keys"),
    ("features:\n  scrims: yes\n", "league.yaml:14", 'features.scrims: "yes" is not true or false', "write true"),
    ("features:\n  scrims: No\n", "league.yaml:14", 'features.scrims: "No" is not true or false', "write false"),
    ("features:\n  scrims: on\n", "league.yaml:14", 'features.scrims: "on" is not true or false', "write true"),
    ("features:\n  scrims: 'true'\n", "league.yaml:14", 'features.scrims: "true" is not true or false', "write true or false, without quotes"),
    ("features:\n  scrims:\n", "league.yaml:14", 'features.scrims: "null" is not true or false', "write true or false, without quotes"),
    ("expected_members: 2e2\n", "league.yaml:13", 'expected_members: "200.0": it has to be a valid integer', "write a whole number within the limits"),
    ("expected_members: '10'\n", "league.yaml:13", 'expected_members: "10": it has to be a valid integer', "write a whole number within the limits"),
    ("discord:\n  bot: true\n\n  prefix: 'a b'\n", "league.yaml:16", 'discord.prefix: "a b" is not a command prefix', "1 to 8 of a-z, 0-9 and !?.$%&+-"),
    ("database:\n  starting_data:\n    kind: backup\n", "league.yaml:14", 'database.starting_data: kind is "backup", yet no file is named', "add file, or choose empty"),
    ("login: [discord,\n  twitch]\n", "league.yaml:14", 'login.1: "twitch" is not one of the choices', "choose 'discord', 'google', 'steam' or 'epic'"),
    ("login:\n  - google\n", "league.yaml:13", "login: discord is missing, and the applications can sign nobody in without it", "add discord"),
    ("deputy:\n  name: Bob\n", "league.yaml:13", "deputy.contact: missing", "add it; orgs/demo.yaml shows how"),
    ("options:\n  redis:\n    memory_mib: 1.5\n", "league.yaml:15", 'options.redis.memory_mib: "1.5" is no answer', "write text of at most 200 characters, a whole number, or true or false"),
    ("slug: other\n", "league.yaml:13", 'key "slug" is given twice', "keep one of the two"),
    ("options:\n  redis: {memory_mib: 1, memory_mib: 2}\n", "league.yaml:14", 'key "memory_mib" is given twice', "keep one of the two"),
    ("deputy: &bob\n  name: Bob\n", "league.yaml:13", "anchors and aliases (& and *) are not taken", "write the value out where it is needed"),
    ("deputy: *bob\n", "league.yaml:13", "anchors and aliases (& and *) are not taken", "write the value out where it is needed"),
    ("options:\n  <<: {redis: {}}\n", "league.yaml:14", "merging (<<) is not taken", "write the values out where they are needed"),
    ("options:\n  ? [a, b]\n  : 1\n", "league.yaml:14", "a key is not a word", "keys are plain words"),
    ("deputy: !!python/object:os.system x\n", "league.yaml:13", "a tag (!) is not taken", "write plain values"),
    ("deputy: !secret x\n", "league.yaml:13", "a tag (!) is not taken", "write plain values"),
    ("deputy: [a\n", "league.yaml:14", None, "check indentation, quotes and colons on this line"),  # type: ignore[list-item]
    ("\tdeputy: x\n", "league.yaml:13", None, "check indentation, quotes and colons on this line"),  # type: ignore[list-item]
    ("deputy: 'x\n", "league.yaml:14", None, "check indentation, quotes and colons on this line"),  # type: ignore[list-item]
    ("---\nname: second document\n", "league.yaml:13", "a second document begins", "one file, one organization: remove the line ---"),
]  # fmt: skip


@pytest.mark.parametrize(("added", "where", "message", "hint"), LINES, ids=[line[0].replace("\n", "/")[:40] for line in LINES])
def test_an_error_names_key_line_and_remedy(added: str, where: str, message: str | None, hint: str) -> None:
    error = refused(TEXT + added)
    assert (error.where, error.hint) == (where, hint)
    if message is None:
        assert error.message.startswith("not YAML: ")
    else:
        assert error.message == message


def test_the_old_yaml_of_1_1_is_not_spoken() -> None:
    parsed = parse_needs(TEXT.replace("name: Test League", "name: no").replace("contact: alice", "contact: 0o10x"))
    assert parsed.name == "no"
    assert parsed.owner.contact == "0o10x"


def test_several_problems_each_have_their_line() -> None:
    error = refused(TEXT.replace("slug: testers", "slug: T") + "expected_members: none\nslogan: x\n")
    assert [(p.where, p.message.split(":")[0]) for p in error.problems] == [
        ("league.yaml:3", "slug"),
        ("league.yaml:13", "expected_members"),
        ("league.yaml:14", "slogan"),
    ]


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "[]", "- name: x\n", "just words", "42", "null"])
def test_a_text_that_holds_no_answers_says_how_to_begin(text: str) -> None:
    error = refused(text)
    assert (error.message, error.hint) == ("no answers in it", "begin with `name: My League`; orgs/demo.yaml is an example")


def test_an_alias_bomb_is_refused_at_once() -> None:
    bomb = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    )
    begun = time.monotonic()
    error = refused(bomb)
    assert error.message == "anchors and aliases (& and *) are not taken"
    assert error.where == "league.yaml:1"
    assert time.monotonic() - begun < 1


def test_ten_mebibytes_are_refused_before_they_are_parsed() -> None:
    begun = time.monotonic()
    error = refused(TEXT + "# " + "x" * (10 * 1024 * 1024))
    assert error.message == f"10240 KiB of text, the most is {MAX_BYTES // 1024} KiB"
    assert time.monotonic() - begun < 1


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_deep_nesting_is_refused_without_running_out_of_stack(opening: str) -> None:
    for depth in (13, 500, 20_000):
        error = refused(TEXT + "deputy: " + ("\n  " if opening in ("- ", "? ") else "") + opening * depth + "x\n")
        assert (error.message, error.hint) == ("nested too deeply", "at most 12 levels")


def test_a_large_but_taken_file_is_read_in_reasonable_time() -> None:
    begun = time.monotonic()
    refused(TEXT + "".join(f"key{number}: value\n" for number in range(10_000)))
    assert time.monotonic() - begun < 20


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\ud800"])
def test_a_character_no_text_has_is_refused(character: str) -> None:
    error = refused(TEXT.replace("Test", f"Te{character}st"))
    assert error.message.isprintable()
    assert error.hint


@given(st.text(max_size=200))
def test_any_text_gives_needs_or_a_needs_error(text: str) -> None:
    try:
        parse_needs(text)
    except NeedsError as error:
        assert error.message
        assert error.where.startswith("needs.yaml")


@given(st.text(alphabet="ab: -[]{}#&*!|>'\"%@`\n\t,?~=<0", max_size=120))
def test_any_punctuation_gives_needs_or_a_needs_error(text: str) -> None:
    try:
        parse_needs(TEXT + text)
    except NeedsError as error:
        assert error.message


@given(valid_answers())
def test_written_needs_are_read_back_equal_with_an_equal_digest(given_answers: dict[str, Any]) -> None:
    first = Needs.model_validate(given_answers)
    text = write_needs(first)
    assert parse_needs(text) == first
    assert needs_digest(parse_needs(text)) == needs_digest(first)
    assert write_needs(parse_needs(text)) == text


@pytest.mark.parametrize("name", ["yes", "no", "null", "~", "1e3", "0o10", "1_000", "12:30:00", "2024-01-01", "true", "- a", ": x", "# c", "a: b", "a #b", "'", '"',
                                  "\\n", "{{ 7*7 }}", "{% raw %}", "${X}", "$VAR", "<<", "=", "!x", "&a", "*a", "@a", "`a`", "%a", "|", ">", "🚀", "é", "-", "?"])  # fmt: skip
def test_a_name_that_looks_like_something_else_is_written_so_that_it_stays_a_name(name: str) -> None:
    first = needs(name=name)
    assert parse_needs(write_needs(first)) == first


def test_defaults_are_not_written() -> None:
    assert write_needs(needs(expected_members=100)) == (
        "name: Test League\nslug: testers\nowner:\n  name: Alice\n  contact: alice\ngames:\n- rocket-league\n"
        "access:\n  localhost:\n    host: testers.localhost\n"
    )


def test_equal_answers_have_equal_digests_however_they_are_written() -> None:
    other = 'access: {localhost: {port: 8080, host: "testers.localhost"}}\ngames: ["rocket-league"]\nowner: {contact: alice, name: Alice}\nslug: testers\nname: Test League\n'
    assert needs_digest(parse_needs(other)) == needs_digest(parse_needs(TEXT))


def test_the_order_of_options_is_no_answer() -> None:
    one, other = (TEXT + f"options: {{{pairs}}}\n" for pairs in ("a1: {x: 1, y: 2}, b1: {x: 1}", "b1: {x: 1}, a1: {y: 2, x: 1}"))
    assert needs_digest(parse_needs(one)) == needs_digest(parse_needs(other))
