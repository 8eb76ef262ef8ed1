"""Plain values <-> frozen arguments <-> what travels between the engine and the plug-in. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import MISSING, asdict, fields
from typing import Any, TypeVar

from blueprints.compose import Attached, Healthcheck, Mount, Mounted, Port, ServiceArgs

Plain = dict[str, Any]
PACKAGE = "sprocket"
Args = TypeVar("Args")


def to_plain(args: Any) -> Plain:  # noqa: ANN401 - any of the kinds' arguments
    """Arguments as JSON data: lists instead of tuples."""
    return {key: _listed(value) for key, value in asdict(args).items()}


def _listed(value: Any) -> Any:  # noqa: ANN401 - plain data
    if isinstance(value, (list, tuple)):
        return [_listed(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _listed(item) for key, item in value.items()}
    return value


def service_of(plain: Mapping[str, Any]) -> ServiceArgs:
    """A service's arguments from JSON data; numbers arrive as floats from the engine."""
    health = plain.get("healthcheck")
    return ServiceArgs(
        name=plain["name"],
        labels=dict(plain["labels"]),
        image=plain["image"],
        image_id=plain.get("image_id") or "",
        entrypoint=tuple(plain.get("entrypoint") or ()),
        command=tuple(plain.get("command") or ()),
        environment=dict(plain.get("environment") or {}),
        user=plain.get("user") or "",
        healthcheck=_health(health) if health else None,
        mounts=tuple(
            Mount(item["type"], item.get("source") or "", item["target"], bool(item.get("read_only"))) for item in plain.get("mounts") or ()
        ),
        secrets=_mounted(plain.get("secrets")),
        configs=_mounted(plain.get("configs")),
        networks=tuple(Attached(n["name"], tuple(n.get("aliases") or ())) for n in plain.get("networks") or ()),
        ports=tuple(Port(int(p["target"]), int(p["published"]), p["protocol"], p.get("mode") or "host") for p in plain.get("ports") or ()),
        replicas=int(plain["replicas"]),
        nano_cpus=int(plain.get("nano_cpus") or 0),
        memory_bytes=int(plain.get("memory_bytes") or 0),
        init=bool(plain.get("init")),
        stop_grace_s=float(plain["stop_grace_s"]),
        restart=plain["restart"],
        restart_delay_s=float(plain["restart_delay_s"]),
        order=plain["order"],
        monitor_s=float(plain["monitor_s"]),
        log_driver=plain["log_driver"],
        log_options=dict(plain.get("log_options") or {}),
        # What is not in the state of an older release has the value of a service of ours.
        mode=plain.get("mode") or "replicated",
        endpoint_mode=plain.get("endpoint_mode") or "dnsrr",
        hostname=plain.get("hostname") or "",
        working_dir=plain.get("working_dir") or "",
        stop_signal=plain.get("stop_signal") or "",
        read_only=bool(plain.get("read_only")),
        capabilities=tuple(plain.get("capabilities") or ()),
        container_labels=dict(plain.get("container_labels") or {}),
        constraints=tuple(plain.get("constraints") or ()),
        platforms=tuple(plain.get("platforms") or ()),
        max_per_node=int(plain.get("max_per_node") or 0),
        reserved_memory_bytes=int(plain.get("reserved_memory_bytes") or 0),
        reserved_nano_cpus=int(plain.get("reserved_nano_cpus") or 0),
        restart_attempts=int(plain.get("restart_attempts") or 0),
        restart_window_s=float(plain.get("restart_window_s") or 0),
        update_parallelism=int(plain.get("update_parallelism", 1)),
        failure_action=plain.get("failure_action", "rollback"),
        adopted=plain.get("adopted") or "",
    )


def _health(item: Mapping[str, Any]) -> Healthcheck:
    return Healthcheck(
        tuple(item["test"]), float(item["interval_s"]), float(item["timeout_s"]), int(item["retries"]), float(item["start_period_s"])
    )


def _mounted(items: Any) -> tuple[Mounted, ...]:  # noqa: ANN401 - plain data
    return tuple(
        Mounted(item["name"], item["target"], int(item["mode"]), item.get("uid") or "0", item.get("gid") or "0") for item in items or ()
    )


def simple_of(kind: type[Args], plain: Mapping[str, Any]) -> Args:
    """Arguments of a kind whose fields are texts, labels, numbers and yes/no."""
    values: Plain = {}
    for field in fields(kind):  # type: ignore[arg-type]
        # A field that came with a later release is not in an older state.
        if field.name not in plain and not (field.default is MISSING and field.default_factory is MISSING):
            continue
        value = plain[field.name]
        values[field.name] = int(value) if isinstance(value, float) else dict(value) if isinstance(value, Mapping) else value
    return kind(**values)


def changed_paths(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Paths of values that differ, such as `environment.WEB_URL` or `secrets[0].name`."""
    before, after = dict(_flat(old, "")), dict(_flat(new, ""))
    return [path for path in dict.fromkeys((*after, *before)) if before.get(path, _ABSENT) != after.get(path, _ABSENT)]


_ABSENT = object()


def _flat(value: Any, path: str) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - plain data
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            name = f'["{key}"]' if "." in str(key) else f".{key}" if path else str(key)
            yield from _flat(item, f"{path}{name}")
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from _flat(item, f"{path}[{index}]")
    elif value not in ({}, [], None, ""):
        yield path, float(value) if isinstance(value, int) and not isinstance(value, bool) else value
