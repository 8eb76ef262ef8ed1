"""Where a Traefik of somebody's making lets requests in: its entry points and the ports they are published on. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from blueprints.compose import Part, ServiceArgs
from blueprints.strict_yaml import load
from sprocket_v2.errors import SprocketError

_ARGUMENT = re.compile(r"(?i)\A--entrypoints\.([^.=]+)\.address=(.*)\Z")
_PORT = re.compile(r":(\d{1,5})(?:/(?:tcp|udp))?\Z")
USUAL = {"web": 80, "websecure": 443, "http": 80, "https": 443}  # names as Traefik's own pages use them


def is_traefik(args: ServiceArgs) -> bool:
    """Whether a service runs Traefik, by its image's name."""
    return image_name(args) == "traefik"


def image_name(args: ServiceArgs) -> str:
    """The last word of an image's name: `openbao` of `quay.io/openbao/openbao:2`."""
    return args.image.partition("@")[0].rpartition("/")[2].partition(":")[0]


def entry_points(args: ServiceArgs, configs: Iterable[Part], files: Mapping[str, str]) -> dict[str, int]:
    """Entry point -> port on the machine, of those that are published.

    Args:
        configs: of the stack; a mounted one that the bundle holds is read, for that is where most estates say it.
        files: the bundle's.
    """
    listens = {name.lower(): port for text in (*args.entrypoint, *args.command) for name, port in _from_argument(text)}
    mounted = {item.name for item in args.configs}
    for part in configs:
        if part.name in mounted:
            listens |= _from_file(files.get(part.file.removeprefix("./"), ""))
    listens = listens or {name: port for name, port in USUAL.items() if any(p.target == port for p in args.ports)}
    published = {port.target: port.published for port in args.ports if port.protocol == "tcp"}
    return {name: published[port] for name, port in listens.items() if port in published}


def _from_argument(text: str) -> Iterable[tuple[str, int]]:
    found = _ARGUMENT.match(text)
    port = _port(found[2]) if found else 0
    return [(found[1], port)] if found and port else []


def _from_file(text: str) -> dict[str, int]:
    """The entry points of a static configuration in YAML; nothing of any other file."""
    try:
        data: Any = load(text, "static configuration") if text else None
    except SprocketError:
        return {}
    said = {str(key).lower(): value for key, value in data.items()}.get("entrypoints") if isinstance(data, dict) else None
    if not isinstance(said, dict):
        return {}
    ports = {str(name).lower(): _port(str((item or {}).get("address", ""))) for name, item in said.items()}
    return {name: port for name, port in ports.items() if port}


def _port(address: str) -> int:
    found = _PORT.search(address)
    return int(found[1]) if found else 0
