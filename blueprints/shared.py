"""Sharing the host's entry ports with other organizations: what a deployment does differently, as values. Pure.

The deployment publishes no entry port then. Its Traefik is on one more network, `<slug>_entry`, whose only other guest is the
host's edge (blueprints.host_edge). That network's addresses are known beforehand, so that Traefik believes exactly the edge, and
nothing else, when it says whose request it hands on (ADR 0011).
"""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.access import WayIn
from blueprints.names import docker_name
from orgs.grammar import is_address
from orgs.needs import Needs
from sprocket_v2.errors import RenderError, ResolveError

NETWORK = "entry"
LANES = 8192
_ENTRY_POOL = ipaddress.IPv4Network("198.18.0.0/15")  # set aside by RFC 2544: nobody's network, and in no way's list of ranges
_LANE_BITS = 28  # 13 guests: gateway, load balancer, edge, Traefik, and their predecessors while they end
_HOST = r"Host\(`([a-z0-9.-]{1,253})`\)"
_RULE = re.compile(rf"\A{_HOST}(?: \|\| {_HOST})*\Z")
_ENTRY_POINT = re.compile(r"\Aport-([0-9]{1,5})\Z")


@dataclass(frozen=True, slots=True, order=True)
class EntryName:
    """A host name at an entry port that leads to this organization; `tls` is passed through unopened."""

    host: str
    port: int
    tls: bool


def subnet_of(needs: Needs) -> str:
    """The addresses of the organization's entry network: one of 8192 lanes, by its slug unless the needs name another."""
    lane = needs.access.entry_lane
    if lane is None:
        lane = int(hashlib.sha256(needs.slug.encode()).hexdigest()[:8], 16) % LANES
    first = int(_ENTRY_POOL.network_address) + lane * 2 ** (32 - _LANE_BITS)
    return f"{ipaddress.IPv4Address(first)}/{_LANE_BITS}"


def refuse_unshareable(needs: Needs, ways: tuple[WayIn, ...]) -> None:
    """Refuse a shared way in that the edge could not tell from another organization's.

    Raises:
        ResolveError: TLS under an address: a browser names no server then.
    """
    for way in ways if needs.access.shared else ():
        if way.tls and is_address(way.host):
            raise ResolveError(
                f"access.shared is true, yet {way.way} answers TLS under the address {way.host}: nothing tells whose request it is",
                hint="give that way a name, or do not share the entry ports",
                where=f"access.{way.way}",
            )


def shared_facts(needs: Needs) -> dict[str, Any]:
    """What templates print: whether the entry ports are shared, and from where the edge speaks."""
    return {"on": needs.access.shared, "subnet": subnet_of(needs) if needs.access.shared else ""}


def with_edge_routers(routers: list[dict[str, Any]], shared: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The routers, and behind each plain one its double for requests that the edge hands on.

    The double looks at the address the edge wrote into X-Forwarded-For, not at the edge's own. TLS comes with the PROXY protocol,
    which needs no double: Traefik takes the client's address from it.
    """
    if not shared["on"]:
        return routers
    doubled = []
    for router in routers:
        doubled.append(router)
        if not router["tls"]:
            rule = f"({router['rule']}) && ClientIP(`{shared['subnet']}`)"
            doubled.append({**router, "name": f"{router['name']}-shared", "rule": rule, "allow": f"{router['allow']}-shared"})
    return doubled


def entry_names(routers: Iterable[Mapping[str, Any]]) -> tuple[EntryName, ...]:
    """Every host name and port the edge has to know, sorted.

    Raises:
        RenderError: a router whose rule is not one or several host names.
        ResolveError: one name at one port is asked for with TLS and without.
    """
    names = set()
    for router in routers:
        port = _ENTRY_POINT.match(router["entry_point"])
        if port is None or not _RULE.match(router["rule"]):
            raise RenderError(
                f"router {router['name']}: the host's edge cannot tell its rule {router['rule']!r}",
                hint="a rule is Host(`name`), or several with || between them; an entry point is called port-N",
                where="blueprints/context.py",
            )
        names |= {EntryName(host, int(port[1]), bool(router["tls"])) for host in re.findall(_HOST, router["rule"])}
    for name in names:
        if name.tls and EntryName(name.host, name.port, False) in names:
            raise ResolveError(
                f"access.shared is true, yet {name.host} at port {name.port} is one way's with TLS and another's without",
                hint="give the two ways different ports, or do not share the entry ports",
                where="access",
            )
    return tuple(sorted(names))


def shared_data(needs: Needs, routers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """What blueprint.json says where the entry ports are shared."""
    return {
        "network": docker_name(needs.slug, NETWORK),
        "subnet": subnet_of(needs),
        "proxy": docker_name(needs.slug, "traefik"),
        "names": [{"host": name.host, "port": name.port, "tls": name.tls} for name in entry_names(routers)],
    }
