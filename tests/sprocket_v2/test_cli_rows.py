"""The commands that need rows: the same actions as the pages, with exit codes, JSON and no prompt without a terminal."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow  # whole programs, one process each
ROOT = Path(__file__).resolve().parents[2]
SPROCKET = [sys.executable, "-m", "sprocket_v2.cli.main"]


class Terminal:
    """`sprocket` with a data folder of its own and no terminal."""

    def __init__(self, folder: Path) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SPROCKET_", "DJANGO_"))}
        # No Docker: these commands must not need one, and must say so when they do.
        self.environment = {**kept, "SPROCKET_DATA_DIR": str(folder), "DOCKER_HOST": f"unix://{folder}/no.sock", "NO_COLOR": "1"}

    def run(self, *arguments: str, given: str | None = None, code: int = 0) -> str:
        """Standard output of a command that ends with this exit code."""
        done = subprocess.run(
            [*SPROCKET, *arguments], cwd=ROOT, env=self.environment, input=given, capture_output=True, text=True, timeout=60, check=False,
            **({} if given is not None else {"stdin": subprocess.DEVNULL}),
        )  # fmt: skip
        assert done.returncode == code, f"{done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        self.said = done.stderr
        return done.stdout

    def json(self, *arguments: str, **more: Any) -> Any:
        """Its one JSON document."""
        return json.loads(self.run(*arguments, "--json", **more))


@pytest.fixture(scope="module")
def terminal(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """With the demo organization."""
    made = Terminal(tmp_path_factory.mktemp("data"))
    assert made.json("org", "create", "orgs/demo.yaml") == {"slug": "demo", "name": "Demo League"}
    return made


def test_an_organization_is_listed_and_shown(terminal: Terminal) -> None:
    assert [row["slug"] for row in terminal.json("org", "list")] == ["demo"]
    assert terminal.json("org", "show", "demo")["people"] == {"admin": "owner"}


def test_a_line_is_explained_from_the_newest_needs(terminal: Terminal) -> None:
    assert terminal.json("explain", "demo", "stack.yml:57") == terminal.json("explain", "orgs/demo.yaml", "stack.yml:57")
    terminal.run("explain", "nowhere", "stack.yml:57", code=2)
    assert "no organization" in terminal.said


def test_needs_come_out_as_they_went_in(terminal: Terminal, tmp_path: Path) -> None:
    assert terminal.run("needs", "show", "demo").strip() == (ROOT / "orgs" / "demo.yaml").read_text().strip()
    terminal.run("needs", "export", "demo", "--out", str(tmp_path / "out.yaml"))
    assert (tmp_path / "out.yaml").read_text() == (ROOT / "orgs" / "demo.yaml").read_text()


def test_wrong_needs_are_trouble_and_nothing_is_stored(terminal: Terminal, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text((ROOT / "orgs" / "demo.yaml").read_text().replace("demo.localhost", "a`b.localhost"))
    (tmp_path / "demo-schema.sql").write_text("select 1;\n")
    terminal.run("needs", "set", "demo", str(file), code=2)
    assert "is not a host name" in terminal.said
    assert "bad.yaml:" in terminal.said
    assert terminal.json("org", "show", "demo")["needs"] == 1


def test_a_secret_is_read_from_a_descriptor_and_never_told(terminal: Terminal) -> None:
    value = "canary-value-of-the-client"
    out = terminal.run("secret", "set", "demo", "discord-client-secret", "--fd", "0", given=value)
    assert value not in out + terminal.said
    listed = {row["name"]: row["state"] for row in terminal.json("secret", "list", "demo")}
    assert listed["discord-client-secret"] == "version 1"
    assert value not in json.dumps(terminal.json("secret", "list", "demo"))


def test_a_secret_without_terminal_or_descriptor_is_trouble_with_a_remedy(terminal: Terminal) -> None:
    terminal.run("secret", "set", "demo", "bot-token", code=2)
    assert "--fd 0" in terminal.said
    terminal.run("secret", "set", "demo", "bot-token", "--fd", "0", given="short", code=1)
    terminal.run("secret", "set", "demo", "nonsense", "--fd", "0", given="x" * 20, code=2)
    assert "needs no secret" in terminal.said


def test_missing_secrets_are_named(terminal: Terminal) -> None:
    names = {row["name"] for row in terminal.json("secret", "list", "demo", "--missing")}
    assert "bot-token" in names
    assert "jwt-secret" not in names


def test_people_are_made_and_invited_with_links(terminal: Terminal) -> None:
    made = terminal.json("user", "invite", "demo", "dora", "--role", "viewer", "--role", "editor")
    assert made["roles"] == ["viewer", "editor"]
    assert "/sign-in/" in made["link"]
    assert {row["user"] for row in terminal.json("user", "list")} == {"admin", "dora"}
    terminal.run("user", "create", "Not A Name", code=2)


def test_who_may_not_is_denied_with_4(terminal: Terminal) -> None:
    terminal.run("user", "invite", "demo", "eve", "--role", "viewer")
    terminal.run("needs", "set", "demo", "orgs/demo.yaml", "--as", "eve", code=4)
    assert "may not edit" in terminal.said


def test_a_destroy_without_a_terminal_wants_yes(terminal: Terminal) -> None:
    terminal.run("destroy", "demo", code=5)
    assert "--yes" in terminal.said


def test_what_is_not_there_is_named(terminal: Terminal) -> None:
    terminal.run("org", "show", "nowhere", code=2)
    assert "no organization" in terminal.said
    terminal.run("apply", "demo/99", "--yes", code=1)
    assert "no plan" in terminal.said
    terminal.run("run", "show", "demo", code=1)
    terminal.run("verify", "demo", code=1)
    assert "nothing is deployed" in terminal.said


def test_the_hosts_edge_is_shown_to_the_platforms_admin_only(terminal: Terminal) -> None:
    shown = terminal.json("edge", "show")
    assert (shown["state"], shown["running"], shown["ports"], shown["organizations"]) == ("unknown", False, [], [])
    assert shown["name"].startswith("host-edge-")
    assert terminal.json("edge", "show", "--as", "admin")["name"] == shown["name"]
    terminal.run("user", "create", "bob")
    terminal.run("edge", "show", "--as", "bob", code=4)
    assert "platform admin's" in terminal.said
    terminal.run("edge", "apply", code=1)
    assert "no Docker on this machine" in terminal.said


def test_the_doctor_says_what_is_missing_and_ends_with_1(terminal: Terminal) -> None:
    found = terminal.json("doctor", code=0) if _docker() else terminal.json("doctor", code=1)
    assert {"Python", "Pulumi", "Docker", "Disk", "Secret key"} <= {item["name"] for item in found}


def _docker() -> bool:
    """Whether this machine has an engine and the engine's command line: the doctor looks at the machine, not at DOCKER_HOST."""
    from sprocket_v2.machine import docker
    from tools.setup import pulumi

    return all(item.state == "ok" for item in docker()) and pulumi.find() is not None


