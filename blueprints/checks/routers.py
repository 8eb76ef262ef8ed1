"""The proxy's routers: from Traefik's labels on services, from its files, and from routes that a source lists by themselves. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from blueprints.checks.services import Service, of_family
from blueprints.estate.model import Estate
from blueprints.estate.routers import routers_in
from blueprints.strict_yaml import load
from sprocket_v2.errors import RenderError

_PORT = re.compile(r"\Atraefik\.(http|tcp|udp)\.services\.([^.]+)\.loadbalancer\.server\.port\Z", re.IGNORECASE)
_HOST = re.compile(r"\bHost(?:SNI)?\(([^)]*)\)")


@dataclass(frozen=True, slots=True)
class Router:
    """One router.

    Attributes:
        owner: the service that brings it (its labels), or the proxy whose file has it.
        service: what it leads to: a service of Traefik's, by name; empty where the labels leave it to Traefik.
        port: of the container behind it; 0 where that is not said.
        resolver: who is asked for its certificate; empty for none.
        is_label: it stands in labels, so that the owner is also what it leads to.
    """

    protocol: str
    name: str
    rule: str
    owner: str
    entrypoints: tuple[str, ...] = ()
    service: str = ""
    port: int = 0
    tls: bool = False
    resolver: str = ""
    is_label: bool = True

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts its rule names."""
        return tuple(host for part in _HOST.findall(self.rule) for host in re.findall(r"[`'\"]([^`'\"]+)[`'\"]", part))


def routers_of(services: Iterable[Service], estate: Estate) -> tuple[Router, ...]:
    """Every router of services that stay; those of labels first."""
    services = tuple(services)
    found = [router for service in services for router in _from_labels(service)]
    for proxy in of_family(services, "traefik"):
        found += [r for config in proxy.configs if config.text and "routers" in config.text for r in _from_file(proxy.name, config.text)]
    # A bundle's own list of routes is what the routers are measured by, so it makes none.
    known = {(router.protocol, router.name) for router in found}
    found += [
        Router(
            protocol=str(item.facts.get("protocol", "http")),
            name=item.name,
            rule=str(item.facts.get("rule", "")),
            owner=str(item.facts.get("service", "")),
            entrypoints=_listed(item.facts.get("entrypoints")),
            port=int(item.facts.get("port") or 0),
            tls=bool(item.facts.get("tls")),
        )
        for item in estate.of("route")
        if item.origin.source != "bundle" and not item.is_leaving and (str(item.facts.get("protocol", "http")), item.name) not in known
    ]
    return tuple(found)


def _listed(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - plain data
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(str(part) for part in value or ())


def _from_labels(service: Service) -> Iterator[Router]:
    ports = {(found[1].lower(), found[2]): value for label, value in service.args.labels.items() if (found := _PORT.match(label))}
    for (protocol, name), given in routers_in(service.args.labels).items():
        port = ports.get((protocol, given.get("service", name)), "")
        yield Router(
            protocol=protocol,
            name=name,
            rule=given.get("rule", ""),
            owner=service.name,
            entrypoints=_listed(given.get("entrypoints", "")),
            service=given.get("service", ""),
            port=int(port) if port.isdecimal() else 0,
            tls=given.get("tls") == "true" or any(key.startswith("tls.") for key in given),
            resolver=given.get("tls.certresolver", ""),
        )


def _from_file(proxy: str, text: str) -> Iterator[Router]:
    data = parsed(text)
    for protocol in ("http", "tcp", "udp"):
        part = data.get(protocol) or {}
        for name, given in (part.get("routers") or {}).items():
            tls = given.get("tls")
            yield Router(
                protocol=protocol,
                name=name,
                rule=str(given.get("rule", "")),
                owner=proxy,
                entrypoints=_listed(given.get("entryPoints")),
                service=str(given.get("service", "")),
                tls=tls is not None,
                resolver=str((tls or {}).get("certResolver", "")),
                is_label=False,
            )


@lru_cache(maxsize=64)
def parsed(text: str) -> Mapping[str, Any]:
    """A YAML file's mapping; empty where it is none that we read."""
    try:
        data = load(text)
    except RenderError:
        return {}
    return data if isinstance(data, Mapping) else {}


def file_targets(services: Iterable[Service]) -> dict[str, tuple[str, ...]]:
    """Traefik's services by name, of its files -> the URLs behind them."""
    found: dict[str, tuple[str, ...]] = {}
    for proxy in of_family(services, "traefik"):
        for config in proxy.configs:
            for name, given in ((parsed(config.text or "").get("http") or {}).get("services") or {}).items():
                servers = (given.get("loadBalancer") or {}).get("servers") or ()
                found[name] = tuple(str(server.get("url", "")) for server in servers)
    return found


def static_settings(services: Iterable[Service]) -> dict[str, Any]:
    """What Traefik is told at its start: the file that names entry points or providers."""
    for proxy in of_family(services, "traefik"):
        for config in proxy.configs:
            data = parsed(config.text or "")
            if "entryPoints" in data or "providers" in data:
                return dict(data)
    return {}
