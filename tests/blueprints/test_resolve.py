"""Resolving: which need brings what in, options, secrets, starting data, findings; and what this release cannot do."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import pytest

from blueprints.catalog import Catalog
from blueprints.lock import Lock, LockedImage
from blueprints.manifest import Wanted
from blueprints.resolve import MAX_STARTING_DATA, Resolution, questions_of, resolve
from orgs.needs import Features
from sprocket_v2.errors import ResolveError
from tests.blueprints.cases import SQL, catalog, resolution
from tests.orgs.answers import needs

MANAGED = {"where": "managed", "managed": {"host": "db.example.org", "port": 25060, "name": "league", "user": "league"}}
SCHEMA = {"starting_data": {"kind": "schema-file", "file": "schema.sql"}}


def with_component(name: str, **changes: Any) -> Catalog:
    """The release with one manifest changed."""
    release = catalog()
    return replace(release, components={**release.components, name: replace(release.components[name], **changes)})


def refused(release: Catalog | None = None, attachments: dict[str, bytes] | None = None, **changes: Any) -> ResolveError:
    """The error some answers give."""
    with pytest.raises(ResolveError) as caught:
        resolve(needs(**changes), release or catalog(), None, attachments)
    return caught.value


def names(found: Resolution) -> list[str]:
    """The components in start order."""
    return [component.name for component in found.components]


def test_the_least_answers_give_the_core_in_start_order() -> None:
    assert names(resolution()) == ["postgres", "backup", "redis", "api", "bot", "web", "traefik"]


def test_every_component_says_which_answer_brought_it_in() -> None:
    reasons = {c.name: c.reasons for c in resolution().components}
    assert reasons == {
        "backup": ("Database = deployment",),
        "postgres": ("Database = deployment", "Backup needs it"),
        "redis": ("every deployment of this generation has it", "API needs it"),
        "api": ("every deployment of this generation has it", "Discord bot needs it", "Web needs it"),
        "bot": ("Discord bot = yes",),
        "web": ("every deployment of this generation has it",),
        "traefik": ("every deployment of this generation has it",),
    }


def test_without_a_bot_there_is_no_bot_and_no_token() -> None:
    found = resolution(discord={"bot": False})
    assert "bot" not in names(found)
    assert "bot-token" not in found.secrets


def test_a_managed_database_drops_postgres_and_makes_its_password_a_supplied_one() -> None:
    inside, outside = resolution(), resolution(database=MANAGED)
    assert "postgres" in names(inside)
    assert "postgres" not in names(outside)
    assert (inside.secrets["db-password"].kind, outside.secrets["db-password"].kind) == ("generated", "supplied")
    assert set(outside.secrets["db-password"].consumers) == set(inside.secrets["db-password"].consumers) - {"postgres", "backup"}


def test_a_job_is_there_only_with_the_answers_that_want_it() -> None:
    def services(**changes: Any) -> list[str]:
        component = resolution(**changes).component("postgres")
        assert component is not None
        return [service.key for service in component.services]

    assert services() == ["postgres"]
    assert services(database=SCHEMA) == ["postgres", "postgres_restore"]
    assert services(database={"starting_data": {"kind": "backup", "file": "schema.sql"}}) == ["postgres", "postgres_restore"]


def test_a_jobs_memory_is_not_counted_because_it_is_free_again() -> None:
    api = resolution().component("api")
    assert api is not None
    assert api.memory_mib == api.inputs["memory_mib"]
    assert int(api.inputs["migrate_memory_mib"]) > 0


def test_what_a_component_requires_comes_with_it_and_says_for_whom() -> None:
    release = with_component("redis", wanted_when=())
    assert resolve(needs(), release).component("redis").reasons == ("API needs it",)  # type: ignore[union-attr]


def test_what_is_required_brings_in_what_it_requires_itself() -> None:
    manifests = catalog().components
    bare = {name: replace(manifests[name], wanted_when=()) for name in ("api", "redis")}
    found = resolve(needs(discord={"bot": False}), replace(catalog(), components={**manifests, **bare}))
    assert {name: found.component(name).reasons for name in bare} == {"api": ("Web needs it",), "redis": ("API needs it",)}  # type: ignore[union-attr]


def test_components_that_require_each_other_are_refused() -> None:
    error = refused(with_component("redis", requires=("api",)))
    assert "require each other in a circle" in error.message
    assert error.hint == "break it in component.yaml"
    assert "redis" in error.message


def test_a_requirement_of_another_generation_is_refused() -> None:
    error = refused(with_component("influxdb", profiles=("v9",)), features={"match_statistics": True})
    assert error.message == "analytics requires influxdb, which is not of this generation"
    assert error.where == "templates/components/analytics"


def test_a_component_of_another_generation_is_left_out() -> None:
    found = resolve(needs(features={"report_cards": True, "scrims": True}, profile="v2-monolith"), catalog())
    assert not {"api", "bot", "matchmaking", "notifications", "image-generation"} & set(names(found))


def test_a_component_of_the_starting_set_belongs_to_the_generation_whatever_it_says_itself() -> None:
    assert "bot" in names(resolve(needs(), with_component("bot", profiles=("v9",))))


def test_an_unknown_profile_lists_the_known_ones() -> None:
    error = refused(profile="v9")
    assert (error.message, error.hint, error.where) == (
        "profile: 'v9' is not in this release",
        f"one of {', '.join(catalog().profiles)}",
        "profile",
    )


def test_every_feature_brings_something_in_and_without_any_there_is_the_core_only() -> None:
    plain = set(names(resolution()))
    assert plain == {"backup", "web", "api", "bot", "postgres", "redis", "traefik"}
    for feature in Features.model_fields:
        assert set(names(resolution(features={feature: True}))) > plain, feature


def test_a_feature_nothing_answers_is_refused() -> None:
    error = refused(with_component("n8n", wanted_when=(Wanted("component_option", True),)), features={"automations": True})
    assert error.message == "features.automations is true, and nothing in this release provides automations for profile v2"
    assert error.where == "features.automations"
    assert error.hint.startswith("set it to false")


CLOSURE = [
    ({"submissions": True}, {"submissions": ("Submissions = yes",), "minio": ("Submissions needs it",)}),
    ({"replays": True}, {"replay-parse": ("Replays = yes",), "submissions": ("Replay parser needs it",), "minio": ("Replay parser needs it", "Submissions needs it")}),
    ({"report_cards": True}, {"image-generation": ("Report cards = yes",), "notifications": ("Image generation needs it",), "minio": ("Image generation needs it",)}),
    ({"skill_ratings": True}, {"elo": ("Skill ratings = yes",), "replay-parse": ("Ratings needs it",), "submissions": ("Replay parser needs it",),
                               "minio": ("Replay parser needs it", "Submissions needs it")}),
    ({"dashboards": True}, {"grafana": ("Dashboards = yes",), "telegraf": ("Grafana needs one of its kind",), "influxdb": ("Telegraf needs one of its kind",)}),
    ({"dashboards": True, "match_statistics": True}, {"grafana": ("Dashboards = yes",), "analytics": ("Match statistics over time = yes",),
                                                      "influxdb": ("Analytics needs it",)}),
    ({"log_search": True}, {"loki": ("Log search = yes",), "telegraf": ("Loki needs it",), "grafana": ("Loki needs it",)}),
]  # fmt: skip


@pytest.mark.parametrize(("features", "brought"), CLOSURE, ids=["+".join(c[0]) for c in CLOSURE])
def test_what_a_feature_drags_in_carries_its_reason(features: dict[str, bool], brought: dict[str, tuple[str, ...]]) -> None:
    core = {"backup", "web", "api", "bot", "postgres", "redis", "traefik"}
    assert {c.name: c.reasons for c in resolution(features=features).components if c.name not in core} == brought


def test_what_is_there_outside_is_left_out_and_its_secrets_are_asked_for() -> None:
    storage = {"where": "existing", "existing": {"host": "s3.example.org", "replays_bucket": "one", "images_bucket": "two"}}
    cache = {"where": "existing", "existing": {"host": "redis.example.org"}}
    found = resolution(features={"submissions": True}, storage=storage, cache=cache)
    assert not {"minio", "redis"} & set(names(found))
    kinds = {name: secret.kind for name, secret in found.secrets.items()}
    assert (kinds["storage-access-key"], kinds["storage-secret-key"], kinds["redis-password"]) == ("supplied", "supplied", "supplied")
    within = {name: secret.kind for name, secret in resolution(features={"submissions": True}).secrets.items()}
    assert (within["storage-access-key"], within["redis-password"]) == ("generated", "generated")
    assert resolution().secrets["storage-access-key"].kind == "placeholder"


def test_a_part_switched_off_by_hand_that_another_needs_is_refused_with_both_named() -> None:
    error = refused(features={"report_cards": True}, options={"notifications": {"enabled": False}})
    assert (
        error.message
        == "options.notifications.enabled is false, yet Notifications is in this deployment: Image generation needs it (Report cards = yes)"
    )
    assert refused(options={"redis": {"enabled": False}}).where == "options.redis.enabled"


OPTIONS: list[tuple[dict[str, Any], str, str, str]] = [
    ({"valkey": {"memory_mib": 1}}, "options.valkey: no such component", "one of ", "options.valkey"),
    ({"redis": {"memory": 1}}, "options.redis.memory: redis has no such input", "one of memory_mib", "options.redis.memory"),
    ({"redis": {"enabled": True}}, "options.redis.enabled: redis has no such input", "one of memory_mib", "options.redis.enabled"),
    ({"redis": {"memory_mib": 63}}, "options.redis.memory_mib is 63, the least is 64", "raise it (Memory)", "options.redis.memory_mib"),
    ({"redis": {"memory_mib": 8193}}, "options.redis.memory_mib is 8193, the most is 8192", "lower it (Memory)", "options.redis.memory_mib"),
    ({"redis": {"memory_mib": -1}}, "options.redis.memory_mib is -1, the least is 64", "raise it (Memory)", "options.redis.memory_mib"),
    ({"redis": {"memory_mib": "256"}}, "options.redis.memory_mib is '256'", "write a whole number", "options.redis.memory_mib"),
    ({"redis": {"memory_mib": True}}, "options.redis.memory_mib is True", "write a whole number", "options.redis.memory_mib"),
]  # fmt: skip


@pytest.mark.parametrize(("options", "message", "hint", "where"), OPTIONS, ids=[o[1] for o in OPTIONS])
def test_an_option_that_cannot_be_is_named_with_its_limit(options: dict[str, Any], message: str, hint: str, where: str) -> None:
    error = refused(options=options)
    assert (error.message, error.where) == (message, where)
    assert error.hint.startswith(hint)


def test_an_option_at_either_limit_is_taken() -> None:
    for value in (64, 8192):
        component = resolution(options={"redis": {"memory_mib": value}}).component("redis")
        assert component is not None
        assert component.inputs == {"memory_mib": value}
        assert component.memory_mib == value


def test_an_answer_for_a_component_that_is_not_in_is_refused() -> None:
    error = refused(discord={"bot": False}, options={"bot": {"memory_mib": 128}})
    assert error.message == "options.bot is answered, yet bot is not in this deployment"
    assert error.hint == "remove the answers, or say the need that brings it in"


def test_a_component_nothing_asks_for_is_switched_on_by_its_option() -> None:
    release = with_component("bot", wanted_when=(Wanted("component_option", value=True),))
    assert [q.name for q in questions_of(release.components["bot"])][:1] == ["enabled"]
    assert "bot" not in names(resolve(needs(), release))
    assert "bot" not in names(resolve(needs(options={"bot": {"enabled": False}}), release))
    found = resolve(needs(options={"bot": {"enabled": True, "memory_mib": 128}}), release).component("bot")
    assert found is not None
    assert (found.reasons, found.memory_mib) == (("switched on under Options",), 128)


def test_a_need_with_several_answers_holds_when_one_of_them_is_it() -> None:
    release = with_component("bot", wanted_when=(Wanted("games", "chess"), Wanted("login", "steam")))
    assert "bot" not in names(resolve(needs(), release))
    found = resolve(needs(games=["rocket-league", "chess"], login=["discord", "steam"]), release).component("bot")
    assert found is not None
    assert found.reasons == ("Games = chess", "Login providers = steam")


def test_every_secret_a_service_mounts_has_a_source_and_its_consumers() -> None:
    found = resolution()
    mounted = {name for c in found.components for s in c.services for name in s.secrets}
    assert set(found.secrets) == mounted
    assert list(found.secrets) == sorted(found.secrets)
    assert found.secrets["jwt-secret"].consumers == ("api",)
    assert {found.secrets[n].kind for n in ("discord-client-secret", "bot-token")} == {"supplied"}


def test_a_secret_has_the_version_of_the_lock() -> None:
    assert resolution(Lock({}, {"jwt-secret": 3})).secrets["jwt-secret"].version == 3
    assert resolution().secrets["jwt-secret"].version == 1


DATA: list[tuple[str, dict[str, Any], dict[str, bytes], str, str]] = [
    ("not there", SCHEMA, {}, "file 'schema.sql' is not there", "put it beside the needs file, or attach it"),
    ("too large", SCHEMA, {"schema.sql": b"-" * (MAX_STARTING_DATA + 1)}, "schema.sql has 480 KiB, the most is 480 KiB", "begin with a schema-only dump, then restore the rest as RUNBOOK.md says"),
    ("another file", {"starting_data": {"kind": "backup", "file": "schema.sql", "sha256": "0" * 64}}, {"schema.sql": SQL},
     "schema.sql is not the file of database.starting_data.sha256", "attach that file"),
    ("no text", SCHEMA, {"schema.sql": b"\xff\xfe"}, "schema.sql is not UTF-8 text", "make a plain SQL dump (pg_dump -Fp)"),
    ("a binary dump", SCHEMA, {"schema.sql": b"PGDMP\x01\x0e\x00"}, "schema.sql is not plain SQL", "make a plain SQL dump (pg_dump -Fp)"),
    ("an empty file", SCHEMA, {"schema.sql": b" \n"}, "schema.sql is empty", "choose empty, or give the right file"),
    ("managed", {**MANAGED, **SCHEMA}, {"schema.sql": SQL}, "starting data cannot be loaded into a managed database from here",
     "load the file with psql yourself, then set database.starting_data.kind to empty"),
]  # fmt: skip


@pytest.mark.parametrize(("database", "files", "message", "hint"), [d[1:] for d in DATA], ids=[d[0] for d in DATA])
def test_starting_data_that_cannot_be_loaded_is_refused(database: dict[str, Any], files: dict[str, bytes], message: str, hint: str) -> None:
    error = refused(None, files, database=database)
    assert (error.message, error.hint, error.where) == (message, hint, "database.starting_data")


def test_starting_data_with_the_digest_it_was_announced_with_is_taken() -> None:
    database = {"starting_data": {"kind": "backup", "file": "schema.sql", "sha256": hashlib.sha256(SQL).hexdigest()}}
    assert resolution(database=database).starting_data == SQL.decode()
    assert resolution().starting_data == ""
    assert resolve(needs(database=SCHEMA), catalog(), None, {"schema.sql": b"-" * MAX_STARTING_DATA}).starting_data.startswith("--")


def messages(found: Resolution, severity: str) -> list[str]:
    """The findings of a severity."""
    return [finding.message for finding in found.findings if finding.severity == severity]


def test_findings_say_what_a_person_should_know_warnings_first() -> None:
    found = resolution(applications="stand-in")
    assert messages(found, "warning") == [
        "Nobody can take over from the owner.",
        "The applications are this project's stand-ins, not the real ones.",
        "The database begins empty: the deployment will run, and nobody can use it yet.",
    ]
    assert [f.severity for f in found.findings] == sorted((f.severity for f in found.findings), reverse=True)
    calm = resolution(deputy={"name": "Bob", "contact": "bob"}, database=SCHEMA)
    assert messages(calm, "warning") == []


def test_login_providers_and_ways_that_do_not_work_are_named() -> None:
    found = resolution(login=["discord", "steam", "epic"], access={"localhost": {"host": "a.localhost"}, "lan": {"host": "10.0.0.2"}})
    assert "Login by steam, epic is not wired into the applications today." in messages(found, "info")
    assert "Signing in works by localhost only; lan can read." in messages(found, "info")


def test_loose_images_are_a_note_at_home_and_a_refusal_on_the_internet() -> None:
    public = {"canonical": "public", "public": {"domain": "league.example.org", "email": "ops@example.org"}}
    assert any(m.startswith("Images go by tag, without a digest: postgres, backup, redis") for m in messages(resolution(), "info"))
    error = refused(access=public)
    assert error.message.startswith("image digests are unresolved for postgres, backup, redis, api, bot, web, traefik")
    assert (error.hint, error.where) == ("run `sprocket images lock` on a machine that reaches the registries", "access.public")
    images = {name: LockedImage(image.name, image.tag, "sha256:" + "0" * 64) for name, image in catalog().images().items()}
    found = resolve(needs(access=public), catalog(), Lock(images))
    assert not [m for m in messages(found, "info") if m.startswith("Images")]
    assert found.ways[0].web_origin == "https://league.example.org"


def test_a_name_too_long_for_docker_is_refused_when_it_is_rendered_not_by_docker() -> None:
    found = resolve(needs(slug="a" * 20), catalog())
    assert len(found.needs.slug) == 20
    assert names(found) == names(resolution())
