"""A Docker service as pulumi-docker writes it (`docker:index/service:Service`), by its versions 3 and 4, as `ServiceArgs`. Pure.

Version 3 writes labels as {label, value} and networks as a list of engine ids; version 4 has `networksAdvanced` with names. What the
file has in another type than it should is left out and named, never guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blueprints.compose import Attached, Healthcheck, Mount, Mounted, Port, ServiceArgs
from blueprints.estate.reading import Reading

# What a service may say and ServiceArgs has no place for; each is named on the row.
_UNREAD = ("dnsConfig", "hosts", "privileges", "sysctl", "groups", "isolation")


def service_args(properties: Mapping[str, Any], reading: Reading) -> ServiceArgs:
    """The service of one resource.

    Args:
        properties: of the resource, opened; what the engine read back before what the program asked for.
        reading: collects what could not be taken over.
    """
    task = reading.mapping(properties.get("taskSpec"), "taskSpec")
    container = reading.mapping(task.get("containerSpec"), "containerSpec")
    mode = reading.mapping(properties.get("mode"), "mode")
    replicated = reading.mapping(mode.get("replicated"), "mode.replicated")
    endpoint = reading.mapping(properties.get("endpointSpec"), "endpointSpec")
    restart = reading.mapping(task.get("restartPolicy"), "restartPolicy")
    update = reading.mapping(properties.get("updateConfig"), "updateConfig")
    placement = reading.mapping(task.get("placement"), "placement")
    resources = reading.mapping(task.get("resources"), "resources")
    limits = reading.mapping(resources.get("limits"), "resources.limits")
    reserved = reading.mapping(resources.get("reservation", resources.get("reservations")), "resources.reservation")
    logging = reading.mapping(task.get("logDriver"), "logDriver")
    is_global = mode.get("global") is True
    reading.unread += [name for name in _UNREAD if container.get(name)]
    return ServiceArgs(
        name=reading.text(properties.get("name"), "name"),
        labels=reading.texts(properties.get("labels"), "labels"),
        image=reading.text(container.get("image"), "image"),
        image_id="",
        entrypoint=reading.words(_either(container, "commands", "command"), "entrypoint"),
        command=reading.words(container.get("args"), "command"),
        environment=reading.texts(container.get("env"), "environment"),
        user=reading.text(container.get("user"), "user"),
        healthcheck=_healthcheck(container.get("healthcheck"), reading),
        mounts=_mounts(container.get("mounts"), reading),
        secrets=_mounted(container.get("secrets"), "secret", reading),
        configs=_mounted(container.get("configs"), "config", reading),
        networks=_networks(task, reading),
        ports=_ports(endpoint.get("ports"), reading),
        replicas=0 if is_global else reading.number(replicated.get("replicas", 1), "replicas"),
        nano_cpus=reading.number(limits.get("nanoCpus"), "nano_cpus"),
        memory_bytes=reading.number(limits.get("memoryBytes"), "memory_bytes"),
        init=container.get("init") is True,
        stop_grace_s=reading.seconds(container.get("stopGracePeriod"), "stop_grace"),
        restart=reading.text(restart.get("condition"), "restart"),
        restart_delay_s=reading.seconds(restart.get("delay"), "restart_delay"),
        order=reading.text(update.get("order"), "update.order"),
        monitor_s=reading.seconds(update.get("monitor"), "update.monitor"),
        log_driver=reading.text(logging.get("name"), "log_driver"),
        log_options=reading.texts(logging.get("options"), "log_options"),
        mode="global" if is_global else "replicated",
        endpoint_mode=reading.text(endpoint.get("mode"), "endpoint_mode") or "vip",
        hostname=reading.text(container.get("hostname"), "hostname"),
        working_dir=reading.text(container.get("dir"), "working_dir"),
        stop_signal=reading.text(container.get("stopSignal"), "stop_signal"),
        read_only=container.get("readOnly") is True,
        capabilities=reading.words(_either(container, "capAdds", "capAdd"), "capabilities"),
        container_labels=reading.texts(container.get("labels"), "container_labels"),
        constraints=reading.words(placement.get("constraints"), "constraints"),
        platforms=_platforms(placement.get("platforms"), reading),
        max_per_node=reading.number(placement.get("maxReplicas"), "max_per_node"),
        reserved_memory_bytes=reading.number(reserved.get("memoryBytes"), "reserved_memory_bytes"),
        reserved_nano_cpus=reading.number(reserved.get("nanoCpus"), "reserved_nano_cpus"),
        restart_attempts=reading.number(restart.get("maxAttempts"), "restart_attempts"),
        restart_window_s=reading.seconds(restart.get("window"), "restart_window"),
        update_parallelism=reading.number(update.get("parallelism", 1), "update.parallelism"),
        failure_action=reading.text(update.get("failureAction"), "update.failure_action"),
    )


def _either(item: Mapping[str, Any], one: str, other: str) -> Any:  # noqa: ANN401 - JSON
    """A property that versions of the provider write with and without a plural."""
    return item[one] if item.get(one) is not None else item.get(other)


def _healthcheck(value: Any, reading: Reading) -> Healthcheck | None:  # noqa: ANN401 - JSON
    """None as well for the zeroes that the provider reads back where none is set."""
    given = reading.mapping(value, "healthcheck")
    test = reading.words(_either(given, "tests", "test"), "healthcheck.test")
    if not test:
        return None
    return Healthcheck(
        test,
        reading.seconds(given.get("interval"), "healthcheck.interval"),
        reading.seconds(given.get("timeout"), "healthcheck.timeout"),
        reading.number(given.get("retries"), "healthcheck.retries"),
        reading.seconds(given.get("startPeriod"), "healthcheck.start_period"),
    )


def _mounts(value: Any, reading: Reading) -> tuple[Mount, ...]:  # noqa: ANN401 - JSON
    found = []
    for index, item in enumerate(reading.items(value, "mounts")):
        given = reading.mapping(item, f"mounts.{index}")
        kind, target = reading.text(given.get("type"), f"mounts.{index}.type"), reading.text(given.get("target"), f"mounts.{index}.target")
        source = reading.text(given.get("source"), f"mounts.{index}.source")
        found.append(Mount(kind or "volume", source, target, read_only=given.get("readOnly") is True))
    return tuple(found)


def _mounted(value: Any, kind: str, reading: Reading) -> tuple[Mounted, ...]:  # noqa: ANN401 - JSON
    """Configs or secrets; by engine id where the file gives no name, which is looked up afterwards."""
    found = []
    for index, item in enumerate(reading.items(value, f"{kind}s")):
        where = f"{kind}s.{index}"
        given = reading.mapping(item, where)
        name = reading.text(given.get(f"{kind}Name"), where) or reading.text(given.get(f"{kind}Id"), where)
        mode = reading.number(given.get("fileMode", 0o444), where)
        owner = reading.text(given.get("fileUid"), where) or "0", reading.text(given.get("fileGid"), where) or "0"
        found.append(Mounted(name, reading.text(given.get("fileName"), where), mode, *owner))
    return tuple(found)


def _networks(task: Mapping[str, Any], reading: Reading) -> tuple[Attached, ...]:
    """Version 4's names and aliases where they are, else version 3's ids, which are looked up afterwards."""
    advanced = reading.items(_either(task, "networksAdvanceds", "networksAdvanced"), "networks")
    if advanced:
        found = []
        for index, item in enumerate(advanced):
            given = reading.mapping(item, f"networks.{index}")
            name = reading.text(given.get("name"), f"networks.{index}") or reading.text(given.get("id"), f"networks.{index}")
            found.append(Attached(name, tuple(sorted(reading.words(given.get("aliases"), f"networks.{index}.aliases")))))
        return tuple(sorted(found, key=lambda attached: attached.name))
    return tuple(Attached(name, ()) for name in sorted(reading.words(task.get("networks"), "networks")))


def _ports(value: Any, reading: Reading) -> tuple[Port, ...]:  # noqa: ANN401 - JSON
    found = []
    for index, item in enumerate(reading.items(value, "ports")):
        given, where = reading.mapping(item, f"ports.{index}"), f"ports.{index}"
        target, published = reading.number(given.get("targetPort"), where), reading.number(given.get("publishedPort"), where)
        protocol, mode = reading.text(given.get("protocol"), where) or "tcp", reading.text(given.get("publishMode"), where) or "ingress"
        found.append(Port(target, published, protocol, mode))
    return tuple(found)


def _platforms(value: Any, reading: Reading) -> tuple[str, ...]:  # noqa: ANN401 - JSON
    found = []
    for index, item in enumerate(reading.items(value, "platforms")):
        given = reading.mapping(item, f"platforms.{index}")
        found.append(f"{reading.text(given.get('os'), 'platforms')}/{reading.text(given.get('architecture'), 'platforms')}")
    return tuple(found)
