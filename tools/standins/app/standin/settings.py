"""Settings with the applications' own precedence: environment, secret file, JSON file, default; else fail and name the key."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any, NoReturn


class MissingSetting(Exception):  # noqa: N818 - it is what happened
    """A setting without value anywhere."""


class Settings:
    """Looks settings up and remembers where each came from; values are never printed."""

    def __init__(self, environ: dict[str, str] | None = None, folder: Path | None = None) -> None:
        self.environ = dict(os.environ if environ is None else environ)
        self.folder = folder or Path.cwd()
        self.sources: dict[str, str] = {}
        self._json = self._read_json()

    def _read_json(self) -> Any:
        config = Path(self.environ.get("NODE_CONFIG_DIR") or self.folder / "config")
        file = config / f"{self.environ.get('NODE_ENV', 'development')}.json"
        try:
            return json.loads(file.read_text())
        except FileNotFoundError:
            return {}
        except ValueError as error:
            raise MissingSetting(f"{file} is not JSON: {error}") from None

    def value(self, name: str, path: str = "", default: str | None = None) -> str:
        """A plain setting. An empty environment variable counts as set."""
        if name in self.environ:
            self.sources[name] = "env"
            return self.environ[name]
        found = self._path(path) if path else None
        if found is not None:
            self.sources[name] = f"json {path}"
            return json.dumps(found) if isinstance(found, (list, dict, bool)) else str(found)
        if default is not None:
            self.sources[name] = "default"
            return default
        raise MissingSetting(f"missing setting {name}" + (f" (or {path} in the configuration file)" if path else ""))

    def number(self, name: str, path: str = "", default: str | None = None) -> int:
        """A setting that has to be a whole number."""
        text = self.value(name, path, default)
        if not text.isdecimal():
            raise MissingSetting(f"setting {name} is not a number")
        return int(text)

    def secret(self, name: str, file: str) -> str:
        """A secret: environment (an empty one counts as absent), then the trimmed file; never JSON."""
        if self.environ.get(name):
            self.sources[name] = "env"
            return self.environ[name]
        path = self.folder / "secret" / file
        try:
            text = path.read_text().strip()
        except OSError:
            text = ""
        if not text:
            raise MissingSetting(f"missing secret {name} (or a non-empty file secret/{file})")
        self.sources[name] = f"file secret/{file}"
        return text

    def _path(self, path: str) -> Any:
        found = self._json
        for part in path.split("."):
            if not isinstance(found, dict) or part not in found:
                return None
            found = found[part]
        return found

    def report(self) -> None:
        """Print every key and where it came from, no values."""
        for name, source in sorted(self.sources.items()):
            say(f"setting {name} from {source}")


def say(text: str) -> None:
    """One line to the log."""
    print(text, flush=True)


def fail(text: str) -> NoReturn:
    """One line to the log, and the end."""
    print(f"cannot start: {text}", file=sys.stderr, flush=True)
    raise SystemExit(1)


def from_env_or_file(name: str) -> str:
    """A variable, or the file that `<name>_FILE` names, as the entry points of official images read it."""
    file = os.environ.get(f"{name}_FILE", "")
    if file:
        try:
            return Path(file).read_text().strip()
        except OSError:
            fail(f"{name}_FILE names {file}, which cannot be read")
    return os.environ.get(name, "")
