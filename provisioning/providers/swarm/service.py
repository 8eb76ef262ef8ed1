"""Swarm services: made, updated with health-gated convergence, read back, removed.

An adopted service is one that somebody else made: it is known by the engine's id, its updates are laid over what runs, and it is
never removed from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from blueprints.compose import ServiceArgs
from blueprints.estate.withholding import clear_values, with_values
from blueprints.exceptions import exceptions_of
from provisioning.providers.swarm.allowed import Owners, refuse_forbidden
from provisioning.providers.swarm.client import ORG, Data, Swarm
from provisioning.providers.swarm.convergence import Mask, wait_until_there
from provisioning.providers.swarm.overlay import overlay
from provisioning.providers.swarm.owner import identity_of, refuse_other, refuse_stranger
from provisioning.providers.swarm.service_spec import args_of, networks_of, spec_for
from sprocket_v2.errors import ApplyError

REPLACES = frozenset({"name"})
_GONE_WITHIN_S = 120.0


Sleep = Callable[[float], None]
Withhold = Callable[[ServiceArgs], ServiceArgs]


def create(swarm: Swarm, args: ServiceArgs, mask: Mask, *, owners: Owners | None = None, sleep: Sleep = time.sleep) -> str:
    """Make it and wait until it is there, or adopt ours and converge it; its id. A failed create leaves nothing behind.

    Args:
        owners: (kind, name or id) -> whose it is, where other objects than the service's own organization's are allowed to it.
    """
    found = swarm.find("service", args.name)
    if found is not None:
        refuse_stranger("service", args.name, found["Spec"].get("Labels"), args.labels)
        if not is_as_wanted(swarm, args):
            update(swarm, args, mask, owners=owners, sleep=sleep)
        return str(found["ID"])
    check_before(swarm, args)
    spec = spec_for(args, ids_of(swarm))
    refuse_forbidden(spec, args.labels[ORG], owners or owners_of(swarm), binds=_excepted(args))
    service_id = swarm.create("service", spec)
    try:
        wait_until_there(swarm, args, mask, is_update=False, sleep=sleep)
    except ApplyError:
        delete(swarm, args, sleep)
        raise
    return service_id


def update(swarm: Swarm, args: ServiceArgs, mask: Mask, *, owners: Owners | None = None, sleep: Sleep = time.sleep) -> None:
    """Give it the new specification and wait; everything that can be checked is checked before the old task stops (D17)."""
    found = _found(swarm, args)
    refuse_stranger("service", args.name, found["Spec"].get("Labels"), args.labels)
    check_before(swarm, args)
    force = int(found["Spec"]["TaskTemplate"].get("ForceUpdate", 0))
    running = read_args(swarm, found)
    if args.image_id and running.image_id != args.image_id and running.image == args.image:
        force += 1  # the same name stands for another image now
    spec = spec_for(args, ids_of(swarm), force)
    refuse_forbidden(spec, args.labels[ORG], owners or owners_of(swarm), binds=_excepted(args))
    swarm.update_service(str(found["ID"]), int(found["Version"]["Index"]), spec)
    wait_until_there(swarm, args, mask, is_update=True, sleep=sleep)


def create_adopted(swarm: Swarm, args: ServiceArgs, mask: Mask, *, org: str, withhold: Withhold, sleep: Sleep = time.sleep) -> str:
    """Look after somebody else's service: it has to be there, and is brought to what is wanted; its id."""
    if read_adopted(swarm, _found(swarm, args), withhold) != args:
        update_adopted(swarm, args, mask, org=org, withhold=withhold, sleep=sleep)
    return args.adopted


def update_adopted(swarm: Swarm, args: ServiceArgs, mask: Mask, *, org: str, withhold: Withhold, sleep: Sleep = time.sleep) -> None:
    """Change what differs and nothing else: values that were withheld come from the live service, and what we do not model stays.

    Args:
        org: whose objects it may use besides those it uses already.
        withhold: takes the values out that look secret.
    Raises:
        ApplyError: it is gone, asks for what it may not have, or a withheld value is not the live one any more.
    """
    found = _found(swarm, args)
    live = _live_args(swarm, found)
    wanted = with_values(args, clear_values(live, withhold(live)))
    check_before(swarm, wanted, needs_image=wanted.image != live.image)
    ids = _ids_as_live(swarm, found["Spec"])
    spec = overlay(found["Spec"], spec_for(live, ids), spec_for(wanted, ids))
    refuse_forbidden(spec, org, owners_of(swarm), live=found["Spec"])
    swarm.update_service(args.adopted, int(found["Version"]["Index"]), spec)
    wait_until_there(swarm, wanted, mask, is_update=True, sleep=sleep)


def _ids_as_live(swarm: Swarm, spec: Data) -> Callable[[str, str], str]:
    """(kind, name) -> id, first the one under which the service itself names it: the swarm's face of the host's network has two."""
    container, others = spec["TaskTemplate"]["ContainerSpec"], ids_of(swarm)
    own = {("network", swarm.network_name(str(item["Target"]))): str(item["Target"]) for item in networks_of(spec)}
    for kind in ("Config", "Secret"):
        own |= {(kind.lower(), str(item[f"{kind}Name"])): str(item[f"{kind}ID"]) for item in container.get(f"{kind}s") or ()}
    return lambda kind, name: own.get((kind, name)) or others(kind, name)


def _excepted(args: ServiceArgs) -> tuple[Any, ...]:
    return exceptions_of(args.labels.get("sprocket.component", ""))


def _found(swarm: Swarm, args: ServiceArgs) -> Data:
    found = swarm.find("service", args.adopted or args.name)
    if args.adopted:
        return refuse_other("service", args.name, found, args.adopted)
    if found is None:
        raise ApplyError(f"service {args.name} is gone", hint="apply again: a refresh sees it, and it is made anew", where=args.name)
    return found


