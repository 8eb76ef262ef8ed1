"""Answers the tests of the needs and of everything behind them begin with, and every valid set of answers as a strategy."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from orgs.needs import Features, Needs

LEAST: dict[str, Any] = {
    "name": "Test League",
    "slug": "testers",
    "owner": {"name": "Alice", "contact": "alice"},
    "games": ["rocket-league"],
    "access": {"localhost": {"host": "testers.localhost"}},
}


def answers(**changes: Any) -> dict[str, Any]:
    """The least answers, with top-level ones changed; None takes one out."""
    return {key: value for key, value in {**LEAST, **changes}.items() if value is not None}


def needs(**changes: Any) -> Needs:
    """The needs of `answers`."""
    return Needs.model_validate(answers(**changes))


def printable(longest: int) -> st.SearchStrategy[str]:
    """One printable line without spaces around it."""
    return st.text(max_size=longest).map(lambda text: "".join(c for c in text if c.isprintable()).strip()[:longest].strip())


_label = st.from_regex(r"\A[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?\Z")
_host = st.lists(_label, min_size=1, max_size=3).map(lambda labels: ".".join([*labels, "example"]))
_slug = st.from_regex(r"\A[a-z][a-z0-9-]{1,18}[a-z0-9]\Z")
_port = st.integers(1, 65535)
_name = printable(60).filter(bool)
_person = st.fixed_dictionaries({"name": _name, "contact": printable(120)})
_identifier = st.from_regex(r"\A[a-z_][a-z0-9_]{0,20}\Z")


def _near(addresses: str) -> st.SearchStrategy[dict[str, Any]]:
    """A way with two ports, by a name or an address of this network."""
    host = st.one_of(_host, st.ip_addresses(v=4, network=addresses).map(str))
    ports = st.tuples(_port, _port).filter(lambda pair: pair[0] != pair[1])
    return st.tuples(host, ports, st.sampled_from(["none", "own"])).map(
        lambda t: {"host": t[0], "port": t[1][0], "api_port": t[1][1], "certificate": t[2]}
    )


_AUTHORITIES: list[dict[str, Any]] = [
    {},
    {"certificates": "staging", "challenge": "dns", "dns_provider": "duckdns"},
    {"certificates": "live", "hsts": True},
    {"certificates": "private", "acme_server": "https://ca.example:14000/dir"},
]
_WAYS = {
    "localhost": st.fixed_dictionaries({"host": _label.map("{}.localhost".format)}, optional={"port": _port}),
    "lan": _near("192.168.0.0/16"),
    "vpn": _near("100.64.0.0/10"),
    "public": st.tuples(st.fixed_dictionaries({"domain": _host, "email": _host.map("certs@{}".format)}), st.sampled_from(_AUTHORITIES)).map(
        lambda t: {**t[0], **t[1]}
    ),
}
_DATA = st.one_of(
    st.just({"kind": "empty"}),
    st.fixed_dictionaries(
        {"kind": st.sampled_from(["schema-file", "backup"]), "file": st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z")},
        optional={"sha256": st.from_regex(r"\A[0-9a-f]{64}\Z")},
    ),
)
_HELD_TOGETHER = {"notifications", "report_cards", "template_editor", "replays", "skill_ratings"}  # drawn with what they need
_scalar = st.one_of(st.booleans(), st.integers(-(2**60), 2**60), st.text(max_size=60))


@st.composite
def valid_answers(draw: st.DrawFn) -> dict[str, Any]:
    """Any answers without a contradiction."""
    ways = draw(st.lists(st.sampled_from(sorted(_WAYS)), min_size=1, max_size=4, unique=True))
    described = {way: draw(_WAYS[way]) for way in ways}
    names = [item.get("domain") or item["host"] for item in described.values()]
    assume(not any(f".{one}".endswith(f".{other}") for one, other in itertools.permutations(names, 2)))
    bot = draw(st.booleans())
    notifications = bot and draw(st.booleans())
    other = draw(st.sets(st.sampled_from(sorted(set(Features.model_fields) - _HELD_TOGETHER))))
    rocket_league = draw(st.booleans())
    other_games = draw(st.lists(_slug.filter(lambda s: s != "rocket-league"), min_size=1, max_size=3, unique=True))
    managed = draw(st.booleans())
    editor = bot and not managed and draw(st.booleans())
    database: dict[str, Any] = {"where": "deployment", "starting_data": draw(_DATA)}
    if managed:
        server = {"host": draw(_host), "port": draw(_port), "name": draw(_identifier), "user": draw(_identifier)}
        database |= {"where": "managed", "managed": server}
    return {
        "name": draw(_name),
        "slug": draw(_slug),
        "owner": draw(_person),
        "deputy": draw(st.one_of(st.none(), _person)),
        "applications": "real" if "public" in ways else draw(st.sampled_from(["real", "stand-in"])),
        "games": ["rocket-league", *other_games] if rocket_league else other_games,
        "expected_members": draw(st.integers(1, 100_000)),
        "features": {**dict.fromkeys(sorted(other), True), "notifications": notifications, "report_cards": bot and draw(st.booleans()),
                     "template_editor": editor, "replays": rocket_league and draw(st.booleans()),
                     "skill_ratings": rocket_league and draw(st.booleans())},
        "login": ["discord", *draw(st.lists(st.sampled_from(["google", "steam", "epic"]), unique=True, max_size=3))],
        "discord": {"bot": bot, "prefix": draw(st.from_regex(r"\A[a-z0-9!?.$%&+-]{1,8}\Z"))},
        "database": database,
        "access": {"canonical": draw(st.sampled_from(ways)), **described},
        "options": draw(st.dictionaries(_slug, st.dictionaries(_slug, _scalar, max_size=2), max_size=2)),
    }  # fmt: skip
