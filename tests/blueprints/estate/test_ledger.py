"""The ledger: what is one row, what is recognised and why, what is decided by default, and that its totals reconcile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from blueprints.compose import NAMESPACE, Attached, Mounted
from blueprints.estate.catalogue import Known, known_services
from blueprints.estate.compose_files import read_compose
from blueprints.estate.exports import read_export
from blueprints.estate.gather import gather
from blueprints.estate.ledger import Decision, Ledger, checked_decision, make_ledger, migration_rows
from blueprints.estate.model import Estate, Item, Origin
from blueprints.estate.recognise import read_known, recognise, repository
from blueprints.migration.rules import read_rules
from sprocket_v2.errors import EstateError
from tests.blueprints.estate.made_exports import layer_1_of_2022, layer_2, platform
from tests.blueprints.estate.services import service

KEY = b"k" * 32


def live(name: str, engine_id: str = "", kind: Any = "service", source: str = "unix:///var/run/docker.sock", **other: Any) -> Item:
    """Something as a live swarm would be read."""
    args = service(name, **other.pop("args", {})) if kind == "service" else None
    return Item(kind, name, Origin("live", source, engine_id), engine_id=engine_id, service=args, **other)


def estate_of(*items: Item) -> Estate:
    """An estate that counts what it holds."""
    counts: dict[str, dict[str, int]] = {}
    for item in items:
        of = counts.setdefault(item.origin.name, {})
        of[item.kind] = of.get(item.kind, 0) + 1
    return Estate(items, tuple(counts), counts)


def exports() -> Estate:
    """All three exports."""
    return gather([read_export(made.json(), f"{made.project}.json", KEY) for made in (layer_1_of_2022(), layer_2(), platform())])


def test_the_totals_of_the_three_exports_reconcile() -> None:
    ledger = make_ledger(exports())
    assert ledger.is_balanced
    assert sum(line.in_source for line in ledger.sums) == sum(line.in_rows + line.structure + line.refused for line in ledger.sums)
    assert sum(line.in_rows for line in ledger.sums) == len(ledger.rows) + ledger.merged
    assert {line.kind: line.structure for line in ledger.sums if line.source == "layer_2.json"}["structure"] == 6


def test_a_row_that_went_lost_is_found_by_source_and_kind() -> None:
    estate = exports()
    ledger = make_ledger(replace(estate, items=tuple(item for item in estate.items if item.name != "loki")))
    assert not ledger.is_balanced
    assert [(line.source, line.kind, line.missing) for line in ledger.sums if line.missing] == [("layer_2.json", "service", 1)]


def test_the_services_of_the_exports_are_recognised_with_the_reason() -> None:
    ledger = make_ledger(exports())
    found = {row.name: (row.recognition.component, row.recognition.confidence) for row in ledger.rows if row.kind == "service"}
    assert found == {
        "traefik-ca76f1b": ("legacy-traefik", "certain"), "vault": ("legacy-vault", "certain"), "traefik-socket-sock-proxy": ("legacy-docker-socket-proxy", "certain"),
        "influx": ("legacy-influxdb", "certain"), "loki": ("legacy-loki", "certain"), "grafana-service-36765a5": ("legacy-grafana", "certain"),
        "replicated-telegraf-service-77aa88b": ("legacy-telegraf", "certain"), "layer2redis-redis-primary-7af3fee": ("redis-shared", "certain"),
        "gatus-internal-c0ffee1": ("legacy-gatus", "certain"), "fluent-service-219cc48": ("fluentd", "certain"), "fluent-service-f8e9998": ("fluentd", "certain"),
    }  # fmt: skip
    assert ledger.row("service/vault").recognition.why == "its name vault, and its image vault"


def test_every_row_of_the_exports_is_recognised_and_has_a_default() -> None:
    ledger = make_ledger(exports())
    assert not ledger.undecided
    assert {row.key: row.fate for row in ledger.rows if row.kind == "service"} == {
        "service/traefik": "keep", "service/vault": "merge", "service/traefik-socket-sock-proxy": "drop", "service/influx": "keep",
        "service/loki": "keep", "service/grafana-service": "keep", "service/replicated-telegraf-service": "keep",
        "service/layer2redis-redis-primary": "merge", "service/gatus-internal": "keep", "service/fluent-service": "drop",
        "service/fluent-service-f8e9998": "drop",
    }  # fmt: skip


def test_the_same_engine_id_in_two_sources_is_one_row() -> None:
    made = layer_2()
    export = read_export(made.json(), "layer_2.json", KEY)
    influx = export.find("service", "influx")
    assert influx is not None
    ledger = make_ledger(gather([export, estate_of(live("influx-renamed", influx.engine_id))]))
    row = ledger.row("service/influx")
    assert [origin.source for origin in row.origins] == ["export", "live"]
    assert row.name == "influx-renamed", "what runs goes before what a file says"
    assert row.completeness == "full"
    assert ledger.merged == 1
    assert ledger.is_balanced


def test_the_same_name_in_three_sources_is_one_row() -> None:
    compose = read_compose(b"services:\n  loki: {image: grafana/loki:2.5.0}\n", "old.yml", KEY)
    ledger = make_ledger(gather([read_export(layer_2().json(), "layer_2.json", KEY), compose, estate_of(live("loki", "x" * 25))]))
    assert [origin.source for origin in ledger.row("service/loki").origins] == ["export", "compose", "live"]


def test_a_random_suffix_and_a_stacks_prefix_do_not_part_the_same_thing() -> None:
    compose = read_compose(b"services:\n  grafana-service: {image: grafana/grafana:main}\n", "old.yml", KEY)
    running = live("mon_grafana-service", "g" * 25, args={"labels": {NAMESPACE: "mon"}})
    ledger = make_ledger(gather([read_export(layer_2().json(), "layer_2.json", KEY), compose, estate_of(running)]))
    assert [str(origin.source) for origin in ledger.row("service/grafana-service").origins] == ["export", "compose", "live"]


def test_a_doubtful_name_parts_two_rows() -> None:
    first, second = live("redis-1111111", "a" * 25), live("redis-2222222", "b" * 25)
    compose = read_compose(b"services:\n  redis: {image: redis:7}\n", "old.yml", KEY)
    ledger = make_ledger(gather([estate_of(first, second), compose]))
    assert [row.key for row in ledger.rows] == ["service/redis-1111111", "service/redis-2222222", "service/redis"]
    assert ledger.is_balanced


def test_two_items_of_one_source_are_never_one_row() -> None:
    ledger = make_ledger(estate_of(live("a", "x" * 25), live("a", "x" * 25)))
    assert [row.key for row in ledger.rows] == ["service/a", "service/a#2"]


def test_what_waits_for_its_deletion_is_not_merged_by_its_short_name() -> None:
    ledger = make_ledger(gather([read_export(layer_2().json(), "layer_2.json", KEY), estate_of(live("fluent-service-219cc48", "q" * 25))]))
    assert {row.key: [o.source for o in row.origins] for row in ledger.rows if "fluent-service" in row.key and row.kind == "service"} == {
        "service/fluent-service": ["export", "live"], "service/fluent-service-f8e9998": ["export"],
    }  # fmt: skip
    assert [row.key for row in ledger.rows if row.is_leaving and row.kind == "service"] == ["service/fluent-service-f8e9998"]


def test_one_router_of_two_services_is_two_rows() -> None:
    def route(owner: str) -> Item:
        return live("web", kind="route", facts={"protocol": "http", "service": owner, "hosts": ["a.example.org"]})

    ledger = make_ledger(estate_of(route("old-1234567"), route("new-1234567")))
    assert [row.key for row in ledger.rows] == ["route/http/web", "route/http/web#2"]


@pytest.mark.parametrize(
    ("item", "component", "why"),
    [
        (live("prod-sprocket-core-service-1a2b3c4", args={"image": "asaxplayinghorse/core:main@sha256:" + "a" * 64}), "legacy-api", "its name prod-sprocket-core-service, and its image asaxplayinghorse/core"),
        (live("something", args={"image": "docker.io/library/rabbitmq:3.9"}), "legacy-rabbitmq", "its image rabbitmq"),
        (live("something", args={"configs": (Mounted("x", "/vault.hcl", 0o444),)}), "legacy-vault", "where its config is mounted"),
        (live("redis", args={"image": "memcached:1"}), "legacy-redis", "its name redis"), (live("vault", args={"image": "postgres:15"}), "legacy-vault", "its name vault; but its image postgres is that of postgres"),
        (live("x", args={"labels": {"sprocket.component": "legacy-web"}}), "legacy-web", "it carries this component's label"), (live("airbyte-worker", args={"image": "airbyte/worker:0.40.4"}), "airbyte", "its image airbyte/worker"),
        (live("mystery", args={"image": "example/mystery:1"}), "", "nothing speaks for any component"), (live("sprocket-replays-main-1", kind="bucket"), "legacy-replay-parse", "its name sprocket-replays-main-1"),
        (live("infrastructure", kind="vault"), "legacy-vault", "it is kept in Vault"),
    ],
)  # fmt: skip
def test_what_speaks_for_a_component_is_said(item: Item, component: str, why: str) -> None:
    (found,) = recognise(estate_of(item))
    assert (found.component, found.why) == (component, why)


def test_a_part_is_recognised_by_who_uses_it() -> None:
    api = live(
        "prod-sprocket-core-service", args={"networks": (Attached("odd-net", ()),), "configs": (Mounted("odd-config", "/x", 0o444),)}
    )
    found = recognise(estate_of(api, live("odd-net", kind="network"), live("odd-config", kind="config"), live("lonely", kind="secret")))
    assert [(r.component, r.why) for r in found[1:]] == [
        ("legacy-api", "legacy-api uses it"), ("legacy-api", "legacy-api uses it"), ("", "nothing speaks for any component"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("redis", "redis"),
        ("redis:7", "redis"),
        ("docker.io/library/redis:7@sha256:ab", "redis"),
        ("ghcr.io/a/b:1", "a/b"),
        ("localhost:5000/a/b", "a/b"),
        ("a/b", "a/b"),
        ("", ""),
    ],
)
def test_an_images_repository_is_what_counts(image: str, name: str) -> None:
    assert repository(image) == name


@pytest.mark.parametrize("known", known_services(), ids=lambda known: known.component)
def test_every_service_of_the_catalogue_is_recognised_by_name_and_image(known: Known) -> None:
    (found,) = recognise(estate_of(live(f"{known.docker_name}-0a1b2c3", args={"image": known.image})))
    assert found.component == known.component


def test_every_role_that_can_be_recognised_has_a_fate() -> None:
    assert set(read_known().services) <= set(read_rules().roles)


def test_a_decision_goes_before_the_default_and_stays_over_imports() -> None:
    decided = {"service/influx": Decision("drop", "Nobody looks at it.", "Alice")}
    row = make_ledger(exports(), decided).row("service/influx")
    assert (row.fate, row.reason, row.owner, row.default.fate if row.default else "") == ("drop", "Nobody looks at it.", "Alice", "keep")


def test_an_unrecognised_row_blocks_until_it_is_decided() -> None:
    estate = estate_of(live("mystery", args={"image": "example/mystery:1"}))
    assert [row.key for row in make_ledger(estate).undecided] == ["service/mystery"]
    assert not make_ledger(estate, {"service/mystery": checked_decision("drop", "An experiment.", "Alice")}).undecided


@pytest.mark.parametrize(
    ("fate", "reason", "owner", "where"), [("burn", "x", "y", "decision"), ("drop", " ", "y", "reason"), ("drop", "x", "", "owner")]
)
def test_a_decision_needs_a_fate_a_reason_and_an_owner(fate: str, reason: str, owner: str, where: str) -> None:
    with pytest.raises(EstateError) as caught:
        checked_decision(fate, reason, owner)
    assert caught.value.where == where


def test_the_quarantine_names_every_secret_and_its_row() -> None:
    ledger: Ledger = make_ledger(exports())
    rows = {key for key, _ in ledger.quarantine() if key}
    assert {"service/vault", "config/vault-config", "config/gatus-config"} <= rows
    assert all("rotate" in remark.hint for _, remark in ledger.quarantine())
    assert "opensesame" not in repr(ledger)


def test_the_migrations_rows_say_what_is_unknown_and_leave_out_what_is_leaving() -> None:
    rows = {(row.kind, row.name): row for row in migration_rows(make_ledger(exports()))}
    assert ("service", "fluent-service-f8e9998") not in rows
    assert rows["service", "influx"].role == "influxdb"
    assert rows["config", "telegraf-config-9a8b7c6"].value_unknown
    assert not rows["config", "grafana-datasources-1191a9c"].value_unknown
    assert rows["route", "grafana"].hosts == ("grafana.example.org",)
