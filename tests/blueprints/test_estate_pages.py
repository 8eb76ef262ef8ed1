"""The pages and actions of an imported estate: bring sources, look only, decide, filter; what is kept holds no secret."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from blueprints import estate_actions
from blueprints.estate.deployment import LIMITS
from blueprints.estate.model import Estate
from blueprints.models import EstateImport, LedgerDecision
from orgs.models import AuditEvent, Membership, Organization
from provisioning.migration.actions import rows_of
from sprocket_v2.errors import DeniedError, EstateError
from tests.blueprints.estate.made_exports import CANARY, layer_1_of_2022, layer_2, platform
from tests.blueprints.estate.test_ledger import estate_of, live

HOST = {"HTTP_HOST": "localhost"}
MYSTERY = b"services:\n  mystery: {image: example/mystery:1}\n"


@pytest.fixture
def key_store() -> Any:
    """A key of the tests' own, and no live engine."""
    known = (list(estate_actions._withhold_key), list(estate_actions._read_live))
    estate_actions.know_the_estate(withhold_key=lambda slug: slug.encode().ljust(32, b"k"))
    yield
    estate_actions._withhold_key[:], estate_actions._read_live[:] = known


def exports() -> list[SimpleUploadedFile]:
    """The three exports and a Compose file with a service that nobody knows."""
    made = [SimpleUploadedFile(f"{m.project}.json", m.json()) for m in (layer_1_of_2022(), layer_2(), platform())]
    return [*made, SimpleUploadedFile("compose.yml", MYSTERY)]


@pytest.fixture
def imported(demo: Organization, alice: Any, client: Client, key_store: None) -> Client:
    """Alice's browser, after the import."""
    client.force_login(alice)
    answer = client.post("/o/demo/import/read", {"sources": exports()}, **HOST)
    assert answer.status_code == 302
    assert answer["Location"] == "/o/demo/ledger"
    return client


def test_an_empty_ledger_says_what_to_do(demo: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    assert "Nothing was imported yet" in client.get("/o/demo/ledger", **HOST).content.decode()
    assert "Nothing was imported yet" in client.get("/o/demo/import", **HOST).content.decode()


def test_an_import_is_kept_with_its_sources_and_without_a_secret(imported: Client, demo: Organization) -> None:
    row = EstateImport.objects.for_org(demo).get()
    assert [source["name"] for source in row.sources] == ["layer_1.json", "layer_2.json", "platform.json", "compose.yml"]
    assert (row.counts["rows"], row.counts["undecided"]) == (69, 1)
    assert CANARY not in row.estate
    assert AuditEvent.objects.for_org(demo).filter(what="estate imported").count() == 1


def test_the_ledger_shows_rows_totals_and_what_to_rotate_and_no_secret(imported: Client) -> None:
    text = imported.get("/o/demo/ledger", **HOST).content.decode()
    assert "The totals reconcile" in text
    assert "1 row waits for a decision" in text
    assert "secrets to rotate" in text
    assert "environment.VAULT_TOKEN" in text
    assert CANARY not in text


def test_looking_only_keeps_nothing(demo: Organization, alice: Any, client: Client, key_store: None) -> None:
    client.force_login(alice)
    answer = client.post("/o/demo/import/read", {"sources": exports(), "dry_run": "yes"}, **HOST)
    text = answer.content.decode()
    assert answer.status_code == 200
    assert "What an import would give" in text
    assert "legacy-vault" in text
    assert CANARY not in text
    assert not EstateImport.objects.for_org(demo).exists()


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no source"),
        ([("cut.json", b'{"version": 3, "deploy')], "ends in the middle"),
        ([("<b>x</b>.json", b'{"version": 1, "deployment": {}}')], "version"),
    ],
)
def test_what_cannot_be_read_is_said_with_its_name_and_nothing_is_kept(
    files: list[tuple[str, bytes]], words: str, demo: Organization, alice: Any, client: Client, key_store: None
) -> None:
    client.force_login(alice)
    answer = client.post("/o/demo/import/read", {"sources": [SimpleUploadedFile(name, content) for name, content in files]}, **HOST)
    text = answer.content.decode()
    assert answer.status_code == 422
    assert words in text.lower()
    assert "<b>x" not in text
    assert not EstateImport.objects.for_org(demo).exists()


