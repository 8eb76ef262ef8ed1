"""Small estates that the rules are tried on, made by hand: one service, network or volume in a line."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from blueprints.checks.model import Subject
from blueprints.compose import Attached, Healthcheck, Mount, Mounted, Part, Port, ServiceArgs
from blueprints.estate.model import Estate, Item, Kind, Origin, Remark, Source

HEALTH = Healthcheck(("CMD", "true"), 5, 5, 3, 5)


@dataclass(frozen=True)
class Case:
    """What makes a rule speak, what it says then, and what leaves it content."""

    bad: Subject
    says: str
    good: Subject


def service(
    name: str,
    image: str = "example/app:1.0",
    *,
    networks: tuple[str, ...] = ("net",),
    aliases: tuple[str, ...] = (),
    files: dict[str, str] | None = None,
    facts: dict[str, Any] | None = None,
    withheld: dict[str, str] | None = None,
    source: Source = "bundle",
    is_leaving: bool = False,
    **changes: Any,
) -> tuple[Item, ...]:
    """A service and the configs it mounts: path in the container -> text."""
    configs = [(f"{name}-{number}", path, text) for number, (path, text) in enumerate((files or {}).items())]
    given: dict[str, Any] = {
        "labels": {}, "image": image, "image_id": "", "entrypoint": (), "command": (), "environment": {}, "user": "", "healthcheck": HEALTH,
        "mounts": (), "secrets": (), "ports": (), "replicas": 1, "nano_cpus": 0, "memory_bytes": 0, "init": False, "stop_grace_s": 0,
        "restart": "any", "restart_delay_s": 2, "order": "stop-first", "monitor_s": 5, "log_driver": "json-file",
        "log_options": {"max-size": "10m"}, **changes,
    }  # fmt: skip
    args = ServiceArgs(
        name=name,
        configs=tuple(Mounted(config, path, 0o444) for config, path, _ in configs),
        networks=tuple(Attached(network, aliases) for network in networks),
        **given,
    )
    origin = Origin(source, "test", name)
    own = Item("service", name, origin, service=args, facts=facts or {}, withheld=withheld or {}, is_leaving=is_leaving)
    return (own, *(Item("config", config, origin, part=Part(config, config, {}), facts={"text": text}) for config, _, text in configs))


def part(
    kind: Kind, name: str, *, remarks: tuple[Remark, ...] = (), source: Source = "bundle", facts: dict[str, Any] | None = None, **own: Any
) -> tuple[Item, ...]:
    """A network, volume, config or secret."""
    return (Item(kind, name, Origin(source, "test", name), part=Part(name, name, {}, **own), facts=facts or {}, remarks=remarks),)


def path(name: str, **facts: Any) -> tuple[Item, ...]:
    """A path of the secret store."""
    return (Item("vault", name, Origin("bundle", "vault.yml", name), facts=facts),)


def subject(*items: tuple[Item, ...], **parts: Any) -> Subject:
    """A subject of these items."""
    return Subject("test", Estate(tuple(item for group in items for item in group), ("test",)), **parts)


def volume(name: str, target: str = "/data") -> Mount:
    """A mounted volume."""
    return Mount("volume", name, target)


def secret(name: str, target: str = "") -> Mounted:
    """A mounted secret."""
    return Mounted(name, target or f"/run/secrets/{name}", 0o444)


def port(number: int, mode: str = "host") -> Port:
    """A port of the machine."""
    return Port(number, number, "tcp", mode)


def traefik(static: str = "", routes: str = "", **changes: Any) -> tuple[Item, ...]:
    """A proxy with its two files."""
    files = {"/etc/traefik/traefik.yml": static or "entryPoints: {}\n"} | ({"/etc/traefik/routes.yml": routes} if routes else {})
    return service("proxy", "traefik:v3.7", files=files, **changes)


def routed(name: str, host: str, **changes: Any) -> tuple[Item, ...]:
    """A service with labels for the proxy."""
    labels = {"traefik.enable": "true", f"traefik.http.routers.{name}.rule": f"Host(`{host}`)", **changes.pop("labels", {})}
    return service(name, labels=labels, **changes)