def test_a_bundle_is_exported_filled_and_checked(terminal: Terminal, tmp_path: Path) -> None:
    out = tmp_path / "bundle"
    terminal.run("render", "orgs/demo.yaml", "--out", str(out))
    missing = terminal.json("bundle", "fill", str(out), code=1)
    assert {item["name"] for item in missing["missing"]} == {"bot-token", "discord-client-id", "discord-client-secret"}
    for name, value in {"bot-token": "y" * 30, "discord-client-id": "1" * 18, "discord-client-secret": "z" * 20}.items():
        (out / "secrets" / name).write_text(value)
        (out / "secrets" / name).chmod(0o600)
    terminal.run("bundle", "check", str(out))
    (out / "secrets" / "jwt-secret").chmod(0o644)
    terminal.run("bundle", "check", str(out), code=2)
    assert "can be read by others" in terminal.said


def test_a_stored_blueprint_is_compared_by_its_name(terminal: Terminal, tmp_path: Path) -> None:
    terminal.run("bundle", "demo", "--out", str(tmp_path / "bundle"))
    assert terminal.json("diff", "demo/1", str(tmp_path / "bundle"))["same"]
    (tmp_path / "demo-schema.sql").write_bytes((ROOT / "orgs" / "demo-schema.sql").read_bytes())
    less = tmp_path / "less.yaml"
    less.write_text((ROOT / "orgs" / "demo.yaml").read_text() + "options:\n  redis:\n    memory_mib: 64\n")
    assert "memory 128 MiB → 64 MiB" in terminal.run("diff", "demo/1", str(less), code=1)
    terminal.run("diff", "demo/99", "demo/1", code=2)
    assert "no blueprint demo/99" in terminal.said
    assert "the newest is demo/1" in terminal.said


