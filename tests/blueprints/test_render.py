"""Rendering: what a template may not do, and where the error points; same input, same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from blueprints import parse_back
from blueprints.catalog import load_catalog
from blueprints.render import render, render_component
from blueprints.resolve import resolve
from blueprints.strict_yaml import load
from sprocket_v2.errors import RenderError
from tests.blueprints.cases import SQL, catalog, edit, release, rendering, resolution
from tests.orgs.answers import needs

ROOT = Path(__file__).resolve().parents[2]
CONF, ROUTES, STACK, RUNBOOK = (
    "components/redis/config/redis.conf.j2",
    "components/traefik/config/routes.yml.j2",
    "components/redis/stack.yml.j2",
    "bundle/RUNBOOK.md.j2",
)
DEPLOY, SHARED = "bundle/deploy.sh.j2", "components/_shared/service.yml.j2"


def refused(folder: Path, template: str, old: str, new: str) -> tuple[RenderError, str]:
    """The error a spoiled template gives, and the place it should name."""
    root = release(folder)
    line = edit(root / template, old, new)
    spoiled = load_catalog(root)
    with pytest.raises(RenderError) as caught:
        render(resolve(needs(), spoiled), spoiled)
    return caught.value, f"templates/{template}:{line}"


BARE = "write {{ value | q }}, or this file kind's own filter"
SPOILED: list[tuple[str, str, str, str, str, str]] = [
    ("a bare number", CONF, "port 6379", "port {{ ping_port }}", "a template prints '19000' bare", BARE),
    ("a bare name", STACK, "      - sh\n", "      - {{ org.name }}\n", "a template prints 'Test League' bare", BARE),
    ("a bare value in a shared macro", SHARED, "{{ service.image | q }}", "{{ service.image }}", "a template prints 'postgres:", BARE),
    ("a bare value joined to a quoted one", STACK, "      - sh\n", '      - {{ ("a" | q) ~ org.name }}\n', "a template prints '\"a\"Test League' bare", BARE),
    ("a bare value added to a quoted one", STACK, "      - sh\n", '      - {{ ("a" | q) + org.name }}\n', "a template prints '\"a\"Test League' bare", BARE),
    ("a bare value formatted into a text", STACK, "      - sh\n", '      - {{ "%s" % org.name }}\n', "a template prints 'Test League' bare", BARE),
    ("a bare list", STACK, "      - sh\n", "      - {{ cors_origins }}\n", "a template prints 'http", BARE),
    ("a bare text of its own", STACK, "      - sh\n", '      - {{ "sh" }}\n', "a template prints 'sh' bare", BARE),
    ("the filter safe", CONF, "port 6379", "port {{ ping_port | safe }}", "template: No filter named 'safe'.", "correct the template"),
    ("the filter tojson", CONF, "port 6379", "port {{ ping_port | tojson }}", "template: No filter named 'tojson'.", "correct the template"),
    ("another kind's filter in a data file", ROUTES, "{{ router.rule | q }}", "{{ router.rule | text }}", "template: No filter named 'text'.", "correct the template"),
    ("a plain word in a data file", ROUTES, "{{ router.rule | q }}", "{{ router.rule | word }}", "template: No filter named 'word'.", "correct the template"),
    ("another kind's filter in a plain file", CONF, "port 6379", "port {{ ping_port | q }}", "template: No filter named 'q'.", "correct the template"),
    ("another kind's filter in Markdown", RUNBOOK, "{{ org.name | text }}", "{{ org.name | q }}", "template: No filter named 'q'.", "correct the template"),
    ("an undefined name", CONF, "port 6379", "port {{ prot | word }}", "not resolved: 'prot' is undefined", "resolve it, or correct the template"),
    ("an undefined key", CONF, "port 6379", "port {{ inputs.prot | word }}", "not resolved: 'dict object' has no attribute 'prot'", "resolve it, or correct the template"),
    ("an undefined name in a condition", CONF, "port 6379", "{% if prot %}port 6379{% endif %}", "not resolved: 'prot' is undefined", "resolve it, or correct the template"),
    ("no template language", CONF, "port 6379", "port {{ ping_port word }}", "template: ", "correct the template"),
    ("a block without end", DEPLOY, "{% endfor %}\nchmod", "chmod", "template: ", "correct the template"),
    ("a way out of plain data", STACK, "      - sh\n", "      - {{ org.__class__.__mro__ | q }}\n", "", ""),
    ("a function of the language", STACK, "      - sh\n", "      - {{ range(10) | q }}\n", "not resolved: 'range' is undefined", "resolve it, or correct the template"),
    ("a value that is no word", CONF, "port 6379", "port {{ org.name | word }}", "'Test League' is not a plain word", "use this file kind's quoting filter, or check it in the manifest"),
]  # fmt: skip


@pytest.mark.parametrize(("template", "old", "new", "message", "hint"), [s[1:] for s in SPOILED], ids=[s[0] for s in SPOILED])
def test_a_template_that_does_more_than_print_quoted_values_is_refused_at_its_line(
    tmp_path: Path, template: str, old: str, new: str, message: str, hint: str
) -> None:
    error, where = refused(tmp_path, template, old, new)
    assert error.message.startswith(message)
    assert error.hint.startswith(hint)
    if "without end" not in message and template != DEPLOY:
        assert error.where == where


def test_a_template_that_is_not_there_is_named(tmp_path: Path) -> None:
    error, _ = refused(tmp_path, CONF, "port 6379", '{% include "nowhere.j2" %}')
    assert "nowhere.j2" in error.message


@pytest.mark.parametrize("outside", ["../../../etc/passwd", "/etc/passwd", "components/../../secret.j2"])
def test_a_template_cannot_read_beside_the_templates(tmp_path: Path, outside: str) -> None:
    (tmp_path / "secret.j2").write_text("secret")
    error, _ = refused(tmp_path, CONF, "port 6379", f'{{% include "{outside}" %}}')
    assert outside in error.message


@pytest.mark.parametrize(
    ("template", "old", "new", "message"),
    [
        (SHARED, "    image: {{ service.image | q }}", "    image: {{ service.key | q }}", "services.postgres.image: the file says"),
        (SHARED, "    init: true", "    init: true\n    privileged: true", "key 'privileged' is not taken"),
        (STACK, "      - sh\n", "      - sh # {{ org.name | q }}\n", "value 'Test League' did not come back as a value of its own"),
        (ROUTES, "http:\n", "http:\nhttp:\n", "key 'http' twice"),
        (ROUTES, "      rule: {{ router.rule | q }}\n", "      # {{ router.rule | q }}\n", "did not come back as a value of its own"),
        ("components/web/config/production.json.j2", '"client": {', '"client" {', "not JSON"),
        ("components/web/config/production.json.j2", '"url": ""', '"url": "", "url": ""', "a key twice"),
        ("bundle/hold-apps.yml.j2", "services:\n", "services: [\n", "not YAML"),
        ("bundle/stack.yml.j2", "    name: {{ network.name | q }}\n", "    name: {{ network.key | q }}\n", "networks."),
    ],
)
def test_what_a_template_makes_of_the_values_is_compared_with_what_was_resolved(
    tmp_path: Path, template: str, old: str, new: str, message: str
) -> None:
    error, _ = refused(tmp_path, template, old, new)
    assert message in error.message


def test_an_output_without_end_is_refused(tmp_path: Path) -> None:
    error, _ = refused(tmp_path, CONF, "port 6379", '{% for a in "x" * 4000 %}' + "#" * 300 + "{% endfor %}")
    assert error.message.endswith("KiB of output")
    assert error.hint == "the most is 1024 KiB"


def test_a_config_without_template_is_named(tmp_path: Path) -> None:
    root = release(tmp_path)
    (root / CONF).unlink()
    spoiled = load_catalog(root)
    with pytest.raises(RenderError) as caught:
        render(resolve(needs(), spoiled), spoiled)
    assert (caught.value.message, caught.value.where) == ("no template for config 'redis.conf'", "templates/components/redis")


def test_a_failed_rendering_leaves_nothing_for_the_next_one(tmp_path: Path) -> None:
    before = rendering().digest
    refused(tmp_path, CONF, "port 6379", "port {{ ping_port }}")
    parse_back.forget()
    assert rendering().digest == before


def test_the_bundle_has_these_files_and_says_where_each_comes_from() -> None:
    files = rendering().files
    assert sorted(files) == [
        "RUNBOOK.md", "blueprint.json", "blueprint.lock.json", "config/api/production.json", "config/backup/backup.sh", "config/bot/production.json", "config/redis/redis.conf",
        "config/traefik/routes.yml", "config/traefik/traefik.yml", "config/web/production.json", "deploy.sh", "fill.sh", "hold-apps.yml", "hold-jobs.yml",
        "hold-restore.yml", "secrets.json", "stack.yml",
    ]  # fmt: skip
    assert all(text.endswith("\n") and not text.endswith("\n\n") for text in files.values())
    assert files["stack.yml"].splitlines()[0] == "# templates/bundle/stack.yml.j2"
    assert files["config/redis/redis.conf"].splitlines()[0] == "# templates/components/redis/config/redis.conf.j2"
    assert files["RUNBOOK.md"].splitlines()[0] == "<!-- templates/bundle/RUNBOOK.md.j2 -->"
    assert files["fill.sh"].splitlines()[:2] == ["#!/bin/sh", "# templates/bundle/fill.sh.j2"]


def test_the_manifest_names_every_other_file_with_its_digest_and_template() -> None:
    made = rendering()
    listed = {item["path"]: item for item in made.blueprint["files"]}
    assert sorted(listed) == sorted(set(made.files) - {"blueprint.json"})
    assert all(item["sha256"] == hashlib.sha256(made.files[path].encode()).hexdigest() for path, item in listed.items())
    assert listed["config/redis/redis.conf"]["template"] == "templates/components/redis/config/redis.conf.j2"
    assert made.digest == "sha256:" + hashlib.sha256(made.files["blueprint.json"].encode()).hexdigest()


def test_json_files_have_the_bytes_of_the_standard_library() -> None:
    made = rendering(name='Größe "1" 🚀')
    for path in ("blueprint.json", "secrets.json", "blueprint.lock.json"):
        assert made.files[path] == json.dumps(json.loads(made.files[path]), indent=2, ensure_ascii=False) + "\n"


def test_a_file_no_service_mounts_is_left_out_and_starting_data_is_put_in() -> None:
    assert "config/postgres/restore.sh" not in rendering().files
    made = rendering(database={"starting_data": {"kind": "schema-file", "file": "schema.sql"}})
    assert made.files["config/postgres/starting-data.sql"] == SQL.decode()
    assert "config/postgres/restore.sh" in made.files


def test_same_needs_give_the_same_bytes_whatever_the_hash_seed(tmp_path: Path) -> None:
    folders = []
    for seed in ("0", "4711"):
        folders.append(tmp_path / seed)
        command = [sys.executable, "-m", "sprocket_v2.cli.main", "render", "orgs/demo.yaml", "--out", str(folders[-1])]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "PYTHONHASHSEED": seed})
    first, second = ({p.relative_to(f).as_posix(): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders)
    assert first == second
    assert len(first) > 10


def test_a_component_can_be_rendered_alone() -> None:
    alone = render_component(resolution(), catalog(), "redis")
    whole = rendering().files
    assert sorted(alone) == ["config/redis/redis.conf", "stack.yml"]
    assert alone["config/redis/redis.conf"] == whole["config/redis/redis.conf"]
    assert alone["stack.yml"] in whole["stack.yml"]
    with pytest.raises(RenderError):
        render_component(resolution(), catalog(), "analytics")


def test_every_service_has_limits_labels_a_health_or_a_reason_and_a_way_back() -> None:
    stack = load(rendering().files["stack.yml"])
    manifests = {s.key: s for m in catalog().components.values() for s in m.services}
    for key, service in stack["services"].items():
        deploy = service["deploy"]
        assert deploy["resources"]["limits"]["memory"].isdigit(), key
        assert deploy["endpoint_mode"] == "dnsrr", key
        lasts = deploy["labels"]["sprocket.kind"] == "service"
        assert deploy["update_config"]["failure_action"] == ("rollback" if lasts else "continue"), key
        assert deploy["labels"]["sprocket.org"] == "testers", key
        assert deploy["labels"]["sprocket.resource"] == f"service/{key}", key
        assert ("healthcheck" in service) != bool(manifests[key].health.none), key
    assert "driver" not in json.dumps(stack["networks"])
