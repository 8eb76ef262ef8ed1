"""Makes a subject out of what there is: a rendering, an estate, a folder. Beside reading a folder's files, pure."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path

from blueprints.catalog import TEMPLATES, Catalog
from blueprints.checks.model import Subject
from blueprints.estate.from_bundle import estate_from_bundle
from blueprints.estate.model import Estate
from blueprints.estate_facts import FROM_THE_PROXY
from blueprints.manifest import Manifest, Wanted
from blueprints.rendering import Rendering
from orgs.needs import Needs
from sprocket_v2.errors import SetupError

KNOWN = ".sprocket-known-secrets"
MAX_FILE = 1024 * 1024  # what is larger, or no text, is no place where people write secrets by hand
MAX_FILES = 5000
MAX_HISTORY = 64 * 1024 * 1024
_LEFT_OUT = frozenset({".git", ".venv", "node_modules", "secrets", "__pycache__", ".sprocket"})


def subject_of_rendering(
    rendering: Rendering, name: str = "", *, needs: Needs | None = None, unused_inputs: Mapping[str, tuple[str, ...]] | None = None
) -> Subject:
    """The subject of a rendering.

    Raises:
        PreviewError: a stack.yml with a key nobody knows.
    """
    estate = estate_from_bundle(rendering, name)
    return Subject(
        name or estate.sources[0], estate, rendering.blueprint, rendering.secrets, rendering.files, needs=needs, unused_inputs=unused_inputs
    )


def subject_of_estate(estate: Estate, name: str) -> Subject:
    """The subject of an estate that no blueprint was made of; its files are what its configs hold."""
    texts = {f"config {item.name}": str(item.facts["text"]) for item in estate.of("config") if item.facts.get("text") is not None}
    return Subject(name, estate, texts=texts or None)


def subject_of_folder(folder: Path, *, with_history: bool = True) -> Subject:
    """The subject of a folder that is no bundle: its files and what its repository once held, for the secret scan.

    Raises:
        SetupError: its list of known places has a line without a reason.
    """
    known = known_places(folder)
    texts = {path: text for path, text in _files(folder) if not _is_known(path, known)}
    history = history_of(folder) if with_history else None
    if history is not None:
        history = {place: text for place, text in history.items() if not _is_known(place.partition(":")[2], known)}
    return Subject(str(folder), Estate(()), texts=texts, history=history)


def known_places(folder: Path) -> tuple[str, ...]:
    """Paths that somebody looked at and found to hold no real secret; a file of the folder lists them, each with its reason.

    Raises:
        SetupError: a line without a reason.
    """
    file = folder / KNOWN
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines() if file.is_file() else (), 1):
        pattern, sign, why = line.partition("#")
        if pattern.strip() and not (sign and why.strip()):
            raise SetupError(
                f"{pattern.strip()} is left out without a reason", hint="write `path  # why it holds no secret`", where=f"{file}:{number}"
            )
        if pattern.strip():
            found.append(pattern.strip())
    return tuple(found)


def _is_known(path: str, known: tuple[str, ...]) -> bool:
    return path == KNOWN or any(fnmatch(path, pattern) for pattern in known)


def _files(folder: Path) -> Iterator[tuple[str, str]]:
    for file in _listed(folder)[:MAX_FILES]:
        parts = file.relative_to(folder).parts
        if not file.is_file() or file.is_symlink() or _LEFT_OUT & set(parts) or file.stat().st_size > MAX_FILE:
            continue
        content = file.read_bytes()
        if b"\0" not in content:
            yield "/".join(parts), content.decode("utf-8", "replace")


def _listed(folder: Path) -> list[Path]:
    """What git has or would take, where the folder is a repository; everything, where it is none."""
    if (folder / ".git").exists():
        command = ["git", "-C", str(folder), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, capture_output=True, check=False, timeout=60).stdout.decode("utf-8", "replace")
        return sorted(folder / name for name in listed.split("\0") if name)
    return sorted(folder.rglob("*"))


def history_of(folder: Path) -> dict[str, str] | None:
    """`commit:path` -> the lines that commits added and that later ones took away or kept; None where there is no repository."""
    if not (folder / ".git").exists():
        return None
    command = [
        "git",
        "-C",
        str(folder),
        "log",
        "--all",
        "-p",
        "--unified=0",
        "--no-color",
        "--no-ext-diff",
        "--no-textconv",
        "--format=commit %h",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None  # noqa: S101 - it is a pipe
        text = process.stdout.read(MAX_HISTORY).decode("utf-8", "replace")
        process.kill()
    return added_lines(text)


def added_lines(log: str) -> dict[str, str]:
    """`commit:path` -> the lines it added, of `git log -p`."""
    found: dict[str, list[str]] = {}
    commit, path = "", ""
    for line in log.splitlines():
        if line.startswith("commit "):
            commit, path = line.removeprefix("commit "), ""
        elif line.startswith("+++ "):
            path = line.removeprefix("+++ ").removeprefix("b/")
        elif line.startswith("+") and path:
            found.setdefault(f"{commit}:{path}", []).append(line[1:])
    return {place: "\n".join(lines) for place, lines in found.items()}


def unused_inputs(catalog: Catalog, names: frozenset[str], templates: Path = TEMPLATES) -> dict[str, tuple[str, ...]]:
    """Component -> its questions whose answer no template prints and no rule of a manifest reads."""
    lines = [wanted.need for manifest in catalog.components.values() for wanted in _all_wanted(manifest)]
    shared = "\n".join(file.read_text() for file in sorted((templates / "components" / "_shared").glob("*.j2")))
    found = {}
    for name in sorted(names & set(catalog.components)):
        manifest = catalog.components[name]
        own = "\n".join(file.read_text() for file in sorted((templates / "components" / name).rglob("*.j2")))
        asked = {word for service in manifest.services for word in (service.memory, service.cpu, service.copies, service.udp_port)}
        asked |= {word for service in manifest.services if service.as_found for word in (*service.as_found.asks, *FROM_THE_PROXY)}
        asked |= {line.rpartition(".")[2] for line in lines if line.startswith(f"options.{name}.")}
        unused = tuple(i.name for i in manifest.inputs if i.name not in asked and not re.search(rf"\b{i.name}\b", own + shared))
        if unused:
            found[name] = unused
    return found


def _all_wanted(manifest: Manifest) -> Iterator[Wanted]:
    yield from (*manifest.wanted_when, *manifest.left_out_when)
    for service in manifest.services:
        yield from service.wanted_when
        for wanted in service.only_when.values():
            yield from wanted
    for secret in manifest.secrets:
        yield from (*secret.supplied_when, *secret.generated_when)
    for play in manifest.plays:
        yield from play.wanted_when
