"""Generations are data: each profile renders, is schema-checked, and a further one needs no line of Python."""

from __future__ import annotations

import ast
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from blueprints import strict_yaml
from blueprints.brings import brought_by_features
from blueprints.catalog import load_catalog
from blueprints.forms import answers_from, groups_for
from blueprints.look import look_at
from blueprints.render import render
from blueprints.resolve import Resolution, resolve
from orgs.needs import Features
from sprocket_v2.errors import CatalogError, ResolveError
from tests.blueprints.cases import SQL, catalog, edit, release, rendering, resolution
from tests.orgs.answers import answers, needs

ROOT = Path(__file__).resolve().parents[2]
PROFILES = sorted(catalog().profiles)
ALL = dict.fromkeys(Features.model_fields, True)
BUN_HAS_NOT = ("replays", "report_cards", "template_editor", "match_statistics")
OFFERED = {"v2": ALL, "v2-monolith": ALL, "v2-bun": {name: name not in BUN_HAS_NOT for name in ALL}}
CORES = {
    "v2": {"web", "api", "bot", "postgres", "redis", "traefik"},
    "v2-monolith": {"web", "monolith", "postgres", "redis", "traefik"},
    "v2-bun": {"bun-web", "bun-api", "bun-bot", "postgres", "traefik"},
}


def names(found: Resolution) -> set[str]:
    """The components."""
    return {component.name for component in found.components}


def test_the_three_generations_are_there() -> None:
    assert set(PROFILES) >= set(CORES)


@pytest.mark.parametrize("profile", CORES)
def test_with_every_feature_off_there_is_exactly_the_core_and_its_backup(profile: str) -> None:
    assert CORES[profile] == set(catalog().profiles[profile].components)
    assert names(resolution(profile=profile)) == CORES[profile] | {"backup"}


@pytest.mark.parametrize("profile", CORES)
def test_with_every_feature_on_every_component_has_a_reason_and_the_schema_accepts_it(profile: str) -> None:
    found = resolution(profile=profile, features=OFFERED[profile])
    assert all(component.reasons for component in found.components)
    stack = strict_yaml.load(render(found, catalog()).files["stack.yml"], "stack.yml")
    schema = json.loads((ROOT / "tools" / "schemas" / "compose-spec.json").read_text())
    assert [error.message for error in Draft202012Validator(schema).iter_errors(stack)] == []
    assert set(catalog().of(profile)) == names(found)


@pytest.mark.parametrize("feature", BUN_HAS_NOT)
def test_what_a_generation_cannot_do_is_refused_with_feature_and_profile_named(feature: str) -> None:
    with pytest.raises(ResolveError) as caught:
        resolution(profile="v2-bun", features={feature: True})
    assert f"features.{feature} is true" in caught.value.message
    assert caught.value.message.endswith("for profile v2-bun")
    assert caught.value.where == f"features.{feature}"


def test_the_generation_on_bun_knows_no_redis() -> None:
    found = resolution(profile="v2-bun", features=OFFERED["v2-bun"])
    files = render(found, catalog()).files
    assert "redis-password" not in found.secrets
    assert not [path for path, text in files.items() if "redis" in text.lower() and path.startswith(("stack", "config"))]


def test_its_three_services_share_one_image_and_are_told_what_to_be() -> None:
    stack: Any = strict_yaml.load(rendering(profile="v2-bun").files["stack.yml"], "stack.yml")
    services = {name: service for name, service in stack["services"].items() if name.startswith("bun-")}
    assert {service["image"] for service in services.values()} == {"ghcr.io/sprocketbot/sprocket:dev"}
    told = {name: service["entrypoint"][2].rpartition("exec ")[2] for name, service in services.items()}
    assert told == {"bun-api": "core", "bun-web": "web", "bun-bot": "discord", "bun-api_migrate": "bun /app/core/src/datasource.ts up"}


# The monolith


CLOSURE = [
    ({"scrims": True}, set()),
    ({"notifications": True}, set()),
    ({"submissions": True}, {"minio"}),
    ({"report_cards": True}, {"minio"}),
    ({"replays": True}, {"replay-parse", "minio"}),
    ({"template_editor": True}, {"monolith-editor", "minio"}),
    ({"match_statistics": True}, {"influxdb"}),
    ({"skill_ratings": True}, {"elo", "replay-parse", "minio"}),
]


