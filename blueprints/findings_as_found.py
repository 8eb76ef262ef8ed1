"""What a person should know about an older layout, reproduced as it was found: its weaknesses are shown, not mended. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from blueprints.access import WayIn
from blueprints.certificates import PER_DOMAIN_AND_WEEK
from blueprints.compose import Mount
from blueprints.exceptions import exceptions_of, is_excepted
from blueprints.findings import Deployed, Finding, findings_of_any, warnings_first
from blueprints.lock import UNRESOLVED
from blueprints.manifest import Manifest, Router
from blueprints.profile import Profile
from orgs.needs import Needs
from sprocket_v2.errors import CatalogError

_MOVING = frozenset({"latest", "main", "master"})


class Answered(Deployed, Protocol):
    """A resolved component with the answers to its questions."""

    @property
    def inputs(self) -> Mapping[str, bool | int | str]: ...


def findings_as_found(needs: Needs, ways: tuple[WayIn, ...], components: Sequence[Answered], profile: Profile) -> tuple[Finding, ...]:
    """All findings about an older layout, warnings first.

    Raises:
        CatalogError: a component has a path of the host that the release does not allow.
    """
    found = [
        *_images(components),
        *_host_paths(components),
        *_in_clear(components),
        *_reachable(ways, components),
        *_certificates(ways, components, profile),
        *findings_of_any(needs, components, profile),
    ]
    return warnings_first(found)


def bound(source: str, inputs: Mapping[str, bool | int | str]) -> str:
    """A path of the host; `{input}` in it is one of the component's answers."""
    return source.format(**{name: str(value) for name, value in inputs.items()})


def _images(components: Sequence[Deployed]) -> Iterator[Finding]:
    """A tag that moves is said, not refused: it is what runs."""
    images = {image.reference for c in components for image in c.images.values() if image.digest == UNRESOLVED}
    moving = sorted(name for name in images if name.rpartition(":")[2] in _MOVING)
    if moving:
        yield Finding(
            "warning",
            f"{len(moving)} images go by a tag that moves: {', '.join(moving)}.",
            "What runs tomorrow is not what ran yesterday; `sprocket images lock` pins them to digests.",
        )


def _host_paths(components: Sequence[Answered]) -> Iterator[Finding]:
    for component in components:
        manifest = component.manifest
        found = [bind for service in manifest.services if service.as_found for bind in service.as_found.binds]
        binds = [Mount("bind", bound(b.source, component.inputs), b.target, read_only=b.read_only) for b in found]
        beyond = [mount.source for mount in binds if not is_excepted(mount, exceptions_of(manifest.name))]
        if beyond:
            raise CatalogError(
                f"{manifest.name} has {beyond[0]} of the host", hint="templates/exceptions.yaml does not allow it", where=manifest.path
            )
        if binds:
            yield Finding(
                "warning",
                f"{manifest.title} has paths of the host: {', '.join(mount.source for mount in binds)}.",
                "It can be moved to another machine only together with them; v2 has none.",
            )


def _in_clear(components: Sequence[Deployed]) -> Iterator[Finding]:
    for component in components:
        places = [place for service in component.manifest.services if service.as_found for place in service.as_found.in_clear]
        if places:
            yield Finding(
                "warning",
                f"{component.manifest.title}: the estate has a secret in clear in its {', '.join(places)}.",
                "No value is in a blueprint; docs/legacy.md says what stands there instead. Whoever may look at the estate knows the old one: change it.",
            )


def _reachable(ways: tuple[WayIn, ...], components: Sequence[Deployed]) -> Iterator[Finding]:
    """Who gets in: routes are told apart by name alone."""
    yield Finding(
        "warning",
        "Nobody is refused by their address: who reaches ports 80 and 443 of the machine reaches every route.",
        "Close the ports in the firewall to those who have no business there; v2 has a list of addresses for each way in.",
    )
    others = [way.way for way in ways[1:]]
    if others:
        yield Finding(
            "info",
            f"By {' and '.join(others)} only the site opens; the API and the tools go by names of {ways[0].way}.",
            "So it was meant in the estate. v2 has a route for the API on every way in.",
        )
    for manifest, routers in _routed(components):
        if any(not router.tls for router in routers):
            yield Finding(
                "warning",
                f"{manifest.title} answers over plain HTTP: what is sent to it can be read on the way.",
                "Reach it on the machine only.",
            )


def _certificates(ways: tuple[WayIn, ...], components: Sequence[Deployed], profile: Profile) -> Iterator[Finding]:
    """One for each name that a route with TLS has; none where no authority of the internet signs it."""
    way = ways[0]
    if way.way != "public":
        yield Finding(
            "info",
            f"No authority signs names of {way.host}: Traefik shows a certificate of its own, and browsers warn.",
            "For trying out only.",
        )
        return
    hosts = profile.hosts_at(way.host, way.host)
    names = sorted({hosts[router.host] for _, routers in _routed(components) for router in routers if router.tls})
    yield Finding(
        "warning" if len(names) > PER_DOMAIN_AND_WEEK else "info",
        f"Let's Encrypt is asked for {len(names)} certificates ({', '.join(names)}); a registered domain gets {PER_DOMAIN_AND_WEEK} a week.",
        "They are kept in Traefik's volume, which nobody backs up: losing it means asking again.",
    )


def _routed(components: Sequence[Deployed]) -> Iterator[tuple[Manifest, tuple[Router, ...]]]:
    for component in components:
        routers = tuple(router for s in component.manifest.services if s.as_found for router in s.as_found.routers)
        if routers:
            yield component.manifest, routers
