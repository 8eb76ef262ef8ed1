"""Reads a bundle's stack.yml into frozen values. Pure: no Docker, no Pulumi. Knows exactly the keys that our renderer writes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blueprints.strict_yaml import load
from sprocket_v2.errors import PreviewError

STAGES = ("data", "restore", "jobs", "apps", "edge")
NAMESPACE = "com.docker.stack.namespace"
DEFAULT_DEADLINE_S = 300
_NS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9}
_SIZES = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
X_SPROCKET = "x-sprocket"
_SERVICE_KEYS = frozenset(
    "image command entrypoint environment networks secrets configs volumes ports healthcheck stop_grace_period logging init user "
    "deploy".split()
)
_DEPLOY_KEYS = frozenset("replicas endpoint_mode labels resources update_config rollback_config restart_policy".split())
# What an estate's file may say beyond that: services as somebody else once made them.
_ESTATE_KEYS = _SERVICE_KEYS | {"hostname", "labels", "working_dir", "stop_signal", "read_only", "cap_add", X_SPROCKET}
_ESTATE_DEPLOY_KEYS = _DEPLOY_KEYS | {"mode", "placement"}
_X_KEYS = frozenset({"name", "stage", "kind", "component", "deadline_s"})


@dataclass(frozen=True, slots=True)
class Mounted:
    """A secret or config in a container: the Docker object's name, where it appears, its file mode and owner."""

    name: str
    target: str
    mode: int
    uid: str = "0"
    gid: str = "0"


@dataclass(frozen=True, slots=True)
class Mount:
    """A volume (`source` is its Docker name), a folder in memory (tmpfs, no source), or, in an estate only, a path of the host (bind)."""

    type: str
    source: str
    target: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Attached:
    """A network by its Docker name, and the names the service has in it."""

    name: str
    aliases: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Port:
    """A port published on the machine itself (mode host); in an estate also on every node (mode ingress)."""

    target: int
    published: int
    protocol: str
    mode: str = "host"


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

    What comes after `log_options` is how services of an estate differ from ours; with the values given here a service is one of ours.

    Attributes:
        image_id: id of a locally built image, empty where the digest in `image` pins it.
        order, monitor_s: of updates; empty and 0 where the service says nothing about updates.
        restart, log_driver: empty where the service says nothing about it and the engine decides.
        stop_grace_s: 0 where the service says nothing about it.
        mode: replicated or global; `replicas` is 0 for global.
        endpoint_mode: dnsrr or vip.
        container_labels: labels of the containers; `labels` are the service's.
        max_per_node: 0 means no limit.
        update_parallelism, failure_action: of updates; read only where `order` is set.
        adopted: the engine's id of a service that somebody else made and we look after; empty for one of ours.
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
    mode: str = "replicated"
    endpoint_mode: str = "dnsrr"
    hostname: str = ""
    working_dir: str = ""
    stop_signal: str = ""
    read_only: bool = False
    capabilities: tuple[str, ...] = ()
    container_labels: Mapping[str, str] = field(default_factory=dict)
    constraints: tuple[str, ...] = ()
    platforms: tuple[str, ...] = ()
    max_per_node: int = 0
    reserved_memory_bytes: int = 0
    reserved_nano_cpus: int = 0
    restart_attempts: int = 0
    restart_window_s: float = 0
    update_parallelism: int = 1
    failure_action: str = "rollback"
    adopted: str = ""

    @property
    def is_job(self) -> bool:
        """It runs once; success is exit code 0."""
        return self.labels.get("sprocket.kind") == "job"

    @property
    def stage(self) -> str:
        """One of `STAGES`."""
        return self.labels.get("sprocket.stage", "apps")

    @property
    def deadline_s(self) -> int:
        """By when it has to be healthy, or finished."""
        return int(self.labels.get("sprocket.deadline_s", DEFAULT_DEADLINE_S))


