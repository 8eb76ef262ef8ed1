"""The typed answers: defaults, every contradiction, and what each kind of wrong answer says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from pydantic import BaseModel, ValidationError

from orgs.needs import Features, Needs
from orgs.needs_file import needs_digest, needs_from
from sprocket_v2.errors import NeedsError
from tests.orgs.answers import LEAST, answers, needs, valid_answers


def problem(**changes: Any) -> NeedsError:
    """The error some answers give, which must be the only one."""
    with pytest.raises(NeedsError) as caught:
        needs_from(answers(**changes), "form")
    assert len(caught.value.problems) == 1, [str(p) for p in caught.value.problems]
    return caught.value


def test_the_least_answers_have_these_defaults() -> None:
    assert needs().model_dump(mode="json") == {
        "name": "Test League",
        "slug": "testers",
        "owner": {"name": "Alice", "contact": "alice"},
        "deputy": None,
        "profile": "v2",
        "applications": "real",
        "games": ["rocket-league"],
        "expected_members": 100,
        "features": dict.fromkeys(Features.model_fields, False),
        "login": ["discord"],
        "discord": {"bot": True, "prefix": "s."},
        "database": {"where": "deployment", "managed": None, "starting_data": {"kind": "empty", "file": None, "sha256": None}},
        "storage": {"where": "deployment", "existing": None},
        "cache": {"where": "deployment", "existing": None},
        "machine": {"memory_mib": None, "monthly_usd": None},
        "host": "this-machine",
        "access": {
            "canonical": "localhost",
            "localhost": {"host": "testers.localhost", "port": 8080},
            "lan": None,
            "vpn": None,
            "public": None,
            "shared": False,
            "entry_lane": None,
        },
        "additions": {"environment": {}, "services": {}, "file": None, "sha256": None},
        "estate": None,
        "options": {},
    }


def test_every_question_has_a_title_and_every_plain_one_a_description() -> None:
    def walk(model: type[BaseModel], path: str) -> None:
        for name, info in model.model_fields.items():
            annotation = info.annotation
            part = next(
                (a for a in (annotation, *getattr(annotation, "__args__", ())) if isinstance(a, type) and issubclass(a, BaseModel)), None
            )
            assert info.title, f"{path}{name} has no title"
            if part is None:
                assert info.description, f"{path}{name} has no description"
                assert info.description.endswith((".", "?")), f"{path}{name}: {info.description!r} is no sentence"
            else:
                walk(part, f"{path}{name}.")

    walk(Needs, "")


def test_needs_cannot_be_changed_once_made() -> None:
    with pytest.raises(ValidationError):
        needs().name = "Other"  # type: ignore[misc]


def public(**answers: Any) -> dict[str, Any]:
    """A public way in alone, with these answers about it."""
    return {"canonical": "public", "public": {"domain": "league.example.org", "email": "a@b.example", **answers}}


CONTRADICTIONS: list[tuple[str, dict[str, Any], str, str]] = [
    ("login without discord", {"login": ["google"]}, "login: discord is missing, and the applications can sign nobody in without it", "add discord"),
    ("nobody can log in", {"login": []}, "login: discord is missing, and the applications can sign nobody in without it", "add discord"),
    ("notifications without a bot", {"features": {"notifications": True}, "discord": {"bot": False}},
     "features.notifications is true, yet discord.bot is false", "the bot sends them; turn one of the two round"),
    ("cards nobody posts", {"features": {"report_cards": True}, "discord": {"bot": False}},
     "features.report_cards is true, yet discord.bot is false", "the bot posts the cards; turn one of the two round"),
    ("replays of another game", {"features": {"replays": True}, "games": ["chess"]},
     "features.replays is true, yet games has no rocket-league", "the replay parser knows no other game"),
    ("stand-ins on the internet", {"applications": "stand-in", "access": {"canonical": "public", "public": {"domain": "a.example", "email": "a@b.example"}}},
     "access.public is given, yet applications is stand-in", "stand-ins are for trying out; choose real, or another way in"),
    ("one game twice", {"games": ["rocket-league", "rocket-league"]}, "games names one game twice", "remove the second"),
    ("empty data with a file", {"database": {"starting_data": {"kind": "empty", "file": "a.sql"}}},
     'database.starting_data: kind is "empty", yet a file is named (a.sql)', "choose schema-file or backup, or remove file"),
    ("a schema file without name", {"database": {"starting_data": {"kind": "schema-file"}}},
     'database.starting_data: kind is "schema-file", yet no file is named', "add file, or choose empty"),
    ("a backup without name", {"database": {"starting_data": {"kind": "backup"}}},
     'database.starting_data: kind is "backup", yet no file is named', "add file, or choose empty"),
    ("managed without server", {"database": {"where": "managed"}},
     "database: where is managed, yet managed is missing", "give host, name and user, or choose deployment"),
    ("server without managed", {"database": {"managed": {"host": "db.example", "name": "a", "user": "a"}}},
     "database: where is deployment, yet managed is given", "remove it, or choose managed"),
    ("managed means our own", {"database": {"where": "managed", "managed": {"host": "postgres", "name": "a", "user": "a"}}},
     'database.managed: host "postgres" means the deployment\'s own database', "name the managed server, or remove managed"),
    ("localhost elsewhere", {"access": {"localhost": {"host": "league.example.org"}}},
     'access.localhost: host "league.example.org" does not end in localhost', "use lan, vpn or public for other names"),
    ("localhost in the middle", {"access": {"localhost": {"host": "evillocalhost"}}},
     'access.localhost: host "evillocalhost" does not end in localhost', "use lan, vpn or public for other names"),
    ("one port for two", {"access": {"canonical": "lan", "lan": {"host": "10.0.0.5", "port": 9000, "api_port": 9000}}},
     "access.lan: port and api_port are both 9000", "one host needs two different ports"),
    ("the default port for two", {"access": {"canonical": "vpn", "vpn": {"host": "100.64.0.5", "port": 8081}}},
     "access.vpn: port and api_port are both 8081", "one host needs two different ports"),
    ("a public name that is not", {"access": {"canonical": "public", "public": {"domain": "league.local", "email": "a@b.example"}}},
     'access.public.domain: "league.local" is not public', "use a registered domain, or another way in"),
    ("a public name without dot", {"access": {"canonical": "public", "public": {"domain": "league", "email": "a@b.example"}}},
     'access.public.domain: "league" is not public', "use a registered domain, or another way in"),
    ("canonical way missing", {"access": {"canonical": "vpn", "localhost": {"host": "a.localhost"}}},
     "access: canonical is vpn, yet vpn is missing", "describe it, or choose another way"),
    ("one name for two ways", {"access": {"canonical": "lan", "lan": {"host": "box.lan"}, "vpn": {"host": "box.lan", "port": 9000}}},
     'access: lan and vpn are both "box.lan", and could not tell whom to let in', "give each a name of its own"),
    ("a name beneath another way's", {"access": {"localhost": {"host": "a.localhost"}, "lan": {"host": "api.a.localhost"}}},
     'access: lan is "api.a.localhost", beneath localhost\'s "a.localhost", whose parts have such names', "give it a name of its own"),
    ("two canonical ways", {"access": {"canonical": ["lan", "localhost"], "lan": {"host": "10.0.0.5"}, "localhost": {"host": "a.localhost"}}},
     'access.canonical: "lan, localhost" is more than one way, and signing in works on exactly one', "choose one of them"),
    ("a public way without a domain", {"access": {"canonical": "public", "public": {"email": "a@b.example"}}},
     "access.public.domain: missing, and a public way in needs one", "give a registered domain, or choose lan or vpn, which take an address"),
    ("a LAN address as public", {"access": {"canonical": "public", "public": {"domain": "192.168.1.20", "email": "a@b.example"}}},
     'access.public.domain: "192.168.1.20" is an address of a local network, which the internet cannot reach',
     "give a registered domain, or describe the address under lan or vpn"),
    ("a LAN address of IPv6 as public", {"access": {"canonical": "public", "public": {"domain": "fd00::1", "email": "a@b.example"}}},
     'access.public.domain: "fd00::1" is an address of a local network, which the internet cannot reach',
     "give a registered domain, or describe the address under lan or vpn"),
    ("a public address as public", {"access": {"canonical": "public", "public": {"domain": "8.8.8.8", "email": "a@b.example"}}},
     'access.public.domain: "8.8.8.8" is an address', "give a registered domain, or describe the address under lan or vpn"),
    ("a public address as lan", {"access": {"canonical": "lan", "lan": {"host": "8.8.8.8"}}},
     'access.lan.host: "8.8.8.8" is no address of a local network', "use this machine's own, such as 192.168.1.20, or public with a domain"),
    ("a tailnet address as lan", {"access": {"canonical": "lan", "lan": {"host": "100.64.0.5"}}},
     'access.lan.host: "100.64.0.5" is an address of a tailnet', "describe it under vpn"),
    ("a LAN address as vpn", {"access": {"canonical": "vpn", "vpn": {"host": "192.168.1.20"}}},
     'access.vpn.host: "192.168.1.20" is no address of a tailnet (100.64.0.0/10)', "use the one `tailscale ip -4` says, or lan"),
    ("a private authority nobody named", {"access": public(certificates="private")},
     "access.public: certificates is private, yet acme_server is missing", "give its ACME directory, or choose staging"),
    ("a server for Let's Encrypt", {"access": public(acme_server="https://ca.example/dir")},
     "access.public: acme_server is given, yet certificates is staging", "remove it, or choose private"),
    ("an authority in clear", {"access": public(certificates="private", acme_server="http://ca.example/dir")},
     'access.public.acme_server: "http://ca.example/dir" is not such an address',
     "write https://, a host, and a path, such as https://ca.example.org/acme/directory"),
    ("proof by nobody's DNS", {"access": public(challenge="dns")},
     "access.public: challenge is dns, yet dns_provider is none", "say whose API makes the record, or choose tls"),
    ("a DNS provider for nothing", {"access": public(dns_provider="duckdns")},
     "access.public: dns_provider is duckdns, yet challenge is tls", "remove it, or choose dns"),
    ("insisting before it is proved", {"access": public(hsts=True)},
     "access.public: hsts is true, yet certificates is staging, which browsers refuse", "choose live first, see it work, then insist"),
    ("no way at all", {"access": {}}, "access: canonical is localhost, yet localhost is missing", "describe it, or choose another way"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message", "hint"), [c[1:] for c in CONTRADICTIONS], ids=[c[0] for c in CONTRADICTIONS])
def test_a_contradiction_names_both_answers_and_the_way_out(changes: dict[str, Any], message: str, hint: str) -> None:
    error = problem(**changes)
    assert (error.message, error.hint) == (message, hint)


@pytest.mark.parametrize("key", sorted(LEAST))
def test_a_missing_answer_is_named(key: str) -> None:
    error = problem(**{key: None})
    assert (error.message, error.hint) == (f"{key}: missing", "add it; orgs/demo.yaml shows how")


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"slogan": "x"}, "slogan: unknown key", "check the spelling, or remove it"),
    ({"features": {"scrim": True}}, "features.scrim: unknown key", "check the spelling, or remove it"),
    ({"name": ""}, 'name: "": String should have at least 1 character', "correct it"),
    ({"name": "a\nb"}, 'name: "a\\nb" holds a line break or another control character', "write it on one line"),
    ({"name": "a\u2028b"}, 'name: "a\\u2028b" holds a line break or another control character', "write it on one line"),
    ({"name": "x" * 61}, f'name: "{"x" * 57}...": String should have at most 60 characters', "correct it"),
    ({"name": 7}, 'name: "7": it has to be a valid string', "correct it"),
    ({"slug": "No Slug"}, 'slug: "No Slug" is not a slug', "3 to 20 of a-z, 0-9 and -, starting with a letter, not ending with a hyphen"),
    ({"slug": "a: b"}, 'slug: "a: b" is not a slug', "3 to 20 of a-z, 0-9 and -, starting with a letter, not ending with a hyphen"),
    ({"expected_members": "200"}, 'expected_members: "200": it has to be a valid integer', "write a whole number within the limits"),
    ({"expected_members": 0}, 'expected_members: "0": it has to be greater than or equal to 1', "write a whole number within the limits"),
    ({"expected_members": 100_001}, 'expected_members: "100001": it has to be less than or equal to 100000', "write a whole number within the limits"),
    ({"expected_members": True}, 'expected_members: "true": it has to be a valid integer', "write a whole number within the limits"),
    ({"discord": {"bot": "yes"}}, 'discord.bot: "yes" is not true or false', "write true"),
    ({"discord": {"bot": "off"}}, 'discord.bot: "off" is not true or false', "write false"),
    ({"discord": {"bot": "true"}}, 'discord.bot: "true" is not true or false', "write true or false, without quotes"),
    ({"discord": {"bot": 1}}, 'discord.bot: "1" is not true or false', "write true or false, without quotes"),
    ({"discord": {"prefix": "a b"}}, 'discord.prefix: "a b" is not a command prefix', "1 to 8 of a-z, 0-9 and !?.$%&+-"),
    ({"login": ["discord", "twitch"]}, 'login.1: "twitch" is not one of the choices', "choose 'discord', 'google', 'steam' or 'epic'"),
    ({"games": []}, 'games: "[]": Tuple should have at least 1 item after validation, not 0', "correct it"),
    ({"games": ["Rocket League"]}, 'games.0: "Rocket League" is not a slug', "3 to 20 of a-z, 0-9 and -, starting with a letter, not ending with a hyphen"),
    ({"access": {"localhost": {"host": "a`b.localhost"}}}, 'access.localhost.host: "a`b.localhost" is not a host name',
     "labels of a-z, 0-9 and -, joined by dots, such as league.example.org"),
    ({"access": {"canonical": "public", "public": {"domain": "a.example", "email": "x: y"}}},
     'access.public.email: "x: y" is not an e-mail address', "write it as name@example.org, the domain in lower case"),
    ({"access": {"localhost": {"host": "a.localhost", "port": 0}}}, 'access.localhost.port: "0": it has to be greater than or equal to 1',
     "write a whole number within the limits"),
    ({"access": {"localhost": {"host": "a.localhost", "port": 65536}}}, 'access.localhost.port: "65536": it has to be less than or equal to 65535',
     "write a whole number within the limits"),
    ({"database": {"starting_data": {"kind": "backup", "file": "../../etc/passwd"}}},
     'database.starting_data.file: "../../etc/passwd" is not a plain file name', "letters, digits, dot, hyphen and underscore, no folders"),
    ({"owner": "Alice"}, 'owner: "Alice": it has to be a valid dictionary or instance of Person', "correct it"),
    ({"profile": "../v2"}, "profile: \"../v2\" is not a profile's name", "a-z, 0-9 and -, such as v2"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "message", "hint"), WRONG, ids=[w[1][:40] for w in WRONG])
def test_a_wrong_answer_is_named_with_its_value_and_the_remedy(changes: dict[str, Any], message: str, hint: str) -> None:
    error = problem(**changes)
    assert error.message == message
    assert error.hint.startswith(hint)
    assert error.where == "form"


def test_an_option_is_text_number_or_yes_no_and_keeps_its_type() -> None:
    given = {"redis": {"memory_mib": 256}, "thing": {"on": True, "word": "no", "number": "0o10"}}
    assert needs(options=given).options == given
    assert [type(value) for value in needs(options=given).options["thing"].values()] == [bool, str, str]


@pytest.mark.parametrize("value", [1.5, None, [1], {"a": 1}, "x" * 201])
def test_an_option_that_is_no_plain_value_is_refused_by_its_name(value: object) -> None:
    error = problem(options={"redis": {"memory_mib": value}})
    assert error.message.startswith("options.redis.memory_mib: ")
    assert error.message.endswith(" is no answer")
    assert error.hint == "write text of at most 200 characters, a whole number, or true or false"


@pytest.mark.parametrize("name", ["", "a\nb", "`", "../x", "A", "x" * 42])
def test_an_option_of_a_name_nothing_can_have_is_refused(name: str) -> None:
    for options in ({name: {"memory_mib": 1}}, {"redis": {name: 1}}):
        error = problem(options=options)
        assert error.hint == "a-z, 0-9, _, - and ., at most 41, starting with a letter"
        assert error.message.isprintable()


def test_all_problems_are_told_at_once() -> None:
    with pytest.raises(NeedsError) as caught:
        needs_from(answers(slug="X", extra=1, expected_members="many"), "form")
    assert [p.message.split(":")[0] for p in caught.value.problems] == ["slug", "expected_members", "extra"]
    assert caught.value.message.endswith("(and 2 more)")


@given(valid_answers())
def test_answers_without_a_contradiction_are_taken_and_their_digest_is_their_own(given_answers: dict[str, Any]) -> None:
    first = Needs.model_validate(given_answers)
    again = Needs.model_validate(first.model_dump(mode="json"))
    assert again == first
    assert needs_digest(again) == needs_digest(first)


def test_one_other_answer_is_another_digest_and_an_answered_default_is_not() -> None:
    assert needs_digest(needs(expected_members=100)) == needs_digest(needs())
    assert needs_digest(needs(expected_members=101)) != needs_digest(needs())
    assert needs_digest(needs()) == "sha256:" + needs_digest(needs())[7:]
    assert len(needs_digest(needs())) == 7 + 64


def test_the_canonical_way_comes_first() -> None:
    ways = needs(
        access={"canonical": "vpn", "localhost": {"host": "a.localhost"}, "lan": {"host": "10.0.0.2"}, "vpn": {"host": "m.ts.example"}}
    )
    assert ways.access.ways() == ("vpn", "localhost", "lan")
