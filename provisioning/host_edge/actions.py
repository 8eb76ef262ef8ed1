"""What happens to the host's edge around a run: checked and reserved before it, brought up to date after it, let go before a removal.

Called under the run's own lease; the edge's lease is taken here. Which organizations are behind the edge is what the rows say:
whoever holds the lease last makes the edge from all of them, so that no order of runs loses anybody.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.db import transaction

from blueprints.host_edge import Member, member_of
from orgs.actions import record
from orgs.models import Organization
from provisioning.host_edge import claims, effects
from provisioning.host_edge.claims import Shared
from provisioning.host_edge.lease import Beat, EdgeLease, edge_lease, edge_row
from provisioning.host_edge.rows import EdgeMember, HostEdge
from sprocket_v2.errors import ApplyError, DeniedError, SprocketError

if TYPE_CHECKING:
    from provisioning.host_edge.objects import EdgeObjects

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Standing:
    """How the edge stands, for the platform's admin: the only place that names all organizations behind it.

    Attributes:
        state: absent (nobody shares), current, outdated, missing, or unknown (Docker cannot be reached).
    """

    name: str
    state: str
    is_running: bool
    ports: tuple[int, ...]
    members: tuple[Member, ...]
    files: dict[str, str]


def prepare(*, org: Organization, blueprint: Mapping[str, Any], beat: Beat, say: Say) -> None:
    """Before an apply changes anything: names and ports are free, the names are reserved; who stops sharing is let go first.

    Args:
        blueprint: blueprint.json of the rendering that is about to be applied.
    Raises:
        ApplyError: a name, lane or port is somebody else's, or the edge is busy for too long.
    """
    row = EdgeMember.objects.for_org(org).first()
    shared = claims.shared_of(blueprint)
    if shared is None:
        if row is not None:
            _refuse_ports_of_the_edge(org, blueprint)
            leave(org=org, beat=beat, say=say)
        return
    claims.refuse_taken(org, shared)
    _objects().refuse_taken_ports([name["port"] for name in shared["names"]], org.slug)
    if row is not None and row.is_live and row.subnet != shared["subnet"]:
        leave(org=org, beat=beat, say=say)  # its network is made anew, which nobody may be on
    claims.reserve(org, shared)


def join(*, org: Organization, shared: Shared, beat: Beat, say: Say) -> None:
    """After an apply, its Traefik healthy: the edge hands requests on to it, under exactly these names."""
    with edge_lease(beat) as lease:
        edge = _objects(lease)
        member = member_of(org.slug, shared)
        if not edge.reachable([member]):
            raise ApplyError(f"network {member.network} is not there", hint="apply again", where=member.network)
        members = [*edge.reachable(claims.live_members(without=org)), member]
        _make(edge, members, lease, say)
        claims.go_live(org, shared)


def leave(*, org: Organization, beat: Beat, say: Say) -> None:
    """Before its deployment goes, or publishes ports of its own: the edge knows it no more."""
    if not EdgeMember.objects.for_org(org).exists():
        return
    with edge_lease(beat) as lease:
        if claims.is_live(org):
            _make(_objects(lease), claims.live_members(without=org), lease, say)
        claims.forget(org)


def settle(*, actor: Any, beat: Beat = lambda: None, say: Say = lambda _text: None) -> Standing:  # noqa: ANN401 - rows
    """Bring the edge to what the rows say, on an admin's word: after somebody removed it by hand, or with a new release.

    Raises:
        DeniedError: not the platform's admin.
    """
    require_admin(actor)
    with edge_lease(beat) as lease:
        _make(_objects(lease), claims.live_members(), lease, say)
    with transaction.atomic():
        record(org=None, actor=actor, what="host edge applied", detail=lease.name, via="cli")
    return standing()


def effect_of(org: Organization, blueprint: Mapping[str, Any]) -> effects.EdgeEffect | None:
    """What an apply of a rendering would do to the edge; None when it has nothing to do with it, or Docker cannot be reached.

    Raises:
        ApplyError: a name or port it asks for is somebody else's: better said before anybody approves.
    """
    others, shared = claims.live_members(without=org), claims.shared_of(blueprint)
    if shared is None and not claims.is_live(org):
        return None
    if shared is None:
        _refuse_ports_of_the_edge(org, blueprint)
        return effects.leaving(others=len(others))
    claims.refuse_taken(org, shared)
    try:
        edge = _objects()
        standing_now = edge.is_as_wanted([*edge.reachable(others), member_of(org.slug, shared)])
    except SprocketError:
        return None
    edge.refuse_taken_ports([name["port"] for name in shared["names"]], org.slug)
    return effects.joining(others=len(others), is_there=standing_now is not None, is_as_wanted=bool(standing_now))


def standing() -> Standing:
    """How the edge stands now; changes nothing."""
    name, members = edge_row().name, claims.live_members()
    ports = tuple(sorted({entry.port for member in members for entry in member.names}))
    try:
        edge = _objects()
        members_there = edge.reachable(members)
        files = edge.files(members_there) if members_there else {}
        as_wanted = edge.is_as_wanted(members_there) if members_there else None
        is_running = edge.is_running()
    except SprocketError:
        return Standing(name, "unknown", False, ports, tuple(members), {})
    if not members:
        state = "outdated" if is_running else "absent"
    else:
        state = "missing" if as_wanted is None else "current" if as_wanted else "outdated"
    return Standing(name, state, is_running, ports, tuple(members), files)


def is_in_use() -> bool:
    """Whether any organization shares the entry ports, without asking Docker."""
    return HostEdge.objects.exists() and EdgeMember.objects.filter(is_live=True).exists()


def require_admin(actor: Any) -> None:  # noqa: ANN401 - rows
    """For what concerns every organization on the host.

    Raises:
        DeniedError: not the platform's admin.
    """
    if not (getattr(actor, "is_active", False) and actor.is_superuser):
        raise DeniedError("the host's edge is the platform admin's", hint="name one with --as NAME", where="host edge")


def _refuse_ports_of_the_edge(org: Organization, blueprint: Mapping[str, Any]) -> None:
    """Refuse ports of its own to a deployment that stops sharing them, as long as the edge holds them for others."""
    held = {entry.port for member in claims.live_members(without=org) for entry in member.names}
    taken = sorted(held & {int(way[key]) for way in (blueprint.get("access") or {}).get("ways", ()) for key in ("port", "api_port")})
    if taken:
        raise ApplyError(
            f"entry port {taken[0]} is the host's edge's, which other organizations share",
            hint="choose another entry port, or go on sharing",
            where="access",
        )


def _make(edge: EdgeObjects, members: list[Member], lease: EdgeLease, say: Say) -> None:
    there = edge.reachable(members)
    lease.tick()
    if not there:
        say("removing the host's edge: nobody shares the entry ports")
        edge.remove()
        return
    as_wanted = edge.is_as_wanted(there)
    if as_wanted is None:
        say("starting the host's edge")
    elif not as_wanted:
        say("restarting the host's edge")
    edge.make(there)


def _objects(lease: EdgeLease | None = None) -> EdgeObjects:
    from provisioning.host_edge.objects import EdgeObjects  # the Docker SDK is slow to import

    return EdgeObjects(lease.name, sleep=lease.sleep) if lease else EdgeObjects(edge_row().name)
