"""Comparing two renderings: needs in words, components with what they cost, files by consequence."""

from __future__ import annotations

from typing import Any

import pytest

from blueprints.diff import DISRUPTIONS, Comparison, ComponentChange, FieldChange, NeedChange, compare, file_changes, question_title
from blueprints.lock import Lock, LockedImage
from blueprints.rendering import Rendering
from tests.blueprints.cases import catalog, rendering
from tests.orgs.answers import needs

MANAGED = {"where": "managed", "managed": {"host": "db.example.org", "name": "league", "user": "league"}}


def compared(old: dict[str, Any], new: dict[str, Any]) -> Comparison:
    """The comparison of two sets of answers."""
    return compare(rendering(**old), rendering(**new), needs(**old), needs(**new), catalog().option_titles())


def change_of(comparison: Comparison, name: str) -> ComponentChange:
    """One component's change."""
    return next(change for change in comparison.components if change.name == name)


def edited(old: str, new: str, made: Rendering | None = None) -> Rendering:
    """A rendering whose stack.yml was changed, once or everywhere."""
    made = made or rendering()
    assert old in made.files["stack.yml"]
    return Rendering({**made.files, "stack.yml": made.files["stack.yml"].replace(old, new)})


def test_the_same_needs_are_no_change() -> None:
    same = compared({}, {})
    assert same.is_same
    assert same == Comparison(same.new_digest, same.new_digest, (), (), ())
    assert same.disruption == "none"


def test_more_memory_is_one_field_of_one_component_and_a_restart() -> None:
    comparison = compared({}, {"options": {"redis": {"memory_mib": 256}}})
    redis = catalog().components["redis"]
    (change,) = comparison.components
    assert (change.name, change.change, change.disruption, change.gap_s) == ("redis", "changed", "restart", 5)
    assert (change.interruption, change.noticed_by) == (redis.interruption, "players")
    assert change.fields[0] == FieldChange("redis", "memory", "128 MiB", "256 MiB")
    assert [f.field for f in change.fields] == ["memory", "config redis_redis-conf"]
    assert comparison.needs == (NeedChange("options.redis.memory_mib", "Redis: Memory (MiB)", "the default", "256"),)
    assert [(f.path, f.change, f.derived) for f in comparison.files if not f.derived] == [
        ("stack.yml", "changed", False),
        ("config/redis/redis.conf", "changed", False),
    ]


CLASSES: list[tuple[str, str, dict[str, Any], dict[str, Any], str]] = [
    ("memory of a service that can overlap", "web", {}, {"options": {"web": {"memory_mib": 512}}}, "rolling update"),
    ("memory of a service that cannot", "api", {}, {"options": {"api": {"memory_mib": 1024}}}, "restart"),
    ("memory of a job only", "api", {}, {"options": {"api": {"migrate_memory_mib": 2048}}}, "none"),
    ("the address", "web", {}, {"access": {"localhost": {"host": "other.localhost"}}}, "rolling update"),
    ("the address at the proxy", "traefik", {}, {"access": {"localhost": {"host": "other.localhost"}}}, "restart"),
    ("a port", "traefik", {}, {"access": {"localhost": {"host": "testers.localhost", "port": 8090}}}, "restart"),
    ("a bot more", "bot", {"discord": {"bot": False}}, {}, "none"),
    ("a bot less", "bot", {}, {"discord": {"bot": False}}, "recreate"),
    ("the database moves out", "postgres", {}, {"database": MANAGED}, "recreate"),
    ("a job more", "postgres", {}, {"database": {"starting_data": {"kind": "schema-file", "file": "schema.sql"}}}, "none"),
    ("another organization", "web", {}, {"slug": "others"}, "recreate"),
    ("another organization's data", "postgres", {}, {"slug": "others"}, "data at risk"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "old", "new", "disruption"), [c[1:] for c in CLASSES], ids=[c[0] for c in CLASSES])
def test_a_change_costs_what_it_costs(name: str, old: dict[str, Any], new: dict[str, Any], disruption: str) -> None:
    assert change_of(compared(old, new), name).disruption == disruption


def test_a_new_secret_version_restarts_its_consumers_and_shows_versions_only() -> None:
    comparison = compare(rendering(), rendering(Lock({}, {"jwt-secret": 2})))
    (change,) = comparison.components
    assert (change.name, change.disruption) == ("api", "restart")
    assert change.fields == (FieldChange("api", "secret jwt-secret", "v1", "v2"),)


@pytest.mark.parametrize(
    ("tag", "disruption"),
    [
        ("15-bookworm@sha256:" + "0" * 64, "restart"),
        ("15.9-bookworm", "restart"),
        ("16-bookworm", "data at risk"),
        ("16.1", "data at risk"),
        ("150-x", "data at risk"),
    ],
)
def test_another_major_version_of_what_keeps_data_puts_the_data_at_risk(tag: str, disruption: str) -> None:
    change = change_of(compare(rendering(), edited('"postgres:15-bookworm"', f'"postgres:{tag}"')), "postgres")
    assert change.disruption == disruption
    assert change.fields == (FieldChange("postgres", "image", "postgres:15-bookworm", f"postgres:{tag}"),)


