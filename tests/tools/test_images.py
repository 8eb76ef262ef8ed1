"""Images that are built here: programs of locked Go modules, and only those that a deployment runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from blueprints.catalog import load_catalog
from blueprints.resolve import resolve
from orgs.needs import Features
from orgs.needs_file import parse_needs
from sprocket_v2.errors import SetupError
from tools.images import go
from tools.images.__main__ import deployed
from tools.images.build import _digest
from tools.images.table import IMAGES

ROOT = Path(__file__).resolve().parents[2]
TELEGRAF = next(image for image in IMAGES if image.name.startswith("telegraf:"))


def test_every_program_is_locked_with_hashes_and_names_no_address() -> None:
    for name, program in go.PROGRAMS.items():
        module, sums = ((go.MODULES / name / file).read_text() for file in ("go.mod", "go.sum"))
        required = re.findall(r"^require (\S+) (v\S+)$", module, re.MULTILINE)
        assert any(program.package.startswith(path) for path, _ in required)
        assert all(f"{path} {version} h1:" in sums for path, version in required)
        assert "://" not in module + sums


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and a `go` that writes what it is told to."""
    tools = tmp_path / "bin"
    tools.mkdir()
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("SPROCKET_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def _go(cache: Path, script: str) -> None:
    (cache / "bin" / "go").write_text(f'#!/bin/sh\necho "$@" >> {cache}/calls\nwhile [ "$1" != -o ]; do shift; done\n{script}\n')
    (cache / "bin" / "go").chmod(0o755)


def test_a_program_is_built_once_with_nothing_added_to_its_lock(cache: Path) -> None:
    _go(cache, 'test -f go.mod && test -f go.sum && echo "#!/bin/sh" > "$2" && chmod +x "$2"')
    said: list[str] = []
    first, second = go.built("telegraf", said.append), go.built("telegraf", said.append)
    assert first == second and first.is_file()
    [call] = (cache / "calls").read_text().splitlines()
    assert "-mod=readonly" in call and "custom,inputs.cpu" in call
    assert any("once" in line for line in said)


def test_a_failed_build_says_why_and_leaves_nothing_behind(cache: Path) -> None:
    _go(cache, 'echo half > "$2"; echo "no such module" >&2; exit 1')
    with pytest.raises(SetupError, match="building telegraf failed: no such module"):
        go.built("telegraf", lambda _: None)
    assert [path.name for path in (cache / "cache" / "images" / "go").iterdir()] == ["lock"]


def test_without_go_it_says_so(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(go.os, "access", lambda *_: False)
    with pytest.raises(SetupError, match="there is no Go"):
        go.built("telegraf", lambda _: None)


def test_another_lock_makes_another_program_and_another_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = go.lock_digest("telegraf"), _digest(TELEGRAF)
    folder = tmp_path / "telegraf"
    folder.mkdir()
    for file in ("go.mod", "go.sum"):
        (folder / file).write_text((go.MODULES / "telegraf" / file).read_text() + "\n")
    monkeypatch.setattr(go, "MODULES", tmp_path)
    after = go.lock_digest("telegraf"), _digest(TELEGRAF)
    assert before[0] != after[0] and before[1] != after[1]


def test_the_demo_makes_the_images_it_runs_and_no_program_is_built_for_it() -> None:
    names = deployed(ROOT / "orgs" / "demo.yaml")
    assert {"postgres:15-bookworm", "redis:7.0-bookworm", "traefik:v3.7", "ghcr.io/sprocketbot/core:standin"} <= set(names)
    assert not {TELEGRAF.name, "rabbitmq:3.10-bookworm", "minio/minio:standin"} & set(names)


def test_with_every_feature_on_every_image_can_be_made_here(tmp_path: Path) -> None:
    text = (ROOT / "orgs" / "demo.yaml").read_text() + "features:\n" + "".join(f"  {name}: true\n" for name in Features.model_fields)
    (tmp_path / "all.yaml").write_text(text)
    (tmp_path / "demo-schema.sql").write_bytes((ROOT / "orgs" / "demo-schema.sql").read_bytes())
    resolution = resolve(parse_needs(text), load_catalog(), None, {"demo-schema.sql": b"select 1;\n"})
    runs = {component.image_of(service).reference for component in resolution.components for service in component.services}
    assert runs == set(deployed(tmp_path / "all.yaml"))


def test_the_older_layout_runs_under_the_estates_names_and_never_under_its_tags(tmp_path: Path) -> None:
    text = (ROOT / "orgs" / "legacy.yaml").read_text()
    stand_ins = text[: text.index("access:")] + "access: {localhost: {host: sprocket.localhost}}\napplications: stand-in\n"
    (tmp_path / "legacy.yaml").write_text(stand_ins)
    real, ours = _images(f"{text}applications: real\n"), _images(stand_ins)
    assert len(ours) == 22
    assert ours == set(deployed(tmp_path / "legacy.yaml")), "each can be made here"
    assert {name.partition(":")[0] for name in ours} == {name.partition(":")[0] for name in real}
    assert not ours & real
    made_here = {image.name for image in IMAGES if image.stand_in}
    assert ours <= made_here and not real & made_here, "no tag of the estate's is made here, so none hides what could be pulled"


def _images(text: str) -> set[str]:
    components = resolve(parse_needs(text), load_catalog()).components
    return {component.image_of(service).reference for component in components for service in component.services}


def test_the_engine_tests_run_these_for_real() -> None:
    real = {image.name.partition(":")[0] for image in IMAGES if image.runs_the_real_program}
    assert real >= {"postgres", "redis", "traefik", "rabbitmq", "telegraf", "openbao/openbao"}