@dataclass(frozen=True, slots=True)
class Part:
    """A network, volume, config or secret: its key in the file, its Docker name, and what is its own.

    Attributes:
        subnet: a network's addresses, where they have to be known beforehand.
        external: somebody else makes it; only the host's edge and layers of an estate have such.
        driver_options: a volume's, such as type, o and device of a bound folder.
        attachable: a network that containers outside of Swarm may join.
        withheld: a config or secret whose value we do not have: the adopted object goes on being used.
    """

    key: str
    name: str
    labels: Mapping[str, str]
    internal: bool = False
    file: str = ""
    subnet: str = ""
    external: bool = False
    driver_options: Mapping[str, str] = field(default_factory=dict)
    attachable: bool = False
    withheld: bool = False


@dataclass(frozen=True, slots=True)
class ServiceNote:
    """What a file says about a service for us, not for Docker: its component and when it starts."""

    component: str
    stage: str


@dataclass(frozen=True, slots=True)
class StackSpec:
    """All of a stack.yml; services and notes by the service's key."""

    networks: tuple[Part, ...]
    volumes: tuple[Part, ...]
    configs: tuple[Part, ...]
    secrets: tuple[Part, ...]
    services: Mapping[str, ServiceArgs]
    notes: Mapping[str, ServiceNote] = field(default_factory=dict)


def read_stack(
    text: str, slug: str, image_ids: Mapping[str, str] | None = None, *, is_host_edge: bool = False, is_estate: bool = False
) -> StackSpec:
    """Read a stack.yml.

    Args:
        slug: the organization's; prefix of every service's Docker name, except where `x-sprocket.name` says it whole (estates).
        image_ids: component, or service key where a service has an image of its own -> id of the locally built image.
        is_host_edge: the file is the host's edge's, which may be on networks that are not its own.
        is_estate: the file is one of an estate's layers, whose services are as somebody else once made them.
    Raises:
        PreviewError: a key this reader does not know; `where` names service and key.
    """
    data = load(text, "stack.yml")
    parts = {kind: tuple(_part(kind, key, item) for key, item in (data.get(kind) or {}).items()) for kind in _PART_KEYS}
    foreign = [part.name for part in parts["networks"] if part.external]
    if foreign and not (is_host_edge or is_estate):
        raise PreviewError(
            f"network {foreign[0]!r} is not the organization's own", hint="only the host's edge may be on it", where="stack.yml"
        )
    names = {kind: {part.key: part.name for part in found} for kind, found in parts.items()}
    reader = _estate_service if is_estate else _service
    services = {key: reader(key, item, slug, names, image_ids or {}) for key, item in (data.get("services") or {}).items()}
    notes = {key: _note(key, item, services[key]) for key, item in (data.get("services") or {}).items()}
    return StackSpec(parts["networks"], parts["volumes"], parts["configs"], parts["secrets"], services, notes)


_PART_KEYS = {
    "networks": frozenset({"name", "internal", "labels", "ipam", "external", "attachable"}),
    "volumes": frozenset({"name", "labels", "driver_opts", "external"}),
    "configs": frozenset({"name", "file", "labels", "external"}),
    "secrets": frozenset({"name", "file", "labels", "external"}),
}


def _part(kind: str, key: str, item: Mapping[str, Any]) -> Part:
    _refuse_unknown(item, _PART_KEYS[kind], f"{kind}.{key}")
    pools: list[dict[str, Any]] = (item.get("ipam") or {}).get("config") or [{}]
    external = bool(item.get("external"))
    return Part(
        key,
        item["name"],
        _texts(item.get("labels") or {}),
        internal=bool(item.get("internal")),
        file=str(item.get("file", "")),
        subnet=str(pools[0].get("subnet", "")),
        external=external,
        driver_options=_texts(item.get("driver_opts") or {}),
        attachable=bool(item.get("attachable")),
        withheld=external and kind in ("configs", "secrets"),
    )


