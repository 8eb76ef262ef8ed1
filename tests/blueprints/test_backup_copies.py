"""Copies of backups in object storage: who brings the storage in, and the rendered script run for real against a stand-in of `mc`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from blueprints.catalog import load_catalog
from blueprints.resolve import resolve
from sprocket_v2.errors import CatalogError, ResolveError
from tests.blueprints.cases import catalog, edit, release, rendering, resolution
from tests.orgs.answers import needs

COPY = {"backup": {"copy_to_storage": True, "keep_days": 10, "keep_at_least": 2}}
EXISTING = {"where": "existing", "existing": {"host": "s3.example.org", "replays_bucket": "replays-1", "images_bucket": "images-1"}}
MANAGED = {"where": "managed", "managed": {"host": "db.example.org", "port": 25060, "name": "league", "user": "league"}}
# What the script needs of `mc`, on a folder: cp, cat, ls and rm of the alias `store`. It refuses another address than the one expected.
MC = """#!/bin/sh
[ "$MC_HOST_store" = "http://key-0123456789:secret-0123456789@minio:9000" ] || { echo "wrong address" >&2; exit 1; }
[ "$1" = --quiet ] && shift
far() { echo "$STORE/${1#store/}"; }
case "$1" in
  cp) mkdir -p "$(dirname "$(far "$3")")"; if [ -e "$STORE/spoil" ]; then echo spoiled > "$(far "$3")"; else cp "$2" "$(far "$3")"; fi ;;
  cat) cat "$(far "$2")" ;;
  ls) for item in "$(far "$2")"*; do [ ! -e "$item" ] || echo "[2030-01-31 04:00:00 UTC]     0B $(basename "$item")/"; done ;;
  rm) rm -r "$(far "$4")" ;;
  *) echo "unknown: $*" >&2; exit 1 ;;
