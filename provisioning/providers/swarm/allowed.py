"""The last look before a service's specification is sent: what it may never hold, and who may nevertheless (reliability rule 23). Pure.

A fresh service may have what the release's list of exceptions names for its component. An adopted one may have what its live
specification has already, and nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from blueprints.compose import Mount
from blueprints.exceptions import is_excepted
from provisioning.providers.swarm.service_spec import networks_of
from sprocket_v2.errors import ApplyError

_CONTAINER_KEYS = frozenset(
    "Image Labels Command Args Env User Healthcheck Mounts Secrets Configs Init StopGracePeriod Isolation DNSConfig Privileges Hosts "
    "Hostname Dir StopSignal ReadOnly".split()
)
Owners = Callable[[str, str], str]


def refuse_forbidden(
    spec: Mapping[str, Any], org: str, owners: Owners, *, binds: Iterable[Mount] = (), live: Mapping[str, Any] | None = None
) -> None:
    """Refuse a specification that reaches beyond its organization.

    Args:
        owners: (kind, name or id) -> the organization it belongs to, empty for nobody's.
        binds: paths of the host that the release lets this component have.
        live: the specification an adopted service runs with.
    Raises:
        ApplyError: a host path, the engine's socket, the host's network, a capability, or somebody else's object.
    """
    container, had = _container(spec), _container(live or {})
    where = f"service {spec['Name']}"
    for key in sorted(set(container) - _CONTAINER_KEYS - {"CapabilityAdd"}):
        if container[key] != had.get(key):
            raise _forbidden(f"container setting {key}", where)
    if container.get("Privileges") and container["Privileges"] != had.get("Privileges"):
        raise _forbidden("privileges", where)
    for capability in sorted(set(container.get("CapabilityAdd") or ()) - set(had.get("CapabilityAdd") or ())):
        raise _forbidden(f"CapabilityAdd {capability}", where)
    known = had.get("Mounts") or ()
    for mount in container.get("Mounts") or ():
        if mount not in known:
            _refuse_mount(mount, org, owners, tuple(binds), where)
    targets = {item["Target"] for item in networks_of(live or {})}
    for network in networks_of(spec):
        if network["Target"] not in targets and not _is_ours(org, owners, "network", network["Target"]):
            raise _forbidden(f"network {network['Target']!r}, which is not this organization's", where)
    modes = {"Replicated"} | set((live or {}).get("Mode") or ())
    if not spec["Mode"].keys() <= modes:
        raise _forbidden(f"mode {', '.join(spec['Mode'])}", where)


def _refuse_mount(mount: Mapping[str, Any], org: str, owners: Owners, binds: tuple[Mount, ...], where: str) -> None:
    source = mount.get("Source", "")
    if mount["Type"] == "bind" and is_excepted(Mount("bind", source, mount["Target"], bool(mount.get("ReadOnly"))), binds):
        return
    if mount["Type"] not in ("volume", "tmpfs"):
        raise _forbidden(f"a mount of type {mount['Type']} ({source})", where)
    if mount["Type"] == "volume" and (not source or not _is_ours(org, owners, "volume", source)):
        raise _forbidden(f"volume {source!r}, which is not this organization's", where)
    if mount.get("VolumeOptions", {}).get("DriverConfig"):
        raise _forbidden("a volume driver", where)


def _is_ours(org: str, owners: Owners, kind: str, name: str) -> bool:
    return bool(org) and owners(kind, name) == org


def _container(spec: Mapping[str, Any]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (spec.get("TaskTemplate") or {}).get("ContainerSpec") or {}
    return found


def _forbidden(what: str, where: str) -> ApplyError:
    return ApplyError(f"{what} is not allowed", hint="only what the release's allow list names reaches the engine", where=where)
