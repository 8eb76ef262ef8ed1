"""Local additions in a deployment: beside the release, never over it; rendered by our own templates; marked local at every level."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from jsonschema import Draft202012Validator

from blueprints.catalog import load_catalog
from blueprints.compose import read_stack
from blueprints.diff import compare
from blueprints.diff_words import component_line, markdown, summarise
from blueprints.local_lines import MARK
from blueprints.lock import Lock, LockedImage
from blueprints.parse_back import forget
from blueprints.rendering import Rendering
from blueprints.resolve import resolve
from blueprints.strict_yaml import load
from blueprints.trace import trace
from orgs.needs_file import needs_from
from sprocket_v2.errors import CatalogError, NeedsError, ResolveError
from tests.blueprints.additions import any_additions
from tests.blueprints.cases import catalog, release, rendering, resolution
from tests.orgs.answers import answers, needs
from tests.orgs.test_additions import SERVICE

ROOT = Path(__file__).resolve().parents[2]
HELPER: dict[str, Any] = {
    **SERVICE, "command": ["sleep", "infinity"], "networks": ["data", "outbound"], "volumes": ["files:/data"], "ports": ["9000:80"],
    "secrets": ["local-webhook"], "environment": {"A": "b"},
}  # fmt: skip
BOTH: dict[str, Any] = {"environment": {"api": {"LOG_FORMAT": "json"}}, "services": {"helper": HELPER}}
FRAGMENT = b"services:\n  helper:\n    image: redis:7.0-bookworm\n    deploy: {resources: {limits: {memory: 64M}}}\n"


def refused(additions: dict[str, Any], files: dict[str, bytes] | None = None, **changes: Any) -> ResolveError:
    """The refusal of a deployment with these additions."""
    with pytest.raises(ResolveError) as caught:
        resolve(needs(additions=additions, **changes), catalog(), None, files or {})
    assert caught.value.hint
    assert caught.value.where.startswith("additions")
    return caught.value


def stack_of(made: Rendering) -> dict[str, Any]:
    stack: dict[str, Any] = load(made.files["stack.yml"], "stack.yml")
    return stack


@pytest.mark.parametrize("name", ["api", "postgres", "traefik", "rabbitmq"])
def test_a_service_of_the_release_is_not_overwritten(name: str) -> None:
    error = refused({"services": {name: SERVICE}})
    assert f"templates/components/{name}" in error.message
    assert f"additions.environment.{name}" in error.hint
    assert "changes the template release" in error.hint


@pytest.mark.parametrize("name", ["stack.yml", "blueprint.json", "RUNBOOK.md", "deploy.sh", "hold-apps.yml", "secrets.json"])
def test_a_file_of_the_release_is_not_overwritten(name: str) -> None:
    error = refused({"file": name}, {name: FRAGMENT})
    assert "no addition overwrites a file of the release" in error.message
    assert "changes the template release" in error.hint


@pytest.mark.parametrize(
    ("key", "name", "place"),
    [
        ("api", "WEB_URL", "templates/components/api/stack.yml.j2:"),
        ("api", "NODE_ENV", "templates/components/_shared/backend.yml.j2:"),
        ("api", "DB_SSL", "templates/components/_shared/backend.yml.j2:"),
        ("web", "ORIGIN", "templates/components/web/stack.yml.j2:"),
        ("postgres", "POSTGRES_DB", "templates/components/postgres/stack.yml.j2:"),
    ],
)
def test_a_value_the_release_sets_is_not_overridden(key: str, name: str, place: str) -> None:
    error = refused({"environment": {key: {name: "x"}}})
    assert error.where == f"additions.environment.{key}.{name}"
    assert f"the release sets {name} itself, in {place}" in error.message
    line = int(error.message.rpartition(":")[2])
    file = error.message.rpartition(" ")[2].rpartition(":")[0]
    assert f"{name}:" in (ROOT / file).read_text().splitlines()[line - 1], "the line named is the line that sets it"


def test_every_environment_name_that_is_rendered_is_known_to_the_catalog() -> None:
    """What a template sets is found by reading it; a template written in another way would be found here."""
    everything = {"features": {"match_statistics": True, "dashboards": True, "status_page": True, "message_queue": True, "replays": True,
                               "report_cards": True, "template_editor": True, "automations": True, "graph_database": True,
                               "secret_server": True, "skill_ratings": True, "scrims": True, "log_search": True}}  # fmt: skip
    made = resolution(**everything)
    rendered = stack_of(rendering(**everything))["services"]
    for component in made.components:
        for service in component.services:
            assert set(rendered[service.key].get("environment", {})) <= set(catalog().environment[component.name]), service.key


def test_a_value_for_a_service_that_is_not_there_names_those_that_are() -> None:
    error = refused({"environment": {"grafana": {"A": "b"}}})
    assert "no service of this deployment is called so" in error.message
    assert "one of api, " in error.hint


@pytest.mark.parametrize(
    ("port", "user", "changes"),
    [
        (8080, "the way in", {}),
        (8081, "the way in", {"access": {"canonical": "lan", "lan": {"host": "192.168.1.5"}}}),
    ],
)
def test_a_port_in_use_is_refused_with_its_user(port: int, user: str, changes: dict[str, Any]) -> None:
    error = refused({"services": {"helper": {**HELPER, "ports": [f"{port}:80"]}}}, **changes)
    assert f"publishes port {port}, which {user} uses already" in error.message


def test_a_udp_port_of_the_log_collector_is_in_use() -> None:
    collector = resolution(features={"log_search": True}).component("telegraf")
    assert collector is not None
    port = int(collector.inputs["log_port"])
    helper = {**HELPER, "ports": [{"published": port, "target": 80, "protocol": "udp"}]}
    assert "which telegraf uses already" in refused({"services": {"helper": helper}}, features={"log_search": True}).message
    resolution(features={"log_search": True}, additions={"services": {"helper": {**HELPER, "ports": [f"{port}:80"]}}})


def test_two_additions_do_not_publish_one_port() -> None:
    error = refused({"services": {"one": HELPER, "two": HELPER}})
    assert 'service "two" publishes port 9000, which service "one" uses already' in error.message


def test_a_fragment_is_read_from_its_file_and_from_no_other() -> None:
    digest = hashlib.sha256(FRAGMENT).hexdigest()
    made = resolve(needs(additions={"file": "local.yml", "sha256": digest}), catalog(), None, {"local.yml": FRAGMENT})
    assert set(made.local) == {"local_helper"}
    assert "is not there" in refused({"file": "local.yml"}).message
    assert "is not the file" in refused({"file": "local.yml", "sha256": digest}, {"local.yml": FRAGMENT + b"\n"}).message
    twice = refused({"file": "local.yml", "services": {"helper": HELPER}}, {"local.yml": FRAGMENT})
    assert "is in local.yml and in additions.services" in twice.message
    with pytest.raises(NeedsError) as caught:
        resolve(needs(additions={"file": "local.yml"}), catalog(), None, {"local.yml": FRAGMENT + b"    privileged: true\n"})
    assert caught.value.where == "local.yml:5"


def test_a_public_way_in_wants_the_digest_of_an_addition() -> None:
    lock = Lock({key: LockedImage(i.name, i.tag, "sha256:" + "0" * 64) for key, i in catalog().images().items()})
    public = {"canonical": "public", "public": {"domain": "league.example.org", "email": "a@example.org"}}
    with pytest.raises(ResolveError, match="local_helper goes by tag"):
        resolution(lock, access=public, additions={"services": {"helper": HELPER}})
    pinned = {**HELPER, "image": "redis:7.0-bookworm@sha256:" + "1" * 64}
    made = rendering(lock, access=public, additions={"services": {"helper": pinned}})
    assert stack_of(made)["services"]["local_helper"]["image"] == pinned["image"]


def test_additions_count_against_the_budget() -> None:
    big = {**HELPER, "deploy": {"resources": {"limits": {"memory": "60G"}}}}
    with pytest.raises(ResolveError, match="most of it: Local additions 61440 MiB"):
        resolution(machine={"memory_mib": 8192}, additions={"services": {"helper": big}})


@pytest.mark.parametrize("name", ["local", "local-thing"])
def test_the_name_local_is_no_components(name: str, tmp_path: Path) -> None:
    root = release(tmp_path)
    shutil.copytree(root / "components" / "redis", root / "components" / name)
    with pytest.raises(CatalogError, match="folder name"):
        load_catalog(root)


def test_a_blueprint_with_additions_follows_the_compose_schema_and_the_provider_reads_it() -> None:
    made = rendering(additions=BOTH)
    schema = Draft202012Validator(json.loads((ROOT / "tools" / "schemas" / "compose-spec.json").read_text()))
    assert [error.message for error in schema.iter_errors(stack_of(made))] == []
    helper = read_stack(made.files["stack.yml"], "testers").services["local_helper"]
    assert helper.name == "testers_local_helper"
    assert (helper.command, helper.memory_bytes, helper.replicas) == (("sleep", "infinity"), 64 * 1024 * 1024, 1)
    assert [(mount.type, mount.source, mount.target) for mount in helper.mounts] == [("volume", "testers_local_helper-files", "/data")]
    assert [(secret.name, secret.target) for secret in helper.secrets] == [("testers_local_local-webhook_v1", "/run/secrets/local-webhook")]
    assert [(port.published, port.target) for port in helper.ports] == [(9000, 80)]
    assert made.secrets["local-webhook"]["kind"] == "supplied"
    assert made.secrets["local-webhook"]["consumers"] == ["testers_local_helper"]
    assert "testers_local_helper" in made.files["RUNBOOK.md"].replace("\\", "")


def without_additions(stack: dict[str, Any], added: dict[str, dict[str, str]]) -> dict[str, Any]:
    """A stack without what additions may have brought."""
    parts = {part: {k: v for k, v in (stack.get(part) or {}).items() if not k.startswith("local")} for part in stack if part != "version"}
    for key, values in added.items():
        environment = parts["services"][key]["environment"]
        for name in values:
            del environment[name]
        if not environment:
            del parts["services"][key]["environment"]
    parts["networks"].pop("outbound", None)
    return {part: values for part, values in parts.items() if values}


def written(value: str) -> str:
    """An environment value in stack.yml: Compose reads $ and Swarm reads {{ as something of their own."""
    return value.replace("{{", '{{"{{"}}').replace("$", "$$")


@given(any_additions())
def test_additions_change_nothing_of_the_release_whatever_they_say(additions: dict[str, Any]) -> None:
    forget()
    plain, made = rendering(), rendering(additions=additions)
    stack = stack_of(made)
    for key, values in additions["environment"].items():
        for name, value in values.items():
            assert stack["services"][key]["environment"][name] == written(value)
    for name, service in additions["services"].items():
        own = stack["services"][f"local_{name}"]
        assert own.get("command", []) == [word.replace("$", "$$") for word in service["command"]]
        assert own.get("environment", {}) == {k: written(v) for k, v in service["environment"].items()}
        assert read_stack(made.files["stack.yml"], "testers").services[f"local_{name}"].command == tuple(service["command"])
    assert without_additions(stack, additions["environment"]) == without_additions(stack_of(plain), {})
    assert {path for path in made.files if path.startswith("config/")} == {path for path in plain.files if path.startswith("config/")}
    assert all(made.files[path] == plain.files[path] for path in plain.files if path.startswith("config/"))
    origins = trace(resolution(additions=additions), catalog(), "stack.yml")
    assert "".join(f"{origin.text}\n" for origin in origins) == made.files["stack.yml"]


def test_every_line_that_differs_is_marked_local_or_about_an_object_called_so() -> None:
    plain, made = rendering().files["stack.yml"].splitlines(), rendering(additions=BOTH).files["stack.yml"].splitlines()
    new = [line for line in made if line not in set(plain)]
    assert new
    assert [line for line in new if not line.endswith(f" {MARK}") and "local" not in line and "outbound" not in line] == []
    inside = [line for line in made if '"LOG_FORMAT"' in line]
    assert inside == [f'      "LOG_FORMAT": "json" {MARK}']


def test_a_comparison_marks_what_is_local_at_every_level() -> None:
    before, after = needs(), needs(additions=BOTH)
    found = compare(rendering(), rendering(additions=BOTH), before, after)
    assert found.needs is not None
    assert {change.local for change in found.needs} == {True}
    assert {(c.name, c.change, c.local) for c in found.components} == {("api", "changed", True), ("local", "added", True)}
    assert [(f.field, f.local) for c in found.components for f in c.fields] == [("environment.LOG_FORMAT", True)]
    assert {f.path: f.local for f in found.files}["stack.yml"]
    assert not any(f.local for f in found.files if f.path != "stack.yml")
    assert all("local" in component_line(change) for change in found.components)
    assert "(local)" in markdown(found)
    assert "Adds Local additions" in summarise(found).what


def test_a_comparison_of_the_releases_own_changes_is_not_marked() -> None:
    old = {**BOTH, "services": {}}
    found = compare(rendering(additions=old), rendering(additions=old, options={"redis": {"memory_mib": 512}}))
    assert [(c.name, c.local) for c in found.components] == [("redis", False)]
    assert not any(f.local for f in found.files)


def test_a_removed_addition_keeps_its_volume_and_says_so() -> None:
    found = compare(rendering(additions=BOTH), rendering())
    [change] = [c for c in found.components if c.name == "local"]
    assert (change.change, change.keeps, change.local) == ("removed", ("testers_local_helper-files",), True)


def test_a_volume_of_one_addition_is_not_anothers() -> None:
    two = {"services": {"one": {**SERVICE, "volumes": ["data:/data"]}, "two": {**SERVICE, "volumes": ["data:/data"]}}}
    names = {volume["name"] for volume in stack_of(rendering(additions=two))["volumes"].values()}
    assert {"testers_local_one-data", "testers_local_two-data"} <= names
    assert "testers_postgres_data" in names


def test_the_blueprint_says_what_is_local() -> None:
    made = rendering(additions=BOTH)
    assert made.blueprint["local"] == {"services": ["testers_local_helper"], "environment": {"api": ["LOG_FORMAT"]}}
    [finding] = [f for f in made.blueprint["findings"] if "Local additions" in f["message"]]
    assert "1 service and 1 value" in finding["message"]
    assert not any("Local additions" in f["message"] for f in rendering().blueprint["findings"])


def test_a_local_line_is_traced_to_the_answer_that_made_it() -> None:
    origins = trace(resolution(additions=BOTH), catalog(), "stack.yml")
    [value] = [o for o in origins if "LOG_FORMAT" in o.text]
    assert (value.component, value.local, value.needs) == ("api", True, ("additions.environment.api",))
    assert value.reasons == ("added by this organization to api",)
    [image] = [o for o in origins if o.text.endswith(MARK) and "image:" in o.text]
    assert (image.component, image.local, image.needs) == ("local", True, ("additions.services.helper",))
    assert "(local)" in image.words
    assert not any(o.local for o in origins if MARK not in o.text and "local" not in o.text)


def test_the_memory_of_an_addition_is_not_an_answer_under_options() -> None:
    with pytest.raises(ResolveError, match=r"options\.local: no such component"):
        resolution(additions=BOTH, options={"local": {"helper_memory_mib": 1024}})


def test_form_and_file_take_the_same_additions() -> None:
    data = needs_from(answers(additions=BOTH), "form").model_dump(mode="json")
    assert needs_from(data, "form") == needs(additions=BOTH)
