"""The benchmark's peers do the same work as we do; else its ratios would say nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from blueprints.render import render
from orgs.needs import Features
from tools.bench.render import copier_command
from tools.bench.workload import bare_jinja2, bare_parse, catalog, demo, largest, printed


def test_bare_jinja2_prints_every_file_we_print() -> None:
    for resolution in (demo(), largest()):
        files, work = render(resolution, catalog()).files, printed(resolution)
        texts = bare_jinja2(work)()
        assert len(work) == len(texts) > len(resolution.components)
        for item, text in zip(work, texts, strict=True):
            parts = item.template.split("/")
            # Bare Jinja2 quotes as JSON, which scripts do not.
            if parts[0] == "components" and "config" in parts and not item.template.endswith(".sh.j2"):
                path = f"config/{parts[1]}/{'/'.join(parts[3:])}".removesuffix(".j2")
                assert text in files[path], path
        bare_parse(files)()


def test_the_largest_blueprint_has_every_feature() -> None:
    needs = largest().needs
    assert all(getattr(needs.features, name) for name in Features.model_fields)
    assert len(largest().components) > 20


def test_copier_writes_the_same_files(tmp_path: Path) -> None:
    files = render(demo(), catalog()).files
    subprocess.run([sys.executable, *copier_command(tmp_path / "template", files), str(tmp_path / "out")], check=True, timeout=60)
    written = {str(path.relative_to(tmp_path / "out")): path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert written == dict(files)
