"""Looks for secret values, in every form they may take, in everything a deployment and its control plane leave behind."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import quote

from provisioning.providers.swarm.client import connect


def forms(value: str) -> set[str]:
    """A value as it is, and as base64, URL, JSON and hexadecimal text."""
    data = value.encode()
    return {value, base64.b64encode(data).decode().rstrip("="), quote(value, safe=""), json.dumps(value)[1:-1], data.hex()}


def leaks_in(text: bytes, values: Iterable[str]) -> list[str]:
    """The values found in some bytes; also in gzip-compressed ones."""
    if text[:2] == b"\x1f\x8b":
        text += gzip.decompress(text)
    return [value for value in values if any(form.encode() in text for form in forms(value))]


def scan_folder(folder: Path, values: Iterable[str]) -> dict[str, list[str]]:
    """File -> values found in it, for every file below a folder; sockets are left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_socket():
            leaked = leaks_in(path.read_bytes(), values)
            if leaked:
                found[str(path.relative_to(folder))] = leaked
    return found


def scan_docker(slug: str, values: Iterable[str]) -> dict[str, list[str]]:
    """What Docker tells about an organization's services, containers, configs and logs -> values found."""
    swarm = connect()
    texts: dict[str, str] = {}
    for service in swarm.live_services(slug):
        texts[f"service {service.name}"] = json.dumps(swarm.find("service", service.name))
        texts[f"tasks {service.name}"] = json.dumps(list(swarm.tasks(service.name)))
        texts[f"log {service.name}"] = "\n".join(swarm.last_lines(service.name, 1000))
        for task in service.running:
            texts[f"processes {service.name}"] = _processes_of(task.container)
    for item in swarm.live_objects(slug):
        if item.kind in ("config", "network"):
            texts[f"{item.kind} {item.name}"] = json.dumps(swarm.find(item.kind, item.name))
    found = {where: leaks_in(text.encode(), values) for where, text in texts.items()}
    return {where: leaked for where, leaked in found.items() if leaked}


def _processes_of(container: str) -> str:
    """Arguments of every process of a container, as the machine sees them."""
    lines = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if container[:12] in (folder / "cgroup").read_text() or container in (folder / "cpuset").read_text():
                    lines.append((folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
            except OSError:
                continue
    return "\n".join(lines)
