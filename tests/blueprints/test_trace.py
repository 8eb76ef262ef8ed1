"""Tracing: every line of every file has an origin, the text stays the same, and normal rendering carries no trace."""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import pytest

from blueprints import trace as tracing
from blueprints.catalog import TEMPLATES, load_catalog, needs_value
from blueprints.marks import unmarked
from blueprints.render import render, render_marked
from blueprints.resolve import Resolution, resolve
from blueprints.trace import LineOrigin, line_of, trace
from sprocket_v2.errors import RenderError
from tests.blueprints.cases import HOSTILE, catalog, edit, release, resolution
from tests.orgs.answers import needs
from tools.golden import Case, cases, resolved

DATA = {"starting_data": {"kind": "schema-file", "file": "schema.sql"}}
FEATURES = dict.fromkeys(("match_statistics", "dashboards", "status_page", "message_queue"), True)


@lru_cache(maxsize=8)
def origins(path: str) -> tuple[LineOrigin, ...]:
    """Of a deployment with all there is, but for its ways in."""
    return trace(everything(), catalog(), path)


# Every case of a generation with layers renders all of it: one is enough.
TRACED = [case for case in cases() if case.component == "legacy-traefik" or not case.component.startswith("legacy-")]


@lru_cache(maxsize=1)
def everything() -> Resolution:
    return resolution(database=DATA, features=FEATURES)


def the(path: str, text: str, component: str = "") -> LineOrigin:
    """The first line that begins with this text, of this component if one is named."""
    return next(o for o in origins(path) if o.text.strip().startswith(text) and component in ("", o.component))


@pytest.mark.parametrize("case", TRACED, ids=lambda case: case.id)
def test_without_its_marks_a_traced_file_is_the_rendered_one_byte_for_byte(case: Case) -> None:
    decided = resolved(case)
    for path, text in render(decided, catalog()).files.items():
        assert unmarked(render_marked(decided, catalog(), path)) == text
        traced = trace(decided, catalog(), path)
        assert "".join(f"{origin.text}\n" for origin in traced) == text
        assert [origin.line for origin in traced] == list(range(1, len(traced) + 1))
        assert all(origin.reasons for origin in traced)


@pytest.mark.parametrize("case", TRACED, ids=lambda case: case.id)
def test_the_template_line_holds_the_words_of_the_line(case: Case) -> None:
    decided = resolved(case)
    for path in render(decided, catalog()).files:
        for origin in trace(decided, catalog(), path):
            if origin.template_line is None:
                continue
            source = (TEMPLATES.parent / origin.template).read_text().split("\n")[origin.template_line - 1]
            pieces = re.sub(r"\{%-?\s*(end)?raw\s*-?%\}", "", source) if "raw" in source else source
            fixed = [piece for piece in re.split(r"\{\{ .*? \}\}|\{%.*?%\}", pieces) if piece.strip()]
            shown = origin.text if "{% if" not in source else "".join([origin.text, *fixed])  # only one branch is printed
            assert all(piece in shown for piece in fixed), f"{path}:{origin.line}: {origin.text!r} of {origin.place}: {source!r}"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_name_changes_no_origin(hostile: str) -> None:
    named = trace(resolution(name=hostile), catalog(), "RUNBOOK.md")
    assert [(o.place, o.needs) for o in named] == [(o.place, o.needs) for o in trace(resolution(), catalog(), "RUNBOOK.md")]
    assert "".join(f"{o.text}\n" for o in named) == render(resolution(name=hostile), catalog()).files["RUNBOOK.md"]


def test_normal_rendering_carries_no_mark() -> None:
    trace(everything(), catalog(), "stack.yml")
    assert not [path for path, text in render(everything(), catalog()).files.items() if unmarked(text) != text]


def test_a_line_of_the_stack_knows_the_component_whose_template_printed_it() -> None:
    for component in everything().components:
        for service in component.services:
            line = the("stack.yml", f'"{service.key}":')
            assert (line.component, line.template) == (component.name, f"templates/components/{component.name}/stack.yml.j2")
    assert (the("stack.yml", "services:").component, the("stack.yml", "services:").reasons) == ("", ("Application generation = v2",))


def test_a_line_of_a_shared_macro_knows_the_macro_and_its_caller() -> None:
    line = the("stack.yml", "memory:", "redis")
    assert line.template == "templates/components/_shared/service.yml.j2"
    assert line.called_from.startswith("templates/components/redis/stack.yml.j2:")
    assert line.needs == ("options.redis.memory_mib",)
    assert line.reasons == ("every deployment of this generation has it", "API needs it")
    json = the("config/bot/production.json", '"prefix": "testers"')
    assert (json.component, json.called_from, json.needs) == ("bot", "templates/components/bot/config/production.json.j2:3", ("slug",))


def test_a_line_of_one_service_has_that_services_reason_and_memory() -> None:
    lines = origins("stack.yml")
    begin = the("stack.yml", '"postgres_restore":')
    assert begin.reasons == ("Starting data = schema-file",)
    memory = next(o for o in lines[begin.line :] if o.text.strip().startswith("memory:"))
    assert memory.needs == ("options.postgres.job_memory_mib",)
    assert the("stack.yml", '"postgres":').reasons != begin.reasons


@pytest.mark.parametrize(
    ("text", "component"),
    [
        ('"redis_data":', "redis"),
        ('"redis_redis-conf":', "redis"),
        ('"bot-token":', "bot"),
        ('"jwt-secret":', "api"),
    ],
)
def test_a_line_of_a_loop_over_the_whole_deployment_knows_whose_item_it_is(text: str, component: str) -> None:
    assert the("stack.yml", text).component == component


