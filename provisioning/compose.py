"""Reads a bundle's stack.yml into frozen values. Pure: no Docker, no Pulumi. Knows exactly the keys that our renderer writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.strict_yaml import load
from sprocket_v2.errors import PreviewError

STAGES = ("data", "restore", "jobs", "apps", "edge")
NAMESPACE = "com.docker.stack.namespace"
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SIZES = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_SERVICE_KEYS = frozenset(
    "image command entrypoint environment networks secrets configs volumes ports healthcheck stop_grace_period logging init user "
    "deploy".split()
)
_DEPLOY_KEYS = frozenset("replicas endpoint_mode labels resources update_config rollback_config restart_policy".split())


@dataclass(frozen=True, slots=True)
class Mounted:
    """A secret or config in a container: the Docker object's name, where it appears, its file mode."""

    name: str
    target: str
    mode: int


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume (`source` is its Docker name) or a folder in memory (tmpfs, no source)."""

    type: str
    source: str
    target: str


@dataclass(frozen=True, slots=True)
class Attached:
    """A network by its Docker name, and the names the service has in it."""

    name: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """A port published on the machine itself (mode host)."""

    target: int
    published: int
    protocol: str


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Docker's own question; durations in seconds."""

    test: tuple[str, ...]
    interval_s: float
    timeout_s: float
    retries: int
    start_period_s: float


@dataclass(frozen=True, slots=True)
class ServiceArgs:
    """A Swarm service as we want it. Durations in seconds, memory in bytes, processor time in billionths of a core (0 means no limit).

    Attributes:
        image_id: id of a locally built image, empty where the digest in `image` pins it.
        stage, kind, deadline_s: ours: when it starts, whether it ends, and by when it has to be there.
    """

    name: str
    labels: Mapping[str, str]
    image: str
    image_id: str
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str]
    user: str
    healthcheck: Healthcheck | None
    mounts: tuple[Mount, ...]
    secrets: tuple[Mounted, ...]
    configs: tuple[Mounted, ...]
    networks: tuple[Attached, ...]
    ports: tuple[Port, ...]
    replicas: int
    nano_cpus: int
    memory_bytes: int
    init: bool
    stop_grace_s: float
    restart: str
    restart_delay_s: float
    order: str
    monitor_s: float
    log_driver: str
    log_options: Mapping[str, str]

    @property
    def is_job(self) -> bool:
        """It runs once; success is exit code 0."""
        return self.labels.get("sprocket.kind") == "job"

    @property
    def stage(self) -> str:
        """One of `STAGES`."""
        return self.labels["sprocket.stage"]

    @property
    def deadline_s(self) -> int:
        """By when it has to be healthy, or finished."""
        return int(self.labels["sprocket.deadline_s"])


@dataclass(frozen=True, slots=True)
class Part:
    """A network, volume, config or secret: its key in the file, its Docker name, and what is its own.

    Attributes:
        subnet: a network's addresses, where they have to be known beforehand.
        external: a network that somebody else makes; only the host's edge has such.
    """

    key: str
    name: str
    labels: Mapping[str, str]
    internal: bool = False
    file: str = ""
    subnet: str = ""
    external: bool = False


@dataclass(frozen=True, slots=True)
class StackSpec:
    """All of a stack.yml."""

    networks: tuple[Part, ...]
    volumes: tuple[Part, ...]
    configs: tuple[Part, ...]
    secrets: tuple[Part, ...]
    services: Mapping[str, ServiceArgs]


def read_stack(text: str, slug: str, image_ids: Mapping[str, str] | None = None, *, is_host_edge: bool = False) -> StackSpec:
    """Read a stack.yml.

    Args:
        slug: the organization's; prefix of every service's Docker name.
        image_ids: component, or service key where a service has an image of its own -> id of the locally built image.
        is_host_edge: the file is the host's edge's, which alone may be on networks that are not its own.
    Raises:
        PreviewError: a key this reader does not know; `where` names service and key.
    """
    data = load(text, "stack.yml")
    parts = {kind: tuple(_part(kind, key, item) for key, item in (data.get(kind) or {}).items()) for kind in _PART_KEYS}
    foreign = [part.name for part in parts["networks"] if part.external]
    if foreign and not is_host_edge:
        raise PreviewError(
            f"network {foreign[0]!r} is not the organization's own", hint="only the host's edge may be on it", where="stack.yml"
        )
    names = {kind: {part.key: part.name for part in found} for kind, found in parts.items()}
    services = {key: _service(key, item, slug, names, image_ids or {}) for key, item in data["services"].items()}
    return StackSpec(parts["networks"], parts["volumes"], parts["configs"], parts["secrets"], services)


_PART_KEYS = {
    "networks": frozenset({"name", "internal", "labels", "ipam", "external"}),
    "volumes": frozenset({"name", "labels"}),
    "configs": frozenset({"name", "file", "labels"}),
    "secrets": frozenset({"name", "file", "labels"}),
}


def _part(kind: str, key: str, item: Mapping[str, Any]) -> Part:
    _refuse_unknown(item, _PART_KEYS[kind], f"{kind}.{key}")
    pools: list[dict[str, Any]] = (item.get("ipam") or {}).get("config") or [{}]
    return Part(
        key,
        item["name"],
        _texts(item.get("labels") or {}),
        internal=bool(item.get("internal")),
        file=str(item.get("file", "")),
        subnet=str(pools[0].get("subnet", "")),
        external=bool(item.get("external")),
    )


