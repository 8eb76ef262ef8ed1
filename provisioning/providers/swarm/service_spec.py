"""ServiceArgs <-> the engine's own service specification. Pure.

What is one of ours comes out exactly as before estates were known: a field that an estate's service leaves unsaid is left out, never
filled in, so that the engine's own default goes on holding. What may never be sent is in allowed.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from blueprints.compose import NAMESPACE, Attached, Healthcheck, Mount, Mounted, Port, ServiceArgs
from provisioning.providers.swarm.client import ORG
from provisioning.providers.swarm.owner import owned_labels

_NS = 1_000_000_000
IMAGE_LABEL = "com.docker.stack.image"
_ADDED = frozenset({NAMESPACE, IMAGE_LABEL})
_NO_VALUES: Mapping[str, Any] = {}
Ids = Callable[[str, str], str]


def spec_for(args: ServiceArgs, ids: Ids, force: int = 0) -> dict[str, Any]:
    """The engine's specification.

    Args:
        ids: (kind, Docker name) -> id, for networks, configs and secrets.
        force: the engine's counter that makes new tasks although nothing else differs.
    """
    task = {
        "ContainerSpec": _container_spec(args, ids),
        "Resources": _resources_spec(args),
        **_said("RestartPolicy", _restart_spec(args)),
        **_said("LogDriver", {"Name": args.log_driver, "Options": dict(args.log_options)} if args.log_driver else {}),
        **_said("Placement", _placement_spec(args)),
        "Networks": [{"Target": ids("network", n.name), "Aliases": list(n.aliases)} for n in args.networks],
        "ForceUpdate": force,
    }
    return {
        "Name": args.name,
        "Labels": {**owned_labels(args.labels), IMAGE_LABEL: args.image} if ORG in args.labels else dict(args.labels),
        "TaskTemplate": task,
        "Mode": {"Global": {}} if args.mode == "global" else {"Replicated": {"Replicas": args.replicas}},
        **_update_spec(args),
        "EndpointSpec": {"Mode": args.endpoint_mode, "Ports": [_port_spec(port) for port in args.ports]},
    }


def _container_spec(args: ServiceArgs, ids: Ids) -> dict[str, Any]:
    stack = {NAMESPACE: args.labels[ORG]} if ORG in args.labels else {}
    return {
        "Image": args.image,
        "Labels": {**args.container_labels, **stack},
        "Env": [f"{key}={value}" for key, value in sorted(args.environment.items())],
        "Init": args.init,
        **_said("StopGracePeriod", _ns(args.stop_grace_s)),
        "Mounts": [_mount_spec(mount) for mount in args.mounts],
        "Secrets": [_file_spec("Secret", item, ids) for item in args.secrets],
        "Configs": [_file_spec("Config", item, ids) for item in args.configs],
        **_said("Command", list(args.entrypoint)),
        **_said("Args", list(args.command)),
        **_said("User", args.user),
        **_said("Healthcheck", _health_spec(args.healthcheck) if args.healthcheck else {}),
        **_said("Hostname", args.hostname),
        **_said("Dir", args.working_dir),
        **_said("StopSignal", args.stop_signal),
        **_said("ReadOnly", args.read_only),
        **_said("CapabilityAdd", list(args.capabilities)),
    }


def _resources_spec(args: ServiceArgs) -> dict[str, Any]:
    reserved = {**_said("MemoryBytes", args.reserved_memory_bytes), **_said("NanoCPUs", args.reserved_nano_cpus)}
    return {
        "Limits": {**_said("MemoryBytes", args.memory_bytes), **_said("NanoCPUs", args.nano_cpus)},
        **_said("Reservations", reserved),
    }


def _restart_spec(args: ServiceArgs) -> dict[str, Any]:
    if not args.restart:
        return {}
    return {
        "Condition": args.restart,
        "Delay": _ns(args.restart_delay_s),
        **_said("MaxAttempts", args.restart_attempts),
        **_said("Window", _ns(args.restart_window_s)),
    }


def _placement_spec(args: ServiceArgs) -> dict[str, Any]:
    return {**_said("Constraints", list(args.constraints)), **_said("MaxReplicas", args.max_per_node)}


def _update_spec(args: ServiceArgs) -> dict[str, Any]:
    """How updates go and are taken back; nothing where the service says nothing about them. An adopted one keeps its own way back."""
    if not args.order:
        return {}
    policy = {"Parallelism": args.update_parallelism, "Order": args.order, **_said("Monitor", _ns(args.monitor_s))}
    # Swarm counts a task that ends as failed, whatever its exit code: a job has nothing to roll back to.
    action = "continue" if args.is_job else args.failure_action
    taken_back = {"RollbackConfig": {**policy, "FailureAction": "pause"}} if ORG in args.labels else {}
    return {"UpdateConfig": {**policy, **_said("FailureAction", action)}, **taken_back}


def _said(key: str, value: Any) -> dict[str, Any]:  # noqa: ANN401 - plain data
    """The entry, or nothing where there is nothing to say."""
    return {key: value} if value else {}


def args_of(spec: Mapping[str, Any], network_name: Callable[[str], str], image_id: str) -> ServiceArgs:
    """The specification read back, so that what was changed by hand shows.

    What it leaves out is either a named normalisation of importing/normalise.py or listed there as not modelled.
    """
    task = spec["TaskTemplate"]
    container = task["ContainerSpec"]
    update, restart = spec.get("UpdateConfig") or _NO_VALUES, task.get("RestartPolicy") or _NO_VALUES
    resources, placement = task.get("Resources") or _NO_VALUES, task.get("Placement") or _NO_VALUES
    limits, reserved = resources.get("Limits") or _NO_VALUES, resources.get("Reservations") or _NO_VALUES
    endpoint, log = spec.get("EndpointSpec") or _NO_VALUES, task.get("LogDriver") or _NO_VALUES
    labels = {key: value for key, value in (spec.get("Labels") or {}).items() if key not in _ADDED}
    is_global = "Global" in (spec.get("Mode") or {})
    return ServiceArgs(
        name=spec["Name"],
        labels=labels,
        image=container["Image"],
        image_id=image_id,
        entrypoint=tuple(container.get("Command") or ()),
        command=tuple(container.get("Args") or ()),
        environment=dict(item.partition("=")[::2] for item in container.get("Env") or ()),
        user=container.get("User", ""),
        healthcheck=_health_of(container.get("Healthcheck")),
        mounts=tuple(_mount_of(item) for item in container.get("Mounts") or ()),
        secrets=_mounted_of("Secret", container.get("Secrets")),
        configs=_mounted_of("Config", container.get("Configs")),
        networks=_attached_of(networks_of(spec), network_name),
        ports=tuple(_port_of(item) for item in endpoint.get("Ports") or ()),
        replicas=0 if is_global else int((spec["Mode"].get("Replicated") or {}).get("Replicas", 0)),
        nano_cpus=int(limits.get("NanoCPUs", 0)),
        memory_bytes=int(limits.get("MemoryBytes", 0)),
        init=bool(container.get("Init")),
        stop_grace_s=_s(container.get("StopGracePeriod")),
        restart=restart.get("Condition", "any") if restart else "",
        restart_delay_s=_s(restart.get("Delay", 5 * _NS)) if restart else 0,
        order=update.get("Order", ""),
        monitor_s=_s(update.get("Monitor")),
        log_driver=log.get("Name", ""),
        log_options=dict(log.get("Options") or {}),
        mode="global" if is_global else "replicated",
        endpoint_mode=endpoint.get("Mode") or "vip",
        hostname=container.get("Hostname", ""),
        working_dir=container.get("Dir", ""),
        stop_signal=container.get("StopSignal", ""),
        read_only=bool(container.get("ReadOnly")),
        capabilities=tuple(container.get("CapabilityAdd") or ()),
        container_labels={key: value for key, value in (container.get("Labels") or {}).items() if key != NAMESPACE},
        constraints=tuple(placement.get("Constraints") or ()),
        max_per_node=int(placement.get("MaxReplicas", 0)),
        reserved_memory_bytes=int(reserved.get("MemoryBytes", 0)),
        reserved_nano_cpus=int(reserved.get("NanoCPUs", 0)),
        restart_attempts=int(restart.get("MaxAttempts", 0)),
        restart_window_s=_s(restart.get("Window")),
        update_parallelism=int(update.get("Parallelism", 0)) if update.get("Order") else 1,
        failure_action=_failure_action(update, labels),
    )


def networks_of(spec: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The networks a specification names; they were once said beside the tasks, not inside."""
    return list((spec.get("TaskTemplate") or {}).get("Networks") or spec.get("Networks") or ())


