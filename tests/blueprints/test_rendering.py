"""Bundle folders: written whole or not at all, `secrets/` kept, and read only when they are what they say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from blueprints.rendering import Rendering, digest_of, json_text, read_bundle, write_bundle
from sprocket_v2.errors import RenderError
from tests.blueprints.cases import rendering
from tests.layered import LayeredBundle


def made(folder: Path) -> Path:
    """A bundle in a folder."""
    write_bundle(rendering(), folder)
    return folder


def test_a_bundle_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    first = rendering()
    write_bundle(first, tmp_path / "new" / "bundle")
    again = read_bundle(tmp_path / "new" / "bundle")
    assert dict(again.files) == dict(first.files)
    assert again.digest == first.digest
    assert again.secrets == first.secrets
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["bundle"]


def test_a_bundle_of_several_stacks_is_one_too_and_each_of_them_has_to_be_there(tmp_path: Path) -> None:
    made = LayeredBundle("bench").rendering()
    write_bundle(made, tmp_path)
    assert read_bundle(tmp_path).stacks == made.stacks
    facts = {**made.blueprint, "files": [item for item in made.blueprint["files"] if item["path"] != "layer_2/stack.yml"]}
    (tmp_path / "blueprint.json").write_text(json.dumps(facts))
    with pytest.raises(RenderError, match=r"blueprint\.json is not a blueprint's"):
        read_bundle(tmp_path)


def test_scripts_can_be_run_and_nothing_else(tmp_path: Path) -> None:
    folder = made(tmp_path / "bundle")
    modes = {p.relative_to(folder).as_posix(): p.stat().st_mode & 0o777 for p in folder.rglob("*") if p.is_file()}
    assert {path for path, mode in modes.items() if mode == 0o755} == {"fill.sh", "deploy.sh"}
    assert set(modes.values()) == {0o755, 0o644}


def test_an_empty_folder_is_taken(tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    assert (made(tmp_path / "bundle") / "stack.yml").is_file()


def test_a_newer_bundle_replaces_the_old_one_and_keeps_its_secrets(tmp_path: Path) -> None:
    folder = made(tmp_path / "bundle")
    (folder / "secrets").mkdir(mode=0o700)
    (folder / "secrets" / "jwt-secret").write_text("value")
    (folder / "config" / "gone.txt").write_text("of an older release")
    newer = rendering(name="Newer League")
    write_bundle(newer, folder)
    assert read_bundle(folder).digest == newer.digest
    assert (folder / "secrets" / "jwt-secret").read_text() == "value"
    assert (folder / "secrets").stat().st_mode & 0o777 == 0o700
    assert not (folder / "config" / "gone.txt").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


def test_a_folder_that_is_no_bundle_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(RenderError) as caught:
        write_bundle(rendering(), tmp_path)
    assert caught.value.message == f"{tmp_path} is not empty and no bundle"
    assert caught.value.hint == "name a new folder, or empty this one"
    assert [p.name for p in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "bundle").write_text("a file")
    with pytest.raises(RenderError) as caught:
        write_bundle(rendering(), tmp_path / "bundle")
    assert caught.value.hint == "name a new folder, or empty this one"
    assert (tmp_path / "bundle").read_text() == "a file"


@pytest.mark.parametrize("path", ["config/redis.conf", "../outside", "/tmp/outside", "a/../../outside"])
def test_a_rendering_that_cannot_be_written_whole_changes_nothing(tmp_path: Path, path: str) -> None:
    folder = made(tmp_path / "bundle")
    before = read_bundle(folder).digest
    spoiled = Rendering({**rendering(name="Other").files, "config/redis.conf": "x\n", "config/redis.conf/y": "x\n", path: "x\n"})
    with pytest.raises((RenderError, OSError)):
        write_bundle(spoiled, folder)
    assert read_bundle(folder).digest == before
    assert [p.name for p in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize("path", ["../outside", "/tmp/sprocket-outside", "a/../../outside", "secrets/jwt-secret"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, path: str) -> None:
    with pytest.raises(RenderError) as caught:
        write_bundle(Rendering({**rendering().files, path: "x\n"}), tmp_path / "bundle")
    assert caught.value.message == f"{path} leaves the bundle"
    assert list(tmp_path.iterdir()) == []


def test_a_file_changed_by_hand_is_named(tmp_path: Path) -> None:
    folder = made(tmp_path / "bundle")
    file = folder / "config" / "redis" / "redis.conf"
    file.write_text(file.read_text() + "# tuned\n")
    with pytest.raises(RenderError) as caught:
        read_bundle(folder)
    assert caught.value.message == "config/redis/redis.conf was changed by hand"
    assert caught.value.hint == "change the needs or the templates, then render again"
    assert caught.value.where == str(file)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = made(tmp_path / "bundle")
    (folder / "stack.yml").unlink()
    with pytest.raises(RenderError) as caught:
        read_bundle(folder)
    assert caught.value.message == "stack.yml is missing or too large"


def test_a_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    folder = made(tmp_path / "bundle")
    (folder / "stack.yml").write_bytes(b"\xff\xfe")
    with pytest.raises(RenderError) as caught:
        read_bundle(folder)
    assert caught.value.message == "stack.yml was changed by hand"


@pytest.mark.parametrize("path", ["../secret", "/etc/passwd", "config/../../secret"])
def test_a_bundle_that_points_outside_itself_is_refused(tmp_path: Path, path: str) -> None:
    (tmp_path / "secret").write_text("secret\n")
    folder = made(tmp_path / "bundle")
    data = json.loads((folder / "blueprint.json").read_text())
    data["files"].append({"path": path, "sha256": digest_of("secret\n")[7:], "template": ""})
    (folder / "blueprint.json").write_text(json_text(data))
    with pytest.raises(RenderError) as caught:
        read_bundle(folder)
    assert caught.value.message == f"{path} leaves the bundle"


def test_a_link_that_leaves_the_bundle_is_refused(tmp_path: Path) -> None:
    folder = made(tmp_path / "bundle")
    outside = tmp_path / "outside.yml"
    (folder / "stack.yml").rename(outside)
    (folder / "stack.yml").symlink_to(outside)
    with pytest.raises(RenderError) as caught:
        read_bundle(folder)
    assert caught.value.message == "stack.yml leaves the bundle"


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "42", '{"files": 1}', '{"files": [1]}', '{"files": [{"path": "a"}]}', '{"nothing": 1}']
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    folder = made(tmp_path / "bundle")
    (folder / "blueprint.json").write_text(text)
    with pytest.raises(RenderError) as caught:
        read_bundle(folder)
    assert caught.value.message == "blueprint.json is not a blueprint's"


def test_a_bundle_without_its_main_files_is_refused(tmp_path: Path) -> None:
    folder = made(tmp_path / "bundle")
    (folder / "blueprint.json").write_text('{"files": []}\n')
    with pytest.raises(RenderError) as caught:
        read_bundle(folder)
    assert caught.value.message == "blueprint.json is not a blueprint's"


def test_a_folder_without_bundle_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(RenderError) as caught:
        read_bundle(tmp_path)
    assert (caught.value.message, caught.value.hint) == ("no blueprint.json", "`sprocket render NEEDS --out DIR` makes a bundle")


@pytest.mark.parametrize(
    "data", [{}, [], {"a": []}, {"a": {}}, {"a": [1, True, None, 1.5, 'é\n"\\\u2028']}, {"a": {"b": [{"c": [[]]}]}}, "x", 7]
)
def test_our_json_is_the_standard_librarys(data: object) -> None:
    assert json_text(data) == json.dumps(data, indent=2, ensure_ascii=False) + "\n"
