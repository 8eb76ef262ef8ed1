"""The host's edge as files: one Traefik in front of the organizations that share a machine's entry ports. Pure.

It belongs to the control plane, not to a tenant, and is described as a bundle is: stack.yml and config files (ADR 0011).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blueprints.context import PING_PORT, config_name, labels
from blueprints.names import docker_name
from blueprints.render import render_file
from blueprints.rendering import STACK
from blueprints.shared import EntryName
from orgs.grammar import host_or_address, slug
from sprocket_v2.errors import RenderError

COMPONENT = "host-edge"
KEY = "traefik"
OUT = "out"
MEMORY_MIB = 128
DEADLINE_S = 60
_CONFIGS = ("traefik.yml", "routes.yml")


@dataclass(frozen=True, slots=True)
class Member:
    """An organization behind the edge.

    Attributes:
        network: Docker name of its entry network.
        proxy: Docker name of its Traefik, which is also its name in that network.
    """

    slug: str
    network: str
    proxy: str
    names: tuple[EntryName, ...]


def member_of(slug: str, shared: Mapping[str, Any]) -> Member:
    """A member from what its blueprint.json says under `access.shared`."""
    names = tuple(sorted(EntryName(n["host"], n["port"], n["tls"]) for n in shared["names"]))
    return Member(slug, shared["network"], shared["proxy"], names)


def draw_edge(name: str, members: Iterable[Member], image: str, root: Path) -> dict[str, str]:
    """The edge's files by path: stack.yml and its two configs. Same members, same bytes.

    Args:
        name: of the edge, its owner label and the beginning of its Docker names; longer than any organization's slug can be.
        members: at least one; their host names at a port are all different.
        image: reference of Traefik's image.
        root: the `templates` folder.
    Raises:
        RenderError: a value that does not obey its grammar, or a name two of them have.
    """
    members = sorted(members, key=lambda member: member.slug)
    _check(members)
    ports = sorted({entry.port for member in members for entry in member.names})
    files = {
        "config/traefik.yml": render_file(
            root, "host-edge/traefik.yml.j2", "config/traefik.yml", "data", {"ports": ports, "ping_port": PING_PORT}
        ),
        "config/routes.yml": render_file(root, "host-edge/routes.yml.j2", "config/routes.yml", "data", _routes(members)),
    }
    configs = [
        {"key": file, "name": config_name(name, KEY, file, files[f"config/{file}"]), "file": f"./config/{file}",
         "labels": labels(name, COMPONENT, f"config/{file}")} for file in _CONFIGS
    ]  # fmt: skip
    networks: list[dict[str, Any]] = [
        {"key": OUT, "name": docker_name(name, OUT), "external": False, "labels": labels(name, COMPONENT, f"network/{OUT}")}
    ]
    networks += [{"key": member.network, "name": member.network, "external": True} for member in members]
    service = _service(name, image, [network["key"] for network in networks], ports)
    values = {"services": [service], "networks": networks, "configs": configs, "volumes": [], "secrets": []}
    return {STACK: render_file(root, "host-edge/stack.yml.j2", STACK, "compose", values), **files}


def _check(members: list[Member]) -> None:
    """Every text that becomes part of a rule obeys its grammar, whatever the rows it came from say (rule 22)."""
    owners: dict[tuple[str, int], str] = {}
    for member in members:
        try:
            slug(member.slug)
            for entry in member.names:
                host_or_address(entry.host)
        except ValueError as error:
            raise RenderError(str(error), hint="make the organization's blueprint again", where=COMPONENT) from None
        if (member.network, member.proxy) != (docker_name(member.slug, "entry"), docker_name(member.slug, KEY)):
            raise RenderError(f"{member.network} and {member.proxy} are not {member.slug}'s", where=COMPONENT)
        for entry in member.names:
            if not 1 <= entry.port <= 65535 or entry.port == PING_PORT:
                raise RenderError(f"entry port {entry.port}", hint=f"1 to 65535, not {PING_PORT}", where=COMPONENT)
            other = owners.setdefault((entry.host, entry.port), member.slug)
            if other != member.slug:
                raise RenderError(
                    f"{entry.host}:{entry.port} is {other}'s and {member.slug}'s", hint="give one another name", where=COMPONENT
                )


def _routes(members: list[Member]) -> dict[str, Any]:
    routers: dict[bool, list[dict[str, Any]]] = {False: [], True: []}
    services: dict[bool, dict[str, dict[str, Any]]] = {False: {}, True: {}}
    for member in members:
        for number, entry in enumerate(member.names, start=1):
            service = f"{member.slug}-{entry.port}"
            routers[entry.tls].append({"name": f"{member.slug}-{number}", "host": entry.host, "port": entry.port, "service": service})
            services[entry.tls][service] = {"name": service, "proxy": member.proxy, "port": entry.port}
    return {
        "plain": routers[False], "plain_services": list(services[False].values()),
        "passed": routers[True], "passed_services": list(services[True].values()),
    }  # fmt: skip


def _service(name: str, image: str, networks: list[str], ports: list[int]) -> dict[str, Any]:
    """What the macro of every service prints, for the edge's only one."""
    return {
        "key": KEY,
        "name": docker_name(name, KEY),
        "image": image,
        "networks": [{"key": key, "aliases": []} for key in networks],
        "secrets": [],
        "configs": [{"source": file, "target": f"/etc/traefik/{file}"} for file in _CONFIGS],
        "volumes": [],
        "tmpfs": [],
        "ports": [{"number": port, "target": port, "protocol": "tcp"} for port in ports],
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}},
        "health": {
            "test": ["CMD", "traefik", "healthcheck", "--configFile=/etc/traefik/traefik.yml"],
            "interval": "1s",
            "timeout": "5s",
            "retries": 10,
            "start_period": "20s",
        },
        "stop_grace": "5s",
        "replicas": 1,
        "memory_bytes": str(MEMORY_MIB * 1024 * 1024),
        "cpus": "",
        "order": "stop-first",
        "restart": "any",
        "on_failure": "rollback",
        "labels": {
            **labels(name, COMPONENT, f"service/{KEY}"),
            "sprocket.stage": "edge",
            "sprocket.kind": "service",
            "sprocket.deadline_s": str(DEADLINE_S),
        },
    }
