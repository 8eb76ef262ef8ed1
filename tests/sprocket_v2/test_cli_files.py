"""The commands on files, as a person runs them: a process, its exit code, what it prints and where."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow  # whole programs, one process each
ROOT = Path(__file__).resolve().parents[2]
DEMO = ROOT / "orgs" / "demo.yaml"
LEAGUE = """\
name: Test League
slug: testers
owner: {name: Alice, contact: alice}
games: [rocket-league]
access: {localhost: {host: testers.localhost}}
"""


@pytest.fixture(autouse=True, scope="module")
def _compiled_once(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Each process finds the modules compiled, as an installed program does."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path_factory.mktemp("compiled")))
        patch.delenv("PYTHONDONTWRITEBYTECODE", raising=False)
        yield


def sprocket(*arguments: str | Path, cwd: Path = ROOT, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command; whatever it does, it never shows a traceback."""
    command = [sys.executable, "-m", "sprocket_v2.cli.main", *map(str, arguments)]
    clean = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "DJANGO_SETTINGS_MODULE")}
    done = subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60, env={**clean, "PYTHONPATH": str(ROOT), **environment}
    )
    assert "Traceback" not in done.stderr + done.stdout
    return done


@pytest.fixture
def league(tmp_path: Path) -> Path:
    """A needs file."""
    file = tmp_path / "league.yaml"
    file.write_text(LEAGUE)
    return file


def test_render_writes_a_bundle_and_says_its_digest_and_the_findings(league: Path, tmp_path: Path) -> None:
    done = sprocket("render", league, "--out", tmp_path / "bundle")
    assert (done.returncode, done.stderr) == (0, "")
    first, *findings = done.stdout.splitlines()
    assert first.startswith(f"17 files in {tmp_path / 'bundle'}, sha256:")
    assert findings[0] == "warning: Nobody can take over from the owner. Name a deputy in the needs."
    assert (tmp_path / "bundle" / "stack.yml").is_file()


def test_render_takes_the_files_beside_the_needs(tmp_path: Path) -> None:
    done = sprocket("render", DEMO, "--out", tmp_path / "bundle")
    assert done.returncode == 0
    data = (tmp_path / "bundle" / "config" / "postgres" / "starting-data.sql").read_text()
    assert data.strip() == (ROOT / "orgs" / "demo-schema.sql").read_text().strip()


def test_render_needs_neither_a_database_nor_docker(league: Path, tmp_path: Path) -> None:
    nowhere = tmp_path / "nowhere"
    done = sprocket(
        "render",
        league,
        "--out",
        tmp_path / "bundle",
        DOCKER_HOST="tcp://127.0.0.1:1",
        DATABASE_URL="postgres://127.0.0.1:1/x",
        SPROCKET_DATA_DIR=str(nowhere),
    )
    assert done.returncode == 0
    assert not nowhere.exists()


JSON: list[list[str]] = [
    ["render", "{league}", "--out", "{tmp}/bundle", "--json"],
    ["--json", "render", "{league}", "--out", "{tmp}/bundle"],
    ["explain", "{league}", "--json"],
    ["explain", "{league}", "redis", "--json"],
    ["explain", "{league}", "stack.yml:42", "--json"],
    ["explain", "{league}", "stack.yml:4200", "--json"],
    ["diff", "{league}", "{league}", "--json"],
    ["diff", "{league}", "{demo}", "--json"],
    ["diff", "{league}", "{demo}", "--json", "--files"],
    ["diff", "{league}", "{demo}", "--json", "--markdown"],
    ["explain", "{tmp}/nothing.yaml", "--json"],
    ["explain", "{league}", "valkey", "--json"],
]


@pytest.mark.parametrize("arguments", JSON, ids=[" ".join(a).replace("{", "").replace("}", "") for a in JSON])
def test_json_is_one_document_and_nothing_else(arguments: list[str], league: Path, tmp_path: Path) -> None:
    done = sprocket(*(a.format(league=league, demo=DEMO, tmp=tmp_path) for a in arguments))
    assert isinstance(json.loads(done.stdout), dict)
    assert done.stderr == ""
    assert done.stdout.endswith("}\n")


