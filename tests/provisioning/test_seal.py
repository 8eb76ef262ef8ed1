"""Sealed values open only where they belong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from provisioning.seal import Sealer, make_master_key, read_master_key
from sprocket_v2.errors import SetupError

VALUE = "correct-horse-battery-staple"


@pytest.fixture
def sealer() -> Sealer:
    return Sealer(os.urandom(32))


def test_a_sealed_value_opens_again(sealer: Sealer) -> None:
    assert sealer.open("demo", "jwt-secret", 1, sealer.seal("demo", "jwt-secret", 1, VALUE)) == VALUE


@pytest.mark.parametrize(("org", "name", "version"), [("other", "jwt-secret", 1), ("demo", "db-password", 1), ("demo", "jwt-secret", 2)])
def test_it_refuses_a_ciphertext_moved_to_another_row(sealer: Sealer, org: str, name: str, version: int) -> None:
    sealed = sealer.seal("demo", "jwt-secret", 1, VALUE)
    with pytest.raises(SetupError, match="cannot be opened") as caught:
        sealer.open(org, name, version, sealed)
    assert VALUE not in str(caught.value) + caught.value.hint


def test_it_refuses_a_changed_ciphertext(sealer: Sealer) -> None:
    sealed = bytearray(sealer.seal("demo", "jwt-secret", 1, VALUE))
    sealed[-1] ^= 1
    with pytest.raises(SetupError):
        sealer.open("demo", "jwt-secret", 1, bytes(sealed))


def test_it_refuses_another_master_key(sealer: Sealer) -> None:
    with pytest.raises(SetupError, match="cannot be opened"):
        Sealer(os.urandom(32)).open("demo", "jwt-secret", 1, sealer.seal("demo", "jwt-secret", 1, VALUE))


def test_the_same_value_is_sealed_differently_each_time(sealer: Sealer) -> None:
    assert sealer.seal("demo", "x-secret", 1, VALUE) != sealer.seal("demo", "x-secret", 1, VALUE)


def test_a_fingerprint_is_the_same_for_the_same_value_and_tells_organizations_and_names_apart(sealer: Sealer) -> None:
    fingerprint = sealer.fingerprint("demo", "jwt-secret", VALUE)
    assert fingerprint == sealer.fingerprint("demo", "jwt-secret", VALUE)
    assert len({fingerprint, sealer.fingerprint("other", "jwt-secret", VALUE), sealer.fingerprint("demo", "db-password", VALUE)}) == 3
    assert Sealer(os.urandom(32)).fingerprint("demo", "jwt-secret", VALUE) != fingerprint


def test_the_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "secret.key"
    assert make_master_key(path)
    key = read_master_key(path)
    assert not make_master_key(path)
    assert read_master_key(path) == key
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["secret.key"]


def test_it_refuses_a_key_file_others_can_read(tmp_path: Path) -> None:
    path = tmp_path / "secret.key"
    make_master_key(path)
    path.chmod(0o640)
    with pytest.raises(SetupError, match="read by others"):
        read_master_key(path)


@pytest.mark.parametrize("text", ["", "short", "%%%", "QUJD"])
def test_it_refuses_a_file_that_is_no_key(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secret.key"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(SetupError, match="holds no master key"):
        read_master_key(path)


def test_a_missing_key_file_says_that_secrets_need_it(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="missing") as caught:
        read_master_key(tmp_path / "none")
    assert "safe copy" in caught.value.hint