@pytest.mark.parametrize(("features", "brought"), CLOSURE, ids=["+".join(c[0]) for c in CLOSURE])
def test_a_feature_brings_what_its_service_needs_and_no_service_where_the_monolith_does_it(
    features: dict[str, bool], brought: set[str]
) -> None:
    assert names(resolution(profile="v2-monolith", features=features)) - CORES["v2-monolith"] - {"backup"} == brought


def test_the_monolith_says_which_roles_it_fills_and_for_whom() -> None:
    monolith = resolution(profile="v2-monolith", features={"replays": True}, discord={"bot": False}).component("monolith")
    assert monolith is not None
    assert monolith.plays == ("submissions",)
    assert monolith.reasons == ("every deployment of this generation has it", "Replay parser needs it", "Web needs it")


def test_placeholders_are_filled_and_nobody_is_asked_for_them() -> None:
    found = resolution(profile="v2-monolith", discord={"bot": False})
    kinds = {name: secret.kind for name, secret in found.secrets.items()}
    placeholders = {name for name, kind in kinds.items() if kind == "placeholder"}
    dummies = {"google-client-id", "google-client-secret", "storage-access-key", "storage-secret-key", "influx-token", "bot-token"}
    assert placeholders == dummies
    look = look_at(found)
    assert {item.name for item in look.placeholders} == dummies
    assert not dummies & {item.name for item in look.to_bring}
    config = json.loads(render(found, catalog()).files["config/monolith/production.json"])
    assert config["influx"]["address"] == "http://metrics.invalid:8086"
    assert config["minio"]["endPoint"] == "object-storage.invalid"


def test_a_placeholder_becomes_the_real_thing_with_what_uses_it() -> None:
    found = resolution(profile="v2-monolith", features={"match_statistics": True, "submissions": True})
    kinds = {name: secret.kind for name, secret in found.secrets.items()}
    assert (kinds["influx-token"], kinds["storage-access-key"], kinds["bot-token"]) == ("generated", "generated", "supplied")
    config = json.loads(render(found, catalog()).files["config/monolith/production.json"])
    assert (config["influx"]["address"], config["minio"]["endPoint"]) == ("http://influxdb:8086", "minio")


# What only a profile knows


API = "http://api.testers.localhost:8080"
CALLBACKS = {
    "v2": {"discord": f"{API}/login", "steam": f"{API}/authentication/steam/login"},
    "v2-monolith": {"discord": f"{API}/login", "steam": f"{API}/authentication/steam/login"},
    "v2-bun": {"discord": f"{API}/oauth/callback/discord", "steam": f"{API}/oauth/callback/steam"},
}


@pytest.mark.parametrize("profile", CALLBACKS)
def test_sign_in_addresses_follow_the_generation(profile: str) -> None:
    found = rendering(profile=profile, login=["discord", "steam"])
    assert found.blueprint["verify"]["generation"]["login"]["callbacks"].items() >= CALLBACKS[profile].items()
    [registered] = [row["callbacks"] for row in found.blueprint["routes"] if row["callbacks"]]
    assert registered == CALLBACKS[profile]
    assert CALLBACKS[profile]["discord"] in found.files["RUNBOOK.md"]
    [client] = [item for item in look_at(resolution(profile=profile)).to_bring if item.name == "discord-client-id"]
    assert client.copy == CALLBACKS[profile]["discord"]


@pytest.mark.parametrize("profile", CORES)
def test_the_runbook_names_only_services_that_are_there(profile: str) -> None:
    found = rendering(profile=profile)
    stack: Any = strict_yaml.load(found.files["stack.yml"], "stack.yml")
    real = {f"testers_{name}" for name in (*stack["services"], *stack["volumes"])}
    words = found.files["RUNBOOK.md"].replace("`", " ").replace("=", " ").replace(")", " ").replace('"', " ").split()
    named = {word for word in words if word.startswith("testers_") and word != "testers_"}
    assert named <= real | {name for secret in found.secrets.values() for name in [secret["swarm_name"]]}


