"""The machine a deployment would run on, as rules see it: nodes, ports, paths, disk, names. Changes nothing."""

from __future__ import annotations

import ipaddress
import json
import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from blueprints.checks.facts import Node, Peer, Target, Vault
from blueprints.checks.model import Subject
from blueprints.checks.storage import paths_of
from provisioning.asking import addresses_of

DAEMON = Path("/etc/docker/daemon.json")


class Engine(Protocol):
    """What is asked of Docker; the client of providers/swarm does it."""

    def machine(self) -> Mapping[str, Any]:
        """`info`, `nodes`, `swarm` and `is_local`."""
        ...

    def publishers(self, port: int) -> Sequence[str]:
        """Names of services that publish a port."""
        ...

    def is_port_free(self, port: int) -> bool:
        """Whether nothing listens there."""
        ...


def target_of(
    engine: Engine,
    subject: Subject,
    *,
    vault: Vault | None = None,
    peers: Iterable[Peer] = (),
    resolve: Callable[[str], tuple[str, ...]] = addresses_of,
) -> Target:
    """The machine behind an engine, as far as a subject asks for it.

    Args:
        vault: the secret store, where somebody who may has asked it.
        peers: the services outside, where they were asked.
    Raises:
        ApplyError: Docker cannot be reached, or is no swarm's manager.
    """
    seen = engine.machine()
    info, is_local = seen["info"], bool(seen["is_local"])
    root = Path(str(info.get("DockerRootDir") or "/var/lib/docker"))
    hosts = sorted({host for router in subject.routers if router.resolver for host in router.hosts})
    limit = ((seen["swarm"].get("Spec") or {}).get("Orchestration") or {}).get("TaskHistoryRetentionLimit")
    return Target(
        nodes=tuple(node_of(node) for node in seen["nodes"]),
        paths={path: Path(path).exists() for path in paths_of(subject)} if is_local else {},
        ports=_ports(engine, subject),
        disk_used=_used(root) if is_local else None,
        storage_driver=str(info.get("Driver", "")),
        log_driver=str(info.get("LoggingDriver", "")),
        log_options=_daemon_log_options() if is_local else {},
        kept_tasks=int(limit) if limit is not None else None,
        names={host: resolve(host) for host in hosts},
        addresses=tuple(a for node in seen["nodes"] if _is_global(a := str((node.get("Status") or {}).get("Addr", "")))),
        vault=vault,
        peers=tuple(peers),
    )


def node_of(node: Mapping[str, Any]) -> Node:
    """A node of Docker's own JSON. One that is drained takes no task, so it is not ready."""
    spec, about = node.get("Spec") or {}, node.get("Description") or {}
    platform, engine = about.get("Platform") or {}, about.get("Engine") or {}
    is_ready = (node.get("Status") or {}).get("State") == "ready" and spec.get("Availability") == "active"
    return Node(
        name=str(about.get("Hostname", "")),
        role=str(spec.get("Role", "")),
        labels=dict(spec.get("Labels") or {}),
        engine_labels=dict(engine.get("Labels") or {}),
        hostname=str(about.get("Hostname", "")),
        platform=f"{platform.get('OS', '')}/{platform.get('Architecture', '')}",
        is_ready=is_ready,
        memory_bytes=int((about.get("Resources") or {}).get("MemoryBytes") or 0),
        id=str(node.get("ID", "")),
    )


def _ports(engine: Engine, subject: Subject) -> dict[int, str]:
    """Published port -> who else has it. What the host's edge has for its organizations is theirs by agreement."""
    shared = (subject.blueprint.get("access") or {}).get("shared") or {}
    agreed = {int(name["port"]) for name in shared.get("names", ())}
    own = {service.name for service in subject.services}
    found = {}
    for port in {port.published for service in subject.services for port in service.args.ports} - agreed:
        publishers = engine.publishers(port)
        others = [name for name in publishers if name not in own]
        is_ours = bool(publishers) and not others
        found[port] = others[0] if others else "" if is_ours or engine.is_port_free(port) else "a program on this machine"
    return found


def _used(root: Path) -> float | None:
    try:
        usage = shutil.disk_usage(root)
    except OSError:
        return None
    return 1 - usage.free / usage.total


def _daemon_log_options() -> dict[str, str]:
    try:
        data = json.loads(DAEMON.read_text())
    except (OSError, ValueError):
        return {}
    return {str(key): str(value) for key, value in (data.get("log-opts") or {}).items()}


def _is_global(address: str) -> bool:
    """An address of the internet. Another one says nothing of where public names should lead: the machine may be behind a router."""
    try:
        return ipaddress.ip_address(address).is_global
    except ValueError:
        return False
