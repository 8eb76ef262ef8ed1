"""ServiceArgs <-> the engine's own service specification, and what that specification may never hold. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from blueprints.compose import NAMESPACE, Attached, Healthcheck, Mount, Mounted, Port, ServiceArgs
from provisioning.providers.swarm.client import ORG
from provisioning.providers.swarm.owner import owned_labels
from sprocket_v2.errors import ApplyError

_NS = 1_000_000_000
_IMAGE = "com.docker.stack.image"
_ADDED = frozenset({NAMESPACE, _IMAGE})
_CONTAINER_KEYS = frozenset(
    "Image Labels Command Args Env User Healthcheck Mounts Secrets Configs Init StopGracePeriod Isolation DNSConfig Privileges Hosts".split()
)
Ids = Callable[[str, str], str]


def spec_for(args: ServiceArgs, ids: Ids, force: int = 0) -> dict[str, Any]:
    """The engine's specification.

    Args:
        ids: (kind, Docker name) -> id, for networks, configs and secrets.
        force: the engine's counter that makes new tasks although nothing else differs.
    """
    container: dict[str, Any] = {
        "Image": args.image,
        "Labels": {NAMESPACE: args.labels[ORG]},
        "Env": [f"{key}={value}" for key, value in sorted(args.environment.items())],
        "Init": args.init,
        "StopGracePeriod": _ns(args.stop_grace_s),
        "Mounts": [_mount_spec(mount) for mount in args.mounts],
        "Secrets": [_file_spec("Secret", item, ids) for item in args.secrets],
        "Configs": [_file_spec("Config", item, ids) for item in args.configs],
    }
    if args.entrypoint:
        container["Command"] = list(args.entrypoint)
    if args.command:
        container["Args"] = list(args.command)
    if args.user:
        container["User"] = args.user
    if args.healthcheck:
        container["Healthcheck"] = _health_spec(args.healthcheck)
    update = {"Parallelism": 1, "Order": args.order, "Monitor": _ns(args.monitor_s)}
    return {
        "Name": args.name,
        "Labels": {**owned_labels(args.labels), _IMAGE: args.image},
        "TaskTemplate": {
            "ContainerSpec": container,
            "Resources": {"Limits": {"MemoryBytes": args.memory_bytes, **({"NanoCPUs": args.nano_cpus} if args.nano_cpus else {})}},
            "RestartPolicy": {"Condition": args.restart, "Delay": _ns(args.restart_delay_s)},
            "LogDriver": {"Name": args.log_driver, "Options": dict(args.log_options)},
            "Networks": [{"Target": ids("network", n.name), "Aliases": list(n.aliases)} for n in args.networks],
            "ForceUpdate": force,
        },
        "Mode": {"Replicated": {"Replicas": args.replicas}},
        # Swarm counts a task that ends as failed, whatever its exit code: a job has nothing to roll back to.
        "UpdateConfig": {**update, "FailureAction": "continue" if args.is_job else "rollback"},
        "RollbackConfig": {**update, "FailureAction": "pause"},
        "EndpointSpec": {
            "Mode": "dnsrr",
            "Ports": [
                {"Protocol": p.protocol, "TargetPort": p.target, "PublishedPort": p.published, "PublishMode": "host"} for p in args.ports
            ],
        },
    }


def args_of(spec: Mapping[str, Any], network_name: Callable[[str], str], image_id: str) -> ServiceArgs:
    """The specification read back, so that what was changed by hand shows."""
    task = spec["TaskTemplate"]
    container = task["ContainerSpec"]
    update = spec.get("UpdateConfig") or {}
    return ServiceArgs(
        name=spec["Name"],
        labels={key: value for key, value in (spec.get("Labels") or {}).items() if key not in _ADDED},
        image=container["Image"],
        image_id=image_id,
        entrypoint=tuple(container.get("Command") or ()),
        command=tuple(container.get("Args") or ()),
        environment=dict(item.partition("=")[::2] for item in container.get("Env") or ()),
        user=container.get("User", ""),
        healthcheck=_health_of(container.get("Healthcheck")),
        mounts=tuple(Mount(m["Type"], m.get("Source", ""), m["Target"]) for m in container.get("Mounts") or ()),
        secrets=tuple(Mounted(i["SecretName"], i["File"]["Name"], int(i["File"]["Mode"])) for i in container.get("Secrets") or ()),
        configs=tuple(Mounted(i["ConfigName"], i["File"]["Name"], int(i["File"]["Mode"])) for i in container.get("Configs") or ()),
        networks=tuple(
            sorted(
                (Attached(network_name(n["Target"]), tuple(sorted(set(n.get("Aliases") or ())))) for n in task.get("Networks") or ()),
                key=lambda item: item.name,
            )
        ),
        ports=tuple(
            Port(int(p["TargetPort"]), int(p.get("PublishedPort", 0)), p["Protocol"])
            for p in (spec.get("EndpointSpec") or {}).get("Ports") or ()
        ),
        replicas=int((spec["Mode"].get("Replicated") or {}).get("Replicas", 0)),
        nano_cpus=int(((task.get("Resources") or {}).get("Limits") or {}).get("NanoCPUs", 0)),
        memory_bytes=int(((task.get("Resources") or {}).get("Limits") or {}).get("MemoryBytes", 0)),
        init=bool(container.get("Init")),
        stop_grace_s=_s(container.get("StopGracePeriod", 10 * _NS)),
        restart=(task.get("RestartPolicy") or {}).get("Condition", "any"),
        restart_delay_s=_s((task.get("RestartPolicy") or {}).get("Delay", 5 * _NS)),
        order=update.get("Order", "stop-first"),
        monitor_s=_s(update.get("Monitor", 5 * _NS)),
        log_driver=(task.get("LogDriver") or {}).get("Name", ""),
        log_options=dict((task.get("LogDriver") or {}).get("Options") or {}),
    )


def _ns(seconds: float) -> int:
    return round(seconds * _NS)


def _s(nanoseconds: int) -> float:
    return nanoseconds / _NS


def _health_spec(health: Healthcheck) -> dict[str, Any]:
    return {"Test": list(health.test), "Interval": _ns(health.interval_s), "Timeout": _ns(health.timeout_s), "Retries": health.retries,
            "StartPeriod": _ns(health.start_period_s)}  # fmt: skip


def _health_of(item: Mapping[str, Any] | None) -> Healthcheck | None:
    if not item or not item.get("Test"):
        return None
    return Healthcheck(
        tuple(item["Test"]),
        _s(item.get("Interval", 0)),
        _s(item.get("Timeout", 0)),
        int(item.get("Retries", 0)),
        _s(item.get("StartPeriod", 0)),
    )


def _mount_spec(mount: Mount) -> dict[str, Any]:
    return (
        {"Type": "tmpfs", "Target": mount.target}
        if mount.type == "tmpfs"
        else {"Type": mount.type, "Source": mount.source, "Target": mount.target}
    )


def _file_spec(kind: str, item: Mounted, ids: Ids) -> dict[str, Any]:
    file = {"Name": item.target, "UID": "0", "GID": "0", "Mode": item.mode}
    return {"File": file, f"{kind}ID": ids(kind.lower(), item.name), f"{kind}Name": item.name}


def refuse_forbidden(spec: Mapping[str, Any], org: str, owners: Callable[[str, str], str]) -> None:
    """The last look before a specification is sent: what a tenant's service may never have (reliability rule 23).

    Args:
        owners: (kind, name or id) -> the organization it belongs to, empty for nobody's.
    Raises:
        ApplyError: a host path, the engine's socket, the host's network, a capability, or somebody else's object.
    """
    container = spec["TaskTemplate"]["ContainerSpec"]
    where = f"service {spec['Name']}"
    beyond = sorted(set(container) - _CONTAINER_KEYS)
    if beyond:
        raise _forbidden(f"container setting {beyond[0]}", where)
    if container.get("Privileges") or container.get("CapabilityAdd"):
        raise _forbidden("privileges", where)
    for mount in container.get("Mounts") or ():
        if mount["Type"] not in ("volume", "tmpfs"):
            raise _forbidden(f"a mount of type {mount['Type']} ({mount.get('Source', '')})", where)
        if mount["Type"] == "volume" and (not mount.get("Source") or owners("volume", mount["Source"]) != org):
            raise _forbidden(f"volume {mount.get('Source', '')!r}, which is not this organization's", where)
        if mount.get("VolumeOptions", {}).get("DriverConfig"):
            raise _forbidden("a volume driver", where)
    for network in spec["TaskTemplate"].get("Networks") or ():
        if owners("network", network["Target"]) != org:
            raise _forbidden(f"network {network['Target']!r}, which is not this organization's", where)
    if spec["Mode"].keys() != {"Replicated"}:
        raise _forbidden(f"mode {', '.join(spec['Mode'])}", where)


def _forbidden(what: str, where: str) -> ApplyError:
    return ApplyError(f"{what} is not allowed", hint="only what the release's allow list names reaches the engine", where=where)
