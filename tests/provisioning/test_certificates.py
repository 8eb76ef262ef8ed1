"""A certificate an organization brought is tried before anything is deployed with it."""

from __future__ import annotations

from pathlib import Path

import pytest

from provisioning.certificates import problem_with_pair, refuse_wrong_pairs
from sprocket_v2.errors import ApplyError
from tests.certificates import make_authority


@pytest.mark.parametrize("host", ["league.lan", "192.168.1.20", "fd7a:115c:a1e0::1"])
def test_a_pair_for_this_name_with_its_root_is_taken(host: str, tmp_path: Path) -> None:
    made = make_authority(tmp_path, [host])
    assert problem_with_pair(made.certificate.read_text(), made.key.read_text(), host) == ""


def test_a_pair_without_its_root_would_break_the_sites_own_calls(tmp_path: Path) -> None:
    made = make_authority(tmp_path, ["league.lan"], with_root=False)
    assert problem_with_pair(made.certificate.read_text(), made.key.read_text(), "league.lan").startswith(
        "its authority is not in the file"
    )


def test_anothers_key_is_no_pair(tmp_path: Path) -> None:
    one, two = make_authority(tmp_path, ["league.lan"]), make_authority(tmp_path, ["league.lan"], title="Other")
    assert problem_with_pair(one.certificate.read_text(), two.key.read_text(), "league.lan") == (
        "it does not belong to the key that was brought with it"
    )


def test_another_name_is_named(tmp_path: Path) -> None:
    made = make_authority(tmp_path, ["other.lan", "192.168.1.9"])
    assert problem_with_pair(made.certificate.read_text(), made.key.read_text(), "league.lan") == (
        "it is for other.lan, 192.168.1.9, and this way in is league.lan"
    )


@pytest.mark.parametrize(("days", "problem"), [(-1, "it is refused: certificate has expired"), (1, "it runs out within 2 days")])
def test_one_that_ran_out_or_will_in_a_moment_is_refused(days: int, problem: str, tmp_path: Path) -> None:
    made = make_authority(tmp_path, ["league.lan"], days=days)
    assert problem_with_pair(made.certificate.read_text(), made.key.read_text(), "league.lan") == problem


def test_what_is_no_certificate_is_refused_without_quoting_it() -> None:
    text = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"
    assert problem_with_pair(text, "canary", "league.lan").startswith("certificate or key cannot be read")


def test_the_refusal_names_the_secret_and_never_the_value(tmp_path: Path) -> None:
    one, two = make_authority(tmp_path, ["league.lan"]), make_authority(tmp_path, ["league.lan"], title="Other")
    values = {"lan-certificate": one.certificate.read_text(), "lan-certificate-key": two.key.read_text()}
    with pytest.raises(ApplyError) as caught:
        refuse_wrong_pairs([{"way": "localhost", "certificate": ""}, {"way": "lan", "host": "league.lan", "certificate": "own"}], values)
    assert caught.value.where == "secret lan-certificate"
    assert "BEGIN" not in f"{caught.value.message}{caught.value.hint}"
