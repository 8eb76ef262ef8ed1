"""Where a Traefik of somebody's making lets requests in: its entry points and the ports they are published on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator

from blueprints.checks.routers import parsed
from blueprints.checks.services import Service

_ARGUMENT = re.compile(r"(?i)\A--entrypoints\.([^.=]+)\.address=(.*)\Z")
_PORT = re.compile(r":(\d{1,5})(?:/(?:tcp|udp))?\Z")
USUAL = {"web": 80, "websecure": 443, "http": 80, "https": 443}  # names as Traefik's own pages use them


def entry_points(proxy: Service) -> dict[str, int]:
    """Entry point -> port on the machine, of those that are published. Most estates name them in a mounted file, some in arguments;
    of one that is taken over the file may not be known, and then the usual names of the published ports count."""
    args = proxy.args
    listens = dict(_from_arguments((*args.entrypoint, *args.command)))
    for config in proxy.configs:
        listens |= dict(_from_file(config.text or ""))
    listens = listens or {name: port for name, port in USUAL.items() if any(p.target == port for p in args.ports)}
    published = {port.target: port.published for port in args.ports if port.protocol == "tcp"}
    return {name: published[port] for name, port in listens.items() if port in published}


def _from_arguments(words: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    for word in words:
        found = _ARGUMENT.match(word)
        if found and _port(found[2]):
            yield found[1].lower(), _port(found[2])


def _from_file(text: str) -> Iterator[tuple[str, int]]:
    """The entry points of a static configuration in YAML; nothing of any other file."""
    said = {str(key).lower(): value for key, value in parsed(text).items()}.get("entrypoints")
    for name, item in said.items() if isinstance(said, dict) else ():
        port = _port(str((item or {}).get("address", ""))) if isinstance(item, dict) else 0
        if port:
            yield str(name).lower(), port


def _port(address: str) -> int:
    found = _PORT.search(address)
    return int(found[1]) if found else 0
