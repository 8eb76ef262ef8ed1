"""What becomes a subject: a folder, its history, an estate of configs; and what is left out on purpose."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from blueprints.checks.registry import RULES, failed, run_checks
from blueprints.checks.subjects import KNOWN, added_lines, subject_of_estate, subject_of_folder
from blueprints.estate.model import Estate
from sprocket_v2.errors import SetupError
from tests.blueprints.checks.estates import service

TOKEN = "hvs." + "CAESIJ" * 5


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One in whose first commit a token lay, and whose second one took it away."""
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init", "-q")
    (folder / "keys.env").write_text(f"VAULT_TOKEN={TOKEN}\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qm", "first")
    (folder / "keys.env").unlink()
    (folder / "README.md").write_text("The token is kept in the store.\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "-qam", "second")
    return folder


def _git(folder: Path, *words: str) -> None:
    command = ["git", "-C", str(folder), "-c", "user.name=t", "-c", "user.email=t@example.org", *words]
    subprocess.run(command, check=True, capture_output=True)


def _failures(folder: Path) -> dict[str, list[str]]:
    rules = [rule for rule in RULES if rule.reads in ("texts", "history")]
    return {o.rule.id: [found.where for found in o.found] for o in failed(run_checks(subject_of_folder(folder), rules))}


def test_what_was_taken_away_is_found_in_the_history_and_not_in_the_files(repository: Path) -> None:
    found = _failures(repository)
    assert list(found) == ["I21-secret-in-history"]
    assert found["I21-secret-in-history"][0].split(":")[1] == "keys.env"


def test_what_git_ignores_is_not_the_repositorys(repository: Path) -> None:
    (repository / ".gitignore").write_text("local.env\n")
    (repository / "local.env").write_text(f"VAULT_TOKEN={TOKEN}\n")
    assert "I20-secret-in-file" not in _failures(repository)


def test_a_file_that_somebody_looked_at_is_left_out_with_its_reason_also_in_the_history(repository: Path) -> None:
    (repository / KNOWN).write_text("keys.env  # a made-up token of the manual\n")
    assert _failures(repository) == {}


def test_nothing_is_left_out_without_a_reason(repository: Path) -> None:
    (repository / KNOWN).write_text("# a list\nkeys.env\n")
    with pytest.raises(SetupError, match="left out without a reason") as caught:
        subject_of_folder(repository)
    assert caught.value.where.endswith(f"{KNOWN}:2")


def test_a_folder_without_a_repository_is_read_whole_and_has_no_history(tmp_path: Path) -> None:
    (tmp_path / "a.env").write_text(f"VAULT_TOKEN={TOKEN}\n")
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "db-password").write_text(f"VAULT_TOKEN={TOKEN}\n")
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0VAULT_TOKEN=" + TOKEN.encode())
    subject = subject_of_folder(tmp_path)
    assert (list(subject.texts or {}), subject.history) == (["a.env"], None)


def test_in_a_program_a_name_alone_is_no_secret_and_a_form_is(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text('password = "correct horse battery"\n')
    assert _failures(tmp_path) == {}
    (tmp_path / "a.py").write_text(f'token = "{TOKEN}"\n')
    assert _failures(tmp_path) == {"I20-secret-in-file": ["a.py:1"]}


def test_lines_are_gathered_by_commit_and_file() -> None:
    log = "commit abc\n\n+++ b/one.env\n@@ -0,0 +1,2 @@\n+A=1\n+B=2\n-C=3\n+++ b/two.env\n+D=4\ncommit def\n+++ /dev/null\n"
    assert added_lines(log) == {"abc:one.env": "A=1\nB=2", "abc:two.env": "D=4"}


def test_an_estates_configs_are_looked_through_like_files() -> None:
    items = service("vault", "vault:1.10.0", files={"/vault.hcl": f'token = "{TOKEN}"\n'})
    subject = subject_of_estate(Estate(items), "estate")
    assert [o.found[0].where for o in failed(run_checks(subject)) if o.rule.id == "I20-secret-in-file"] == ["config vault-0:1"]
