"""Which hosts the settings of a service name: in its environment, its command and its mounted files. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.checks.services import Service

_URL = re.compile(
    r"\b(?P<scheme>[a-z][a-z0-9+.-]*)://(?:[^@/\s\"'`]*@)?(?P<host>[A-Za-z0-9][A-Za-z0-9_.-]*)(?::(?P<port>\d{1,5}))?(?P<rest>[^\s\"'`,)]*)"
)
_HOST_KEY = re.compile(r"(?:\A|_)(?:HOST|HOSTNAME|PGHOST|ADDRESS|ENDPOINT)\Z")
_ENV_VALUE = re.compile(r"\A(?P<host>[A-Za-z0-9][A-Za-z0-9_.-]*)(?::(?P<port>\d{1,5}))?\Z")
_TOML_ADDRESS = re.compile(
    r"^\s*(?:address|server|servers|urls|addr)\s*=\s*\[?\s*\"(?P<host>[A-Za-z0-9][A-Za-z0-9_.-]*):(?P<port>\d{1,5})\"", re.MULTILINE
)
_JSON_HOSTS = ("host", "hostname", "endPoint", "endpoint", "endPointUrl", "address")
_COMMAND = re.compile(r"\$\([^)]*\)|\$\{[^}]*\}")
_COMMENT = re.compile(r"^\s*(?:#|//|;).*$", re.MULTILINE)
_HERE = frozenset({"localhost", "0.0.0.0"})  # noqa: S104 - what a setting says, nothing that is bound
# An address that is the service's own, or where it listens, names nobody else.
_OWN = re.compile(r"(?:\A|_)(?:LISTEN|BIND|ADVERTISED)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Reference:
    """A host that a service is told.

    Attributes:
        scheme: of a URL, else empty.
        port: 0 where none is said.
        place: the variable, or the path of the file in the container.
        rest: of a URL, what stands behind host and port.
    """

    service: str
    host: str
    port: int
    place: str
    scheme: str = ""
    rest: str = ""

    @property
    def is_here(self) -> bool:
        """The container itself."""
        return self.host in _HERE or self.host.startswith("127.")

    @property
    def is_inside(self) -> bool:
        """A name without a dot, so one that only Docker can know."""
        return "." not in self.host and not self.is_here

    @property
    def says(self) -> str:
        """Host, and the port where there is one."""
        return f"{self.host}:{self.port}" if self.port else self.host


def references_of(services: Iterable[Service]) -> tuple[Reference, ...]:
    """Every reference once, in the order of the services."""
    return tuple(dict.fromkeys(reference for service in services for reference in _of(service)))


def _of(service: Service) -> Iterator[Reference]:
    args = service.args
    yield from _urls(service.name, "command", " ".join((*args.entrypoint, *args.command)))
    for key, value in args.environment.items():
        yield from _urls(service.name, key, value)
        if "://" not in value and not _OWN.search(key) and (_HOST_KEY.search(key) or re.search(r"_URL\Z", key)):
            yield from _from_variable(service, key, value)
    for config in service.configs:
        if config.text is not None:
            yield from _from_file(service.name, config.path, config.text)


def _from_variable(service: Service, key: str, value: str) -> Iterator[Reference]:
    found = _ENV_VALUE.match(value)
    if found:
        beside = service.args.environment.get(re.sub(r"(HOSTNAME|HOST|ADDRESS|ENDPOINT)\Z", "PORT", key), "")
        yield Reference(service.name, found["host"], int(found["port"] or (beside if beside.isdecimal() else 0)), key)


def _from_file(service: str, path: str, text: str) -> Iterator[Reference]:
    if path.endswith(".json"):
        try:
            data = json.loads(text)
        except ValueError:
            return
        yield from _in_json(service, path, data)
        return
    bare = _COMMENT.sub("", text)
    yield from _urls(service, path, bare)
    for found in _TOML_ADDRESS.finditer(bare):
        yield Reference(service, found["host"], int(found["port"]), path)


def _in_json(service: str, path: str, data: Any) -> Iterator[Reference]:  # noqa: ANN401 - plain data
    if isinstance(data, Mapping):
        port = data.get("port")
        for key, value in data.items():
            if isinstance(value, str) and key in _JSON_HOSTS and "://" not in value:
                found = _ENV_VALUE.match(value)
                if found:
                    yield Reference(service, found["host"], int(found["port"] or (port if isinstance(port, int) else 0)), path)
            else:
                yield from _in_json(service, path, value)
    elif isinstance(data, list):
        for value in data:
            yield from _in_json(service, path, value)
    elif isinstance(data, str):
        yield from _urls(service, path, data)


def _urls(service: str, place: str, text: str) -> Iterator[Reference]:
    for found in _URL.finditer(_COMMAND.sub("_", text)):
        yield Reference(service, found["host"], int(found["port"] or 0), place, found["scheme"], found["rest"])