def test_a_network_belongs_to_the_whole_deployment() -> None:
    lines = origins("stack.yml")
    first = next(o.line for o in lines if o.text == "networks:")
    assert {o.component for o in lines[first : first + 3]} == {""}
    assert lines[first].template_line == 7
    assert lines[first + 1].needs == ("slug",)


def test_the_bundles_other_files_know_whose_service_or_secret_a_line_is_about() -> None:
    assert the("RUNBOOK.md", "| `testers_redis`").component == "redis"
    assert the("RUNBOOK.md", "| `testers_redis`").needs == ("slug", "options.redis.memory_mib")
    assert the("RUNBOOK.md", "# Runbook").needs == ("name",)
    assert the("hold-apps.yml", '"web":').component == "web"
    assert the("fill.sh", "generate 'jwt-secret'").component == "api"
    assert the("deploy.sh", "wait_for 'testers_bot'").component == "bot"


def test_a_line_inside_a_condition_or_loop_is_there_for_what_it_asks() -> None:
    assert the("RUNBOOK.md", "## Back up and restore").needs == ("database",)
    router = the("config/traefik/routes.yml", '"localhost-web":')
    assert (router.component, router.needs) == ("traefik", ("access",))
    assert router.reasons[-1] == "Web is in this deployment"


def test_a_header_names_its_template_without_a_line() -> None:
    for path in ("stack.yml", "RUNBOOK.md", "config/redis/redis.conf"):
        assert origins(path)[0].template_line is None
        assert origins(path)[0].place in origins(path)[0].text
        assert origins(path)[1].template_line == 1
    assert origins("fill.sh")[0].text == "#!/bin/sh"
    assert the("stack.yml", "# templates/components/redis").component == "redis"


def test_files_without_template_are_traced_by_their_keys() -> None:
    assert {o.component for o in origins("config/postgres/starting-data.sql")} == {"postgres"}
    assert origins("config/postgres/starting-data.sql")[0].needs == ("database.starting_data",)
    redis = the("blueprint.json", '"name": "redis"')
    assert (redis.component, redis.template, redis.template_line) == ("redis", "", None)
    assert the("blueprint.json", '"memory_mib"', "redis").needs == ("options.redis.memory_mib",)
    assert the("blueprint.json", '"slug"').needs == ("slug",)
    assert the("blueprint.json", '"schema"').component == ""
    assert the("secrets.json", '"jwt-secret": {').component == "api"
    assert the("blueprint.lock.json", '"redis": {').component == "redis"
    assert {o.component for o in origins("blueprint.json")} == {"", *(c.name for c in everything().components)}


def test_every_need_a_line_can_name_is_a_question() -> None:
    for need in tracing._NEEDS.values():
        needs_value(needs(), need)
    inputs = {f"options.{c.name}.{name}" for c in everything().components for name in c.inputs}
    named = {need for path in render(everything(), catalog()).files for o in trace(everything(), catalog(), path) for need in o.needs}
    assert named - set(tracing._NEEDS.values()) <= inputs


def test_all_that_is_known_stands_on_one_line() -> None:
    assert the("config/redis/redis.conf", "maxmemory ").words == (
        "redis · templates/components/redis/config/redis.conf.j2:10 · because every deployment of this generation has it; API needs it"
        " · needs options.redis.memory_mib"
    )
    assert the("stack.yml", "services:").words == "whole deployment · templates/bundle/stack.yml.j2:3 · because Application generation = v2"
    assert " · called from templates/components/redis/stack.yml.j2:" in the("stack.yml", "image:", "redis").words


@pytest.mark.parametrize("number", ["0", "-1", "9999", "1.5", "x", "", "²", "01"])
def test_a_line_that_is_not_there_is_refused_with_those_that_are(number: str) -> None:
    with pytest.raises(RenderError) as caught:
        line_of(origins("config/redis/redis.conf"), number, "config/redis/redis.conf")
    assert caught.value.hint == f"name one from 1 to {len(origins('config/redis/redis.conf'))}, as config/redis/redis.conf:1"


def test_a_file_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(RenderError, match=r"no file is called 'stack\.yaml'") as caught:
        origins("stack.yaml")
    assert "stack.yml" in caught.value.hint


def test_an_error_in_a_template_names_its_line_while_tracing_too(tmp_path: Path) -> None:
    root = release(tmp_path)
    line = edit(root / "components/redis/config/redis.conf.j2", "port 6379", "port {{ prot | word }}")
    spoiled = load_catalog(root)
    with pytest.raises(RenderError) as caught:
        trace(resolve(needs(), spoiled), spoiled, "config/redis/redis.conf")
    assert caught.value.where == f"templates/components/redis/config/redis.conf.j2:{line}"


def test_lines_are_counted_right_behind_blocks_comments_and_trimmed_space(tmp_path: Path) -> None:
    root = release(tmp_path)
    template = root / "components/redis/config/redis.conf.j2"
    template.write_text(
        "{# two\nlines #}\none\n\n{% if inputs.memory_mib %}\n  two\n{% else %}\nnever\n{% endif %}\n"
        "{% for c in 'ab' -%}\n\n   {{ c\n  | word }}x\n{% endfor %}\n{% raw %}\n{{ three }}\n{% endraw %}\nfour\u2028five"
    )
    changed = load_catalog(root)
    path = "config/redis/redis.conf"
    made = [(o.text, o.template_line, o.needs) for o in trace(resolve(needs(), changed), changed, path)][1:]
    memory = ("options.redis.memory_mib",)
    assert made == [
        ("one", 3, ()), ("", 4, ()), ("  two", 6, memory), ("ax", 12, ()), ("bx", 12, ()), ("", 15, ()), ("{{ three }}", 16, ()), ("four\u2028five", 18, ()),
    ]  # fmt: skip
