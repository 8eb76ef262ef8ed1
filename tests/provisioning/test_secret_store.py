"""What is stored is sealed; what is missing is named before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings

from orgs.models import AuditEvent, Organization
from provisioning import secret_store
from provisioning.models import Secret, SecretVersion, StackState
from provisioning.secret_store import Wanted, set_secret
from sprocket_v2.errors import ApplyError, SetupError
from tests.provisioning.conftest import SECRETS, TOKEN

WANTED = secret_store.wanted_secrets(SECRETS)
pytestmark = pytest.mark.usefixtures("data_dir")


def test_a_value_is_not_in_the_database(demo: Organization, alice: Any) -> None:
    row = set_secret(org=demo, name="bot-token", value=TOKEN, actor=alice)
    assert TOKEN.encode() not in bytes(row.sealed)
    assert TOKEN not in repr(list(SecretVersion.objects.values())) + repr(list(AuditEvent.objects.values()))


def test_a_replaced_secret_is_a_new_version_and_the_same_value_is_none(demo: Organization, alice: Any) -> None:
    assert set_secret(org=demo, name="bot-token", value=TOKEN, actor=alice).version == 1
    assert set_secret(org=demo, name="bot-token", value=TOKEN, actor=alice).version == 1
    assert set_secret(org=demo, name="bot-token", value=TOKEN + "-2", actor=alice).version == 2
    assert secret_store.secret_versions(demo) == {"bot-token": 2}


def test_a_missing_secret_is_named_with_how_to_set_it(demo: Organization) -> None:
    with pytest.raises(ApplyError) as caught:
        secret_store.make_ready(demo, WANTED)
    assert "bot-token" in caught.value.message
    assert "sprocket secret set demo bot-token" in caught.value.hint
    assert "Discord's developer pages" in caught.value.hint
    assert not SecretVersion.objects.for_org(demo).exists()


def test_generated_ones_are_made_once_and_placeholders_filled(demo: Organization, token: None) -> None:
    secret_store.make_ready(demo, WANTED)
    first = secret_store.values_for(demo, WANTED)
    secret_store.make_ready(demo, WANTED)
    assert secret_store.values_for(demo, WANTED) == first
    assert first["demo/storage-key@1"] == "not-used-by-this"
    assert first["demo/bot-token@1"] == TOKEN
    generated = first["demo/jwt-secret@1"]
    assert len(generated) == 64
    assert generated.isalnum()
    assert generated.isascii()


def test_a_generated_secret_is_never_shorter_than_12(demo: Organization) -> None:
    short = [Wanted("x-key", "X", "generated", 1, length=4)]
    secret_store.make_ready(demo, short)
    assert len(secret_store.values_for(demo, short)["demo/x-key@1"]) == 12


def test_organizations_have_secrets_of_their_own(demo: Organization, other: Organization) -> None:
    wanted = [item for item in WANTED if item.kind == "generated"]
    for org in (demo, other):
        secret_store.make_ready(org, wanted)
    assert secret_store.values_for(demo, wanted)["demo/jwt-secret@1"] != secret_store.values_for(other, wanted)["other/jwt-secret@1"]
    assert secret_store.fingerprints_for(demo, wanted) != secret_store.fingerprints_for(other, wanted)
    assert secret_store.passphrase_of(demo) != secret_store.passphrase_of(other)


def test_a_row_moved_to_another_organization_does_not_open(demo: Organization, other: Organization, token: None) -> None:
    row = SecretVersion.objects.for_org(demo).get()
    Secret.objects.filter(pk=row.secret_id).update(organization=other)
    SecretVersion.objects.filter(pk=row.pk).update(organization=other)
    with pytest.raises(SetupError, match="other/bot-token@1 cannot be opened"):
        secret_store.values_for(other, [item for item in WANTED if item.name == "bot-token"])


@pytest.mark.parametrize(
    ("name", "value", "pattern"),
    [
        ("bot-token", "short", ""),
        ("bot-token", " padded-with-blanks ", ""),
        ("bot-token", "line\nbreak-in-it-somewhere", ""),
        ("bot-token", "looks-like-nothing", "[0-9]{17,20}"),
        ("bot-token", "x" * 70_000, ""),
        ("Bot Token", "long-enough-value", ""),
        ("../bot", "long-enough-value", ""),
    ],
)
def test_it_refuses_a_bad_value_without_quoting_it(demo: Organization, alice: Any, name: str, value: str, pattern: str) -> None:
    with pytest.raises(ApplyError) as caught:
        set_secret(org=demo, name=name, value=value, actor=alice, pattern=pattern)
    assert value not in str(caught.value) + caught.value.hint
    assert not SecretVersion.objects.for_org(demo).exists()


def test_the_passphrase_stays_the_same(demo: Organization) -> None:
    assert secret_store.passphrase_of(demo) == secret_store.passphrase_of(demo)
    assert len(secret_store.passphrase_of(demo)) >= 32


def test_the_master_key_is_made_at_set_up_only(demo: Organization, data_dir: Path) -> None:
    assert secret_store.make_key_at_setup()
    assert not secret_store.make_key_at_setup()
    assert (data_dir / "keys" / "secret.key").stat().st_mode & 0o777 == 0o600


def test_a_lost_master_key_is_not_silently_replaced(demo: Organization, token: None, data_dir: Path, settings: LazySettings) -> None:
    (data_dir / "keys" / "secret.key").unlink()
    with pytest.raises(SetupError, match="master key is missing"):
        secret_store.make_key_at_setup()
    settings.SPROCKET_MASTER_KEY_FILE = data_dir / "keys" / "elsewhere.key"
    with pytest.raises(SetupError, match="master key is missing"):
        secret_store.sealer()
    assert StackState.objects.count() == 0
