"""What was done by hand becomes answers: each kind of drift, believed only when the needs drawn anew give what runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from blueprints.compose import Attached, ServiceArgs, read_stack
from blueprints.render import render
from blueprints.resolve import resolve
from orgs.needs_file import needs_from
from provisioning.review.adopting import Draft, Seen, draft_of
from tests.blueprints.cases import SQL, catalog
from tests.orgs.answers import answers
from tests.orgs.test_additions import SERVICE

Hand = Callable[[dict[str, ServiceArgs]], None]
OWN = {"services": {"helper": SERVICE}, "environment": {"api": {"LOG_FORMAT": "json"}}}


def drawn(given: Any) -> dict[str, ServiceArgs]:
    rendering = render(resolve(needs_from(dict(given), "draft"), catalog(), None, {"schema.sql": SQL}), catalog())
    return dict(read_stack(rendering.files["stack.yml"], "testers").services)


def adopted(hand: Hand, **changes: Any) -> Draft:
    """The draft after somebody's hand was on the services that run."""
    given = needs_from(answers(discord={"bot": True}, **changes), "test").model_dump(mode="json")
    applied = drawn(given)
    live = dict(applied)
    hand(live)
    return draft_of(Seen("testers", applied, {args.name: args for args in live.values()}, given), catalog(), drawn)


def changed(key: str, **fields: Any) -> Hand:
    """A hand that changes fields of one service."""

    def hand(live: dict[str, ServiceArgs]) -> None:
        live[key] = replace(live[key], **fields)

    return hand


def with_value(key: str, name: str, value: str | None) -> Hand:
    """A hand that sets an environment value, or takes it away."""

    def hand(live: dict[str, ServiceArgs]) -> None:
        kept = {k: v for k, v in live[key].environment.items() if k != name}
        live[key] = replace(live[key], environment={**kept, **({name: value} if value is not None else {})})

    return hand


def removed(key: str) -> Hand:
    return lambda live: live.pop(key) and None


def keys(draft: Draft) -> list[tuple[str, str]]:
    assert not draft.unsaid
    return [(item.key, item.new) for item in draft.said]


def why(draft: Draft) -> str:
    assert not draft.said
    [item] = draft.unsaid
    return item.why


def test_nothing_done_by_hand_drafts_nothing() -> None:
    draft = adopted(lambda _live: None)
    assert (draft.said, draft.unsaid) == ((), ())


@pytest.mark.parametrize(
    ("hand", "said"),
    [
        (with_value("redis", "EXTRA", "1"), [("additions.environment.redis.EXTRA", "1")]),
        (with_value("api", "LOG_FORMAT", "text"), [("additions.environment.api.LOG_FORMAT", "text")]),
        (with_value("api", "LOG_FORMAT", None), [("additions.environment.api.LOG_FORMAT", "nothing")]),
        (changed("web", replicas=2), [("options.web.copies", "2")]),
        (changed("redis", memory_bytes=512 * 2**20), [("options.redis.memory_mib", "512")]),
        (removed("bot"), [("discord.bot", "no")]),
        (removed("local_helper"), [("additions.services.helper", "nothing")]),
        (changed("local_helper", image="redis:7.2-bookworm"), [("additions.services.helper.image", "redis:7.2-bookworm")]),
        (changed("local_helper", replicas=3), [("additions.services.helper.deploy.replicas", "3")]),
        (changed("local_helper", networks=(Attached("testers_data", ()), Attached("testers_outbound", ()))),
         [("additions.services.helper.networks", "['data', 'outbound']")]),
        (with_value("local_helper", "MODE", "slow"), [("additions.services.helper.environment.MODE", "slow")]),
    ],
)  # fmt: skip
def test_what_an_answer_can_say_is_said(hand: Hand, said: list[tuple[str, str]]) -> None:
    assert keys(adopted(hand, additions=OWN)) == said


@pytest.mark.parametrize(
    ("hand", "words"),
    [
        (changed("redis", image="redis:8"), "images come with the template release"),
        (changed("redis", labels={"by-hand": "yes"}), "labels say whose a service is"),
        (changed("redis", networks=()), "which networks a service is in is the release's"),
        (with_value("api", "NODE_ENV", "test"), "the release sets NODE_ENV itself, in templates/"),
        (with_value("postgres", "POSTGRES_DB", None), "the release sets POSTGRES_DB itself, in templates/"),
        (with_value("redis", "API_TOKEN", "canary-9f8e7d6c5b4a"), "needs hold no secret"),
        (removed("api"), "no answer leaves out"),
        (changed("redis", replicas=2), "redis keeps state or a port, and runs 1 times"),
        (changed("web", replicas=0), "options.web.copies"),
    ],
)
def test_what_no_answer_can_say_says_why(hand: Hand, words: str) -> None:
    draft = adopted(hand)
    assert words in draft.unsaid[0].why
    assert not draft.said
    assert "canary" not in repr(draft.unsaid)


def test_an_extra_service_becomes_a_local_addition_under_a_name_of_its_own() -> None:
    def hand(live: dict[str, ServiceArgs]) -> None:
        live["extra"] = replace(live["redis"], name="testers_extra", mounts=(), secrets=(), configs=(), memory_bytes=0,
                                healthcheck=None, environment={"A": "b"}, command=("sleep", "60"), entrypoint=())  # fmt: skip

    draft = adopted(hand)
    assert [item.key for item in draft.said] == ["additions.services.extra"]
    assert "testers_local_extra" in draft.said[0].note
    assert "no memory limit, and gets 128M" in draft.said[0].note
    made = drawn(draft.answers)["local_extra"]
    assert (made.environment["A"], made.command, made.memory_bytes) == ("b", ("sleep", "60"), 128 * 2**20)


def test_several_hands_are_said_beside_what_cannot_be() -> None:
    def hand(live: dict[str, ServiceArgs]) -> None:
        with_value("redis", "EXTRA", "1")(live)
        changed("api", image="x:1")(live)
        removed("bot")(live)

    draft = adopted(hand)
    assert {item.key for item in draft.said} == {"additions.environment.redis.EXTRA", "discord.bot"}
    assert [item.resource for item in draft.unsaid] == ["service/api"]
    assert "bot" not in drawn(draft.answers)