def test_another_major_version_of_what_keeps_nothing_is_a_rolling_update() -> None:
    web = catalog().components["web"]
    change = change_of(compare(rendering(), edited(f'"{web.image.name}:{web.image.tag}"', f'"{web.image.name}:v9"')), "web")
    assert change.disruption == "rolling update"


@pytest.mark.parametrize(
    ("old", "new"),
    [('target: "/var/lib/postgresql/data"', 'target: "/elsewhere"'), ('name: "testers_postgres_data"', 'name: "testers_postgres_other"')],
)
def test_a_volume_that_is_mounted_elsewhere_or_swapped_puts_the_data_at_risk(old: str, new: str) -> None:
    assert change_of(compare(rendering(), edited(old, new)), "postgres").disruption == "data at risk"


def test_the_worst_counts() -> None:
    comparison = compared({}, {"options": {"web": {"memory_mib": 512}, "redis": {"memory_mib": 256}}})
    assert [c.disruption for c in comparison.components] == ["restart", "rolling update"]
    assert comparison.disruption == "restart"
    assert (
        DISRUPTIONS.index("none") < DISRUPTIONS.index("rolling update") < DISRUPTIONS.index("restart") < DISRUPTIONS.index("data at risk")
    )


def test_a_component_that_goes_says_which_volumes_stay_and_who_notices() -> None:
    gone = change_of(compared({}, {"database": MANAGED}), "postgres")
    assert (gone.change, gone.keeps, gone.noticed_by, gone.gap_s, gone.fields) == ("removed", ("testers_postgres_data",), "players", 0, ())


def test_everything_is_new_where_nothing_was() -> None:
    comparison = compare(None, rendering(), None, needs())
    assert comparison.old_digest == ""
    assert {c.change for c in comparison.components} == {"added"}
    assert [c.name for c in comparison.components] == ["postgres", "backup", "redis", "api", "bot", "web", "traefik"]
    assert {f.change for f in comparison.files} == {"added"}
    assert comparison.disruption == "none"
    assert comparison.needs is not None
    assert NeedChange("slug", "Short name", "", "testers") in comparison.needs


def test_needs_are_compared_only_where_both_are_known() -> None:
    assert compare(rendering(), rendering(), None, needs()).needs is None
    assert compare(rendering(), rendering(), needs(), None).needs is None


def test_answers_are_told_in_the_words_of_their_questions() -> None:
    comparison = compared(
        {"games": ["rocket-league"], "deputy": {"name": "Bob", "contact": "bob"}},
        {"games": ["rocket-league", "chess"], "discord": {"bot": False}, "database": MANAGED},
    )
    assert comparison.needs is not None
    told = {(n.title, n.old, n.new) for n in comparison.needs}
    assert {("Games", "rocket-league", "rocket-league, chess"), ("Discord: Discord bot", "yes", "no"), ("Deputy: Name", "Bob", "")} <= told
    assert {t for t, _, new in told if new == "db.example.org"} == {"Database: Managed PostgreSQL: Host"}


def test_a_features_question_is_its_own_title() -> None:
    assert question_title("features.match_statistics") == "Match statistics over time"
    assert question_title("access.localhost.host") == "How it is reached: From this machine: Host name"


def test_derived_files_are_marked_and_come_last_and_the_stack_first() -> None:
    files = compared({}, {"discord": {"prefix": "!"}}).files
    derived = [file.derived for file in files]
    assert derived == sorted(derived)
    assert {file.path for file in files if file.derived} <= {"blueprint.json", "blueprint.lock.json", "secrets.json", "RUNBOOK.md", "fill.sh", "deploy.sh"} | {
        "hold-apps.yml", "hold-jobs.yml", "hold-restore.yml"}  # fmt: skip
    assert files[0].path == "stack.yml"
    assert [file.path for file in files if not file.derived][1:] == ["config/api/production.json", "config/bot/production.json"]


def test_only_derived_files_differ_when_only_a_person_changes() -> None:
    comparison = compared({}, {"owner": {"name": "Bob", "contact": "bob"}})
    assert comparison.components == ()
    assert not comparison.is_same
    assert {file.path for file in comparison.files} == {"RUNBOOK.md", "blueprint.json"}
    assert all(file.derived for file in comparison.files)


def test_added_removed_and_changed_files_hold_both_sides() -> None:
    changes = {f.path: f for f in file_changes({"a": "1\n", "b": "1\n", "same": "x\n"}, {"b": "2\n", "c": "3\n", "same": "x\n"}, ())}
    assert {path: (f.change, f.old, f.new) for path, f in changes.items()} == {
        "a": ("removed", "1\n", ""),
        "b": ("changed", "1\n", "2\n"),
        "c": ("added", "", "3\n"),
    }


def test_a_pinned_image_is_one_field() -> None:
    redis = catalog().components["redis"]
    pinned = LockedImage(redis.image.name, redis.image.tag, "sha256:" + "0" * 64)
    (change,) = compare(rendering(), rendering(Lock({"redis": pinned}))).components
    assert [f.field for f in change.fields] == ["image"]
    assert change.disruption == "restart"


def test_an_answer_to_a_components_question_taken_back_is_the_default() -> None:
    comparison = compare(rendering(), rendering(), needs(options={"redis": {"memory_mib": 256}}), needs(), catalog().option_titles())
    assert comparison.needs == (NeedChange("options.redis.memory_mib", "Redis: Memory (MiB)", "256", "the default"),)
