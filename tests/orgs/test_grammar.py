"""The grammars: what they take, and that an error shows the value escaped and says what would be right."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orgs import grammar

Check = Callable[[str], str]

GOOD: list[tuple[Check, str]] = [
    (grammar.slug, "abc"),
    (grammar.slug, "a-1"),
    (grammar.slug, "a" * 20),
    (grammar.host_name, "localhost"),
    (grammar.host_name, "league.example.org"),
    (grammar.host_name, "xn--bcher-kva.example"),
    (grammar.host_name, "3com.example"),
    (grammar.host_name, "a" * 63 + ".example"),
    (grammar.host_or_address, "192.168.1.20"),
    (grammar.host_or_address, "machine.tail1234.ts.net"),
    (grammar.email, "ops+certs@league.example.org"),
    (grammar.identifier, "sprocket_2"),
    (grammar.command_prefix, "s."),
    (grammar.command_prefix, "$"),
    (grammar.profile_name, "legacy-22"),
    (grammar.file_name, "Schema_2024-01.sql"),
    (grammar.sha256, "0123456789abcdef" * 4),
    (grammar.one_line, 'Größe 🚀 "quoted" `tick`'),
]
BAD: list[tuple[Check, str]] = [
    *((grammar.slug, value) for value in ("", "ab", "a" * 21, "-abc", "abc-", "1abc", "Abc", "a_b", "a b", "abc\n", "\nabc", "äbc", "a.b")),
    *(
        (grammar.host_name, value)
        for value in (
            "", ".", "a..b", "a.", ".a", "-a.example", "a-.example", "A.example", "a b", "a`b", "`) || Host(`evil`", "a\nb", "a_b", "a/b",
            "a:80", "*.example", "1.2.3.4", "a" * 64, ".".join(["a" * 60] * 5), "exa\u2028mple", "ex\u0430mple", "a.example\n", "${X}", "a.1",
        )
    ),
    *((grammar.host_or_address, value) for value in ("1.2.3.4.5", "256.1.1.1", "1.2.3", "01.2.3.4", "::1", "1.2.3.4/8", "1.2.3.4\n")),
    *((grammar.email, value) for value in ("", "a", "a@", "@b.c", "a@b..c", "a b@c.de", "a@c.de\n", "a@-b.de", "a`@b.de", "a@b@c.de")),
    *((grammar.identifier, value) for value in ("", "1a", "A", "a-b", "a b", 'a"b', "a;drop", "a" * 64, "a\n")),
    *((grammar.command_prefix, value) for value in ("", " ", "a b", "123456789", "`", '"', "'", "\\", "!\n", "é")),
    *((grammar.profile_name, value) for value in ("", "../v2", "V2", "v2.yaml", "v2/", "v2\n", "-v2")),
    *((grammar.file_name, value) for value in ("", ".", "..", "../a.sql", "a/b.sql", "/etc/passwd", ".hidden", "a\\b", "a b", "a\n", "a" * 101)),
    *((grammar.sha256, value) for value in ("", "a" * 63, "a" * 65, "A" * 64, "g" * 64, "a" * 64 + "\n")),
    *((grammar.one_line, value) for value in ("a\nb", "a\rb", "a\tb", "a\x00b", "a\x7fb", "a\u2028b", "a\u202eb", "a\x85b", " a", "a ", "\ufeffa")),
]  # fmt: skip


@pytest.mark.parametrize(("check", "value"), GOOD, ids=lambda item: item.__name__ if callable(item) else repr(item)[:30])
def test_a_good_value_comes_back_as_it_is(check: Check, value: str) -> None:
    assert check(value) == value


@pytest.mark.parametrize(("check", "value"), BAD, ids=lambda item: item.__name__ if callable(item) else ascii(item)[:30])
def test_a_bad_value_is_refused_with_the_value_shown_on_one_plain_line(check: Check, value: str) -> None:
    with pytest.raises(ValueError) as caught:
        check(value)
    message = str(caught.value)
    assert grammar.shown(value) in message
    assert message.isascii()
    assert message.isprintable()


@given(st.text())
def test_whatever_is_taken_as_a_host_name_can_stand_in_a_router_rule(value: str) -> None:
    try:
        grammar.host_or_address(value)
    except ValueError:
        return
    assert set(value) <= set("abcdefghijklmnopqrstuvwxyz0123456789-.")


@given(st.text(alphabet="ab-\n0", max_size=25))
def test_a_slug_is_exactly_what_the_rule_says(value: str) -> None:
    claims = [3 <= len(value) <= 20, "\n" not in value, value[:1] in ("a", "b"), not value.endswith("-")]
    try:
        taken = grammar.slug(value) == value
    except ValueError:
        taken = False
    assert taken == all(claims)


@given(st.text(max_size=300))
def test_a_shown_value_is_plain_and_short(value: str) -> None:
    shown = grammar.shown(value)
    assert shown.isascii()
    assert shown.isprintable()
    assert len(shown) <= 62 * 10
