"""The state's digest: order and manifest do not count, everything else does."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from provisioning.state import canonical_digest, checkpoint_file, digest_over, stored_digest

DEPLOYMENT: dict[str, Any] = {"manifest": {"time": "now"}, "resources": [{"urn": "a"}, {"urn": "b"}], "pending_operations": []}


def test_the_manifest_and_the_order_of_keys_do_not_count() -> None:
    other = {"resources": DEPLOYMENT["resources"], "pending_operations": [], "manifest": {"time": "later"}}
    assert canonical_digest(DEPLOYMENT) == canonical_digest(other)


@pytest.mark.parametrize("change", [{"resources": [{"urn": "b"}, {"urn": "a"}]}, {"pending_operations": [{"urn": "a"}]}, {"resources": []}])
def test_everything_else_counts(change: dict[str, Any]) -> None:
    assert canonical_digest(DEPLOYMENT) != canonical_digest({**DEPLOYMENT, **change})


def test_a_local_state_is_read_where_the_engine_keeps_it(tmp_path: Path) -> None:
    url = (tmp_path / "a folder").as_uri()
    file = checkpoint_file(url, "sprocket", "demo")
    assert file == tmp_path / "a folder" / ".pulumi" / "stacks" / "sprocket" / "demo.json"
    assert stored_digest(url, "sprocket", "demo") == ""
    file.parent.mkdir(parents=True)
    file.write_text(json.dumps({"version": 3, "checkpoint": {"latest": DEPLOYMENT}}))
    assert stored_digest(url, "sprocket", "demo") == canonical_digest(DEPLOYMENT)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"checkpoint": {}}'])
def test_a_torn_state_has_no_digest(tmp_path: Path, text: str) -> None:
    file = checkpoint_file(tmp_path.as_uri(), "sprocket", "demo")
    assert file
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert stored_digest(tmp_path.as_uri(), "sprocket", "demo") == ""


def test_a_state_elsewhere_is_not_read_by_us() -> None:
    assert checkpoint_file("s3://bucket/prefix", "sprocket", "demo") is None
    assert stored_digest("s3://bucket/prefix", "sprocket", "demo") == ""


def test_one_digest_over_several_layers_knows_which_is_which() -> None:
    one = digest_over({"layer_1": "sha256:a", "layer_2": "sha256:b"})
    assert one.startswith("sha256:")
    assert one == digest_over({"layer_2": "sha256:b", "layer_1": "sha256:a"})
    assert one != digest_over({"layer_1": "sha256:b", "layer_2": "sha256:a"})


def test_the_digest_of_a_single_stack_is_its_own() -> None:
    assert digest_over({"": "sha256:a"}) == "sha256:a"


@pytest.mark.parametrize("digests", [{}, {"": ""}, {"layer_1": "sha256:a", "layer_2": ""}])
def test_nothing_is_said_while_one_is_not_known(digests: dict[str, str]) -> None:
    assert digest_over(digests) == ""