def read(swarm: Swarm, args: ServiceArgs) -> tuple[str, ServiceArgs] | None:
    """Its id and how it is; None when it is gone."""
    found = swarm.find("service", args.name)
    if found is None:
        return None
    now = read_args(swarm, found)
    return str(found["ID"]), now if args.image_id else replace(now, image_id="")


def read_adopted(swarm: Swarm, found: Data, withhold: Withhold) -> ServiceArgs:
    """A live service in the form in which an import declares it: without values that look secret, known by its id."""
    return withhold(_live_args(swarm, found))


def _live_args(swarm: Swarm, found: Data) -> ServiceArgs:
    return replace(args_of(found["Spec"], swarm.network_name, ""), adopted=str(found["ID"]))


def is_as_wanted(swarm: Swarm, args: ServiceArgs) -> bool | None:
    """Whether the live service is what these arguments ask for; None when there is none."""
    found = read(swarm, args)
    return None if found is None else found[1] == _comparable(args)


def read_args(swarm: Swarm, found: Any) -> ServiceArgs:  # noqa: ANN401 - Docker's JSON
    """A live service as arguments; the image's id is that of a container that runs it."""
    tasks = swarm.tasks(str(found["Spec"]["Name"]))
    containers = [str((t["Status"].get("ContainerStatus") or {}).get("ContainerID", "")) for t in tasks]
    image_id = next((found_id for c in containers if c and (found_id := swarm.container_image_id(c))), "")
    return _comparable(args_of(found["Spec"], swarm.network_name, image_id))


def _comparable(args: ServiceArgs) -> ServiceArgs:
    return replace(args, networks=tuple(sorted(args.networks, key=lambda item: item.name)))


def delete(swarm: Swarm, args: ServiceArgs, sleep: Callable[[float], None] = time.sleep) -> None:
    """Remove it, and wait until its tasks are gone, so that its networks, secrets and configs can go."""
    delete_named(swarm, args.name, stop_grace_s=args.stop_grace_s, sleep=sleep)


def delete_named(swarm: Swarm, name: str, *, stop_grace_s: float = 10.0, sleep: Callable[[float], None] = time.sleep) -> None:
    """As `delete`, for a service of which only the name is known."""
    containers = [str((t["Status"].get("ContainerStatus") or {}).get("ContainerID", "")) for t in swarm.tasks(name)] if (
        swarm.find("service", name)
    ) else []  # fmt: skip
    swarm.remove("service", name)
    limit = time.monotonic() + _GONE_WITHIN_S + stop_grace_s
    while any(swarm.container_image_id(container) for container in containers if container):
        if time.monotonic() > limit:
            raise ApplyError(f"the containers of {name} do not go away", hint="`docker ps` shows them", where=name)
        sleep(0.1)


def check_before(swarm: Swarm, args: ServiceArgs, *, needs_image: bool = True) -> None:
    """Image, ports, secrets, configs and networks, before anything is stopped.

    Args:
        needs_image: False for a service that goes on with the image it runs.
    Raises:
        ApplyError: the first thing that would go wrong.
    """
    if needs_image:
        _check_image(swarm, args)
    for port in args.ports:
        others = [name for name in swarm.publishers(port.published) if name != args.name]
        if others:
            # Whose deployment it is, is none of this organization's business.
            is_ours = ORG in args.labels and others[0].startswith(f"{args.labels[ORG]}_")
            whose = f"service {others[0]}" if is_ours else "another deployment on this host"
            raise ApplyError(
                f"port {port.published} is taken by {whose}",
                hint="choose another entry port in the needs, or let both organizations share theirs",
                where=args.name,
            )
        if args.name not in swarm.publishers(port.published) and not swarm.is_port_free(port.published):
            raise ApplyError(
                f"port {port.published} is taken by another program on this machine",
                hint=f"stop it (`ss -ltnp 'sport = :{port.published}'` names it), or choose another entry port in the needs",
                where=args.name,
            )
    ids = ids_of(swarm)
    for kind, names in (
        ("network", [network.name for network in args.networks]),
        ("secret", [item.name for item in args.secrets]),
        ("config", [item.name for item in args.configs]),
    ):
        for name in names:
            ids(kind, name)


def _check_image(swarm: Swarm, args: ServiceArgs) -> None:
    here = swarm.local_image_id(args.image)
    if not here:
        raise ApplyError(
            f"image {args.image} is not on this machine",
            hint="`make demo` builds the stand-ins; for the real ones: docker pull, after `docker login ghcr.io` where it is private",
            where=args.name,
        )
    if args.image_id and here != args.image_id:
        raise ApplyError(
            f"image {args.image} is another one than the blueprint's ({here[7:19]} here, {args.image_id[7:19]} there)",
            hint="make a new blueprint: the image was built again",
            where=args.name,
        )


def ids_of(swarm: Swarm) -> Callable[[str, str], str]:
    """(kind, name) -> id.

    Raises:
        ApplyError: there is none of the name.
    """

    def find(kind: str, name: str) -> str:
        found = swarm.find(kind, name)
        if found is None:
            raise ApplyError(f"{kind} {name} is not there", hint="apply again: it is made before the service", where=name)
        return identity_of(found)

    return find


def owners_of(swarm: Swarm) -> Callable[[str, str], str]:
    """(kind, name or id) -> the organization on its label."""

    def owner(kind: str, name: str) -> str:
        found = swarm.find(kind, name) or {}
        labels = found.get("Labels") or (found.get("Spec") or {}).get("Labels") or {}
        return str(labels.get(ORG, ""))

    return owner
