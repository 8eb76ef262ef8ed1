"""What a person should know about a deployment before it exists: warnings and notes, never a reason to stop. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from blueprints.access import WayIn
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
    found = [*_people(needs), *_access(needs, ways), *_routes(ways, components), *_images(needs, components), *_generation(needs, profile)]
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
    if any(way.way in ("localhost", "lan") for way in ways):
        yield Finding(
            "info",
            "Swarm publishes on every address of the machine; Traefik refuses requests from elsewhere by their address.",
            "On a machine in a hostile network close the entry ports in the firewall as well.",
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


def _images(needs: Needs, components: Sequence[Deployed]) -> Iterator[Finding]:
    if needs.applications == "stand-in":
        yield Finding(
            "warning", "The applications are this project's stand-ins, not the real ones.", "Set applications to real for a league."
        )
    loose = [key for c in components for key, image in c.images.items() if image.digest == UNRESOLVED and not image.local_id]
    if not loose:
        return
    if needs.access.public:
        raise ResolveError(
            f"image digests are unresolved for {', '.join(loose)}, and access.public lets the whole internet in",
            hint="run `sprocket images lock` on a machine that reaches the registries",
            where="access.public",
        )
    yield Finding("info", f"Images go by tag, without a digest: {', '.join(loose)}.", "`sprocket images lock` pins them.")


def _generation(needs: Needs, profile: Profile) -> Iterator[Finding]:
    """What the generation cannot do, where it matters with these needs."""
    unused = [name for name in needs.login if name not in profile.login.providers]
    if unused:
        yield Finding("info", f"Login by {', '.join(unused)} is not wired into the applications today.", "Players sign in with Discord.")
    for limit in profile.findings:
        if all(holds(needs, wanted, "") for wanted in limit.only_when):
            yield Finding(limit.severity, limit.message, limit.hint)
