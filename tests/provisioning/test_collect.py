"""Secrets that a service makes itself: read from its container, sealed once, and never guessed at."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orgs.models import Organization
from provisioning import secret_store
from provisioning.collect import collect
from provisioning.live import LiveService, LiveTask
from sprocket_v2.errors import ApplyError, StaleError
from tests.layered import COLLECTED, LayeredBundle
from tests.provisioning.conftest import FakeDocker

VALUE = "canary-root-token"
pytestmark = pytest.mark.usefixtures("data_dir")


class Container(FakeDocker):
    """A vault whose file can be set."""

    def __init__(self, text: str | None, *, runs: bool = True) -> None:
        tasks = (LiveTask("t", "running", "running", container="c1"),) if runs else ()
        super().__init__([LiveService("vault-demo", "s1", 1, "vault", 1, False, tasks)])
        self.text = text

    def run_in(self, container: str, command: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str]:
        assert (container, list(command)) == ("c1", ["cat", "/tmp/token"])
        return (1, "cat: no such file") if self.text is None else (0, self.text)


def _collect(org: Organization, docker: FakeDocker, layer: str = "layer_1", version: int = 1) -> list[str]:
    said: list[str] = []
    rendering = LayeredBundle("demo", secrets={"token": {**COLLECTED, "version": version}}).rendering()
    collect(org, rendering, layer, docker, say=said.append, patience_s=0.0)
    return said


def _values(org: Organization, version: int = 1) -> list[str]:
    wanted = secret_store.wanted_secrets({"token": {**COLLECTED, "version": version}})
    return list(secret_store.values_for(org, wanted).values())


def test_it_is_sealed_without_the_lines_end_and_nobody_is_told_the_value(demo: Organization) -> None:
    said = _collect(demo, Container(f"{VALUE}\n"))
    assert said == ["token: taken from vault-demo and sealed"]
    assert _values(demo) == [VALUE]


def test_the_same_value_again_makes_no_new_version(demo: Organization) -> None:
    _collect(demo, Container(VALUE))
    assert _collect(demo, Container(VALUE)) == []
    assert secret_store.secret_versions(demo) == {"token": 1}


def test_only_the_layer_that_has_the_service_is_looked_at(demo: Organization) -> None:
    assert _collect(demo, Container(None), layer="layer_2") == []


@pytest.mark.parametrize(
    "docker", [Container(None), Container("\n"), Container(VALUE, runs=False)], ids=["no file", "empty", "not running"]
)
def test_what_is_not_there_is_said_with_what_to_do(demo: Organization, docker: FakeDocker) -> None:
    with pytest.raises(ApplyError, match="vault-demo has not left token in /tmp/token") as caught:
        _collect(demo, docker)
    assert "sprocket secret set demo token" in caught.value.hint


def test_once_it_is_known_the_file_may_be_gone(demo: Organization, alice: Any) -> None:
    secret_store.set_secret(org=demo, name="token", value="typed-in-by-a-person", actor=alice)
    assert _collect(demo, Container(None)) == []
    assert _values(demo) == ["typed-in-by-a-person"]


def test_a_value_a_person_set_later_stays_the_newest(demo: Organization, alice: Any) -> None:
    _collect(demo, Container(VALUE))
    secret_store.set_secret(org=demo, name="token", value="rotated-by-a-person", actor=alice)
    assert _collect(demo, Container(VALUE), version=2) == []
    assert _values(demo, version=2) == ["rotated-by-a-person"]


def test_an_older_plan_goes_on_with_its_own_version(demo: Organization, alice: Any) -> None:
    _collect(demo, Container(VALUE))
    secret_store.set_secret(org=demo, name="token", value="rotated-by-a-person", actor=alice)
    assert _collect(demo, Container(VALUE)) == []
    assert _values(demo) == [VALUE]


def test_another_value_is_kept_and_asks_for_a_new_blueprint(demo: Organization) -> None:
    _collect(demo, Container(VALUE))
    with pytest.raises(StaleError, match="vault-demo has made another token than the blueprint's version 1") as caught:
        _collect(demo, Container("another-root-token"))
    assert "another-root-token" not in str(caught.value) + caught.value.hint
    assert secret_store.secret_versions(demo) == {"token": 2}
    assert _values(demo, version=2) == ["another-root-token"]


def test_a_value_no_secret_may_have_is_refused_without_being_said(demo: Organization, data_dir: Path) -> None:
    with pytest.raises(ApplyError) as caught:
        _collect(demo, Container("short"))
    assert "short" not in repr(caught.value.as_dict()).replace("shorter", "")


def test_its_fingerprint_stays_out_of_plans_which_are_made_before_it_is_there(demo: Organization) -> None:
    wanted = secret_store.wanted_secrets({"token": COLLECTED})
    before = secret_store.fingerprints_for(demo, wanted)
    _collect(demo, Container(VALUE))
    assert secret_store.fingerprints_for(demo, wanted) == before == {"token": "0" * 64}
    assert secret_store.missing_secrets(demo, wanted) == []