esac
"""


class Copier:
    """The rendered script in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.backups, self.store = folder / "backups", folder / "store"
        for path in (self.backups, self.store, folder / "private", folder / "secrets", folder / "bin"):
            path.mkdir()
        text = rendering(options=COPY).files["config/backup/copy.sh"]
        for real, here in (("/run/secrets", "secrets"), ("/backups", "backups"), ("/private", "private")):
            for before in (" ", "=", '"'):
                text = text.replace(f"{before}{real}", f"{before}{folder / here}")
        (folder / "copy.sh").write_text(text)
        (folder / "secrets" / "storage-access-key").write_text("key-0123456789")
        (folder / "secrets" / "storage-secret-key").write_text("secret-0123456789")
        (folder / "bin" / "mc").write_text(MC)
        (folder / "bin" / "mc").chmod(0o755)
        self.command = ["sh", str(folder / "copy.sh")]
        self.environment = {**os.environ, "PATH": f"{folder / 'bin'}:{os.environ['PATH']}", "STORE": str(self.store)}

    def run(self, *words: str, code: int = 0) -> str:
        done = subprocess.run([*self.command, *words], env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout + done.stderr

    def add(self, age: timedelta) -> str:
        """A backup of so long ago."""
        name = f"{datetime.now(UTC) - age:%Y%m%dT%H%M%SZ}"
        content = {"about.json": b"{}", "database.dump": name.encode() * 999, "rows.jsonl": b""}
        (self.backups / name).mkdir()
        for file, data in content.items():
            (self.backups / name / file).write_bytes(data)
        sums = "".join(f"{hashlib.sha256(data).hexdigest()}  {file}\n" for file, data in content.items())
        (self.backups / name / "SHA256SUMS").write_text(sums)
        return name

    @property
    def far(self) -> Path:
        return self.store / "testers-replays" / "backups"


@pytest.fixture
def copier(tmp_path: Path) -> Copier:
    return Copier(tmp_path)


def test_every_good_backup_is_copied_whole_and_a_damaged_one_is_not(copier: Copier) -> None:
    good, bad = copier.add(timedelta(hours=1)), copier.add(timedelta(days=1))
    (copier.backups / bad / "rows.jsonl").write_text("changed")
    copier.run("once")
    assert copier.run("list").split() == [good]
    assert {p.name: p.read_bytes() for p in (copier.far / good).iterdir()} == {
        p.name: p.read_bytes() for p in (copier.backups / good).iterdir()
    }


def test_a_copy_that_broke_off_is_made_again(copier: Copier, tmp_path: Path) -> None:
    name = copier.add(timedelta(hours=1))
    copier.run("once")
    (tmp_path / "private" / f"copied-{name}").unlink()  # as after a restart: what was seen is forgotten
    (copier.far / name / "SHA256SUMS").unlink()
    (copier.far / name / "database.dump").write_bytes(b"half")
    copier.run("once")
    assert (copier.far / name / "database.dump").read_bytes() == (copier.backups / name / "database.dump").read_bytes()


def test_what_comes_back_different_is_said_and_makes_it_unhealthy_in_time(copier: Copier, tmp_path: Path) -> None:
    name = copier.add(timedelta(hours=1))
    (copier.store / "spoil").touch()
    assert f"about.json of backup {name} came back different" in copier.run("once", code=1)
    (tmp_path / "private" / "since").write_text(str(int(datetime.now(UTC).timestamp()) - 7100))
    (tmp_path / "private" / "said").write_text("mc: access denied\n")
    copier.run("health")
    (tmp_path / "private" / "since").write_text(str(int(datetime.now(UTC).timestamp()) - 7300))
    assert "nothing could be copied: mc: access denied" in copier.run("health", code=1)
    (copier.store / "spoil").unlink()
    shutil.rmtree(copier.far)
    copier.run("once")
    copier.run("health")


def test_old_copies_go_only_after_a_new_one_and_never_below_the_least_number(copier: Copier) -> None:
    old = [copier.add(timedelta(days=days)) for days in (30, 40, 50)]
    copier.run("once")
    assert sorted(copier.run("list").split(), reverse=True) == old[:2]
    new = copier.add(timedelta(hours=1))
    copier.run("once")
    assert copier.run("list").split() == [new, old[0]]


def test_what_is_gone_here_stays_there_and_comes_back_by_name(copier: Copier) -> None:
    name = copier.add(timedelta(days=50))
    copier.run("once")
    shutil.rmtree(copier.backups / name)
    copier.run("once")
    copier.run("fetch", name)
    assert (copier.backups / name / "database.dump").read_bytes() == name.encode() * 999
    assert "is here already" in copier.run("fetch", name, code=1)
    assert "no backup is called like that" in copier.run("fetch", "../x", code=1)
    shutil.rmtree(copier.backups / name)
    (copier.far / name / "database.dump").write_bytes(b"rot")
    assert "is wrong" in copier.run("fetch", name, code=1)
    assert not (copier.backups / name).exists()


def test_copying_brings_object_storage_in_and_says_for_what() -> None:
    assert resolution().component("minio") is None
    found = resolution(options=COPY)
    minio, backup = found.component("minio"), found.component("backup")
    assert minio is not None and backup is not None
    assert minio.reasons == ("Options, backup: copy to storage = yes",)
    assert [service.key for service in backup.services] == ["backup", "backup_copy"]
    assert found.secrets["storage-access-key"].kind == "generated"


def test_an_existing_storage_takes_the_copies_over_tls() -> None:
    found = rendering(options=COPY, storage=EXISTING)
    script = found.files["config/backup/copy.sh"]
    assert 'MC_HOST_store="https://' in script
    assert "far=store/'replays-1'/backups" in script
    assert resolution(options=COPY, storage=EXISTING).component("minio") is None


def test_without_a_database_in_the_deployment_there_is_nothing_to_copy() -> None:
    with pytest.raises(ResolveError) as caught:
        resolve(needs(options=COPY, database=MANAGED), catalog())
    assert caught.value.message == "options.backup is answered, yet backup is not in this deployment"
    found = resolution(database=MANAGED)
    assert found.component("backup") is None
    assert "The database is backed up by its host: there is no backup in this deployment." in [f.message for f in found.findings]


@pytest.mark.parametrize(
    "line", ["options.backup.copied: true", "options.nobody.copy_to_storage: true", "options.backup.hour: true", "options.x: true"]
)
def test_a_line_about_an_input_that_is_no_yes_or_no_is_refused(line: str, tmp_path: Path) -> None:
    root = release(tmp_path)
    edit(root / "components" / "minio" / "component.yaml", "options.backup.copy_to_storage: true", line)
    with pytest.raises(CatalogError) as caught:
        load_catalog(root)
    assert "is no yes-or-no input of a component" in caught.value.message


def test_an_answer_of_no_is_as_none() -> None:
    assert resolution(options={"backup": {"copy_to_storage": False}}).component("minio") is None
