"""A bundle of three layers, written by hand: an edge, a store, an application, all of Redis's image; names without the usual prefix."""

from __future__ import annotations

import copy
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from typing import Any

from blueprints.rendering import Rendering

IMAGE = "redis:7.0-bookworm"
SERVE = ["sh", "-c", "exec redis-server --save '' --port 6379"]
LAYERS = ("layer_1", "layer_2", "platform")
COLLECTED = {"title": "Token", "kind": "collected", "version": 1, "service": "vault", "file": "/tmp/token"}


def _stacks() -> list[dict[str, Any]]:
    return [
        {"name": "layer_1", "file": "layer_1/stack.yml", "outputs": {"ingress_network": {"resource": "network/ingress"}, "realm": "main"}},
        {
            "name": "layer_2",
            "file": "layer_2/stack.yml",
            "outputs": {"store": {"resource": "service/store"}},
            "references": {"layer_1": ["ingress_network", "realm"]},
        },
        {
            "name": "platform",
            "file": "platform/stack.yml",
            "references": {"layer_1": ["ingress_network"], "layer_2": ["store"]},
        },
    ]


@dataclass
class LayeredBundle:
    """What the files say; `rendering` is them.

    Attributes:
        greeting: content of layer 2's config.
        commands: service -> its command, where it is not to serve.
        environment: of the application.
        stacks: blueprint.json's own.
    """

    slug: str
    greeting: str = "hello"
    commands: dict[str, list[str]] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, dict[str, Any]] = field(default_factory=dict)
    stacks: list[dict[str, Any]] = field(default_factory=_stacks)
    labels: dict[str, str] = field(default_factory=dict)

    def rendering(self) -> Rendering:
        """All files, with their digests in blueprint.json."""
        files = {
            "layer_1/stack.yml": self._yaml(services={"vault": self._service("vault", "data"), "edge": self._service("edge", "edge")}),
            "layer_2/stack.yml": self._yaml(
                services={"store": self._service("store", "data", configs=True)}, external=True, configs=self._config()
            ),
            "platform/stack.yml": self._yaml(services={"app": self._service("app", "apps")}, external=True, secrets=self._secrets()),
            "config/store/greeting.conf": f"greeting = {self.greeting}\n",
            "secrets.json": json.dumps({"secrets": {name: self._entry(name, item) for name, item in self.secrets.items()}}),
            "blueprint.lock.json": json.dumps({"images": {}, "secrets": {n: s["version"] for n, s in self.secrets.items()}}),
        }
        listed = [{"path": path, "sha256": hashlib.sha256(text.encode()).hexdigest()} for path, text in files.items()]
        facts = {
            "organization": {"slug": self.slug, "name": "Layered League"},
            "needs_digest": "sha256:needs",
            "template_release": "1",
            "components": [],
            "files": listed,
            "stacks": copy.deepcopy(self.stacks),
        }
        return Rendering({**files, "blueprint.json": json.dumps(facts)})

    def name(self, key: str) -> str:
        """The Docker name of a service or network: whole, as an estate's are."""
        return f"{key}-{self.slug}"

    def _service(self, key: str, stage: str, *, configs: bool = False) -> dict[str, Any]:
        labels = {**self._owner(key, f"service/{key}"), "sprocket.stage": stage, "sprocket.kind": "service", "sprocket.deadline_s": "60"}
        body: dict[str, Any] = {
            "image": IMAGE,
            "command": self.commands.get(key, SERVE),
            "environment": self.environment if key == "app" else {},
            "networks": {"ingress": {"aliases": [key]}},
            "init": True,
            "stop_grace_period": "2s",
            "x-sprocket": {"name": self.name(key), "component": key, "stage": stage},
            "deploy": {
                "replicas": 1,
                "endpoint_mode": "dnsrr",
                "labels": {**labels, **(self.labels if key == "edge" else {})},
                "resources": {"limits": {"memory": "67108864"}},
                "restart_policy": {"condition": "any", "delay": "1s"},
                "update_config": {"order": "stop-first", "failure_action": "rollback", "parallelism": 1, "monitor": "2s"},
            },
            "logging": {"driver": "json-file"},
        }
        if configs:
            body["configs"] = [{"source": "greeting", "target": "/etc/greeting.conf", "mode": 292}]
        if key == "app" and self.secrets:
            body["secrets"] = [{"source": name, "target": name, "mode": 292} for name in self.secrets]
        return body

    def _yaml(self, *, services: dict[str, Any], external: bool = False, **more: Any) -> str:
        network = {"name": self.name("ingress")}
        network |= {"external": True} if external else {"internal": True, "labels": self._owner("networks", "network/ingress")}
        return json.dumps({"version": "3.9", "services": services, "networks": {"ingress": network}, **more}, indent=1) + "\n"

    def _config(self) -> dict[str, Any]:
        name = f"{self.slug}_greeting_{zlib.crc32(self.greeting.encode()):08x}"
        return {"greeting": {"name": name, "file": "../config/store/greeting.conf", "labels": self._owner("store", "config/greeting")}}

    def _secrets(self) -> dict[str, Any]:
        return {
            name: {
                "name": self._entry(name, item)["swarm_name"],
                "file": f"../secrets/{name}",
                "labels": self._owner("app", f"secret/{name}"),
            }
            for name, item in self.secrets.items()
        }

    def _entry(self, name: str, item: dict[str, Any]) -> dict[str, Any]:
        return {**item, "reference": f"{self.slug}/{name}", "swarm_name": f"{self.slug}_{name}_v{item['version']}"}

    def _owner(self, component: str, resource: str) -> dict[str, str]:
        return {"sprocket.org": self.slug, "sprocket.component": component, "sprocket.resource": resource}
