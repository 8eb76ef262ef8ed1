"""Services for tests of estates: everything that is not asked for is as small as it can be."""

from __future__ import annotations

from typing import Any

from blueprints.compose import ServiceArgs


def service(name: str, **other: Any) -> ServiceArgs:
    """A service of an estate."""
    given: dict[str, Any] = {
        "name": name, "labels": {}, "image": "example/app:1", "image_id": "", "entrypoint": (), "command": (), "environment": {}, "user": "",
        "healthcheck": None, "mounts": (), "secrets": (), "configs": (), "networks": (), "ports": (), "replicas": 1, "nano_cpus": 0, "memory_bytes": 0,
        "init": False, "stop_grace_s": 0, "restart": "", "restart_delay_s": 0, "order": "", "monitor_s": 0, "log_driver": "", "log_options": {},
        "endpoint_mode": "vip",
    }  # fmt: skip
    return ServiceArgs(**{**given, **other})
