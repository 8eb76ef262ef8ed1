"""The whole bundle against independent readers: the Compose schema, Docker's own, two YAML libraries, a shell, and other processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from ruamel.yaml import YAML

from blueprints.catalog import load_catalog
from blueprints.render import render
from blueprints.rendering import Rendering, write_bundle
from blueprints.resolve import resolve
from blueprints.strict_yaml import load
from orgs.needs_file import parse_needs

ROOT = Path(__file__).resolve().parents[2]
ALL = "features:\n  match_statistics: true\n  dashboards: true\n  status_page: true\n  message_queue: true\n"


@pytest.fixture(scope="module")
def bundle() -> Rendering:
    """The demo with everything that can be asked for."""
    catalog = load_catalog()
    needs = parse_needs((ROOT / "orgs" / "demo.yaml").read_text() + ALL)
    return render(resolve(needs, catalog, None, {"demo-schema.sql": b"select 1;\n"}), catalog)


def test_stack_files_follow_the_compose_specification(bundle: Rendering) -> None:
    schema = Draft202012Validator(json.loads((ROOT / "tools" / "schemas" / "compose-spec.json").read_text()))
    for path in [name for name in bundle.files if name == "stack.yml" or name.startswith("hold-")]:
        assert [error.message for error in schema.iter_errors(load(bundle.files[path]))] == []


def test_dockers_own_reader_takes_the_bundle(bundle: Rendering, tmp_path: Path) -> None:
    if shutil.which("docker") is None:
        pytest.fail("no docker command to ask")
    write_bundle(bundle, tmp_path / "bundle")
    (tmp_path / "bundle" / "secrets").mkdir()
    for name in bundle.secrets:
        (tmp_path / "bundle" / "secrets" / name).write_text("x" * 12)
    for more in ([], ["-c", "hold-restore.yml"], ["-c", "hold-jobs.yml"], ["-c", "hold-apps.yml"]):
        done = subprocess.run(
            ["docker", "stack", "config", "-c", "stack.yml", *more], cwd=tmp_path / "bundle", capture_output=True, text=True, check=False
        )
        assert done.returncode == 0 or "is not a docker command" in done.stderr, done.stderr


def test_two_readers_of_yaml_see_the_same(bundle: Rendering) -> None:
    paths = [path for path in bundle.files if path.endswith((".yml", ".yaml"))]
    assert len(paths) >= 7
    for path in paths:
        other = json.loads(json.dumps(YAML(typ="safe", pure=True).load(bundle.files[path])))
        assert load(bundle.files[path]) == other, path


def test_scripts_are_good_posix_shell(bundle: Rendering, tmp_path: Path) -> None:
    for path in [name for name in bundle.files if name.endswith(".sh")]:
        file = tmp_path / Path(path).name
        file.write_text(bundle.files[path])
        assert subprocess.run(["sh", "-n", str(file)], check=False).returncode == 0
        shellcheck = Path(sys.prefix) / "bin" / "shellcheck"
        done = subprocess.run([str(shellcheck), "-s", "sh", "-S", "warning", str(file)], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout


def test_every_yaml_file_begins_with_its_templates_path(bundle: Rendering) -> None:
    listed = {item["path"]: item["template"] for item in bundle.blueprint["files"]}
    for path, text in bundle.files.items():
        if path.endswith((".yml", ".yaml", ".conf", ".sh", ".md")):
            assert listed[path] in text.split("\n", 2)[0] + text.split("\n", 2)[1], path
            assert (ROOT / listed[path]).is_file()


def test_the_demo_has_the_same_bytes_under_two_hash_seeds(tmp_path: Path) -> None:
    digests = []
    for seed in ("1", "4242"):
        out = tmp_path / seed
        command = [sys.executable, "-m", "sprocket_v2.cli.main", "--json", "render", "orgs/demo.yaml", "--out", str(out)]
        done = subprocess.run(command, cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True)
        files = {path.relative_to(out): path.read_bytes() for path in sorted(out.rglob("*")) if path.is_file()}
        digests.append((json.loads(done.stdout)["digest"], files))
    assert digests[0] == digests[1]


def test_the_real_traefik_takes_its_files(bundle: Rendering, tmp_path: Path) -> None:
    """Traefik itself reads the routes and reports every router and service as good."""
    import socket
    import time
    import urllib.request

    ports = []
    for _ in range(3):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            ports.append(probe.getsockname()[1])
    (tmp_path / "routes.yml").write_text(bundle.files["config/traefik/routes.yml"])
    static = bundle.files["config/traefik/traefik.yml"]
    static = static.replace("/etc/traefik/routes.yml", str(tmp_path / "routes.yml")).replace(":8080", f"127.0.0.1:{ports[0]}")
    static = static.replace("127.0.0.1:19000", f"127.0.0.1:{ports[1]}")
    (tmp_path / "traefik.yml").write_text(static + "api:\n  insecure: true\n  dashboard: false\n")
    text = (
        (tmp_path / "traefik.yml").read_text().replace("entryPoints:\n", f'entryPoints:\n  traefik:\n    address: "127.0.0.1:{ports[2]}"\n')
    )
    (tmp_path / "traefik.yml").write_text(text)
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(Path(sys.prefix) / "bin" / "traefik"), f"--configFile={tmp_path / 'traefik.yml'}"], stdout=log, stderr=log
        )
    try:
        limit = time.monotonic() + 20
        routers: list[dict[str, str]] = []
        while time.monotonic() < limit and not routers:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{ports[2]}/api/http/routers", timeout=2) as answer:
                    routers = [router for router in json.loads(answer.read()) if router["provider"] == "file"]
            except OSError:
                time.sleep(0.2)
        assert {router["name"].partition("@")[0] for router in routers} == {
            "localhost-web",
            "localhost-api",
            "localhost-grafana",
            "localhost-gatus",
        }
        assert {router["status"] for router in routers} == {"enabled"}, routers
    finally:
        process.terminate()
        process.wait(10)