def test_render_as_json_names_folder_digest_files_and_findings(league: Path, tmp_path: Path) -> None:
    data = json.loads(sprocket("render", league, "--out", tmp_path / "bundle", "--json").stdout)
    assert set(data) == {"out", "digest", "files", "findings"}
    assert data["files"] == sorted(p.relative_to(tmp_path / "bundle").as_posix() for p in (tmp_path / "bundle").rglob("*") if p.is_file())


def test_explain_says_why_each_component_is_there(league: Path) -> None:
    done = sprocket("explain", league)
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["component", "memory", "because"]
    assert [line.split()[0] for line in lines[1:8]] == ["postgres", "backup", "redis", "api", "bot", "web", "traefik"]
    assert "bot        256 MiB  Discord bot = yes" in done.stdout
    assert " MiB in all." in lines[-1]


def test_explain_of_a_component_says_where_each_input_comes_from(league: Path) -> None:
    league.write_text(LEAGUE + "options: {postgres: {memory_mib: 1024}}\n")
    done = sprocket("explain", league, "postgres", "--json")
    inputs = {item["name"]: (item["value"], item["from"]) for item in json.loads(done.stdout)["inputs"]}
    assert inputs["memory_mib"] == (1024, "options.postgres.memory_mib")
    assert inputs["max_connections"] == (100, "default in templates/components/postgres/component.yaml")
    words = sprocket("explain", league, "postgres").stdout
    assert "  because Database = deployment" in words
    assert "db-password  generated  The applications sign in to the database with it." in words


@pytest.mark.parametrize(
    ("component", "message"),
    [("valkey", "no component is called 'valkey'"), ("bot", "bot is not in this deployment; it would be with discord.bot = true")],
)
def test_explain_of_what_is_not_there_says_what_would_bring_it(league: Path, component: str, message: str) -> None:
    league.write_text(LEAGUE + "discord: {bot: false}\n")
    done = sprocket("explain", league, component)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {league}: {message}\n  hint: `sprocket explain NEEDS` lists what is in\n"


def test_explain_of_a_line_says_component_template_line_reason_and_need(league: Path, tmp_path: Path) -> None:
    sprocket("render", league, "--out", tmp_path / "bundle")
    lines = (tmp_path / "bundle" / "config" / "redis" / "redis.conf").read_text().splitlines()
    number = next(i for i, line in enumerate(lines, start=1) if line.startswith("maxmemory "))
    done = sprocket("explain", league, f"config/redis/redis.conf:{number}")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        lines[number - 1],
        "  component    redis",
        "  template     templates/components/redis/config/redis.conf.j2:10",
        "  because      every deployment of this generation has it; API needs it",
        "  needs        options.redis.memory_mib",
    ]
    data = json.loads(sprocket("explain", league, f"config/redis/redis.conf:{number}", "--json").stdout)
    assert (data["file"], data["line"], data["template_line"]) == ("config/redis/redis.conf", number, 10)


@pytest.mark.parametrize(
    ("place", "message", "hint"),
    [
        ("deploy.sh:9999", "deploy.sh: there is no line 9999", "name one from 1 to "),
        ("deploy.sh:0", "deploy.sh: there is no line 0", "name one from 1 to "),
        ("deploy.sh:-1", "deploy.sh: there is no line -1", "name one from 1 to "),
        ("deploy.sh:last", "deploy.sh: there is no line last", "name one from 1 to "),
        ("deploy.sh", "deploy.sh: which line?", "name one from 1 to "),
        ("nothing.yml:1", "nothing.yml: no file is called 'nothing.yml'", "one of RUNBOOK.md, "),
        ("../stack.yml:1", "../stack.yml: no file is called '../stack.yml'", "one of RUNBOOK.md, "),
    ],
)
def test_explain_of_a_line_that_is_not_there_says_which_are(league: Path, place: str, message: str, hint: str) -> None:
    done = sprocket("explain", league, place)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"error: {message}\n  hint: {hint}")


