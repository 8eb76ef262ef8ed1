"""One component's manifest: checked against `_example/component.yaml`, which is the schema, and turned into frozen values. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from blueprints.schema import Path_, Rule, checked
from sprocket_v2.errors import CatalogError

MEDIUM_FROM, LARGE_FROM = 500, 5000  # expected members


@dataclass(frozen=True, slots=True)
class Wanted:
    """One line of `wanted_when`: a need's dotted name and the value that wants the component."""

    need: str
    value: bool | int | str


@dataclass(frozen=True, slots=True)
class Input:
    """A question of the component's own."""

    name: str
    type: str
    title: str
    help: str
    default: bool | int | str
    minimum: int | None
    maximum: int | None
    unit: str
    pattern: str
    default_medium: int | None = None
    default_large: int | None = None

    def default_for(self, members: int) -> bool | int | str:
        """The default for an organization of so many members."""
        if members >= LARGE_FROM and self.default_large is not None:
            return self.default_large
        if members >= MEDIUM_FROM and self.default_medium is not None:
            return self.default_medium
        return self.default


@dataclass(frozen=True, slots=True)
class SecretManifest:
    """A secret the component brings; `kind` is generated, supplied or placeholder."""

    name: str
    title: str
    why: str
    kind: str
    length: int
    pattern: str
    where_to_get: str
    placeholder: str
    supplied_when: tuple[Wanted, ...]
    generated_when: tuple[Wanted, ...] = ()
    docker_name: str = ""
    collected: tuple[str, str] | None = None  # (service key, file) of a collected one


@dataclass(frozen=True, slots=True)
class Health:
    """How Docker asks whether it works; `none` holds the reason where it cannot be asked. Durations in seconds."""

    test: tuple[str, ...]
    interval_s: int
    timeout_s: int
    retries: int
    start_period_s: int
    none: str


@dataclass(frozen=True, slots=True)
class ImageManifest:
    """An image's name, its tag, and the tag of this project's stand-in under the same name (or empty)."""

    name: str
    tag: str
    stand_in: str


@dataclass(frozen=True, slots=True)
class Probe:
    """Where others see whether a service answers; without a path the port is only opened."""

    port: int
    path: str


@dataclass(frozen=True, slots=True)
class Router:
    """A route as labels on a service say it: Traefik's Docker provider reads them.

    Attributes:
        protocol: http, or tcp, whose rule is on the name inside TLS.
        host: a name of the estate's hosts (`web`, `api`, ...), of its profile.
        every_way: whether the other ways in are alternatives in the same rule.
        entrypoint: empty where the labels name none, and every entry point takes it.
        service: one of Traefik's own instead of this one, such as api@internal.
        path_prefix: only requests below it, or empty.
        forward_auth: the rule a visitor has to fulfil before he is let through; empty for nobody asks.
    """

    name: str
    protocol: str
    host: str
    port: int
    every_way: bool
    entrypoint: str
    tls: bool
    service: str
    path_prefix: str
    forward_auth: str


@dataclass(frozen=True, slots=True)
class Bind:
    """A path of the host in a container."""

    source: str
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class AsFound:
    """What a service of an older layout says to Docker, in place of what every service of ours has.

    Attributes:
        name: its whole Docker name.
        names: the whole Docker name of a volume or config, by its key in the manifest, where it is not the usual one.
        keeps_logs: whether Docker rotates its log; else the engine's default holds.
        in_clear: where the layout has a secret in clear that is read from a file here, such as `environment TOKEN`.
    """

    name: str
    endpoint_mode: str
    hostname: str
    constraints: tuple[str, ...]
    max_per_node: int
    binds: tuple[Bind, ...]
    ports: tuple[int, ...]
    names: Mapping[str, str]
    driver_options: Mapping[str, str]
    keeps_logs: bool
    routers: tuple[Router, ...]
    in_clear: tuple[str, ...] = ()

    @property
    def asks(self) -> tuple[str, ...]:
        """The inputs it reads: `port_<number>` for each port, and those named in paths of the host."""
        named = [word for bind in self.binds for word in re.findall(r"\{(\w+)\}", bind.source)]
        return (*(f"port_{port}" for port in self.ports), *named)


