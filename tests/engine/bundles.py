"""A bundle of a few objects for engine tests, written by hand: one network, one config, one secret, services of Redis's image."""

from __future__ import annotations

import json
import zlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

IMAGE = "redis:7.0-bookworm"
SERVE = ["sh", "-c", "exec redis-server --save '' --port 6379"]
MOUNTS: dict[str, Any] = {
    "secrets": [{"source": "key", "target": "key", "mode": 292}],
    "configs": [{"source": "app", "target": "/etc/app.conf", "mode": 292}],
}
NEVER_HEALTHY = {"test": ["CMD", "false"], "interval": "60s", "timeout": "5s", "retries": 3, "start_period": "1s"}
SLEEP = ["sh", "-c", "exec sleep 600"]


@dataclass
class Bundle:
    """What the files say; `write` writes them."""

    slug: str
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    config: str = "greeting = hello\n"
    secret_version: int = 1

    def add(self, key: str, *, command: list[str] = SERVE, stage: str = "apps", deadline_s: int = 60, **more: Any) -> None:
        """A service; `healthcheck=`, `kind=` and further keys of a Compose service go through `more`."""
        kind = more.pop("kind", "service")
        labels = {
            **self._labels(key, f"service/{key}"),
            "sprocket.stage": stage,
            "sprocket.kind": kind,
            "sprocket.deadline_s": str(deadline_s),
        }
        self.services[key] = {
            "image": IMAGE,
            "command": command,
            "environment": {},
            "networks": {"data": {"aliases": [key]}},
            "init": True,
            "stop_grace_period": "2s",
            "deploy": {
                "replicas": 1,
                "endpoint_mode": "dnsrr",
                "labels": labels,
                "resources": {"limits": {"memory": "67108864"}},
                "restart_policy": {"condition": "none" if kind == "job" else "any", "delay": "1s"},
                "update_config": {"order": "stop-first", "failure_action": "rollback", "parallelism": 1, "monitor": "2s"},
                "rollback_config": {"order": "stop-first", "parallelism": 1, "monitor": "2s"},
            },
            **more,
        }

    def write(self, folder: Path) -> Path:
        """The bundle's files, as far as the program reads them."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "app.conf").write_text(self.config)
        version = zlib.crc32(self.config.encode())
        reference = f"{self.slug}_cache_key_v{self.secret_version}"
        stack = {
            "version": "3.9",
            "services": self.services,
            "networks": {"data": {"name": f"{self.slug}_data", "internal": True, "labels": self._labels("networks", "network/data")}},
            "configs": {
                "app": {"name": f"{self.slug}_app_{version:08x}", "file": "./app.conf", "labels": self._labels("cache", "config/app")}
            },
            "secrets": {"key": {"name": reference, "file": "./secrets/key", "labels": self._labels("cache", "secret/key")}},
        }
        facts = {"organization": {"slug": self.slug}, "files": []}
        lock = {"images": {}, "secrets": {"key": self.secret_version}}
        for name, data in (("stack.yml", stack), ("blueprint.json", facts), ("blueprint.lock.json", lock)):
            (folder / name).write_text(json.dumps(data, indent=1))
        return folder

    def _labels(self, component: str, resource: str) -> dict[str, str]:
        return {"sprocket.org": self.slug, "sprocket.component": component, "sprocket.resource": resource}
