"""`sprocket check`: over a needs file, a bundle, a folder, an organization; its exit codes, and what it does not need."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from blueprints.checks.registry import RULES
from tests.sprocket_v2.test_cli_rows import SPROCKET, Terminal

pytestmark = pytest.mark.slow  # whole programs, one process each
ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "orgs" / "demo.yaml"
TOKEN = "hvs." + "CAESIJ" * 5


def check(*arguments: str | Path, code: int = 0) -> str:
    done = subprocess.run([*SPROCKET, "check", *map(str, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
    assert "Traceback" not in done.stderr
    return done.stdout + done.stderr


def test_a_needs_file_is_checked_without_a_database_and_docker(tmp_path: Path) -> None:
    blocked = "import sys; sys.modules['django'] = sys.modules['docker'] = None; from sprocket_v2.cli.main import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", blocked, "check", str(DEMO), "--json"], cwd=tmp_path, capture_output=True, text=True, check=True, timeout=60
    )
    found = json.loads(done.stdout)
    assert {rule["id"] for rule in found["rules"]} == {rule.id for rule in RULES}
    assert (found["blocked"], found["counts"]["failed"]) == (False, 0)
    assert {rule["state"] for rule in found["rules"] if rule["kind"] == "probe"} == {"not asked"}


def test_a_bundle_says_the_same_as_its_needs_but_for_what_it_does_not_hold(tmp_path: Path) -> None:
    subprocess.run(
        [*SPROCKET, "render", str(DEMO), "--out", str(tmp_path / "bundle")], cwd=ROOT, check=True, capture_output=True, timeout=60
    )
    states = [{rule["id"]: rule["state"] for rule in json.loads(check(it, "--json"))["rules"]} for it in (DEMO, tmp_path / "bundle")]
    assert {name for name, state in states[0].items() if states[1][name] != state} == {"I26-input-unused", "I40-deputy"}


def test_a_warning_ends_well_unless_it_is_asked_to_be_strict(tmp_path: Path) -> None:
    text = DEMO.read_text()
    lonely = tmp_path / "lonely.yaml"
    lonely.write_text(text[: text.index("deputy:")] + text[text.index("games:") :])
    (tmp_path / "demo-schema.sql").write_bytes((DEMO.parent / "demo-schema.sql").read_bytes())
    said = check(lonely)
    assert "deputy: nobody can take over from the owner" in said
    assert "do: Name a deputy in the needs" in said
    check(lonely, "--strict", code=1)


def test_a_folder_with_a_secret_in_it_ends_with_one_and_the_secret_is_not_repeated(tmp_path: Path) -> None:
    (tmp_path / "bootstrap.env").write_text(f"VAULT_TOKEN={TOKEN}\n")
    said = check(tmp_path, code=1)
    assert "bootstrap.env:1: VAULT_TOKEN" in said
    assert TOKEN not in said


def test_what_cannot_be_looked_at_is_trouble_and_no_finding(tmp_path: Path) -> None:
    assert "cannot be read" in check(tmp_path / "gone.yaml", code=2)
    assert "nothing to probe" in check(DEMO, "--probe", code=2)
    assert "--restart-secret-store is part of --probe" in check(DEMO, "--restart-secret-store", "60", code=2)


def test_an_organization_is_checked_with_its_records_and_without_docker_it_is_trouble_to_ask_the_machine(tmp_path: Path) -> None:
    terminal = Terminal(tmp_path)
    terminal.json("org", "create", "orgs/demo.yaml")
    rules = {rule["id"]: rule for rule in terminal.json("check", "demo", code=1)["rules"]}
    assert rules["I23-value-is-there"]["state"] == "failed"
    assert rules["I40-two-people"]["found"] == [{"where": "people", "what": "only admin may apply"}]
    assert rules["I36-masking"]["state"] == "passed"
    terminal.run("check", "demo", "--target", code=2)
    assert "no Docker on this machine" in terminal.said
    terminal.run("check", "nowhere", code=2)
