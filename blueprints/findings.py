"""What a person should know about a deployment before it exists: warnings and notes, never a reason to stop. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from blueprints.access import WayIn
from blueprints.lock import UNRESOLVED, LockedImage
from blueprints.manifest import Manifest
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


def findings_for(needs: Needs, ways: tuple[WayIn, ...], components: Sequence[Deployed]) -> tuple[Finding, ...]:
    """All findings, warnings first.

    Raises:
        ResolveError: an image without digest on a deployment the whole internet can reach.
    """
    found = [
        *_people(needs),
        *_access(needs, ways),
        *_routes(ways, components),
        *_images(needs, components),
        *_database(needs),
        *_local(needs, components),
    ]
    return tuple(sorted(found, key=lambda finding: finding.severity != "warning"))


def _people(needs: Needs) -> Iterator[Finding]:
    if needs.deputy is None:
        yield Finding("warning", "Nobody can take over from the owner.", "Name a deputy in the needs.")
    unused = [name for name in needs.login if name != "discord"]
    if unused:
        yield Finding("info", f"Login by {', '.join(unused)} is not wired into the applications today.", "Players sign in with Discord.")


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
    own = [key for key in loose if key.startswith("local_")]
    if needs.access.public and own:
        raise ResolveError(
            f"the image of {', '.join(own)} goes by tag, without a digest, and access.public lets the whole internet in",
            hint="write name:tag@sha256:... for a local addition's image; `docker image inspect` shows its digest",
            where="additions.services",
        )
    if needs.access.public:
        raise ResolveError(
            f"image digests are unresolved for {', '.join(loose)}, and access.public lets the whole internet in",
            hint="run `sprocket images lock` on a machine that reaches the registries",
            where="access.public",
        )
    yield Finding("info", f"Images go by tag, without a digest: {', '.join(loose)}.", "`sprocket images lock` pins them.")


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
    if needs.database.where == "deployment" and needs.database.starting_data.kind == "empty":
        yield Finding(
            "warning",
            "The database begins empty: the deployment will run, and nobody can use it yet.",
            "The applications' migrations do not build an empty database; give a schema file or a backup.",
        )
    yield Finding(
        "info",
        "A new player can sign in only when a row for them is in mledb.player, and becomes a member of organization 2.",
        "The applications of this generation are tied to the reference league so far.",
    )
