"""`sprocket routes`: of a needs file without database and Docker, of an organization with what the last probe found."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sprocket_v2.test_cli_rows import SPROCKET, Terminal

pytestmark = pytest.mark.slow  # whole programs, one process each
ROOT = Path(__file__).resolve().parents[2]
LAN = ROOT / "templates" / "components" / "traefik" / "cases" / "lan-own" / "needs.yaml"


def test_a_needs_file_gives_the_matrix_without_a_database_and_docker(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['django'] = sys.modules['docker'] = None; from sprocket_v2.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", blocked, "routes", str(LAN), "--json"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    rows = json.loads(done.stdout)["routes"]
    assert [(row["url"], row["certificate"], row["router"], row["result"]) for row in rows] == [
        ("https://192.168.1.20:8081", "own", "lan-api", None),
        ("https://192.168.1.20:8080", "own", "lan-web", None),
    ]
    assert rows[0]["callbacks"] == {"discord": "https://192.168.1.20:8081/login"}


def test_in_words_it_says_who_is_let_in_and_what_to_register() -> None:
    done = subprocess.run([*SPROCKET, "routes", str(LAN)], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    for part in (
        "lan, canonical: signing in works here",
        "lets in this machine and private networks; certificate: your own",
        "register with discord: https://192.168.1.20:8081/login",
        "may call the API: https://192.168.1.20:8080",
        "none: it is an address",
        "not tried",
    ):
        assert part in done.stdout, part


def test_a_public_way_shows_its_records_though_no_image_is_pinned_yet() -> None:
    file = LAN.parents[1] / "public" / "needs.yaml"
    done = subprocess.run([*SPROCKET, "routes", str(file), "--json"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert [(row["dns"]["type"], row["dns"]["name"], row["certificate"]) for row in json.loads(done.stdout)["routes"]] == [
        ("A", "api.league.example.org", "staging"),
        ("A", "league.example.org", "staging"),
    ]


def test_a_needs_file_cannot_be_probed() -> None:
    done = subprocess.run([*SPROCKET, "routes", str(LAN), "--probe"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "a needs file is not deployed, so there is nothing to probe" in done.stderr


def test_an_organization_without_blueprint_shows_what_its_needs_would_give_and_is_not_probed(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.json("org", "create", "orgs/demo.yaml")
    assert [row["url"] for row in terminal.json("routes", "demo")["routes"]] == [
        "http://api.demo.localhost:8080",
        "http://demo.localhost:8080",
    ]
    terminal.run("routes", "demo", "--probe", code=1)
    assert "nothing is deployed" in terminal.said