def test_an_upload_over_the_limit_is_refused_and_never_written_to_a_disk(
    demo: Organization, alice: Any, client: Client, key_store: None, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    client.force_login(alice)
    answer = client.post("/o/demo/import/read", {"sources": SimpleUploadedFile("big.json", b"{" + b" " * LIMITS.size)}, **HOST)
    assert answer.status_code == 422
    assert "larger than 64 MiB" in answer.content.decode()
    assert list(tmp_path.iterdir()) == []


def test_a_row_is_decided_and_the_decision_stays_over_the_next_import(imported: Client, demo: Organization) -> None:
    sent = {"rows": ["service/mystery"], "decision": "drop", "reason": "An experiment.", "owner": "Alice"}
    assert imported.post("/o/demo/ledger/decide", sent, **HOST).status_code == 302
    imported.post("/o/demo/import/read", {"sources": exports()}, **HOST)
    ledger = estate_actions.ledger_of(demo)
    assert ledger is not None
    assert not ledger.undecided
    assert EstateImport.objects.for_org(demo).count() == 2
    assert "Every row is decided" in imported.get("/o/demo/ledger", **HOST).content.decode()


def test_every_row_of_a_component_is_decided_at_once(imported: Client, demo: Organization) -> None:
    sent = {"all": "yes", "component": "redis-shared", "decision": "drop", "reason": "A cache.", "owner": "Bob"}
    answer = imported.post("/o/demo/ledger/decide", sent, **HOST)
    assert answer["Location"] == "/o/demo/ledger?component=redis-shared"
    ledger = estate_actions.ledger_of(demo)
    assert ledger is not None
    redis = [row for row in ledger.rows if row.recognition.component == "redis-shared"]
    assert len(redis) > 3
    assert {row.fate for row in redis} == {"drop"}
    assert LedgerDecision.objects.for_org(demo).count() == len(redis)


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"rows": ["service/nowhere"]}, "no row"),
        ({}, "no row was chosen"),
        ({"rows": ["service/vault"], "decision": "burn"}, "no decision"),
        ({"rows": ["service/vault"], "reason": ""}, "reason is missing"),
    ],
)
def test_a_wrong_decision_is_said_and_what_was_typed_stays(sent: dict[str, Any], words: str, imported: Client, demo: Organization) -> None:
    answer = imported.post("/o/demo/ledger/decide", {"decision": "drop", "reason": "typed before", "owner": "Alice", **sent}, **HOST)
    assert answer.status_code == 422
    text = answer.content.decode()
    assert words in text.lower()
    assert "reason" in sent or "typed before" in text
    assert not LedgerDecision.objects.for_org(demo).exists()


@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("kind=bucket", "bucket/sprocket-main-1", "service/vault"), ("layer=layer_2", "service/influx", "service/vault"), ("fate=undecided", "service/mystery", "service/vault"),
        ("component=legacy-vault", "service/vault", "service/influx"), ("show=unknown", "config/telegraf-config", "service/vault"), ("q=GATUS", "service/gatus-internal", "service/vault"),
        ("show=remarks", "service/vault", "service/loki"),
    ],
)  # fmt: skip
def test_rows_are_filtered(query: str, there: str, gone: str, imported: Client) -> None:
    text = imported.get(f"/o/demo/ledger?{query}", **HOST).content.decode()
    assert f'id="row-{there}"' in text
    assert f'id="row-{gone}"' not in text


def test_a_viewer_sees_the_ledger_and_decides_nothing(imported: Client, demo: Organization, bob: Any) -> None:
    Membership.objects.for_org(demo).filter(user=bob).update(roles=["viewer"])
    imported.force_login(bob)
    text = imported.get("/o/demo/ledger", **HOST).content.decode()
    assert "service/vault" in text
    assert "Decide the ticked rows" not in text
    assert imported.post("/o/demo/ledger/decide", {"rows": ["service/vault"]}, **HOST).status_code == 404
    with pytest.raises(DeniedError):
        estate_actions.decide(org=demo, keys=["service/vault"], fate="drop", reason="x", owner="y", actor=bob)


def test_the_migration_plans_with_the_ledgers_rows_and_decisions(imported: Client, demo: Organization, alice: Any) -> None:
    estate_actions.decide(org=demo, keys=["service/influx"], fate="drop", reason="Nobody looks.", owner="Alice", actor=alice)
    rows = {row.name: row for row in rows_of(demo) if row.kind == "service"}
    assert (rows["influx"].decision, rows["influx"].role) == ("drop", "influxdb")
    assert rows["mystery"].role == ""


def test_a_live_engine_is_asked_for_where_one_can_be_read(demo: Organization, key_store: None) -> None:
    with pytest.raises(EstateError, match="cannot be read here"):
        estate_actions.look(slug="demo", engines=["unix:///var/run/docker.sock"])


def test_a_live_engine_and_an_export_give_one_row_for_the_same_thing(demo: Organization, alice: Any, client: Client) -> None:
    known = (list(estate_actions._withhold_key), list(estate_actions._read_live))
    asked: list[tuple[str, str]] = []

    def read(address: str, slug: str) -> Estate:
        asked.append((address, slug))
        return estate_of(live("loki", "x" * 25))

    estate_actions.know_the_estate(withhold_key=lambda slug: b"k" * 32, read_live=read)
    try:
        client.force_login(alice)
        sent = {"sources": [SimpleUploadedFile("layer_2.json", layer_2().json())], "live": "yes"}
        assert client.post("/o/demo/import/read", sent, **HOST).status_code == 302
    finally:
        estate_actions._withhold_key[:], estate_actions._read_live[:] = known
    assert asked == [("", "demo")]
    ledger = estate_actions.ledger_of(demo)
    assert ledger is not None
    assert [origin.source for origin in ledger.row("service/loki").origins] == ["export", "live"]


def test_the_keys_of_two_organizations_differ_and_stay(demo: Organization, tmp_path: Path, settings: Any) -> None:
    from provisioning.secret_store import withhold_key

    settings.SPROCKET_DATA_DIR = tmp_path
    assert withhold_key("demo") == withhold_key("demo")
    assert withhold_key("demo") != withhold_key("other")