def _service(
    key: str, item: Mapping[str, Any], slug: str, names: Mapping[str, Mapping[str, str]], image_ids: Mapping[str, str]
) -> ServiceArgs:
    where = f"services.{key}"
    _refuse_unknown(item, _SERVICE_KEYS, where)
    deploy = item["deploy"]
    _refuse_unknown(deploy, _DEPLOY_KEYS, f"{where}.deploy")
    if deploy.get("endpoint_mode") != "dnsrr":
        raise PreviewError("endpoint_mode has to be dnsrr", hint="see the shared macro", where=where)
    labels = _texts(deploy["labels"])
    update = deploy["update_config"]
    logging = item.get("logging") or {"driver": "json-file"}
    return ServiceArgs(
        name=f"{slug}_{key}",
        labels=labels,
        image=item["image"],
        image_id=image_ids.get(key) or image_ids.get(labels["sprocket.component"], ""),
        entrypoint=_words(item.get("entrypoint")),
        command=_words(item.get("command")),
        environment=_texts(item.get("environment") or {}),
        user=str(item.get("user", "")),
        healthcheck=_health(item.get("healthcheck")),
        mounts=tuple(_mount(m, names["volumes"], where) for m in item.get("volumes") or ()),
        secrets=_mounted(item.get("secrets"), names["secrets"], where),
        configs=_mounted(item.get("configs"), names["configs"], where),
        networks=tuple(
            Attached(names["networks"][n], tuple(sorted(set((v or {}).get("aliases") or ())))) for n, v in sorted(item["networks"].items())
        ),
        ports=tuple(_port(port, where) for port in item.get("ports") or ()),
        replicas=int(deploy["replicas"]),
        nano_cpus=round(float(deploy["resources"]["limits"].get("cpus", 0)) * 1e9),
        memory_bytes=_size(deploy["resources"]["limits"]["memory"], where),
        init=bool(item.get("init")),
        stop_grace_s=seconds(item["stop_grace_period"], where),
        restart=deploy["restart_policy"]["condition"],
        restart_delay_s=seconds(deploy["restart_policy"].get("delay", "5s"), where),
        order=update["order"],
        monitor_s=seconds(update["monitor"], where),
        log_driver=logging["driver"],
        log_options=_texts(logging.get("options") or {}),
    )


def _refuse_unknown(item: Mapping[str, Any], known: frozenset[str], where: str) -> None:
    unknown = sorted(set(item) - known)
    if unknown:
        raise PreviewError(f"key {unknown[0]!r} is not taken", hint=f"one of {', '.join(sorted(known))}", where=f"stack.yml {where}")


def _undoubled(text: str) -> str:
    return text.replace("$$", "$")


def _texts(item: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): _undoubled(str(value)) for key, value in item.items()}


def _words(item: Any) -> tuple[str, ...]:  # noqa: ANN401 - plain data
    return tuple(_undoubled(str(word)) for word in item or ())


def _health(item: Mapping[str, Any] | None) -> Healthcheck | None:
    if not item:
        return None
    where = "healthcheck"
    return Healthcheck(
        test=_words(item["test"]),
        interval_s=seconds(item["interval"], where),
        timeout_s=seconds(item["timeout"], where),
        retries=int(item["retries"]),
        start_period_s=seconds(item["start_period"], where),
    )


def _mount(item: Mapping[str, Any], volumes: Mapping[str, str], where: str) -> Mount:
    if item["type"] == "tmpfs":
        return Mount("tmpfs", "", item["target"])
    if item["type"] != "volume" or item.get("source") not in volumes:
        raise PreviewError(
            f"mount {item.get('source')!r} of type {item['type']!r}", hint="volumes of this file and tmpfs only", where=where
        )
    return Mount("volume", volumes[item["source"]], item["target"])


def _mounted(items: Any, names: Mapping[str, str], where: str) -> tuple[Mounted, ...]:  # noqa: ANN401 - plain data
    for item in items or ():
        if item["source"] not in names:
            raise PreviewError(f"{item['source']!r} is not defined in the file", hint="render the bundle again", where=where)
    return tuple(Mounted(names[i["source"]], i["target"], int(i.get("mode", 0o444))) for i in items or ())


def _port(item: Mapping[str, Any], where: str) -> Port:
    if item.get("mode") != "host":
        raise PreviewError("a port is not in mode host", hint="see design decision D2", where=where)
    return Port(int(item["target"]), int(item["published"]), str(item.get("protocol", "tcp")))


def seconds(text: str, where: str) -> float:
    """A duration such as `1m30s` in seconds."""
    found = re.findall(r"(\d+(?:\.\d+)?)(ms|s|m|h)", str(text))
    if not found or "".join(number + unit for number, unit in found) != str(text):
        raise PreviewError(f"duration {text!r}", hint="such as 10s or 1m30s", where=where)
    return float(sum(float(number) * _UNITS[unit] for number, unit in found))


def _size(text: Any, where: str) -> int:  # noqa: ANN401 - plain data
    found = re.fullmatch(r"(\d+)\s*([bkmg]?)b?", str(text).lower())
    if not found:
        raise PreviewError(f"memory {text!r}", hint="bytes, or such as 128M", where=where)
    return int(found[1]) * _SIZES[found[2]]
