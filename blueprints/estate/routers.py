"""Routes out of Traefik's labels: one item for each router of a service. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping

from blueprints.estate.model import WITHHELD, Item

_ROUTER = re.compile(r"(?i)\Atraefik\.(http|tcp|udp)\.routers\.([^.]+)\.(.+)\Z")
_PORT = r"(?i)\Atraefik\.{}\.services\.{}\.loadbalancer\.server\.port\Z"
_HOST = re.compile(r"`([^`]+)`|\"([^\"]+)\"")


def routers_in(labels: Mapping[str, str]) -> dict[tuple[str, str], dict[str, str]]:
    """(protocol, router) of every router that labels name, in the order they come -> what they say of it, by option in lower case."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for label, value in labels.items():
        if match := _ROUTER.match(label):
            found.setdefault((match[1].lower(), match[2]), {})[match[3].lower()] = value
    return found


def routes_of(item: Item) -> tuple[Item, ...]:
    """The routes of a service, by its labels. Their place is the service's."""
    if item.service is None:
        return ()
    labels = {**item.service.container_labels, **item.service.labels}  # without a swarm the proxy reads the containers'
    return tuple(
        Item("route", router, item.origin, item.layer, facts=_facts(protocol, router, said, labels, item.name), is_leaving=item.is_leaving)
        for (protocol, router), said in routers_in(labels).items()
    )


def _facts(protocol: str, router: str, said: Mapping[str, str], labels: Mapping[str, str], service: str) -> dict[str, object]:
    rule = said.get("rule", "")
    target = said.get("service", router)
    return {
        "protocol": protocol,
        "rule": rule,
        "hosts": hosts_in(rule),
        "entrypoints": [name.strip() for name in said.get("entrypoints", "").split(",") if name.strip()],
        "port": _port(labels, protocol, target) or _port(labels, protocol, router),
        "tls": said.get("tls", "").lower() == "true" or any(key.startswith("tls.") for key in said),
        "certresolver": said.get("tls.certresolver", ""),
        "middlewares": [name.strip() for name in said.get("middlewares", "").split(",") if name.strip()],
        "target": target,
        "service": service,
    }


def hosts_in(rule: str) -> list[str]:
    """The host names of a rule, in the order they stand there."""
    if rule.startswith(WITHHELD):
        return []
    hosts: list[str] = []
    for inside in re.findall(r"Host(?:SNI)?\(([^)]*)\)", rule):
        hosts += [a or b for a, b in _HOST.findall(inside)]
    return list(dict.fromkeys(hosts))


def _port(labels: Mapping[str, str], protocol: str, name: str) -> int:
    pattern = re.compile(_PORT.format(protocol, re.escape(name)))
    given = next((value for label, value in labels.items() if pattern.match(label)), "")
    return int(given) if given.isascii() and given.isdigit() and len(given) < 6 else 0
