"""Puts values back where an import took them out: only ever from the very service they were taken from. Pure.

What is taken out, and why, is decided in secrecy.py; here a `withheld:<16 hex>` finds the live value it stands for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from blueprints.compose import ServiceArgs
from blueprints.estate.model import WITHHELD
from blueprints.estate.secrecy import scan_text, why_secret, withheld
from sprocket_v2.errors import ApplyError

_TOKEN = re.compile(re.escape(WITHHELD) + r"[0-9a-f]{16}")
_MAPPINGS = ("environment", "labels", "container_labels", "log_options")
_WORDS = ("entrypoint", "command")
Change = Callable[[str, str], str]


def clear_values(clear: ServiceArgs, withheld: ServiceArgs) -> dict[str, str]:
    """What each `withheld:` of a service stands for, from the same service before and after its values were taken out."""
    before, found = dict[str, str](), dict[str, str]()
    _texts(clear, before.setdefault)

    def look(path: str, text: str) -> str:
        token = _TOKEN.search(text)
        if token and before[path] != text:
            found[token[0]] = before[path][token.start() :]
        return text

    _texts(withheld, look)
    return found


def with_values(args: ServiceArgs, values: Mapping[str, str]) -> ServiceArgs:
    """The service with each `withheld:` replaced by the value it stands for.

    Args:
        values: as `clear_values` of the live service gives them.
    Raises:
        ApplyError: the live service has no value of that fingerprint; names the field.
    """

    def put_back(path: str, text: str) -> str:
        for token in _TOKEN.findall(text):
            if token not in values:
                raise ApplyError(
                    f"{path} holds {token}, and the running service has no value with that fingerprint",
                    hint="it was changed since the import: import the service again, or give the value as a secret",
                    where=args.name,
                )
        return _TOKEN.sub(lambda token: values[token[0]], text)

    return _texts(args, put_back)


def withheld_option(name: str, value: str, key: bytes) -> str:
    """A volume's option, or what stands for it where it looks secret: `o: username=league,password=...`."""
    is_secret = why_secret(name, value) or scan_text(value.replace(",", "\n"))
    return withheld(value, key) if is_secret else value


def _texts(args: ServiceArgs, change: Change) -> ServiceArgs:
    """The service with every text that may hold a secret changed; the path is that of the difference an engine would show."""
    changed: dict[str, Any] = {
        name: {key: change(f"{name}.{key}", text) for key, text in getattr(args, name).items()} for name in _MAPPINGS
    }
    words: dict[str, Any] = {name: tuple(change(f"{name}[{i}]", word) for i, word in enumerate(getattr(args, name))) for name in _WORDS}
    health = args.healthcheck
    if health:
        health = replace(health, test=tuple(change(f"healthcheck.test[{i}]", word) for i, word in enumerate(health.test)))
    return replace(args, **changed, **words, healthcheck=health)
