"""What the control plane knows of an organization, and what the rules make of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from blueprints import actions as blueprint_actions
from blueprints.checks.model import Outcome
from blueprints.checks.registry import run_checks
from orgs import actions as org_actions
from orgs.models import Membership, Organization
from provisioning import secret_store
from provisioning.checks.look import subject_of_organization
from provisioning.checks.records import leaks_of_a_canary
from provisioning.models import SecretVersion, StackState
from provisioning.secret_socket import SecretServer
from tests.orgs.answers import answers

pytestmark = pytest.mark.usefixtures("data_dir")


@pytest.fixture
def league(demo: Organization, alice: Any) -> Organization:
    """With needs that need a few secrets."""
    given = answers(slug="demo", applications="stand-in", access={"localhost": {"host": "demo.localhost", "port": 8080}})
    org_actions.set_needs(org=demo, actor=alice, data=given)
    return demo


def _outcomes(org: Organization) -> dict[str, Outcome]:
    return {outcome.rule.id: outcome for outcome in run_checks(subject_of_organization(org))}


def _said(outcome: Outcome) -> list[str]:
    return [f"{found.where}: {found.what}" for found in outcome.found]


def test_needs_are_checked_before_there_is_a_blueprint_and_the_newest_blueprint_after(league: Organization, alice: Any) -> None:
    assert subject_of_organization(league).blueprint["organization"]["slug"] == "demo"
    row = blueprint_actions.make_blueprint(org=league, actor=alice)
    assert subject_of_organization(league).blueprint == blueprint_actions.rendering_of_row(row).blueprint


def test_secrets_that_nobody_brought_are_named_and_those_we_make_are_not(league: Organization, alice: Any) -> None:
    before = _said(_outcomes(league)["I23-value-is-there"])
    assert "discord-client-secret: nobody has set it" in before
    assert not [line for line in before if line.startswith("db-password")]
    secret_store.set_secret(org=league, name="discord-client-secret", value="a-secret-of-discord", actor=alice)
    assert "discord-client-secret: nobody has set it" not in _said(_outcomes(league)["I23-value-is-there"])


def test_a_value_that_is_not_like_its_kind_is_told_without_the_value(league: Organization, alice: Any) -> None:
    secret_store.set_secret(org=league, name="discord-client-id", value="not-a-number-at-all", actor=alice)
    [line] = _said(_outcomes(league)["I13-secret-values"])
    assert line.startswith("discord-client-id: does not look right")
    assert "not-a-number-at-all" not in line


def test_only_the_newest_restore_counts_and_only_once_something_is_deployed(league: Organization, alice: Any) -> None:
    assert _outcomes(league)["I01-rebuild-is-rehearsed"].reason == "nothing is deployed that could be lost"
    row = blueprint_actions.make_blueprint(org=league, actor=alice)
    secret_store.stack_state(league)
    StackState.objects.for_org(league).update(applied_blueprint=row)
    assert "never brought back" in _said(_outcomes(league)["I01-rebuild-is-rehearsed"])[0]
    tried = {"name": "20260101T040000Z", "at": (datetime.now(UTC) - timedelta(days=3)).isoformat(), "took_s": 40.0}
    StackState.objects.for_org(league).update(backups={"tried": tried})
    assert _outcomes(league)["I01-rebuild-is-rehearsed"].state == "passed"
    StackState.objects.for_org(league).update(backups={"tried": {**tried, "took_s": 7 * 3600.0}})
    assert "took 7.0 h" in _said(_outcomes(league)["I01-rebuild-is-rehearsed"])[0]


def test_a_viewer_is_no_second_person_and_an_operator_is(league: Organization, bob: Any) -> None:
    assert _said(_outcomes(league)["I40-two-people"]) == ["people: only alice may apply"]
    Membership.objects.for_org(league).filter(user=bob).update(roles=["operator"])
    assert _outcomes(league)["I40-two-people"].state == "passed"


def test_the_masking_of_a_run_hides_a_canary_in_all_its_forms() -> None:
    assert leaks_of_a_canary() == ()


def test_a_masking_that_forgot_a_form_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SecretServer, "mask", lambda _self, text: text)
    assert leaks_of_a_canary() == ("as it is", "base64", "URL", "JSON")


def test_looking_makes_no_secret_and_no_file(league: Organization, data_dir: Path) -> None:
    _outcomes(league)
    assert not SecretVersion.objects.exists()
    assert not list(data_dir.rglob("*.sock"))
