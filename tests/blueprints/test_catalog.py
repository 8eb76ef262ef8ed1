"""The catalog: what components say about each other has to hold, and other templates are another release."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from blueprints.catalog import TEMPLATES, load_catalog, needs_value
from sprocket_v2 import __version__
from sprocket_v2.errors import CatalogError
from tests.blueprints.cases import catalog, edit, release
from tests.orgs.answers import needs

REDIS = "components/redis/component.yaml"
WRONG: list[tuple[str, str, str, str, str, str]] = [
    ("latest", REDIS, "tag: 7.0-bookworm", "tag: latest", "redis: image tag is latest", "name a version"),
    ("latest stand-in", "components/web/component.yaml", "stand_in: standin", "stand_in: latest", "web: image tag is latest", "name a version"),
    ("another's name", REDIS, "  redis:\n    stage", "  cache:\n    stage", "redis: service 'cache' does not begin with the component's name", "call it redis or redis_<part>"),
    ("memory without input", REDIS, "memory: memory_mib", "memory: ram", "redis: redis: memory names no input", "one of memory_mib"),
    ("no health and no reason", REDIS, '      test: [CMD-SHELL, "redis-cli ping 2>&1 | grep -qE \'PONG|NOAUTH\'"]\n', "", "redis: redis: health needs either test or none", "give the reason in none"),
    ("health and a reason for none", REDIS, "    health:\n", "    health:\n      none: x\n", "redis: redis: health needs either test or none", "give the reason in none"),
    ("unknown network", REDIS, "networks: [data]", "networks: [host]", "redis: redis: network 'host'", "one of edge, data, outbound"),
    ("requires nobody", "components/web/component.yaml", "requires: [api]", "requires: [apo]", "web: requires 'apo', which is no component", "see templates/components"),
    ("a secret twice", REDIS, "  redis-password:\n    title", "  jwt-secret:\n    title", "redis: secret 'jwt-secret' is api's already", "mount that one, or rename this"),
    ("a secret nobody brings", REDIS, "      redis-password: /run", "      valkey-password: /run", "redis: redis: nobody brings secret 'valkey-password'", ""),
    ("an unknown need", REDIS, "  - always: true", "  - features.cache: true", "redis: 'features.cache' is no question of the needs", "see orgs/needs.py"),
    ("an unknown need of a service", "components/postgres/component.yaml", "- database.starting_data.kind: backup", "- database.kind: backup", "postgres: 'database.kind' is no question of the needs", "see orgs/needs.py"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "message", "hint"), [w[1:] for w in WRONG], ids=[w[0] for w in WRONG])
def test_a_component_that_does_not_fit_is_named_with_its_file(
    tmp_path: Path, file: str, old: str, new: str, message: str, hint: str
) -> None:
    root = release(tmp_path)
    edit(root / file, old, new)
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    assert f"{Path(file).parent.name}: {caught.value.message}" == message
    assert caught.value.hint == hint
    assert caught.value.where.startswith(f"templates/{file}")


def test_a_folder_name_docker_would_not_take_is_refused(tmp_path: Path) -> None:
    root = release(tmp_path)
    (root / "components" / "redis").rename(root / "components" / "Redis")
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    assert caught.value.message == "folder name 'Redis'"


def test_a_component_without_services_file_is_named(tmp_path: Path) -> None:
    root = release(tmp_path)
    (root / "components" / "redis" / "stack.yml.j2").unlink()
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    assert (caught.value.message, caught.value.where) == ("no stack.yml.j2", "templates/components/redis")


@pytest.mark.parametrize("text", ["", "[]", "title: x", "title: x\nsummary: x\ncontract: x\ncomponents: web\n", "title: ["])
def test_a_profile_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    root = release(tmp_path)
    (root / "profiles" / "v9.yaml").write_text(text)
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    assert caught.value.where.startswith("templates/profiles/v9.yaml")


def test_a_profile_names_only_components(tmp_path: Path) -> None:
    root = release(tmp_path)
    edit(root / "profiles" / "v2.yaml", "traefik]", "caddy]")
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    assert caught.value.message == "'caddy' is no component"


def test_the_release_has_its_core_and_leaves_the_example_out() -> None:
    found = catalog()
    assert set(found.components) >= {"backup", "web", "api", "bot", "postgres", "redis", "traefik"}
    assert not [name for name in found.components if name.startswith("_")]
    assert set(found.profiles["v2"].components) == {"web", "api", "bot", "postgres", "redis", "traefik"}
    assert found.config_files["traefik"] == ("routes.yml.j2", "traefik.yml.j2")


def test_a_release_is_read_once_per_process() -> None:
    assert load_catalog() is load_catalog(TEMPLATES)


def test_other_templates_are_another_release_and_a_readme_or_a_case_is_not(tmp_path: Path) -> None:
    first = release(tmp_path / "a")
    same = release(tmp_path / "b")
    (same / "components" / "redis" / "README.md").write_text("# Redis, explained better\n")
    (same / "components" / "redis" / "cases" / "default").mkdir(parents=True)
    (same / "components" / "redis" / "cases" / "default" / "needs.yaml").write_text("name: x\n")
    assert load_catalog(first).release == load_catalog(same).release
    assert load_catalog(first).release.startswith(f"{__version__}+")
    other = release(tmp_path / "c")
    edit(other / "components" / "redis" / "config" / "redis.conf.j2", "databases 16", "databases 8")
    renamed = release(tmp_path / "d")
    shutil.copy(renamed / "profiles" / "v2.yaml", renamed / "profiles" / "v3.yaml")
    assert len({load_catalog(folder).release for folder in (first, other, renamed)}) == 3


def test_a_dotted_name_stands_for_its_answer() -> None:
    assert needs_value(needs(), "database.starting_data.kind") == "empty"
    assert needs_value(needs(), "features.scrims") is False
    with pytest.raises(AttributeError):
        needs_value(needs(), "features.nothing")