LIMITS = [
    ("v2", {}, "The database begins empty", True),
    ("v2", {"database": {"starting_data": {"kind": "schema-file", "file": "schema.sql"}}}, "The database begins empty", False),
    ("v2", {}, "organization 2", True),
    ("v2-monolith", {}, "organization 2", True),
    ("v2-bun", {}, "organization 2", False),
    ("v2-bun", {}, "The database begins empty", False),
    ("v2-bun", {}, "Whoever signs in first becomes the administrator", True),
    ("v2", {"features": {"report_cards": True}}, "no JSON module", True),
    (
        "v2",
        {"features": {"report_cards": True}, "cache": {"where": "existing", "existing": {"host": "redis.example.org"}}},
        "no JSON module",
        False,
    ),
    ("v2", {}, "no JSON module", False),
    ("v2-monolith", {"features": {"notifications": True}}, "no JSON module", True),
    ("v2", {}, "run once each", True),
    ("v2-monolith", {}, "runs once", True),
    ("v2-monolith", {}, "A bot token that Discord refuses stops the API too", True),
    ("v2-monolith", {"discord": {"bot": False}}, "A bot token that Discord refuses stops the API too", False),
    ("v2-monolith", {"applications": "stand-in"}, "Upstream publishes no image of the monolith", False),
    ("v2", {"access": {"localhost": {"host": "a.localhost"}, "lan": {"host": "192.168.1.2"}}}, "Signing in works by localhost only", True),
    ("v2-bun", {"access": {"canonical": "lan", "lan": {"host": "192.168.1.2"}}}, "takes its own public port for the site's", True),
    ("v2-bun", {"login": ["discord", "steam"]}, "Login by steam is not wired", False),
    ("v2", {"login": ["discord", "steam"]}, "Login by steam is not wired", True),
]


@pytest.mark.parametrize(("profile", "changes", "words", "is_there"), LIMITS)
def test_the_limits_of_a_generation_are_findings_where_they_matter(
    profile: str, changes: dict[str, Any], words: str, is_there: bool
) -> None:
    found = [finding for finding in resolution(profile=profile, **changes).findings if words in finding.message]
    assert bool(found) is is_there
    assert all(finding.hint for finding in found)


def test_steam_is_asked_for_only_where_it_works_and_is_wanted() -> None:
    asked = ["discord", "steam"]
    assert "steam-api-key" in resolution(profile="v2-bun", login=asked).secrets
    assert "steam-api-key" not in resolution(profile="v2-bun").secrets
    assert "steam-api-key" not in resolution(profile="v2", login=asked).secrets


# The form


def _features(profile: str, **features: bool) -> dict[str, Any]:
    data = answers(profile=profile, features=features)
    groups = {group.name: group for group in groups_for(data, catalog(), (), {})}
    return {question.key.partition(".")[2]: question for question in groups["features"].questions}


def test_the_form_offers_the_profiles_by_their_titles() -> None:
    groups = {group.name: group for group in groups_for(answers(), catalog(), (), {})}
    [question] = [question for question in groups["run"].questions if question.key == "profile"]
    assert (question.kind, question.value) == ("choice", "v2")
    assert ("v2-monolith", "Sprocket v2, one process") in question.choices


def test_the_form_says_which_features_a_generation_does_not_offer_and_lets_a_yes_be_taken_back() -> None:
    bun = _features("v2-bun")
    assert {name for name, question in bun.items() if question.disabled} == set(BUN_HAS_NOT)
    assert not [name for name, question in _features("v2").items() if question.disabled]
    assert not _features("v2-bun", replays=True)["replays"].disabled


def test_what_a_feature_drags_in_is_said_with_its_reason_before_it_is_accepted() -> None:
    brings = brought_by_features(answers(), catalog())
    assert brings["features.replays"] == (
        "Brings Replay parser; with it MinIO (Replay parser needs it; Submissions needs it), Submissions (Replay parser needs it)."
    )
    assert brings["features.dashboards"].startswith("Brings Grafana; with it InfluxDB (Telegraf needs one of its kind)")
    assert _features("v2")["replays"].brings == brings["features.replays"]


