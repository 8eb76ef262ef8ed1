"""One digest over all parts, and the names of those that moved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from provisioning.review.parts import Parts, SecretSeen, digest_of, moved, stale_words

PARTS = Parts(
    needs="n1",
    newest_needs="n1",
    files="f1",
    release="r1",
    release_here="r1",
    secrets={"bot-token": SecretSeen(1, "aa", 1), "jwt-secret": SecretSeen(1, "bb", 1)},
    live="l1",
    state="s1",
    deployed="d1",
)
CHANGES: list[tuple[dict[str, Any], str]] = [
    ({"needs": "n2"}, "the needs"),
    ({"newest_needs": "n2"}, "the needs"),
    ({"files": "f2"}, "the files"),
    ({"release": "r2"}, "the template release"),
    ({"release_here": "r2"}, "the template release"),
    ({"secrets": {**PARTS.secrets, "bot-token": SecretSeen(1, "aa", 2)}}, "the secret bot-token"),
    ({"secrets": {**PARTS.secrets, "bot-token": SecretSeen(1, "cc", 1)}}, "the secret bot-token"),
    ({"secrets": {"bot-token": PARTS.secrets["bot-token"]}}, "the secret jwt-secret"),
    ({"live": "l2"}, "the running objects"),
    ({"state": "s2"}, "the engine's state"),
    ({"deployed": "d2"}, "what is deployed"),
]


@pytest.mark.parametrize(("change", "name"), CHANGES)
def test_a_part_that_moved_is_named_and_changes_the_digest(change: dict[str, Any], name: str) -> None:
    now = replace(PARTS, **change)
    assert moved(PARTS, now) == (name,)
    assert digest_of(now, {}) != digest_of(PARTS, {})


def test_all_that_moved_is_named_in_one_sentence() -> None:
    now = replace(PARTS, needs="n2", newest_needs="n2", files="f2", live="l2")
    assert stale_words(moved(PARTS, now)) == "plan is stale: the needs, the files and the running objects moved"


def test_what_the_page_shows_is_part_of_the_digest() -> None:
    assert digest_of(PARTS, {"steps": [{"op": "create"}]}) != digest_of(PARTS, {"steps": [{"op": "delete"}]})


def test_the_order_of_keys_is_no_difference() -> None:
    turned = replace(PARTS, secrets=dict(reversed(list(PARTS.secrets.items()))))
    assert digest_of(turned, {"b": 1, "a": 2}) == digest_of(PARTS, {"a": 2, "b": 1})
    assert moved(PARTS, turned) == ()