@dataclass(frozen=True, slots=True)
class ServiceManifest:
    """One Swarm service of the component. Durations in seconds."""

    key: str
    stage: str
    networks: tuple[str, ...]
    aliases: tuple[str, ...]
    memory: str
    cpu: str
    replicas: int
    copies: str
    deadline_s: int
    stop_grace_s: int
    secrets: Mapping[str, str]
    configs: Mapping[str, str]
    volumes: Mapping[str, str]
    only_with: Mapping[str, tuple[str, ...]]
    only_when: Mapping[str, tuple[Wanted, ...]]
    tmpfs: tuple[str, ...]
    publishes_entry_ports: bool
    udp_port: str
    health: Health
    order: str
    gap_s: int
    wanted_when: tuple[Wanted, ...]
    image: ImageManifest | None
    probe: Probe | None
    as_found: AsFound | None = None

    @property
    def is_job(self) -> bool:
        """It runs once and ends; everything else lasts."""
        return self.stage in ("restore", "jobs")


@dataclass(frozen=True, slots=True)
class Play:
    """A role a component fills beside its own, when something wants it; in other generations a component of its own."""

    role: str
    title: str
    wanted_when: tuple[Wanted, ...]
    requires: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """All a component's folder says about it."""

    name: str
    title: str
    summary: str
    layer: str
    role: str
    interruption: str
    noticed_by: str
    backup: str
    profiles: tuple[str, ...]
    image: ImageManifest
    subdomain: str | None
    port: int
    routed_service: str
    wanted_when: tuple[Wanted, ...]
    requires: tuple[str, ...]
    requires_one_of: tuple[str, ...]
    left_out_when: tuple[Wanted, ...]
    inputs: tuple[Input, ...]
    secrets: tuple[SecretManifest, ...]
    services: tuple[ServiceManifest, ...]
    path: str
    plays: tuple[Play, ...] = ()
    stack: str = ""


def read_manifest(folder: Path, rules: Mapping[Path_, Rule], shown_path: str) -> Manifest:
    """A component's manifest.

    Args:
        folder: the component's folder; its name is the component's name.
        rules: from `schema`.
        shown_path: the folder as errors and rendered files call it.
    Raises:
        CatalogError: the first thing wrong, with file and line.
    """
    file = folder / "component.yaml"
    if not file.is_file():
        raise CatalogError("no component.yaml", hint="copy it from templates/components/_example", where=shown_path)
    return _manifest(folder.name, checked(file, rules, f"{shown_path}/component.yaml"), shown_path)


def _manifest(name: str, data: dict[str, Any], path: str) -> Manifest:
    route = data.get("route") or {}
    return Manifest(
        name=name,
        title=data["title"],
        summary=data["summary"],
        layer=data["layer"],
        role=data.get("role", name),
        interruption=data.get("interruption", ""),
        noticed_by=data.get("noticed_by", "nobody"),
        backup=data.get("backup", ""),
        profiles=tuple(data["profiles"]),
        image=_image(data["image"]),
        subdomain=route.get("subdomain", "") if route else None,
        port=route.get("port", 0),
        routed_service=route.get("service") or name,
        wanted_when=wanted_lines(data["wanted_when"]),
        requires=tuple(data.get("requires", ())),
        requires_one_of=tuple(data.get("requires_one_of", ())),
        left_out_when=wanted_lines(data.get("left_out_when", [])),
        inputs=tuple(_input(key, item) for key, item in (data.get("inputs") or {}).items()),
        secrets=tuple(_secret(key, item) for key, item in (data.get("secrets") or {}).items()),
        services=tuple(_service(key, item, has_stack=bool(data.get("stack"))) for key, item in data["services"].items()),
        path=path,
        plays=tuple(_play(role, item) for role, item in (data.get("plays") or {}).items()),
        stack=data.get("stack", ""),
    )


def _play(role: str, item: dict[str, Any]) -> Play:
    return Play(role, item["title"], wanted_lines(item["wanted_when"]), tuple(item.get("requires", ())))


def _image(item: dict[str, Any]) -> ImageManifest:
    return ImageManifest(item["name"], item["tag"], item.get("stand_in", ""))