def test_it_is_said_the_same_while_the_feature_is_on_already() -> None:
    on, off = (brought_by_features(answers(features={"replays": answer}), catalog()) for answer in (True, False))
    assert on["features.replays"] == off["features.replays"]
    assert on["features.submissions"] == "Brings nothing that is not there already."


def test_a_feature_the_monolith_does_itself_says_so() -> None:
    brings = brought_by_features(answers(profile="v2-monolith"), catalog())
    assert brings["features.scrims"] == "Monolith does it."
    assert brings["features.submissions"] == "Monolith does it; with it MinIO (Submissions needs it)."


def test_a_feature_that_contradicts_an_answer_says_which() -> None:
    brings = brought_by_features(answers(discord={"bot": False}, games=["chess"]), catalog())
    assert brings["features.notifications"] == "Not with these answers: features.notifications is true, yet discord.bot is false."
    assert "games has no rocket-league" in brings["features.replays"]


def test_before_the_first_answer_it_is_said_already_what_each_feature_brings() -> None:
    brings = brought_by_features({}, catalog())
    assert brings == brought_by_features(answers(), catalog())
    assert brings["features.scrims"] == "Brings Matchmaking."
    assert brought_by_features({"profile": "v2-monolith", "name": "Half"}, catalog())["features.scrims"] == "Monolith does it."


def test_features_that_are_no_features_bring_nothing() -> None:
    assert brought_by_features({"features": {"scrims": "maybe"}}, catalog()) == {}


def test_the_panel_marks_what_comes_along() -> None:
    services = {service.name: service.through for service in look_at(resolution(features={"replays": True})).services}
    assert services["minio"] == services["submissions"] == ("Replays = yes",)
    assert services["replay-parse"] == services["api"] == ()


def test_an_options_answer_for_another_generations_component_is_read_from_the_form() -> None:
    groups = groups_for({}, catalog(), tuple(catalog().components), {})
    data = answers_from({"options.bun-api.memory_mib": ["2048"]}, groups)
    assert data["options"]["bun-api"]["memory_mib"] == 2048


# A further generation


FILES = {
    "profiles/v9.yaml": """title: Ninth
summary: A generation nobody has written.
contract: ninth
components: [ninth-site, ninth-rules, postgres, traefik]
login: {providers: [discord], start: /in, callbacks: {discord: /back/discord}}
site: {page: /hello, redirects: true, calls: public, ask: [ask, "{url}"]}
api: {graphql: /ask, checks_origin: false}
""",
    "components/ninth-rules/component.yaml": """title: Rules
summary: The ninth generation's API.
layer: apps
role: api
profiles: [v9]
image: {name: example/ninth, tag: "1"}
route: {subdomain: api, port: 9001}
wanted_when:
  - always: true
plays:
  matchmaking:
    title: Matching
    wanted_when:
      - features.scrims: true
inputs:
  memory_mib: {type: integer, title: Memory, default: 64}
services:
  ninth-rules:
    stage: apps
    networks: [edge, data]
    memory: memory_mib
    deadline_s: 60
    secrets: {db-password: /run/secrets/db-password}
    probe: {port: 9001, path: /alive}
    health: {none: The image has no shell.}
    update: {order: stop-first}
""",
    "components/ninth-rules/stack.yml.j2": """{% from "components/_shared/service.yml.j2" import common %}
  {{ services["ninth-rules"].key | q }}:
    command: ["rules"]
{{ common(services["ninth-rules"]) }}
""",
    "components/ninth-site/component.yaml": """title: Site
summary: The ninth generation's site.
layer: apps
role: web
profiles: [v9]
image: {name: example/ninth-site, tag: "1"}
route: {subdomain: "", port: 9000}
wanted_when:
  - always: true
requires: [api]
inputs:
  memory_mib: {type: integer, title: Memory, default: 64}
services:
  ninth-site:
    stage: apps
    networks: [edge]
    memory: memory_mib
    deadline_s: 60
    health: {none: The image has no shell.}
    update: {order: start-first}
""",
    "components/ninth-site/stack.yml.j2": """{% from "components/_shared/service.yml.j2" import common %}
  {{ services["ninth-site"].key | q }}:
    command: ["site"]
{{ common(services["ninth-site"]) }}
""",
}