def _failure_action(update: Mapping[str, Any], labels: Mapping[str, str]) -> str:
    """As it was wished: a job of ours says rollback and is sent as continue; where no policy is said there is no action either."""
    if not update.get("Order"):
        return ""
    said = str(update.get("FailureAction", ""))
    return "rollback" if said == "continue" and labels.get("sprocket.kind") == "job" else said


def _attached_of(items: Any, network_name: Callable[[str], str]) -> tuple[Attached, ...]:  # noqa: ANN401 - plain data
    found = [Attached(network_name(n["Target"]), tuple(sorted(set(n.get("Aliases") or ())))) for n in items or ()]
    return tuple(sorted(found, key=lambda item: item.name))


def _mounted_of(kind: str, items: Any) -> tuple[Mounted, ...]:  # noqa: ANN401 - plain data
    """Files of secrets or configs; one that is given to Docker itself (a credential specification) has no file and is not modelled."""
    files = [(item[f"{kind}Name"], item["File"]) for item in items or () if item.get("File")]
    return tuple(Mounted(name, f["Name"], int(f.get("Mode", 0o444)), f.get("UID") or "0", f.get("GID") or "0") for name, f in files)


def _mount_of(item: Mapping[str, Any]) -> Mount:
    return Mount(item["Type"], item.get("Source", ""), item["Target"], read_only=bool(item.get("ReadOnly")))


def _port_of(item: Mapping[str, Any]) -> Port:
    protocol, mode = item.get("Protocol", "tcp"), item.get("PublishMode", "ingress")
    return Port(int(item["TargetPort"]), int(item.get("PublishedPort", 0)), protocol, mode)


def _port_spec(port: Port) -> dict[str, Any]:
    return {"Protocol": port.protocol, "TargetPort": port.target, "PublishedPort": port.published, "PublishMode": port.mode}


def _ns(seconds: float) -> int:
    return round(seconds * _NS)


def _s(nanoseconds: int | None) -> float:
    return (nanoseconds or 0) / _NS


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
    return {"Type": mount.type, **_said("Source", mount.source), "Target": mount.target, **_said("ReadOnly", mount.read_only)}


def _file_spec(kind: str, item: Mounted, ids: Ids) -> dict[str, Any]:
    file = {"Name": item.target, "UID": item.uid, "GID": item.gid, "Mode": item.mode}
    return {"File": file, f"{kind}ID": ids(kind.lower(), item.name), f"{kind}Name": item.name}
