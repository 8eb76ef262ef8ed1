"""The lock: what an image is called with and without digest, and the release's own file."""

from __future__ import annotations

from pathlib import Path

import pytest

from blueprints.lock import Lock, LockedImage, read_lock
from sprocket_v2.errors import CatalogError
from tests.blueprints.cases import catalog, rendering, resolution

DIGEST = "sha256:" + "ab" * 32


def test_an_image_goes_by_tag_until_its_digest_is_known() -> None:
    assert LockedImage("redis", "7").reference == "redis:7"
    assert LockedImage("redis", "7", DIGEST).reference == f"redis:7@{DIGEST}"
    assert LockedImage("redis", "7", local_id=DIGEST).reference == "redis:7"


def test_no_file_locks_nothing(tmp_path: Path) -> None:
    assert read_lock(tmp_path / "images.lock.yaml") == Lock({}, {})


def test_a_lock_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "images.lock.yaml"
    file.write_text(f"images:\n  redis: {{name: redis, tag: 7.0, digest: '{DIGEST}'}}\n  web: {{name: w, tag: main}}\n")
    assert read_lock(file).images == {"redis": LockedImage("redis", "7.0", DIGEST), "web": LockedImage("w", "main", "unresolved")}


@pytest.mark.parametrize(
    "text", ["images: {redis: {name: redis}}", "images: {redis: 7}", "images: [redis]", "just words", "images: {", "- a"]
)
def test_a_broken_lock_file_is_named(tmp_path: Path, text: str) -> None:
    file = tmp_path / "images.lock.yaml"
    file.write_text(text)
    with pytest.raises(CatalogError) as caught:
        read_lock(file)
    assert caught.value.where.startswith("images.lock.yaml")
    assert caught.value.hint == "run `sprocket images lock`"


def test_a_locked_image_is_rendered_only_under_the_name_and_tag_it_was_locked_for() -> None:
    manifest = catalog().components["redis"]
    pinned = LockedImage(manifest.image.name, manifest.image.tag, DIGEST)
    component = resolution(Lock({"redis": pinned})).component("redis")
    assert component is not None
    assert component.image == pinned
    other = resolution(Lock({"redis": LockedImage(manifest.image.name, "another-tag", DIGEST)})).component("redis")
    assert other is not None
    assert other.image == LockedImage(manifest.image.name, manifest.image.tag)


def test_lock_and_digest_follow_image_digests_and_secret_versions() -> None:
    manifest = catalog().components["redis"]
    plain, pinned = rendering(), rendering(Lock({"redis": LockedImage(manifest.image.name, manifest.image.tag, DIGEST)}))
    assert plain.lock["images"]["redis"]["digest"] == "unresolved"
    assert pinned.lock["images"]["redis"]["reference"] == f"{manifest.image.name}:{manifest.image.tag}@{DIGEST}"
    newer = rendering(Lock({}, {"jwt-secret": 2}))
    assert (plain.lock["secrets"]["jwt-secret"], newer.lock["secrets"]["jwt-secret"]) == (1, 2)
    assert "testers_api_jwt-secret_v2" in newer.files["stack.yml"]
    assert len({plain.digest, pinned.digest, newer.digest}) == 3
