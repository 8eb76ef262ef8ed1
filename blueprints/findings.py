"""What a person should know about a deployment before it exists: warnings and notes, never a reason to stop. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from blueprints.access import WayIn
from blueprints.certificates import PER_DOMAIN_AND_WEEK, SAME_NAMES_AND_WEEK, budget
from blueprints.closure import holds
from blueprints.lock import UNRESOLVED, LockedImage
from blueprints.manifest import Manifest
from blueprints.profile import Profile
from orgs.needs import Needs
from sprocket_v2.errors import ResolveError


class Deployed(Protocol):
    """What a finding looks at of a resolved component."""

    @property
    def manifest(self) -> Manifest: ...
    @property
    def subdomain(self) -> str | None: ...
    @property
    def parts(self) -> tuple[str, ...]: ...
    @property
    def images(self) -> Mapping[str, LockedImage]: ...


@dataclass(frozen=True, slots=True)
class Finding:
    """`severity` is warning or info."""

    severity: str
    message: str
    hint: str


def findings_for(needs: Needs, ways: tuple[WayIn, ...], components: Sequence[Deployed], profile: Profile) -> tuple[Finding, ...]:
    """All findings, warnings first.

    Raises:
        ResolveError: an image without digest on a deployment the whole internet can reach.
    """
    found = [
        *_access(needs, ways),
        *_budget(ways, components),
        *_routes(ways, components),
        *_images(needs, ways, components),
        *findings_of_any(needs, components, profile),
    ]
    return warnings_first(found)


def findings_of_any(needs: Needs, components: Sequence[Deployed], profile: Profile) -> Iterator[Finding]:
    """What has to be known of a deployment of any generation, made by us or as it was found."""
    yield from _people(needs)
    if needs.applications == "stand-in":
        yield Finding(
            "warning", "The applications are this project's stand-ins, not the real ones.", "Set applications to real for a league."
        )
    yield from _database(needs)
    yield from _generation(needs, profile, components)
    yield from _local(needs, components)


def warnings_first(found: Iterable[Finding]) -> tuple[Finding, ...]:
    """In their order, warnings before notes."""
    return tuple(sorted(found, key=lambda finding: finding.severity != "warning"))


def _people(needs: Needs) -> Iterator[Finding]:
    if needs.deputy is None:
        yield Finding("warning", "Nobody can take over from the owner.", "Name a deputy in the needs.")


def _access(needs: Needs, ways: tuple[WayIn, ...]) -> Iterator[Finding]:
    others = [way.way for way in ways[1:]]
    if others:
        yield Finding(
            "info", f"Signing in works by {ways[0].way} only; {', '.join(others)} can read.", "The applications know one web origin."
        )
    yield from _certificates(ways)
    if any(way.way != "public" for way in ways):
        yield Finding(
            "info",
            "Swarm publishes on every address of the machine; Traefik refuses requests from elsewhere by their address.",
            "Docker's own ranges, 10.0.0.0/8 and 172.16.0.0/12, count as this machine: in a network that uses them, or a hostile one, close "
            "the entry ports in the firewall as well.",
        )


def _certificates(ways: tuple[WayIn, ...]) -> Iterator[Finding]:
    authorities = {way.certificate: way for way in ways if way.certificate}
    if "staging" in authorities:
        yield Finding(
            "warning",
            "Certificates come from Let's Encrypt's staging authority: browsers warn, and the site's own calls to the API are not trusted.",
            "It is there to prove name, port and challenge. When the routes page says that they were issued, set access.public.certificates "
            "to live: the comparison shows the switch, and live certificates are kept in a file of their own.",
        )
    if "private" in authorities:
        yield Finding(
            "warning",
            "Certificates come from a private authority.",
            "Only computers that were told to trust it open the site without a warning.",
        )
    if "live" in authorities and not authorities["live"].hsts:
        yield Finding(
            "info",
            "Browsers are not told to insist on HTTPS yet (HSTS).",
            "When the routes page says that HTTPS works for every name, set access.public.hsts to true.",
        )


def _budget(ways: tuple[WayIn, ...], components: Sequence[Deployed]) -> Iterator[Finding]:
    asked = budget(ways, [c.subdomain for c in components if c.subdomain is not None])
    if asked is None:
        return
    count, limits = len(asked.names), "staging's limits are far wider than" if asked.authority == "staging" else "it stays within"
    yield Finding(
        "warning" if asked.left < 0 else "info",
        f"Let's Encrypt is asked for {count} certificates ({', '.join(asked.names)}); {limits} the {PER_DOMAIN_AND_WEEK} of a registered "
        f"domain and {SAME_NAMES_AND_WEEK} of the same name a week."
        if asked.left >= 0
        else f"Let's Encrypt is asked for {count} certificates, and gives a registered domain {PER_DOMAIN_AND_WEEK} a week.",
        "They are kept in the volume of certificates, which stays when the deployment is removed: purging it means asking again.",
    )


def _routes(ways: tuple[WayIn, ...], components: Sequence[Deployed]) -> Iterator[Finding]:
    hidden = [c.manifest.title for c in components if c.subdomain not in (None, "", "api")]
    flat = [way.way for way in ways if not way.subdomains]
    if hidden and flat:
        yield Finding(
            "warning",
            f"{', '.join(hidden)} cannot be reached by {', '.join(flat)}.",
            "They need a name of their own, which an address does not have.",
        )


def _images(needs: Needs, ways: tuple[WayIn, ...], components: Sequence[Deployed]) -> Iterator[Finding]:
    loose = [key for c in components for key, image in c.images.items() if image.digest == UNRESOLVED and not image.local_id]
    if not loose:
        return
    own = [key for key in loose if key.startswith("local_")]
    if any(way.certificate in ("staging", "live") for way in ways) and own:
        raise ResolveError(
            f"the image of {', '.join(own)} goes by tag, without a digest, and access.public lets the whole internet in",
            hint="write name:tag@sha256:... for a local addition's image; `docker image inspect` shows its digest",
            where="additions.services",
        )
    if any(way.certificate in ("staging", "live") for way in ways):
        raise ResolveError(
            f"image digests are unresolved for {', '.join(loose)}, and access.public lets the whole internet in",
            hint="run `sprocket images lock` on a machine that reaches the registries",
            where="access.public",
        )
    yield Finding("info", f"Images go by tag, without a digest: {', '.join(loose)}.", "`sprocket images lock` pins them.")


def _generation(needs: Needs, profile: Profile, components: Sequence[Deployed]) -> Iterator[Finding]:
    """What the generation cannot do, where it matters with these needs."""
    unused = [name for name in needs.login if name not in profile.login.providers]
    if unused:
        yield Finding("info", f"Login by {', '.join(unused)} is not wired into the applications today.", "Players sign in with Discord.")
    parts = frozenset(part for component in components for part in component.parts)
    for limit in profile.findings:
        if all(holds(needs, wanted, "", parts) for wanted in limit.only_when):
            yield Finding(limit.severity, limit.message, limit.hint)


def _local(needs: Needs, components: Sequence[Deployed]) -> Iterator[Finding]:
    services = sum(len(c.manifest.services) for c in components if c.manifest.name == "local")
    values = sum(len(names) for names in needs.additions.environment.values())
    if not services and not values:
        return
    parts = [f"{count} {word if count == 1 else f'{word}s'}" for count, word in ((services, "service"), (values, "value")) if count]
    yield Finding(
        "info",
        f"Local additions: {' and '.join(parts)}, which no release was tested with.",
        "They are marked local wherever they show; who added them answers for them.",
    )


def _database(needs: Needs) -> Iterator[Finding]:
    if needs.database.where == "managed":
        yield Finding(
            "info",
            "The database is backed up by its host: there is no backup in this deployment.",
            "See that the host makes them, and try a restore there.",
        )
