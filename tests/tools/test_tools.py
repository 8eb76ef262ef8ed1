"""Set-up, locks, vendored files and the summary line."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
import tomllib
from pathlib import Path

import pytest

from sprocket_v2 import machine
from sprocket_v2.errors import SetupError
from tools import vendor
from tools.check import compose_problems
from tools.images import base, build
from tools.images.table import IMAGES
from tools.run_tests import Group, summary
from tools.setup import pulumi

ROOT = Path(__file__).resolve().parents[2]


def _locked(name: str) -> set[str]:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    return {line.partition("==")[0].split("[")[0].lower() for line in text.splitlines() if re.match(r"^[A-Za-z0-9]", line)}


@pytest.mark.parametrize("name", ["runtime", "dev", "uv", "build", "traefik"])
def test_locks_hold_hashes_and_no_address(name: str) -> None:
    text = (ROOT / "requirements" / f"{name}.txt").read_text()
    assert "://" not in text
    pins = len(re.findall(r"^[A-Za-z0-9][^ ]*==", text, re.MULTILINE))
    assert pins == len(re.findall(r"==.*\\\n +--hash=sha256:", text))


def test_every_dependency_of_the_project_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    names = {re.split(r"[<>=\[; ]", item)[0].lower().replace(".", "-") for item in project["project"]["dependencies"]}
    assert names <= _locked("runtime")
    groups = project["dependency-groups"]
    assert {re.split(r"[<>=\[; ]", item)[0].lower() for item in [*groups["test"], *groups["lint"]]} <= _locked("dev")


def test_vendored_files_are_as_locked_and_free() -> None:
    assert vendor.differences() == []
    assert {licence for _, licence, _ in vendor.PACKAGES.values()} <= {"MIT", "0BSD"}


def test_the_control_planes_compose_file_follows_the_specification_and_a_bad_one_is_named() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    assert compose_problems(text) == []
    assert compose_problems("services:\n  web:\n    image: 5\n    replicas: two\n")


def test_nothing_in_the_environments_list_is_unknown_to_the_settings() -> None:
    listed = set(re.findall(r"^#(SPROCKET_[A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE))
    read = set(re.findall(r'"(SPROCKET_[A-Z_]+)"', (ROOT / "sprocket_v2" / "settings.py").read_text()))
    assert read <= listed
    assert listed - read <= {"SPROCKET_PULUMI"}


def test_the_last_line_says_what_was_left_out_and_why() -> None:
    groups = [Group("unit", passed=412), Group("engine", not_run=38, reason="no Docker on this machine")]
    assert summary(groups) == "412 passed; 38 engine tests not run: no Docker on this machine (see `sprocket doctor`)"


def test_the_engine_is_found_on_path_only_with_a_version_we_support(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "bin" / "pulumi"
    script.parent.mkdir()
    monkeypatch.setenv("PATH", f"{script.parent}:/usr/bin:/bin")
    monkeypatch.setenv("SPROCKET_CACHE_DIR", str(tmp_path / "cache"))
    for version, expected in (("v3.259.0", script), ("v3.100.0", None), ("nonsense", None)):
        script.write_text(f"#!/bin/sh\necho {version}\n")
        script.chmod(0o755)
        assert pulumi.find() == expected
    cached = tmp_path / "cache" / "pulumi" / pulumi.VERSION / "pulumi"
    cached.parent.mkdir(parents=True)
    cached.write_text("#!/bin/sh\n")
    cached.chmod(0o755)
    assert pulumi.find() == cached


def test_a_failed_build_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `go` that writes a part of the file and fails."""
    tools = tmp_path / "bin"
    tools.mkdir()
    (tools / "go").write_text('#!/bin/sh\nwhile [ "$1" != -o ]; do shift; done\necho half > "$2"\nexit 1\n')
    (tools / "go").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")
    monkeypatch.setenv("SPROCKET_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr(pulumi, "_by_installer", lambda _progress: None)
    said: list[str] = []
    with pytest.raises(SetupError, match="building Pulumi failed"):
        pulumi.ensure(said.append)
    assert any("step 3 of 5" in line for line in said)
    assert pulumi.progress() is None
    assert [path.name for path in (tmp_path / "cache" / "pulumi").iterdir()] == ["lock"]


def test_no_docker_not_started_and_no_permission_are_three_findings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(machine.os, "access", lambda *_: False)
    missing = next(machine.docker(tmp_path / "none.sock"))
    dead = tmp_path / "dead.sock"
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(dead))
    stopped = next(machine.docker(dead))
    monkeypatch.setattr(machine, "_ask", _denied)
    denied = next(machine.docker(dead))
    assert [item.detail for item in (missing, stopped)] == ["no Docker on this machine", "Docker is installed, not started"]
    assert denied.detail.startswith("permission denied on the socket")
    assert all(item.state == "failed" and item.hint for item in (missing, stopped, denied))


def _denied(*_: object) -> dict[str, object]:
    raise PermissionError


def test_a_real_answer_tells_version_and_swarm(tmp_path: Path) -> None:
    path = tmp_path / "docker.sock"
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen()

    def answer() -> None:
        connection, _ = server.accept()
        connection.recv(4096)
        body = b'{"ServerVersion": "20.10.24", "Swarm": {"LocalNodeState": "inactive"}}'
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        connection.close()

    threading.Thread(target=answer, daemon=True).start()
    found = list(machine.docker(path))
    server.close()
    assert [(item.name, item.state) for item in found] == [("Docker", "ok"), ("Swarm", "failed")]


def test_a_taken_port_is_a_warning() -> None:
    with socket.socket() as taken:
        taken.bind(("0.0.0.0", 0))
        taken.listen()
        [found] = machine.ports((taken.getsockname()[1],))
    assert found.state == "warning"


def test_an_images_digest_follows_what_it_is_made_from(monkeypatch: pytest.MonkeyPatch) -> None:
    core = next(image for image in IMAGES if image.name.endswith("/core:standin"))
    before = build._digest(core)
    assert build._digest(core) == before
    monkeypatch.setitem(base.PACKAGES, core.base, ("other",))
    assert build._digest(core) != before
    assert not any(image.name.endswith(":latest") for image in IMAGES)


def test_nothing_is_built_without_root(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with pytest.raises(SetupError, match="neither be pulled nor built"):
        base.archive_of("sprocket/base:bookworm", tmp_path / "base.tar", lambda _line: None)


@pytest.mark.slow
def test_the_benchmark_lists_its_groups(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        [sys.executable, "-m", "tools.bench", "--help"],
        cwd=ROOT,
        env={**environment, "SPROCKET_DATA_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {"engine", "render"} <= set(done.stdout.replace(",", " ").replace(";", " ").split())
