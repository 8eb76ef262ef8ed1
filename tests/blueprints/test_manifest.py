"""Manifests: `_example` is the schema, and everything wrong is named with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from blueprints.catalog import TEMPLATES
from blueprints.manifest import Manifest, Wanted, read_manifest
from blueprints.schema import schema
from sprocket_v2.errors import CatalogError

GOOD = """\
title: Thing
summary: It does a thing.
layer: apps
profiles: [v2]
image:
  name: ghcr.io/sprocketbot/thing
  tag: "1.0"
wanted_when:
  - always: true
inputs:
  memory_mib:
    type: integer
    title: Memory
    default: 64
secrets:
  thing-key:
    title: Key
    why: To sign.
    kind: generated
services:
  thing:
    stage: apps
    networks: [edge]
    memory: memory_mib
    deadline_s: 60
    health:
      none: It answers nothing.
    update:
      order: stop-first
"""


def manifest(folder: Path, text: str, name: str = "thing") -> Manifest:
    """What a manifest's text is read as."""
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "component.yaml").write_text(text)
    return read_manifest(folder / name, schema(TEMPLATES / "components" / "_example" / "component.yaml"), f"templates/components/{name}")


def test_the_least_manifest_is_read_with_its_defaults(tmp_path: Path) -> None:
    read = manifest(tmp_path, GOOD)
    service = read.services[0]
    assert (read.name, read.role, read.subdomain, read.requires, read.noticed_by) == ("thing", "thing", None, (), "nobody")
    assert read.wanted_when == (Wanted("always", True),)
    assert (read.inputs[0].minimum, read.inputs[0].unit, read.secrets[0].length) == (None, "", 40)
    assert (service.key, service.replicas, service.stop_grace_s, service.health.none, service.gap_s) == (
        "thing",
        1,
        10,
        "It answers nothing.",
        0,
    )


def test_the_example_obeys_itself() -> None:
    folder = TEMPLATES / "components" / "_example"
    read = read_manifest(folder, schema(folder / "component.yaml"), "templates/components/_example")
    assert read.title == "Example"
    assert [item.type for item in read.inputs] == ["integer", "integer", "integer", "text"]


@pytest.mark.parametrize("folder", sorted(p.name for p in (TEMPLATES / "components").iterdir() if not p.name.startswith("_")))
def test_every_component_of_the_release_is_read(folder: str) -> None:
    rules = schema(TEMPLATES / "components" / "_example" / "component.yaml")
    read = read_manifest(TEMPLATES / "components" / folder, rules, f"templates/components/{folder}")
    assert read.name == folder
    assert read.summary.endswith(".")


WRONG: list[tuple[str, str, str, str, str]] = [
    ("unknown key", "layer: apps\n", "layer: apps\ncolour: red\n", "component.yaml:4", "unknown key 'colour'"),
    ("unknown key inside", "    deadline_s: 60\n", "    deadline_s: 60\n    privileged: true\n", "component.yaml:26", "unknown key 'privileged'"),
    ("unknown key of an input", "    default: 64\n", "    default: 64\n    step: 2\n", "component.yaml:15", "unknown key 'step'"),
    ("unknown key of a secret", "    why: To sign.\n", "    why: To sign.\n    value: hunter2hunter2\n", "component.yaml:19", "unknown key 'value'"),
    ("text for a number", "deadline_s: 60", "deadline_s: a minute", "component.yaml:25", "deadline_s is text, not a whole number"),
    ("quoted number", "deadline_s: 60", 'deadline_s: "60"', "component.yaml:25", "deadline_s is text, not a whole number"),
    ("fraction for a number", "deadline_s: 60", "deadline_s: 1.5", "component.yaml:25", "deadline_s is a number, not a whole number"),
    ("number for text", "title: Thing", "title: 7", "component.yaml:1", "title is a whole number, not text"),
    ("yes for text", "title: Thing", "title: true", "component.yaml:1", "title is true or false, not text"),
    ("text for a list", "profiles: [v2]", "profiles: v2", "component.yaml:4", "profiles is text, not a list"),
    ("list for a mapping", "  none: It answers nothing.", "  [a]", "component.yaml:27", "health is a list, not a mapping"),
    ("nothing for text", "title: Thing", "title:", "component.yaml:1", "title is nothing, not text"),
    ("wrong item", "networks: [edge]", "networks: [1]", "component.yaml:23", "* is a whole number, not text"),
    ("bad layer", "layer: apps", "layer: middle", "component.yaml:3", "layer is 'middle'"),
    ("bad stage", "stage: apps", "stage: later", "component.yaml:22", "stage is 'later'"),
    ("bad kind", "kind: generated", "kind: guessed", "component.yaml:19", "kind is 'guessed'"),
    ("bad type", "type: integer", "type: float", "component.yaml:12", "type is 'float'"),
    ("bad order", "order: stop-first", "order: stop", "component.yaml:29", "order is 'stop'"),
    ("missing title", "title: Thing\n", "", "component.yaml:1", "title is missing"),
    ("missing tag", '  tag: "1.0"\n', "", "component.yaml:6", "tag is missing"),
    ("missing memory", "    memory: memory_mib\n", "", "component.yaml:22", "memory is missing"),
    ("missing why", "    why: To sign.\n", "", "component.yaml:17", "why is missing"),
    ("a key twice", "layer: apps\n", "layer: apps\nlayer: data\n", "component.yaml:3", "key 'layer' twice"),
    ("an input twice", "secrets:\n", "  memory_mib:\n    type: integer\n    title: x\n    default: 1\nsecrets:\n", "component.yaml:11", "key 'memory_mib' twice"),
    ("a name in capitals", "  thing-key:", "  Thing-Key:", "component.yaml:16", "name 'Thing-Key'"),
    ("a name with a path", "  thing-key:", "  ../thing:", "component.yaml:16", "name '../thing'"),
    ("an alias", "title: Thing\nsummary: It does a thing.", "title: &a Thing\nsummary: *a", "component.yaml:1", "an alias"),
    ("a tag", "title: Thing", "title: !x Thing", "component.yaml:1", "tag !x is not plain data"),
    ("broken YAML", "profiles: [v2]", "profiles: [v2", "component.yaml:5", "not YAML"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "where", "message"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_what_is_wrong_is_named_with_file_and_line(tmp_path: Path, old: str, new: str, where: str, message: str) -> None:
    assert GOOD.count(old) >= 1
    with pytest.raises(CatalogError) as caught:
        manifest(tmp_path, GOOD.replace(old, new, 1))
    assert caught.value.message.startswith(message)
    assert caught.value.where == f"templates/components/thing/{where}"


@pytest.mark.parametrize("text", ["", "[]", "- a", "just words"])
def test_a_manifest_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(CatalogError) as caught:
        manifest(tmp_path, text)
    assert caught.value.message == "not a mapping of keys"


def test_a_folder_without_manifest_says_where_to_copy_one_from(tmp_path: Path) -> None:
    (tmp_path / "thing").mkdir()
    with pytest.raises(CatalogError) as caught:
        read_manifest(tmp_path / "thing", {}, "templates/components/thing")
    assert caught.value.hint == "copy it from templates/components/_example"


def test_a_choice_lists_the_values_taken(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        manifest(tmp_path, GOOD.replace("layer: apps", "layer: middle"))
    assert caught.value.hint == "one of edge, apps, data"


def test_an_unknown_key_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(CatalogError) as caught:
        manifest(tmp_path, GOOD.replace("  name: ghcr", "  nam: ghcr"))
    assert caught.value.hint == "one of name, stand_in, tag"