def _note(key: str, item: Mapping[str, Any], args: ServiceArgs) -> ServiceNote:
    ours = item.get(X_SPROCKET) or {}
    _refuse_unknown(ours, _X_KEYS, f"services.{key}.{X_SPROCKET}")
    component = str(ours.get("component") or args.labels.get("sprocket.component", ""))
    stage = str(ours.get("stage") or args.stage)
    if stage not in STAGES:
        raise PreviewError(f"stage {stage!r}", hint=f"one of {', '.join(STAGES)}", where=f"stack.yml services.{key}")
    return ServiceNote(component, stage)


def _service(
    key: str, item: Mapping[str, Any], slug: str, names: Mapping[str, Mapping[str, str]], image_ids: Mapping[str, str]
) -> ServiceArgs:
    """One of ours: every limit is there, and nothing reaches beyond the deployment."""
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
        networks=_attached(item["networks"], names["networks"]),
        ports=tuple(_port(port, where) for port in item.get("ports") or ()),
        replicas=int(deploy["replicas"]),
        nano_cpus=_cpus(deploy["resources"]["limits"].get("cpus", 0)),
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


def _estate_service(
    key: str, item: Mapping[str, Any], slug: str, names: Mapping[str, Mapping[str, str]], image_ids: Mapping[str, str]
) -> ServiceArgs:
    """One of an estate's: what it does not say stays unsaid, so that the engine's own default holds."""
    where = f"services.{key}"
    _refuse_unknown(item, _ESTATE_KEYS, where)
    deploy = item.get("deploy") or {}
    _refuse_unknown(deploy, _ESTATE_DEPLOY_KEYS, f"{where}.deploy")
    ours = item.get(X_SPROCKET) or {}
    labels = _texts(deploy.get("labels") or {})
    component = str(ours.get("component") or labels.get("sprocket.component", ""))
    update, restart = deploy.get("update_config") or {}, deploy.get("restart_policy") or {}
    resources, placement = deploy.get("resources") or {}, deploy.get("placement") or {}
    limits, reserved = resources.get("limits") or {}, resources.get("reservations") or {}
    logging = item.get("logging") or {}
    is_global = deploy.get("mode") == "global"
    return ServiceArgs(
        name=str(ours.get("name") or f"{slug}_{key}"),
        labels=labels,
        image=item["image"],
        image_id=image_ids.get(key) or image_ids.get(component, ""),
        entrypoint=_words(item.get("entrypoint")),
        command=_words(item.get("command")),
        environment=_texts(item.get("environment") or {}),
        user=_undoubled(str(item.get("user", ""))),
        healthcheck=_health(item.get("healthcheck")),
        mounts=tuple(_estate_mount(m, names["volumes"], where) for m in item.get("volumes") or ()),
        secrets=_mounted(item.get("secrets"), names["secrets"], where),
        configs=_mounted(item.get("configs"), names["configs"], where),
        networks=_attached(item.get("networks") or {}, names["networks"]),
        ports=tuple(_port(port, where, takes_ingress=True) for port in item.get("ports") or ()),
        replicas=0 if is_global else int(deploy.get("replicas", 1)),
        nano_cpus=_cpus(limits.get("cpus", 0)),
        memory_bytes=_size(limits.get("memory", 0), where),
        init=bool(item.get("init")),
        stop_grace_s=seconds(item["stop_grace_period"], where) if "stop_grace_period" in item else 0,
        restart=str(restart.get("condition", "any")) if restart else "",
        restart_delay_s=seconds(restart.get("delay", "5s"), where) if restart else 0,
        order=str(update.get("order", "stop-first")) if update else "",
        monitor_s=seconds(update["monitor"], where) if "monitor" in update else 0,
        log_driver=str(logging.get("driver", "")),
        log_options=_texts(logging.get("options") or {}),
        mode="global" if is_global else "replicated",
        endpoint_mode=str(deploy.get("endpoint_mode", "vip")),
        hostname=_undoubled(str(item.get("hostname", ""))),
        working_dir=_undoubled(str(item.get("working_dir", ""))),
        stop_signal=str(item.get("stop_signal", "")),
        read_only=bool(item.get("read_only")),
        capabilities=_words(item.get("cap_add")),
        container_labels=_texts(item.get("labels") or {}),
        constraints=_words(placement.get("constraints")),
        platforms=(),
        max_per_node=int(placement.get("max_replicas_per_node", 0)),
        reserved_memory_bytes=_size(reserved.get("memory", 0), where),
        reserved_nano_cpus=_cpus(reserved.get("cpus", 0)),
        restart_attempts=int(restart.get("max_attempts", 0)),
        restart_window_s=seconds(restart["window"], where) if "window" in restart else 0,
        update_parallelism=int(update.get("parallelism", 1)),
        failure_action=str(update.get("failure_action", "rollback" if update else "")),
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


def _attached(items: Mapping[str, Any], names: Mapping[str, str]) -> tuple[Attached, ...]:
    """By their Docker names, as what runs is read: an estate's need not sort as their keys do."""
    found = (Attached(names[n], tuple(sorted(set((v or {}).get("aliases") or ())))) for n, v in items.items())
    return tuple(sorted(found, key=lambda item: item.name))


def _cpus(text: Any) -> int:  # noqa: ANN401 - plain data
    return round(float(text) * 1e9)


def _estate_mount(item: Mapping[str, Any], volumes: Mapping[str, str], where: str) -> Mount:
    """Also a path of the host, and a volume that nobody gave a name."""
    target, read_only = _undoubled(str(item["target"])), bool(item.get("read_only"))
    if item["type"] == "bind":
        return Mount("bind", _undoubled(str(item["source"])), target, read_only=read_only)
    if item["type"] == "volume" and not item.get("source"):
        return Mount("volume", "", target, read_only=read_only)
    return _mount({**item, "target": target}, volumes, where)


def _mount(item: Mapping[str, Any], volumes: Mapping[str, str], where: str) -> Mount:
    if item["type"] == "tmpfs":
        return Mount("tmpfs", "", item["target"], read_only=bool(item.get("read_only")))
    if item["type"] != "volume" or item.get("source") not in volumes:
        raise PreviewError(
            f"mount {item.get('source')!r} of type {item['type']!r}", hint="volumes of this file and tmpfs only", where=where
        )
    return Mount("volume", volumes[item["source"]], item["target"], read_only=bool(item.get("read_only")))


def _mounted(items: Any, names: Mapping[str, str], where: str) -> tuple[Mounted, ...]:  # noqa: ANN401 - plain data
    for item in items or ():
        if item["source"] not in names:
            raise PreviewError(f"{item['source']!r} is not defined in the file", hint="render the bundle again", where=where)
    return tuple(
        Mounted(names[i["source"]], _undoubled(str(i["target"])), int(i.get("mode", 0o444)), str(i.get("uid", "0")), str(i.get("gid", "0")))
        for i in items or ()
    )


def _port(item: Mapping[str, Any], where: str, *, takes_ingress: bool = False) -> Port:
    mode = str(item.get("mode", "ingress"))
    if mode != "host" and not takes_ingress:
        raise PreviewError("a port is not in mode host", hint="see design decision D2", where=where)
    return Port(int(item["target"]), int(item["published"]), str(item.get("protocol", "tcp")), mode)


def seconds(text: str, where: str) -> float:
    """A duration such as `1m30s` in seconds."""
    found = re.findall(r"(\d+(?:\.\d+)?)(ns|us|ms|s|m|h)", str(text))
    if not found or "".join(number + unit for number, unit in found) != str(text):
        raise PreviewError(f"duration {text!r}", hint="such as 10s or 1m30s", where=where)
    return sum(round(float(number) * _NS[unit]) for number, unit in found) / 10**9


def _size(text: Any, where: str) -> int:  # noqa: ANN401 - plain data
    found = re.fullmatch(r"(\d+)\s*([bkmg]?)b?", str(text).lower())
    if not found:
        raise PreviewError(f"memory {text!r}", hint="bytes, or such as 128M", where=where)
    return int(found[1]) * _SIZES[found[2]]
