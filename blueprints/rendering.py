"""The value a rendering is: files, their digests, and what they say about themselves. Reads and writes bundle folders."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from json.encoder import encode_basestring
from pathlib import Path
from typing import Any

from sprocket_v2.errors import RenderError

MANIFEST = "blueprint.json"
LOCK = "blueprint.lock.json"
SECRETS = "secrets.json"
STACK = "stack.yml"
EXECUTABLE = frozenset({"fill.sh", "deploy.sh"})
_encode = json.JSONEncoder(ensure_ascii=False).encode
_MAX_BUNDLE = 16 * 1024 * 1024


@dataclass(frozen=True)
class Rendering:
    """One rendering: relative POSIX path -> text (UTF-8, ends in one newline). Same input, same bytes."""

    files: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of blueprint.json, which names the digest of every other file: `sha256:<hex>`."""
        return digest_of(self.files[MANIFEST])

    @cached_property
    def blueprint(self) -> Any:  # noqa: ANN401 - JSON
        """blueprint.json as data."""
        return json.loads(self.files[MANIFEST])

    @cached_property
    def lock(self) -> Any:  # noqa: ANN401 - JSON
        """blueprint.lock.json as data."""
        return json.loads(self.files[LOCK])

    @cached_property
    def stacks(self) -> tuple[tuple[str, str], ...]:
        """(layer, path of its stack.yml) in the order they are applied; one without a name where the deployment has one stack."""
        layers = self.blueprint.get("stacks")
        return tuple((str(item["name"]), str(item["file"])) for item in layers) if layers else (("", STACK),)

    @cached_property
    def secrets(self) -> dict[str, Any]:
        """The secret references by name."""
        secrets: dict[str, Any] = json.loads(self.files[SECRETS])["secrets"]
        return secrets


def digest_of(text: str) -> str:
    """`sha256:<hex>` of a text's UTF-8 bytes."""
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def json_text(data: object) -> str:
    """JSON as our files hold it: two spaces, keys in the order given, one newline at the end.

    The bytes of `json.dumps(data, indent=2, ensure_ascii=False)`, which leaves its C encoder as soon as it has to indent.
    """
    return _json(data, "\n") + "\n"


def _json(value: object, margin: str) -> str:
    if type(value) is str:
        return encode_basestring(value)
    if type(value) is bool or type(value) is int:
        return str(value).lower()
    inner = margin + "  "
    if isinstance(value, dict) and value:
        items = [  # most values are texts, so they take the short way
            f"{encode_basestring(key)}: {encode_basestring(item) if type(item) is str else _json(item, inner)}"
            for key, item in value.items()
        ]
        return f"{{{inner}{f',{inner}'.join(items)}{margin}}}"
    if isinstance(value, (list, tuple)) and value:
        items = [encode_basestring(item) if type(item) is str else _json(item, inner) for item in value]
        return f"[{inner}{f',{inner}'.join(items)}{margin}]"
    return _encode(value)


def write_bundle(rendering: Rendering, folder: Path) -> None:
    """Write all files into a folder, whole or not at all: an earlier bundle there is replaced, its `secrets/` is kept.

    Raises:
        RenderError: the folder holds something that is no bundle.
    """
    if folder.exists() and not (folder.is_dir() and (not any(folder.iterdir()) or (folder / MANIFEST).is_file())):
        raise RenderError(f"{folder} is not empty and no bundle", hint="name a new folder, or empty this one", where=str(folder))
    for path in rendering.files:
        _refuse_leaving(path, folder)
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        for path, text in rendering.files.items():
            target = fresh / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            target.chmod(0o755 if path in EXECUTABLE else 0o644)
        fresh.chmod(0o755)
        _swap(fresh, folder)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _swap(fresh: Path, folder: Path) -> None:
    if not folder.exists():
        os.replace(fresh, folder)
        return
    if (folder / "secrets").is_dir():
        os.replace(folder / "secrets", fresh / "secrets")
    old = Path(tempfile.mkdtemp(prefix=f".{folder.name}-old-", dir=folder.parent))
    os.replace(folder, old / "bundle")
    os.replace(fresh, folder)
    shutil.rmtree(old)


def read_bundle(folder: Path) -> Rendering:
    """A rendering from a bundle folder, checked against its own digests; `secrets/` is left alone.

    Raises:
        RenderError: not a bundle, or a file that is not what blueprint.json says.
    """
    manifest = folder / MANIFEST
    if not manifest.is_file():
        raise RenderError("no blueprint.json", hint="`sprocket render NEEDS --out DIR` makes a bundle", where=str(folder))
    try:
        text = manifest.read_text(encoding="utf-8")
        facts = json.loads(text)
        expected = {str(item["path"]): str(item["sha256"]) for item in facts["files"]}
        stacks = {str(item["file"]) for item in facts.get("stacks") or ()} or {STACK}
        missing = {*stacks, LOCK, SECRETS} - set(expected)
    except (ValueError, KeyError, TypeError):
        missing = {MANIFEST}
    if missing:
        raise RenderError("blueprint.json is not a blueprint's", hint="render it again", where=str(manifest))
    files = {path: _read_checked(folder, path, sha256) for path, sha256 in expected.items()}
    return Rendering({**files, MANIFEST: text})


def _refuse_leaving(path: str, folder: Path) -> None:
    """A file's path stays inside its bundle, and out of `secrets/`."""
    parts = Path(path).parts
    if (
        ".." in parts
        or Path(path).is_absolute()
        or parts[:1] == ("secrets",)
        or not (folder / path).resolve().is_relative_to(folder.resolve())
    ):
        raise RenderError(f"{path} leaves the bundle", hint="render it again", where=str(folder))


def _read_checked(folder: Path, path: str, sha256: str) -> str:
    file = folder / path
    _refuse_leaving(path, folder)
    if not file.is_file() or file.stat().st_size > _MAX_BUNDLE:
        raise RenderError(f"{path} is missing or too large", hint="render it again", where=str(folder))
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != sha256:
        raise RenderError(f"{path} was changed by hand", hint="change the needs or the templates, then render again", where=str(file))
    return content.decode("utf-8", errors="replace")
