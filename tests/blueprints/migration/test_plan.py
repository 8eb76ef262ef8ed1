"""The migration plan over a whole estate: what becomes of each part, what it saves, what stands in the way, in which order it goes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from blueprints.compose import read_stack
from blueprints.estate.model import KINDS
from blueprints.migration.model import MigrationPlan, Row
from blueprints.migration.plan import plan_migration
from blueprints.migration.rules import RULES, read_rules
from blueprints.migration.source import parse_source
from blueprints.migration.steps import Moves, cutover_steps
from blueprints.migration.suggest import suggest_needs
from blueprints.render import render
from blueprints.rendering import STACK
from blueprints.resolve import resolve
from orgs.needs import Features, Needs
from sprocket_v2.errors import CatalogError, NeedsError
from tests.blueprints.cases import catalog
from tests.blueprints.migration.estates import DATA, PLATFORM, SOURCE, estate
from tests.orgs.answers import answers

STORAGE = {"where": "existing", "existing": {"host": "spaces.example.org", "replays_bucket": "new-replays", "images_bucket": "new-images"}}
ALL = ("discord-client-id", "discord-client-secret", "bot-token", "storage-access-key", "storage-secret-key",
       "migration-database-password", "migration-storage-access-key", "migration-storage-secret-key", "migration-cache-password")  # fmt: skip


@cache
def _resolved(text: str) -> Any:
    resolution = resolve(Needs.model_validate_json(text), catalog(), None, {})
    return resolution, read_stack(render(resolution, catalog()).files[STACK], resolution.needs.slug)


def plan(
    *more: Row, known: tuple[str, ...] = ALL, source: str | None = SOURCE, rows: tuple[Row, ...] | None = None, **changes: Any
) -> MigrationPlan:
    needs = Needs.model_validate(answers(slug="league", storage=STORAGE, **changes))
    resolution, stack = _resolved(needs.model_dump_json())
    return plan_migration(
        estate(*more) if rows is None else rows,
        resolution,
        stack,
        source=parse_source(source) if source else None,
        slug="old",
        name="Old League",
        known_secrets=known,
    )


def fates(found: MigrationPlan) -> dict[str, tuple[str, str]]:
    return {o.row.role: (o.fate, o.into) for o in found.outcomes if o.row.kind == "service"}


def test_the_twenty_two_become_six_when_nothing_optional_is_asked_for() -> None:
    found = plan()
    kept = {role for role, (fate, _) in fates(found).items() if fate == "keep"}
    assert kept == {"web", "api", "discord-bot", "redis", "traefik"}
    assert fates(found)["rabbitmq"] == ("merge", "postgres")
    assert fates(found)["vault"] == ("merge", "the control plane's secret store")
    assert fates(found)["docker-socket-proxy"] == ("drop", "")
    assert len(fates(found)) == 22
    assert (found.before.services, found.before.networks, found.before.volumes, found.before.files, found.before.secrets) == (
        22,
        5,
        15,
        22,
        31,
    )
    assert found.after.services <= 7  # the six and the nightly backup
    assert found.after.unlimited == 0 and found.before.unlimited == 21
    assert found.blockers == ()


def test_every_optional_part_stays_when_its_need_is_there() -> None:
    features = {**dict.fromkeys(Features.model_fields, True)}
    found = fates(plan(features=features))
    assert {role for role, (fate, _) in found.items() if fate == "drop"} == {"docker-socket-proxy"}
    assert found["vault"] == ("merge", "openbao")
    assert found["rabbitmq"] == ("keep", "rabbitmq")
    assert found["notification"] == ("keep", "notifications")


@pytest.mark.parametrize("role", [*DATA, *PLATFORM])
def test_every_one_of_the_22_has_a_reason_whatever_is_needed(role: str) -> None:
    for features in ({}, dict.fromkeys(Features.model_fields, True)):
        [outcome] = [o for o in plan(features=features).outcomes if o.row.role == role and o.row.kind == "service"]
        assert outcome.why and not outcome.decided
        assert bool(outcome.into) == (outcome.fate != "drop")


def test_totals_reconcile_every_row_has_exactly_one_fate() -> None:
    rows = estate()
    found = plan()
    assert [o.row for o in found.outcomes] == list(rows)
    assert {o.row.kind for o in found.outcomes} <= set(KINDS)


def test_a_decision_in_the_ledger_goes_before_the_default() -> None:
    rows = tuple(replace(r, decision="drop", reason="we stop scrims") if r.role == "matchmaking" else r for r in estate())
    [outcome] = [o for o in plan(rows=rows).outcomes if o.row.role == "matchmaking"]
    assert (outcome.fate, outcome.why, outcome.decided) == ("drop", "we stop scrims", True)


def test_a_row_nobody_knows_blocks_until_it_is_decided() -> None:
    [blocker] = plan(Row("service", "mystery")).blockers
    assert (blocker.key, "mystery" in blocker.message) == ("undecided", True)
    assert plan(Row("service", "mystery", decision="drop", reason="nobody uses it")).blockers == ()


def test_secrets_nobody_can_read_are_listed_with_their_names_and_counted() -> None:
    blockers = {b.key: b for b in plan(known=()).blockers}
    assert blockers["re-enter"].message.startswith("5 secrets")
    assert "bot-token (there: prod-secrets-discord-token)" in blockers["re-enter"].message
    assert blockers["copy-secrets"].message.startswith("4 secrets")
    known = {b.key: b for b in plan(known=("bot-token", *ALL[5:])).blockers}
    assert known.keys() == {"re-enter"} and known["re-enter"].message.startswith("4 secrets")


def test_a_legacy_secret_v2_uses_is_kept_and_the_others_are_rotated() -> None:
    found = {o.row.name: o for o in plan().of_kind("secret")}
    assert (found["prod-secrets-discord-token"].fate, found["prod-secrets-discord-token"].into) == ("keep", "bot-token")
    assert found["prod-secrets-steam-api-key"].fate == "drop"
    assert "db-password" in plan().rotated


def test_what_cannot_be_filled_by_a_machine_blocks() -> None:
    managed = {"where": "managed", "managed": {"host": "other.example.org", "name": "league", "user": "league"}}
    assert {b.key for b in plan(database=managed, known=(*ALL, "db-password")).blockers} == {"database"}
    started = {"where": "deployment", "starting_data": {"kind": "schema-file", "file": "a.sql"}}
    with pytest.raises(Exception, match=r"a\.sql"):  # resolve wants the file itself
        plan(database=started)
    assert {b.key for b in plan(source=None).blockers} == {"source"}
    assert "empty" in {b.key for b in plan(rows=()).blockers}


def test_the_estates_own_managed_database_is_gone_on_using_and_not_copied() -> None:
    managed = {"where": "managed", "managed": {"host": "db.example.org", "port": 25060, "name": "sprocket_main", "user": "sprocket_main"}}
    found = plan(database=managed, known=(*ALL, "db-password"))
    assert found.blockers == ()
    assert {"dump", "restore"}.isdisjoint(step.key for step in found.steps)


def test_the_steps_are_in_order_and_each_before_the_point_of_no_return_has_a_way_back() -> None:
    steps = plan().steps
    keys = [step.key for step in steps]
    assert keys == ["prepare", "rehearsed", "announce", "freeze", "drain", "quiesce", "dump", "buckets", "secrets", "switch", "deploy",
                    "restore", "verify", "no-return", "retire"]  # fmt: skip
    final = keys.index("no-return")
    assert all(step.way_back and step.check and step.does for step in steps[:final])
    assert [step.key for step in steps if step.is_final] == ["no-return"]
    assert not steps[-1].way_back
    assert "Old League" in steps[final].check
    moves = Moves("league", "Old League", copies_database=True, copies_files=True, is_public=True, frozen=3, workers=1, entry=1)
    assert "names" in [step.key for step in cutover_steps(moves)]


def test_buckets_that_stay_are_not_copied() -> None:
    same = "\n".join(line.replace("old-replays", "new-replays").replace("old-images", "new-images") for line in SOURCE.splitlines())
    assert "buckets" not in [step.key for step in plan(source=same).steps]


def test_suggested_needs_are_valid_needs_and_speak_for_what_runs() -> None:
    suggested = suggest_needs(estate(), slug="league", name="League", source=parse_source(SOURCE))
    needs = Needs.model_validate(suggested)
    assert needs.access.public and needs.access.public.domain == "league.example.org"
    assert needs.features.scrims and needs.features.dashboards and needs.discord.bot
    assert not needs.features.secret_server and not needs.features.message_queue
    assert needs.storage.existing and needs.storage.existing.host == "spaces.example.org"


def test_suggested_needs_of_a_small_estate_ask_for_little() -> None:
    suggested = suggest_needs([Row("service", "x", "web"), Row("service", "y", "image-generation")], slug="league", name="League")
    needs = Needs.model_validate(suggested)
    assert not needs.discord.bot and not needs.features.report_cards
    assert needs.access.localhost and needs.access.localhost.host == "league.localhost"


def test_a_source_file_with_a_mistake_names_its_line() -> None:
    with pytest.raises(NeedsError) as caught:
        parse_source("database:\n  host: db.example.org\n  name: Bad-Name\n  user: a\n")
    assert "migration-source.yaml:3" in caught.value.where


def test_rules_with_a_mistake_are_refused(tmp_path: Any) -> None:
    file = tmp_path / "migration.yaml"
    for old, new in (("fate: merge", "fate: lose"), ("freeze:", "freze:"), ("\nroles:", "\nroles: ]")):
        file.write_text(RULES.read_text().replace(old, new, 1))
        with pytest.raises(CatalogError, match="cannot be read"):
            read_rules.__wrapped__(file)
