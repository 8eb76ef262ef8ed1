"""The route matrix: every component people can reach, by every way in. Pure.

Traefik's routers are made from these rows, and the page, the command and the probe show and try the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from blueprints.access import WayIn
from blueprints.catalog import Catalog
from blueprints.certificates import AUTHORITIES
from blueprints.lock import Lock, LockedImage
from blueprints.manifest import Manifest
from blueprints.resolve import Resolution
from orgs.grammar import is_address

_LET_IN = {
    "localhost": "this machine",
    "lan": "this machine and private networks",
    "vpn": "this machine and the tailnet",
    "public": "everybody",
}


@dataclass(frozen=True, slots=True)
class DnsRecord:
    """A record somebody has to make: A, or none with the reason why there is nothing to make."""

    type: str
    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Route:
    """One component by one way in.

    Attributes:
        url: what people type; the origin.
        router: Traefik's name for it; empty where this way cannot reach the component, and `why_not` then says why.
        path: what a probe asks for.
        certificate: who signs what is served there, a key of `AUTHORITIES`.
        cors_origin: the origin that may call the API because of this row; only the site's rows have one.
        callbacks: login provider -> redirect address to register there; only the API's row on the canonical way has any.
        allowed: ranges whose requests are let through.
    """

    way: str
    canonical: bool
    component: str
    title: str
    host: str
    port: int
    url: str
    router: str
    entry_point: str
    path: str
    tls: bool
    certificate: str
    expects: str
    dns: DnsRecord
    cors_origin: str
    callbacks: Mapping[str, str]
    let_in: str
    allowed: tuple[str, ...]
    why_not: str


_FIELDS = tuple(field.name for field in fields(Route))


def routes(resolution: Resolution) -> tuple[Route, ...]:
    """Every row, the canonical way's first."""
    callbacks = _callbacks(resolution)
    return tuple(
        _route(
            callbacks,
            way,
            way is resolution.ways[0],
            component.manifest,
            component.subdomain,
            _path(resolution, component.name),
        )
        for way in resolution.ways
        for component in resolution.components
        if component.subdomain is not None
    )


def any_images(catalog: Catalog) -> Lock:
    """A lock for looking at routes only: which images run does not matter to them, so that none has to be pinned for it."""
    return Lock({name: LockedImage(image.name, image.tag, "any") for name, image in catalog.images().items()})


def routes_data(rows: Sequence[Route]) -> list[dict[str, Any]]:
    """The rows as blueprint.json keeps them."""
    return [  # asdict would copy every value deeply, slowly
        {name: getattr(row, name) for name in _FIELDS}
        | {
            "dns": {"type": row.dns.type, "name": row.dns.name, "value": row.dns.value},
            "callbacks": dict(row.callbacks),
            "allowed": list(row.allowed),
        }
        for row in rows
    ]


def entry_port(way: WayIn, subdomain: str | None) -> int | None:
    """The port a component answers on; None where this way cannot reach it."""
    if way.subdomains or subdomain == "":
        return way.port
    return way.api_port if subdomain == "api" else None


def _callbacks(resolution: Resolution) -> dict[str, str]:
    """Login provider -> path to register there, for those asked for that the generation knows a path of."""
    paths = resolution.profile.login.callbacks
    return {name: paths[name] for name in resolution.needs.login if name in paths}


def _route(callbacks: Mapping[str, str], way: WayIn, canonical: bool, manifest: Manifest, subdomain: str, path: str) -> Route:
    port = entry_port(way, subdomain)
    host = way.api_host if subdomain == "api" else f"{subdomain}.{way.host}" if subdomain and way.subdomains else way.host
    is_api, is_web = subdomain == "api", subdomain == ""
    return Route(
        way=way.way,
        canonical=canonical,
        component=manifest.name,
        title=manifest.title,
        host=host,
        port=port or 0,
        url=_url(way, host, port) if port else "",
        router=f"{way.way}-{manifest.name}" if port else "",
        entry_point=f"port-{port}" if port else "",
        path=path,
        tls=way.tls,
        certificate=way.certificate,
        expects=AUTHORITIES[way.certificate],
        dns=_record(way, host),
        cors_origin=way.web_origin if is_web else "",
        callbacks={name: f"{way.api_origin}{path}" for name, path in callbacks.items()} if is_api and canonical else {},
        let_in=_LET_IN[way.way],
        allowed=way.allowed,
        why_not="" if port else f"{way.host} has no names beneath it, and {manifest.title} needs one of its own",
    )


def _url(way: WayIn, host: str, port: int) -> str:
    scheme, usual = ("https", 443) if way.tls else ("http", 80)
    return f"{scheme}://{host}" if port == usual else f"{scheme}://{host}:{port}"


def _record(way: WayIn, host: str) -> DnsRecord:
    if is_address(host):
        return DnsRecord("none", host, "it is an address")
    if way.way == "localhost":
        return DnsRecord("none", host, "browsers take it for this machine by themselves")
    if way.way == "vpn":
        if host.endswith(".ts.net"):
            return DnsRecord("none", host, "the tailnet answers for it (MagicDNS)")
        return DnsRecord("A", host, "this machine's address in the tailnet, as `tailscale ip -4` says")
    if way.way == "lan":
        return DnsRecord("A", host, "this machine's address in the local network, at the router or in the hosts file of each computer")
    return DnsRecord("A", host, "this machine's public address; an AAAA record too where it has IPv6")


def _path(resolution: Resolution, name: str) -> str:
    """What a probe asks of a component: where its routed service says that it answers."""
    component = resolution.component(name)
    if component is None:
        return "/"
    routed = next((service for service in component.services if service.key == component.manifest.routed_service), None)
    return routed.probe.path if routed and routed.probe and routed.probe.path else "/"