def test_backups_kept_here_are_listed_without_docker_and_a_damaged_one_is_called_wrong(terminal: Terminal) -> None:
    assert "No backups of demo yet" in terminal.run("backups", "demo")
    assert "no Docker on this machine" in terminal.said
    content = {"about.json": b'{"reason": "by-hand"}', "database.dump": b"x" * 2048, "rows.jsonl": b""}
    sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in content.items())
    for name in ("20300131T040000Z", "20300201T040000Z"):
        folder = Path(terminal.environment["SPROCKET_DATA_DIR"]) / "backups" / "demo" / name
        folder.mkdir(parents=True)
        for file, data in {**content, "SHA256SUMS": sums.encode()}.items():
            (folder / file).write_bytes(data)
    (folder / "database.dump").write_bytes(b"y" * 2048)
    lines = [line.split() for line in terminal.run("backups", "demo").splitlines()]
    assert lines[0] == ["backup", "age", "size", "checksum", "reason", "where"]
    assert [(line[0], line[3:6]) for line in lines[1:]] == [
        ("20300201T040000Z", ["2.0", "KiB", "WRONG"]),
        ("20300131T040000Z", ["2.0", "KiB", "ok"]),
    ]
    assert [(item["name"], item["checksum_ok"]) for item in terminal.json("backups", "demo")] == [
        ("20300201T040000Z", False),
        ("20300131T040000Z", True),
    ]


def test_a_restore_names_what_is_missing_before_it_asks_docker(terminal: Terminal) -> None:
    terminal.run("restore", "demo", "../x", "--to", "scratch", code=2)
    assert "no backup is called '../x'" in terminal.said
    terminal.run("restore", "demo", "newest", "--to", "live", code=5)
    assert "--yes" in terminal.said
    terminal.run("restore", "demo", "newest", "--to", "elsewhere", code=2)
    terminal.run("backup", "demo", code=1)
    assert "no Docker on this machine" in terminal.said


def test_an_estate_is_looked_at_imported_and_decided(terminal: Terminal, tmp_path: Path) -> None:
    from tests.blueprints.estate.made_exports import CANARY, layer_1_of_2022, layer_2

    files = [tmp_path / "layer_1.json", tmp_path / "layer_2.json", tmp_path / "compose.yml"]
    for file, content in zip(
        files, (layer_1_of_2022().json(), layer_2().json(), b"services:\n  mystery: {image: example/m:1}\n"), strict=True
    ):
        file.write_bytes(content)
    sources = [str(file) for file in files]
    looked = terminal.json("import", *sources, "--as", "estate", "--dry-run")
    assert looked["balanced"]
    assert terminal.run("ledger", "estate", code=2) == "", "a look makes no organization"
    words = terminal.run("import", *sources, "--as", "estate")
    assert "Import 1 of estate is kept." in words
    assert CANARY not in words + json.dumps(looked)
    assert [row["key"] for row in terminal.json("ledger", "estate", "--undecided")["rows"]] == ["service/mystery"]
    given = ("--reason", "An experiment.", "--owner", "Alice")
    assert terminal.json("ledger", "decide", "estate", "service/mystery", "drop", *given) == {
        "decided": ["service/mystery"],
        "decision": "drop",
    }
    assert terminal.json("ledger", "show", "estate")["counts"]["undecided"] == 0
    terminal.run("ledger", "decide", "estate", "service/nowhere", "drop", *given, code=2)
    assert "no row" in terminal.said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nowhere.json", "--as", "estate"), "nowhere.json"),
        (("live", "--as", "E"), "not a slug"),
        (("docker-compose.yml", "--as", "demo", "--actor", "nobody"), "nobody"),
    ],
)
def test_an_import_that_cannot_be_is_refused_in_words(terminal: Terminal, arguments: tuple[str, ...], said: str) -> None:
    terminal.run("import", *arguments, code=2)
    assert said in terminal.said


def test_a_release_is_looked_at_for_all_and_rolled_out_to_those_that_are_clean(terminal: Terminal) -> None:
    found = terminal.json("release", "status")
    assert next((row["organization"], row["outlook"]["state"]) for row in found["organizations"]) == ("demo", "not deployed")
    assert found["roll_out"] is None
    assert "demo" in terminal.run("release", "status")
    terminal.run("release", "roll-out", "--yes", "--reason", "newer templates", code=1)
    assert "no organization has anything to upgrade" in terminal.said
    terminal.run("release", "roll-out", "demo", "--yes", "--reason", "newer templates", code=1)
    assert "demo is not deployed, not clean" in terminal.said
    terminal.run("release", "roll-out", "demo", "--yes", code=1)
    assert "a reason is missing" in terminal.said
    terminal.run("release", "stop", code=5)
    assert "no roll-out is under way" in terminal.said


@pytest.mark.parametrize("arguments", [("destroy", "demo", "--yes"), ("purge", "demo", "--yes")])
def test_nothing_is_removed_where_docker_cannot_be_read(terminal: Terminal, arguments: tuple[str, ...]) -> None:
    terminal.run(*arguments, code=1)
    assert "no Docker on this machine" in terminal.said


def test_nothing_deployed_has_nothing_to_adopt(terminal: Terminal) -> None:
    terminal.run("drift", "demo", "--adopt", "--yes", code=1)
    assert "nothing is deployed" in terminal.said
