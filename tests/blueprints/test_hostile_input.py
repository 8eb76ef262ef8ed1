"""Free text wherever it can enter: the whole bundle keeps its structure, the text comes back exactly, and scripts stay scripts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprints import parse_back
from blueprints.catalog import Catalog, load_catalog
from blueprints.quoting import quote_shell
from blueprints.render import render
from blueprints.rendering import Rendering, read_bundle, write_bundle
from blueprints.resolve import resolve
from blueprints.strict_yaml import load
from orgs.needs import Needs
from orgs.needs_file import needs_from
from sprocket_v2.errors import SprocketError
from tests.blueprints.cases import HOSTILE, catalog, release, rendering
from tests.orgs.answers import answers, printable, valid_answers


def hostile(text: str) -> Rendering:
    """A rendering with a text in every place a person may write freely."""
    parse_back.forget()
    person = {"name": text, "contact": text}
    return rendering(name=text, owner=person, deputy=person)


def shape(data: Any) -> Any:
    """Structure, keys and types without the values."""
    if isinstance(data, dict):
        return {key: shape(value) for key, value in data.items()}
    if isinstance(data, list):
        return [shape(value) for value in data]
    return type(data).__name__


def parsed(made: Rendering) -> dict[str, Any]:
    """Every file that is data, parsed."""
    return {
        path: json.loads(text) if path.endswith(".json") else load(text, path)
        for path, text in made.files.items()
        if path.endswith((".json", ".yml", ".yaml"))
    }


@pytest.mark.parametrize("text", HOSTILE)
def test_a_bundle_with_hostile_text_has_the_structure_of_one_with_harmless_text(text: str) -> None:
    made, harmless = hostile(text), hostile("Harmless")
    assert list(made.files) == list(harmless.files)
    assert shape(parsed(made)) == shape(parsed(harmless))
    assert made.blueprint["organization"] == {"slug": "testers", "name": text}


@pytest.mark.parametrize("text", HOSTILE)
def test_the_runbook_has_the_lines_of_a_harmless_one_and_shows_the_text_as_it_is(text: str) -> None:
    lines, harmless = (hostile(t).files["RUNBOOK.md"].splitlines() for t in (text, "Harmless"))
    differing = [number for number, (a, b) in enumerate(zip(lines, harmless, strict=True)) if a != b]
    assert len(lines) == len(harmless)
    for number in differing:
        shown = re.sub(r"\\(.)", r"\1", lines[number])
        assert shown == harmless[number].replace("Harmless", text)
    table = [line for line in lines if line.startswith(("| Owner", "| Deputy"))]
    assert all(len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3 for line in table)


@pytest.mark.parametrize("text", HOSTILE)
def test_the_scripts_do_not_hold_the_text_and_a_shell_takes_them(text: str, tmp_path: Path) -> None:
    made = hostile(text)
    for path in ("fill.sh", "deploy.sh"):
        assert made.files[path] == hostile("Harmless").files[path]
        (tmp_path / path).write_text(made.files[path])
        assert subprocess.run(["sh", "-n", str(tmp_path / path)], capture_output=True, check=True).stderr == b""


@pytest.mark.parametrize("prefix", ["$", "$$", "$a", "%d", "..", "-", "+1", "1e3", "no", "&a", "!a", "?", "."])
def test_a_command_prefix_reaches_the_bot_exactly(prefix: str) -> None:
    made = rendering(discord={"bot": True, "prefix": prefix})
    for component in ("api", "bot"):
        assert json.loads(made.files[f"config/{component}/production.json"])["bot"]["prefix"] == prefix


_STACK = """\
{% from "components/_shared/service.yml.j2" import common %}
  {{ services.greeter.key | q }}:
    command: ["echo", {{ inputs.greeting | q }}]
    environment:
      GREETING: {{ inputs.greeting | q }}
{{ common(services.greeter) }}
"""
_FILES = {
    "index.html": '<p title="{{ inputs.greeting | text }}">{{ inputs.greeting | text }}</p>\n',
    "a.yml": "{{ inputs.greeting | q }}: {{ inputs.greeting | q }}\nlist: [{{ inputs.greeting | q }}]\n",
    "a.json": '{"text": {{ inputs.greeting | q }}}\n',
    "a.sh": "printf '%s' {{ inputs.greeting | q }}\n",
    "a.md": "x{{ inputs.greeting | text }}x\n",
}


def with_greeting(root: Path) -> Catalog:
    """The release and one more component, made from the example: its greeting takes any text and stands in every kind of file."""
    templates = release(root)
    folder = templates / "components" / "greeter"
    shutil.copytree(templates / "components" / "_example", folder)
    manifest = (folder / "component.yaml").read_text().replace("example-key", "greeter-key").replace("\n  example: ", "\n  greeter: ")
    mounts = "".join(f"      {name}: /srv/{name}\n" for name in _FILES)
    manifest = manifest.replace('pattern: "[a-z ]{1,40}"', 'pattern: ".{0,60}"').replace("      index.html: /srv/index.html\n", mounts)
    (folder / "component.yaml").write_text(manifest)
    (folder / "stack.yml.j2").write_text(_STACK)
    for name, text in _FILES.items():
        (folder / "config" / f"{name}.j2").write_text(text)
    return load_catalog(templates)


@pytest.fixture(scope="module")
def greeter(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    """The catalog of `with_greeting`."""
    return with_greeting(tmp_path_factory.mktemp("release"))


@pytest.mark.parametrize("text", ["", *HOSTILE])
def test_a_hostile_option_comes_back_exactly_from_every_kind_of_file(text: str, greeter: Catalog, tmp_path: Path) -> None:
    found = needs_from(answers(options={"greeter": {"enabled": True, "greeting": text}}), "form")
    files = render(resolve(found, greeter), greeter).files
    assert load(files["config/greeter/a.yml"]) == {text: text, "list": [text]}
    assert json.loads(files["config/greeter/a.json"]) == {"text": text}
    done = subprocess.run(
        ["sh"], input=files["config/greeter/a.sh"].encode(), capture_output=True, check=True, env={"VAR": "expanded", "X": "expanded"}
    )
    assert (done.stdout.decode(), done.stderr) == (text, b"")
    assert re.sub(r"\\(.)", r"\1", files["config/greeter/a.md"].splitlines()[1]) == f"x{text}x"
    page = files["config/greeter/index.html"]
    assert page.count("<") == 2
    assert page.count('"') == 2


@pytest.mark.parametrize("text", ["a\nb", "a\tb", "a\x00b", "\u2028", "a\u202eb", "a\x7f"])
def test_an_option_or_a_name_of_more_than_one_printable_line_is_refused(text: str, greeter: Catalog) -> None:
    with pytest.raises(SprocketError) as caught:
        resolve(needs_from(answers(options={"greeter": {"enabled": True, "greeting": text}}), "form"), greeter)
    assert caught.value.where == "options.greeter.greeting"
    with pytest.raises(SprocketError):
        needs_from(answers(name=text), "form")


@pytest.mark.parametrize("text", HOSTILE)
def test_a_value_reaches_docker_with_its_dollars_doubled_and_otherwise_exactly(text: str, greeter: Catalog) -> None:
    found = needs_from(answers(options={"greeter": {"enabled": True, "greeting": text}}), "form")
    service = load(render(resolve(found, greeter), greeter).files["stack.yml"])["services"]["greeter"]
    doubled = text.replace("$", "$$")
    assert service["environment"] == {"GREETING": doubled}
    assert service["command"] == ["echo", doubled]


@given(valid_answers(), printable(60).filter(bool))
def test_any_valid_needs_render_to_a_bundle_that_is_read_back_or_to_an_error_that_helps(given_answers: dict[str, Any], name: str) -> None:
    data = {**given_answers, "name": name, "features": {}, "options": {}, "profile": "v2"}
    if data["database"]["starting_data"]["kind"] != "empty":
        data["database"] = {**data["database"], "starting_data": {"kind": "empty"}}
    data["access"] = {key: value for key, value in data["access"].items() if key != "public"}
    if data["access"]["canonical"] == "public":
        data["access"] = {"canonical": "localhost", "localhost": {"host": "a.localhost"}}
    made = render(resolve(Needs.model_validate(data), catalog()), catalog())
    assert made.blueprint["organization"]["name"] == name
    assert set(parsed(made)) >= {"stack.yml", "blueprint.json"}


def test_a_hostile_bundle_is_written_and_read_back_as_it_is(tmp_path: Path) -> None:
    for number, text in enumerate(HOSTILE[:12]):
        made = hostile(text)
        write_bundle(made, tmp_path / str(number))
        assert read_bundle(tmp_path / str(number)).files == dict(made.files)


def test_a_title_of_the_release_is_one_word_of_the_shell() -> None:
    assert "ask 'bot-token' 'Discord bot token' " in rendering().files["fill.sh"]
    assert str(quote_shell("it's")) == "'it'\\''s'"


@given(st.sampled_from(["fill.sh", "deploy.sh"]))
def test_the_slug_is_the_only_answer_in_a_script_beside_addresses_and_prefix(path: str) -> None:
    one, two = (rendering(slug=slug).files[path] for slug in ("testers", "another"))
    assert one.replace("testers_", "another_").replace("'testers'", "'another'") == two