def test_diff_of_the_same_is_0_and_of_others_1(league: Path, tmp_path: Path) -> None:
    same = sprocket("diff", league, league)
    assert (same.returncode, same.stderr) == (0, "")
    assert same.stdout.splitlines()[0] == "What changes:  Nothing changes."
    other = tmp_path / "other.yaml"
    other.write_text(LEAGUE + "options: {redis: {memory_mib: 256}}\n")
    differs = sprocket("diff", league, other)
    assert (differs.returncode, differs.stderr) == (1, "")
    assert "  ~ Redis (restart): memory 128 MiB → 256 MiB" in differs.stdout
    assert "+maxmemory" not in differs.stdout
    assert "+maxmemory 170mb" in sprocket("diff", league, other, "--files").stdout


def test_diff_takes_bundle_folders_and_their_manifest(league: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    assert sprocket("render", league, "--out", bundle).returncode == 0
    assert sprocket("diff", league, bundle).returncode == 0
    assert sprocket("diff", bundle / "blueprint.json", bundle).returncode == 0
    (bundle / "stack.yml").write_text("services: {}\n")
    done = sprocket("diff", league, bundle)
    assert done.returncode == 2
    assert "stack.yml was changed by hand" in done.stderr


def test_diff_as_markdown_fits_discord(league: Path) -> None:
    done = sprocket("diff", league, DEMO, "--markdown")
    assert done.returncode == 1
    assert done.stdout.startswith("**What changes:** ")
    assert len(done.stdout) <= 2000


def test_every_problem_is_told_with_line_and_hint(league: Path, tmp_path: Path) -> None:
    league.write_text(LEAGUE + "slogan: x\nexpected_members: many\n")
    done = sprocket("render", league, "--out", tmp_path / "bundle")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [
        f'error: {league}:7: expected_members: "many": it has to be a valid integer',
        "  hint: write a whole number within the limits",
        f"error: {league}:6: slogan: unknown key",
        "  hint: check the spelling, or remove it; `sprocket needs questions` lists all keys",
    ]
    assert not (tmp_path / "bundle").exists()
    data = json.loads(sprocket("render", league, "--out", tmp_path / "bundle", "--json").stdout)
    assert {error["where"] for error in data["errors"]} == {f"{league}:6", f"{league}:7"}


BAD: list[tuple[str, bytes | None, str, str]] = [
    ("missing", None, "cannot be read: No such file or directory", "name a needs file, such as orgs/demo.yaml"),
    ("not UTF-8", b"name: \xff\xfe\n", "cannot be read: not UTF-8 text", "name a needs file, such as orgs/demo.yaml"),
    ("10 MiB", b"#" * (10 * 1024 * 1024), "10240 KiB, the most is 256 KiB", "needs are a page or two of answers; starting data belongs in a file of its own"),
    ("empty", b"", "no answers in it", "begin with `name: My League`; orgs/demo.yaml is an example"),
    ("alias bomb", b"a: &a [1]\nb: [*a, *a]\n", "anchors and aliases (& and *) are not taken", "write the value out where it is needed"),
    ("deep", b"a: " + b"[" * 50_000, "nested too deeply", "at most 12 levels"),
    ("newline in a name", LEAGUE.replace("Test League", '"Test\\nLeague"').encode(), 'name: "Test\\nLeague" holds a line break or another control character', "write it on one line"),
    ("backtick in a host", LEAGUE.replace("testers.localhost", "'a`b.localhost'").encode(), 'access.localhost.host: "a`b.localhost" is not a host name',
     "labels of a-z, 0-9 and -, joined by dots, such as league.example.org"),
    ("a part somebody needs, switched off by hand", (LEAGUE + "features: {submissions: true}\noptions: {minio: {enabled: false}}\n").encode(), "options.minio.enabled is false, yet MinIO is in this deployment: Submissions needs it (Submissions = yes)", "turn one of the two round"),
    ("an unknown component", (LEAGUE + "options: {valkey: {}}\n").encode(), "options.valkey: no such component", "one of "),
]  # fmt: skip


@pytest.mark.parametrize(("content", "message", "hint"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_file_that_cannot_be_used_is_trouble_with_a_remedy_and_leaves_nothing(
    tmp_path: Path, content: bytes | None, message: str, hint: str
) -> None:
    file = tmp_path / "bad.yaml"
    if content is not None:
        file.write_bytes(content)
    done = sprocket("render", file, "--out", tmp_path / "bundle")
    assert (done.returncode, done.stdout) == (2, "")
    first, second = done.stderr.splitlines()[:2]
    assert first.endswith(message)
    assert second.startswith(f"  hint: {hint}")
    assert not (tmp_path / "bundle").exists()


@pytest.mark.parametrize("what", ["folder", "unreadable", "socket"])
def test_a_path_that_is_no_file_is_trouble(tmp_path: Path, what: str) -> None:
    path = {"folder": tmp_path, "unreadable": tmp_path / "x" / "y", "socket": Path(os.devnull)}[what]
    done = sprocket("explain", path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {path}: ")
    assert "  hint: " in done.stderr


def test_a_folder_with_other_things_in_it_is_left_alone(league: Path, tmp_path: Path) -> None:
    before = sorted(p.name for p in tmp_path.iterdir())
    done = sprocket("render", league, "--out", tmp_path)
    assert done.returncode == 2
    assert "is not empty and no bundle" in done.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "arguments",
    [["render"], ["render", str(DEMO)], ["rendr"], ["diff", str(DEMO)], ["render", str(DEMO), "--out", "x", "--force"], ["explain"]],
)
def test_wrong_usage_is_2_and_says_what_is_right(arguments: list[str]) -> None:
    done = sprocket(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: " in done.stderr


def test_help_and_version_are_answers(league: Path) -> None:
    assert sprocket("--version").stdout.startswith("sprocket 2.")
    help_text = sprocket("render", "--help")
    assert (help_text.returncode, help_text.stderr) == (0, "")
    assert "--out" in help_text.stdout


def on_a_terminal(*arguments: str | Path, **environment: str) -> str:
    """What the command prints when its output is a terminal."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "sprocket_v2.cli.main", *map(str, arguments)]
    clean = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    with subprocess.Popen(
        command, cwd=ROOT, stdout=follower, stderr=follower, stdin=follower, env={**clean, "TERM": "xterm", **environment}
    ) as child:
        os.close(follower)
        shown = b""
        while True:
            try:
                piece = os.read(leader, 65536)
            except OSError:  # Linux says so when the other end is closed
                break
            if not piece:
                break
            shown += piece
        child.wait(timeout=60)
    os.close(leader)
    return shown.decode()


def test_colours_are_for_terminals_that_want_them(league: Path) -> None:
    assert "\x1b[1m" in on_a_terminal("explain", league)
    assert "\x1b[" not in on_a_terminal("explain", league, NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal("explain", league, "--json")
    assert "\x1b[31merror:" in on_a_terminal("explain", league.parent / "nothing.yaml")
    assert "\x1b[" not in sprocket("explain", league).stdout


@pytest.mark.parametrize("arguments", [["explain"], ["diff", str(DEMO), "--files"]])
def test_a_reader_that_goes_away_is_no_trouble(league: Path, arguments: list[str]) -> None:
    command = f'set -o pipefail; "$0" -m sprocket_v2.cli.main {arguments[0]} "$1" {" ".join(arguments[1:])} | true'
    done: Any = subprocess.run(
        ["bash", "-c", command, sys.executable, str(league)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stderr == ""
    assert done.returncode in (0, 1)


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_an_output_that_cannot_be_written_is_trouble(league: Path, unbuffered: str) -> None:
    command = [sys.executable, "-m", "sprocket_v2.cli.main", "explain", str(league)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command,
            cwd=ROOT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        )
    assert done.stderr == "error: output: no space left on device\n  hint: check the path, its permissions and the disk\n"
    assert done.returncode == 2


def test_a_closed_output_is_no_trouble(league: Path) -> None:
    command = f'"{sys.executable}" -m sprocket_v2.cli.main explain "$0" >&-'
    done = subprocess.run(["sh", "-c", command, str(league)], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_bundle_that_cannot_be_written_is_trouble(league: Path) -> None:
    done = sprocket("render", league, "--out", "/proc/bundle")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: /proc/")
    assert done.stderr.endswith("  hint: check the path, its permissions and the disk\n")
