"""The secret files of an ejected bundle: made, asked for, checked. Values touch only `secrets/`, mode 0600."""

from __future__ import annotations

import os
import re
import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blueprints.rendering import Rendering
from sprocket_v2.errors import RenderError

ALPHABET = string.ascii_letters + string.digits
MIN_LENGTH = 12


@dataclass(frozen=True, slots=True)
class SecretFile:
    """One secret file and what is wrong with it; an empty problem means it is fine."""

    name: str
    kind: str
    problem: str
    hint: str


def generate(length: int) -> str:
    """A random value from the system's cryptographic generator: letters and digits, at least 12."""
    return "".join(secrets.choice(ALPHABET) for _ in range(max(length, MIN_LENGTH)))


def problem_with(value: str, pattern: str) -> str:
    """What is wrong with a value, without quoting it; empty when it is acceptable."""
    if len(value) < MIN_LENGTH:
        return f"has {len(value)} characters, the least is {MIN_LENGTH}"
    lines = value.splitlines() if takes_lines(pattern) else [value]
    if value != value.strip() or not all(line.isprintable() for line in lines):
        return "holds a space at an end, a line break or a control character"
    if pattern and not re.fullmatch(pattern, value):
        return f"does not look right: it has to be {_looks(pattern)}"
    return ""


def _looks(pattern: str) -> str:
    begin = re.search("-----BEGIN (?:[(].*?[)][?])?([A-Z ]+)-----", pattern)
    return f"PEM text of several lines, beginning with -----BEGIN {begin[1]}-----" if begin else f"like {pattern}"


def takes_lines(pattern: str) -> bool:
    """Whether the value is a file of several lines, as a certificate is: its pattern then names the line break."""
    return "\\n" in pattern


def fill(folder: Path, rendering: Rendering, ask: Callable[[str, dict[str, Any]], str | None]) -> tuple[list[str], list[SecretFile]]:
    """Make or ask for every secret file that is not there.

    Args:
        ask: gets name and secrets.json entry of a supplied secret; answers with its value, or None when nobody can be asked.
    Returns:
        Names of files made, and what is still missing.
    """
    target = folder / "secrets"
    target.mkdir(mode=0o700, exist_ok=True)
    target.chmod(0o700)
    made, missing = [], []
    for name, item in rendering.secrets.items():
        file = target / name
        if file.is_file() and file.stat().st_size:
            file.chmod(0o600)
            continue
        value = _value(name, item, ask)
        problem = "is not given" if value is None else problem_with(value, item["pattern"] if item["kind"] == "supplied" else "")
        if value is None or problem:
            missing.append(SecretFile(name, item["kind"], problem, item["where_to_get"] or f"put it into {file}"))
            continue
        _write(file, value)
        made.append(name)
    return made, missing


def _value(name: str, item: dict[str, Any], ask: Callable[[str, dict[str, Any]], str | None]) -> str | None:
    if item["kind"] == "generated":
        return generate(item["length"])
    if item["kind"] == "placeholder":
        return str(item["placeholder"])
    return ask(name, item)


def _write(file: Path, value: str) -> None:
    part = file.with_name(f".{file.name}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(value)
    os.replace(part, file)


def check(folder: Path, rendering: Rendering) -> list[SecretFile]:
    """Every secret file and its problem, if any: missing, readable by others, too short, wrong format."""
    found = []
    for name, item in rendering.secrets.items():
        file = folder / "secrets" / name
        problem, hint = "", ""
        if not file.is_file():
            problem, hint = "is missing", f"run `sprocket bundle fill {folder}` or `sh fill.sh`"
        elif file.stat().st_mode & 0o077:
            problem, hint = "can be read by others", f"chmod 600 {file}"
        else:
            pattern = item["pattern"] if item["kind"] == "supplied" else ""
            problem = problem_with(file.read_text(encoding="utf-8", errors="replace").rstrip("\n"), pattern)
            hint = item["where_to_get"] if problem else ""
        found.append(SecretFile(name, item["kind"], problem, hint))
    return found


def refuse_problems(files: list[SecretFile], folder: Path) -> None:
    """Raise for the first problem, naming all secrets concerned.

    Raises:
        RenderError: a secret file is missing or wrong.
    """
    wrong = [file for file in files if file.problem]
    if wrong:
        rest = f" (also: {', '.join(file.name for file in wrong[1:])})" if len(wrong) > 1 else ""
        raise RenderError(f"secret {wrong[0].name} {wrong[0].problem}{rest}", hint=wrong[0].hint, where=str(folder))
