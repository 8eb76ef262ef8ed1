"""Asks database.sh inside a container: the estate's database over the network, or the one of that very container. Passwords by standard input."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from provisioning.migration.tables import Tables, read_tables
from sprocket_v2.errors import ApplyError

if TYPE_CHECKING:
    from provisioning.providers.swarm.client import DockerSwarm

SCRIPT = Path(__file__).with_name("database.sh")
FOLDER = "/tmp/sprocket-migration"  # noqa: S108 - in a container, made by us, root's only
DUMP_FILES = ("SHA256SUMS", "database.dump", "tables.jsonl")
_NO_ROOM = "No space left on device"  # database.sh says so of every failure on a full disk
SHORT_S = 60.0


@dataclass(frozen=True, slots=True)
class Connection:
    """Which database: `host` is `-` for the server in the container that is asked, which asks no password of its own root."""

    name: str
    user: str
    host: str = "-"
    port: int = 5432
    sslmode: str = "disable"
    password: str = field(default="", repr=False)

    def words(self) -> tuple[str, ...]:
        """The script's arguments."""
        return ("--", self.host, str(self.port), self.user, self.sslmode, self.name)


@dataclass(frozen=True)
class Place:
    """A container with PostgreSQL's tools, and the script in it."""

    swarm: DockerSwarm
    container: str
    name: str

    def arrive(self, files: dict[str, Path] | None = None) -> None:
        """Copy the script, and these files, into the container."""
        parent, _, _ = FOLDER.rpartition("/")
        code, text = self.swarm.run_in(self.container, ["mkdir", "-p", parent])
        if code:
            raise ApplyError(f"the container of {self.name} takes no files: {text.strip()[:200]}", where=self.name)
        self.swarm.write_folder(self.container, FOLDER, {SCRIPT.name: SCRIPT, **(files or {})})

    def leave(self) -> None:
        """Remove what was copied."""
        self.swarm.run_in(self.container, ["rm", "-rf", "--", FOLDER])

    def ask(self, verb: str, database: Connection, argument: str = "", *, limit_s: float = SHORT_S) -> str:
        """What the script says.

        Raises:
            ApplyError: with its own last line; a full disk is called so.
        """
        words = ["sh", f"{FOLDER}/{SCRIPT.name}", verb, *([argument] if argument else []), *database.words()]
        code, text = self.swarm.run_with(self.container, words, f"{database.password}\n".encode(), timeout_s=limit_s)
        if not code:
            return text
        said = [line for line in text.splitlines() if line.strip() and not line.startswith('{"table"')]
        last = said[-1].strip()[:300] if said else "it said nothing"
        full = next((line.strip()[:300] for line in said if _NO_ROOM in line), "")
        if full:
            raise ApplyError(
                f"no room is left: {full}", hint="make room on this disk, then resume; the copy so far is removed", where=self.name
            )
        raise ApplyError(f"{verb}: {last}", hint=f"database {database.name} at {database.host} as {database.user}", where=self.name)

    def room(self, folder: str) -> int:
        """Bytes that are free there."""
        return int(self.ask("room", Connection("-", "-"), folder).split()[-1])

    def size(self, database: Connection) -> tuple[int, int]:
        """Bytes of a database, and the server's version as a number (150004)."""
        size, version = self.ask("size", database).split()[-2:]
        return int(size), int(version)

    def tables(self, database: Connection, *, limit_s: float) -> Tables:
        """Rows and content of every table now."""
        return read_tables(self.ask("digest", database, limit_s=limit_s))

    def dump(self, database: Connection, folder: str, *, limit_s: float) -> Tables:
        """Dump it into a folder here; the tables as they were counted in the same snapshot."""
        return read_tables(self.ask("dump", database, folder, limit_s=limit_s))

    def load(self, database: Connection, folder: str, *, limit_s: float) -> Tables:
        """Load a folder's dump into a new database; the tables as they are then."""
        return read_tables(self.ask("load", database, folder, limit_s=limit_s))

    def fetch(self, folder: str, to: Path) -> None:
        """A dump's files, into a folder of this machine."""
        shutil.rmtree(to, ignore_errors=True)
        to.mkdir(parents=True, mode=0o700)
        for name, pieces in self.swarm.read_folder(self.container, folder):
            if name in DUMP_FILES:
                _write(to / name, pieces)


def _write(path: Path, pieces: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        path.chmod(0o600)
        for piece in pieces:
            file.write(piece)


def problem_with(folder: Path) -> str:
    """What is wrong with a dump's folder; empty when every file is what its checksum says."""
    try:
        sums = dict(line.split("  ")[::-1] for line in (folder / DUMP_FILES[0]).read_text(encoding="utf-8").splitlines())
    except (OSError, ValueError):
        return "it has no checksums"
    if sorted(sums) != sorted(DUMP_FILES[1:]):
        return "its list of checksums is not whole"
    for name, wanted in sums.items():
        try:
            with (folder / name).open("rb") as file:
                is_right = hashlib.file_digest(file, "sha256").hexdigest() == wanted
        except OSError:
            return f"{name} is missing"
        if not is_right:
            return f"the checksum of {name} is wrong"
    return ""


def refuse_little_room(free: int, needed: int, where: str) -> None:
    """The gate before a copy.

    Raises:
        ApplyError: it would not fit; nothing was begun.
    """
    if free < needed:
        raise ApplyError(
            f"{free // 2**20} MiB are free, the copy needs {-(-needed // 2**20)} MiB",
            hint="make room, or give Docker's data folder a larger disk; nothing was begun",
            where=where,
        )