@pytest.fixture
def with_ninth(tmp_path: Path) -> Path:
    """A release with one profile and two folders more; not one file of it is changed."""
    root = release(tmp_path)
    for path, text in FILES.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root


def test_a_further_generation_is_a_profile_and_its_folders(with_ninth: Path) -> None:
    found = load_catalog(with_ninth)
    result = resolve(needs(profile="v9", features={"scrims": True}), found)
    assert names(result) == {"ninth-rules", "ninth-site", "postgres", "traefik"}
    rules = result.playing("matchmaking")
    assert rules is not None
    assert rules.name == "ninth-rules"
    bundle = render(result, found)
    facts = bundle.blueprint["verify"]["generation"]
    assert facts["login"]["callbacks"] == {"discord": "http://api.testers.localhost:8080/back/discord"}
    assert facts["site"]["asks"] == "http://api.testers.localhost:8080/alive"
    assert "Host(`api.testers.localhost`)" in bundle.files["config/traefik/routes.yml"]
    assert "testers_ninth-rules" in bundle.files["RUNBOOK.md"]


def test_the_generations_before_render_the_same_beside_it(with_ninth: Path) -> None:
    found = load_catalog(with_ninth)
    for profile in CORES:
        answered = needs(profile=profile, features=OFFERED[profile])
        before, beside = (render(resolve(answered, c, None, {"schema.sql": SQL}), c).files["stack.yml"] for c in (catalog(), found))
        assert before == beside


def test_no_line_of_python_names_a_generation_or_its_components() -> None:
    """The default of the needs is the one exception."""
    own = {name for name, manifest in catalog().components.items() if name.startswith(("bun-", "monolith"))}
    forbidden = own | set(PROFILES) | {profile.contract for profile in catalog().profiles.values()}
    found = []
    for app in ("orgs", "blueprints", "provisioning", "sprocket_v2"):
        for file in sorted((ROOT / app).rglob("*.py")):
            for node in ast.walk(ast.parse(file.read_text())):
                if isinstance(node, ast.Constant) and node.value in forbidden:
                    found.append(f"{file.relative_to(ROOT)}: {node.value}")
    assert found == ["orgs/needs.py: v2"]


def test_a_generation_in_which_two_fill_one_role_is_refused(with_ninth: Path) -> None:
    shutil.copytree(with_ninth / "components" / "ninth-site", with_ninth / "components" / "tenth-site")
    for name in ("component.yaml", "stack.yml.j2"):
        file = with_ninth / "components" / "tenth-site" / name
        file.write_text(file.read_text().replace("ninth-site", "tenth-site"))
    with pytest.raises(CatalogError) as caught:
        load_catalog(with_ninth)
    assert caught.value.message == "ninth-site and tenth-site both fill the role 'web'"
    assert caught.value.where == "templates/profiles/v9.yaml"


WRONG = [
    ("callbacks: ", "callback: ", "unknown key 'callback'"),
    ("redirects: true", "redirects: maybe", "redirects is text, not true or false"),
    ("calls: public", "calls: sometimes", "calls is 'sometimes'"),
    ("contract: ninth\n", "", "contract is missing"),
    ("[ninth-site,", "[ninth-page, ninth-site,", "'ninth-page' is no component"),
]


@pytest.mark.parametrize(("old", "new", "message"), WRONG, ids=[w[2] for w in WRONG])
def test_a_profile_is_checked_against_its_example(with_ninth: Path, old: str, new: str, message: str) -> None:
    edit(with_ninth / "profiles" / "v9.yaml", old, new)
    with pytest.raises(CatalogError) as caught:
        load_catalog(with_ninth)
    assert caught.value.message == message
    assert caught.value.where.startswith("templates/profiles/v9.yaml")


def test_a_finding_may_ask_only_what_the_needs_know(with_ninth: Path) -> None:
    file = with_ninth / "profiles" / "v9.yaml"
    file.write_text(
        file.read_text() + "findings:\n  - severity: info\n    only_when:\n      - weather: bad\n    message: Rain.\n    hint: Wait.\n"
    )
    with pytest.raises(CatalogError) as caught:
        load_catalog(with_ninth)
    assert caught.value.message == "'weather' is no question of the needs"