def wanted_lines(lines: list[dict[str, Any]]) -> tuple[Wanted, ...]:
    """Lines of `wanted_when` and its kin."""
    return tuple(Wanted(need, value) for line in lines for need, value in line.items())


def _input(name: str, item: dict[str, Any]) -> Input:
    return Input(
        name=name,
        type=item["type"],
        title=item["title"],
        help=item.get("help", ""),
        default=item["default"],
        minimum=item.get("minimum"),
        maximum=item.get("maximum"),
        unit=item.get("unit", ""),
        pattern=item.get("pattern", ""),
        default_medium=item.get("default_medium"),
        default_large=item.get("default_large"),
    )


def _secret(name: str, item: dict[str, Any]) -> SecretManifest:
    return SecretManifest(
        name=name,
        title=item["title"],
        why=item["why"],
        kind=item["kind"],
        length=item.get("length", 40),
        pattern=item.get("pattern", ""),
        where_to_get=item.get("where_to_get", ""),
        placeholder=item.get("placeholder", ""),
        supplied_when=wanted_lines(item.get("supplied_when", [])),
        generated_when=wanted_lines(item.get("generated_when", [])),
        docker_name=item.get("docker_name", ""),
        collected=(item["collected"]["service"], item["collected"]["file"]) if item.get("collected") else None,
    )


def _service(key: str, item: dict[str, Any], *, has_stack: bool) -> ServiceManifest:
    health = item["health"]
    return ServiceManifest(
        key=key,
        stage=item["stage"],
        networks=tuple(item["networks"]),
        aliases=tuple(item.get("aliases", ())),
        memory=item["memory"],
        cpu=item.get("cpu", ""),
        replicas=item.get("replicas", 1),
        copies=item.get("copies", ""),
        deadline_s=item["deadline_s"],
        stop_grace_s=item.get("stop_grace_s", 10),
        secrets=item.get("secrets") or {},
        configs=item.get("configs") or {},
        volumes=item.get("volumes") or {},
        only_with={key: tuple(names.split(" and ")) for key, names in (item.get("only_with") or {}).items()},
        only_when={key: wanted_lines(lines) for key, lines in (item.get("only_when") or {}).items()},
        tmpfs=tuple(item.get("tmpfs", ())),
        publishes_entry_ports=item.get("publishes_entry_ports", False),
        udp_port=item.get("udp_port", ""),
        health=Health(
            test=tuple(health.get("test", ())),
            interval_s=health.get("interval_s", 10),
            timeout_s=health.get("timeout_s", 5),
            retries=health.get("retries", 3),
            start_period_s=health.get("start_period_s", 10),
            none=health.get("none", ""),
        ),
        order=item["update"]["order"],
        gap_s=item["update"].get("gap_s", 0),
        wanted_when=wanted_lines(item.get("wanted_when", [])),
        image=_image(item["image"]) if item.get("image") else None,
        probe=Probe(item["probe"]["port"], item["probe"].get("path", "")) if item.get("probe") else None,
        as_found=_as_found(item["as_found"]) if has_stack and item.get("as_found") else None,
    )


def _as_found(item: dict[str, Any]) -> AsFound:
    return AsFound(
        name=item["name"],
        endpoint_mode=item.get("endpoint_mode", "vip"),
        hostname=item.get("hostname", ""),
        constraints=tuple(item.get("constraints", ())),
        max_per_node=item.get("max_per_node", 0),
        binds=tuple(Bind(b["source"], b["target"], b.get("read_only", False)) for b in item.get("binds", ())),
        ports=tuple(item.get("ports", ())),
        names=item.get("names") or {},
        driver_options=item.get("driver_options") or {},
        keeps_logs=item.get("keeps_logs", True),
        routers=tuple(_router(name, router) for name, router in (item.get("routers") or {}).items()),
        in_clear=tuple(item.get("in_clear", ())),
    )


def _router(name: str, item: dict[str, Any]) -> Router:
    return Router(
        name=item.get("name", name),
        protocol=item.get("protocol", "http"),
        host=item["host"],
        port=item["port"],
        every_way=item.get("every_way", False),
        entrypoint=item.get("entrypoint", ""),
        tls=item.get("tls", True),
        service=item.get("service", ""),
        path_prefix=item.get("path_prefix", ""),
        forward_auth=item.get("forward_auth", ""),
    )
