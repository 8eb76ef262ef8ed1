"""Resolution -> Rendering of a generation with several stacks: services as an older layout has them. Reads templates, writes nothing.

What every service of ours has (limits, health, our networks) is not added: each says what its manifest found, and nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from blueprints import context
from blueprints.catalog import Catalog
from blueprints.compose import ServiceArgs, read_stack
from blueprints.estate_facts import estate_facts, labels_of
from blueprints.findings_as_found import bound
from blueprints.manifest import AsFound, ServiceManifest
from blueprints.names import part_of
from blueprints.profile import Stack
from blueprints.rendering import LOCK, MANIFEST, SECRETS, Rendering, json_text
from blueprints.resolve import Resolution, ResolvedComponent
from blueprints.summary import blueprint_data, lock_data, secrets_data
from sprocket_v2.errors import RenderError

Plain = dict[str, Any]
RenderFile = Callable[[str, str, str, Mapping[str, Any]], str]  # template, path, kind, values -> text


class Layered:
    """One pass over a resolution with layers; `render_file` is the only way to a template."""

    def __init__(self, resolution: Resolution, catalog: Catalog, render_file: RenderFile, traced: str = "") -> None:
        self.resolution, self.catalog, self.render_file, self.traced = resolution, catalog, render_file, traced
        self.slug = resolution.needs.slug
        self.facts = estate_facts(resolution)
        self.virtual_ips = bool(self.facts["virtual_ips"])
        self.files: dict[str, str] = {}
        self.templates: dict[str, str] = {}
        self.used = {
            secret: {c.manifest.stack for c in resolution.components for s in c.services if secret in s.secrets}
            for secret in resolution.secrets
        }

    def render(self) -> Rendering:
        """All files."""
        stacks: list[Plain] = []
        told: list[Plain] = []
        for stack in self.resolution.profile.stacks:
            services = [service for component in self._components(stack) for service in self._component(component)]
            told += services
            stacks.append(self._stack(stack, services))
        values = {**self.facts, "services": told, "secrets": self._secret_facts(), "stacks": stacks}
        for name, kind in (("RUNBOOK.md", "markdown"), ("fill.sh", "shell")):
            self._file(f"bundle/{'layers/' if name == 'RUNBOOK.md' else ''}{name}.j2", name, kind, values)
        self.files[SECRETS] = json_text(secrets_data(self.resolution))
        self.files[LOCK] = json_text(lock_data(self.resolution))
        data = blueprint_data(self.resolution, (), self.files, self.templates)
        data["stacks"] = [{key: stack[key] for key in ("name", "title", "file", "vault", "outputs", "references")} for stack in stacks]
        data["routes"] = []
        self.files[MANIFEST] = json_text(data)
        return Rendering(self.files)

    def component_files(self, component: ResolvedComponent) -> dict[str, str]:
        """One component's part, for golden cases: its services, and its config files."""
        services = self._component(component)
        return {"stack.yml": "".join(service["text"] for service in services), **self.files}

    def _components(self, stack: Stack) -> Iterator[ResolvedComponent]:
        return (component for component in self.resolution.components if component.manifest.stack == stack.name)

    def _component(self, component: ResolvedComponent) -> list[Plain]:
        folder = f"components/{component.name}"
        values = {**self.facts, "component": component.name, "inputs": dict(component.inputs)}
        configs: dict[str, str] = {}
        for template in self.catalog.config_files.get(component.name, ()):
            file = template.removesuffix(".j2")
            configs[file] = self._file(f"{folder}/config/{template}", f"config/{component.name}/{file}", _kind(file), values)
        services = [self._service(component, service, configs) for service in component.services]
        by_key = {service["key"]: service for service in services}
        text = self.render_file(f"{folder}/stack.yml.j2", _stack_file(component.manifest.stack), "compose", {**values, "services": by_key})
        return [{**service, "text": text if index == 0 else ""} for index, service in enumerate(services)]

    def _service(self, component: ResolvedComponent, service: ServiceManifest, configs: Mapping[str, str]) -> Plain:
        found = service.as_found
        if found is None:
            raise RenderError(f"{service.key} does not say how it was found", where=component.manifest.path)
        missing = set(service.configs) - set(configs)
        if missing:
            raise RenderError(f"no template for config {sorted(missing)[0]!r}", hint="add it under config/", where=component.manifest.path)
        labels = {
            **labels_of(found.routers, self.facts),
            **context.labels(self.slug, component.name, f"service/{service.key}"),
            "sprocket.stage": service.stage, "sprocket.kind": "service", "sprocket.deadline_s": str(service.deadline_s),
        }  # fmt: skip
        return {
            "key": service.key,
            "name": found.name,
            "component": component.name,
            "title": component.manifest.title,
            "image": component.image_of(service).reference,
            "networks": sorted(service.networks),
            "secrets": [{"source": name, "target": target} for name, target in service.secrets.items()],
            "configs": [
                {"source": context.config_key(component.name, file), "target": target, "name": _config_name(found, file, configs[file]),
                 "file": f"config/{component.name}/{file}"}
                for file, target in service.configs.items()
            ],
            "volumes": [
                {"source": f"{component.name}_{part}", "target": path, "name": found.names.get(part, f"{found.name}-{part}")}
                for part, path in service.volumes.items()
            ],
            "driver_options": dict(found.driver_options),
            "binds": [{"source": bound(b.source, component.inputs), "target": b.target, "read_only": b.read_only} for b in found.binds],
            "ports": [{"target": port, "published": int(component.inputs.get(f"port_{port}", port))} for port in found.ports],
            "health": _health(service),
            "hostname": context.swarm_text(found.hostname) if "{{." not in found.hostname else found.hostname,
            "keeps_logs": found.keeps_logs,
            "replicas": component.replicas_of(service),
            "endpoint_mode": found.endpoint_mode if self.virtual_ips else "dnsrr",
            "constraints": list(found.constraints),
            "max_per_node": found.max_per_node,
            "labels": labels,
            "memory_mib": int(component.inputs[service.memory]),
        }  # fmt: skip

    def _stack(self, stack: Stack, services: list[Plain]) -> Plain:
        name, file = stack.name, _stack_file(stack.name)
        values = {"services": services, **self._objects(stack, services)}
        self._put(file, self._stack_text(file, values), "templates/bundle/layers/stack.yml.j2")
        if file != self.traced:
            self._check(name, services)
        vault = self._vault(name)
        return {
            "name": name,
            "title": stack.title,
            "file": file,
            "vault": vault,
            "outputs": {output: self._output(said) for output, said in stack.outputs.items()},
            "references": {former: list(outputs) for former, outputs in stack.references.items()},
            "services": services,
        }

    def _stack_text(self, file: str, values: Mapping[str, Any]) -> str:
        text = self.render_file("bundle/layers/stack.yml.j2", file, "compose", values)
        head, _, tail = text.partition("  # services stand here\n")
        fragments = "".join(service["text"].replace("# templates/", "  # templates/", 1) for service in values["services"])
        return head + fragments + tail

    def _objects(self, stack: Stack, services: list[Plain]) -> Plain:
        profile = self.resolution.profile
        used = {network for service in services for network in service["networks"]}
        volumes = {v["source"]: (v["name"], s["driver_options"], s["component"]) for s in services for v in s["volumes"]}
        volumes |= {v.key: (v.name, {}, "left") for v in profile.left_volumes if v.stack == stack.name}
        secrets = list(dict.fromkeys(item["source"] for service in services for item in service["secrets"]))
        return {
            "networks": [
                {"key": n.key, "name": n.name, "external": n.stack != stack.name,
                 "labels": context.labels(self.slug, "networks", f"network/{n.key}")}
                for n in profile.networks if n.stack == stack.name or n.key in used
            ],
            "volumes": [
                {"key": key, "name": name, "driver_options": options, "labels": context.labels(self.slug, component, f"volume/{key}")}
                for key, (name, options, component) in volumes.items()
            ],
            "configs": [
                {"key": c["source"], "name": c["name"], "file": f"../{c['file']}",
                 "labels": context.labels(self.slug, s["component"], f"config/{c['source']}")}
                for s in services for c in s["configs"]
            ],
            "secrets": [
                {"key": key, "name": self._secret_name(key, stack.name), "file": f"../secrets/{key}",
                 "labels": context.labels(self.slug, self.resolution.secrets[key].component, f"secret/{stack.name}/{key}")}
                for key in secrets
            ],
        }  # fmt: skip

    def _secret_name(self, key: str, stack: str) -> str:
        """Swarm secrets belong to one stack: a second one that mounts the same value has its own, named after the stack."""
        name = context.secret_name(self.slug, self.resolution.secrets[key])
        owner = next((s.name for s in reversed(self.resolution.profile.stacks) if s.name in self.used[key]), stack)
        return name if owner == stack else f"{stack}-{name}"

    def _vault(self, stack: str) -> str:
        """The folder of the stack's part of the secret server: a file for each policy and each path, where its component has them."""
        server = self.resolution.playing("secret-server")
        folder = f"components/{server.name}/layers/{stack}" if server else ""
        if not server or not (self.catalog.root / folder).is_dir():
            return ""
        values = {**self.facts, "component": server.name, "inputs": dict(server.inputs)}
        for template in sorted((self.catalog.root / folder).rglob("*.j2")):
            file = template.relative_to(self.catalog.root / folder).as_posix().removesuffix(".j2")
            self._file(f"{folder}/{file}.j2", f"{stack}/vault/{file}", _kind(file), values)
        return f"{stack}/vault"

    def _output(self, said: str) -> str | Plain:
        kind, _, key = said.partition("/")
        return str(self.facts["outputs"][key]) if kind == "fact" else {"resource": f"{kind}/{key}"}

    def _check(self, stack: str, services: list[Plain]) -> None:
        """Read the file as the program will, and compare it with what was resolved: free text can never have become structure."""
        file = _stack_file(stack)
        spec = read_stack(self.files[file], self.slug, is_estate=True)
        if set(spec.services) != {service["key"] for service in services}:
            raise RenderError("the file has other services than were resolved", hint="correct the template", where=file)
        for service in services:
            said, resolved = _said(spec.services[service["key"]]), self._resolved(stack, service)
            wrong = next((part for part in resolved if said[part] != resolved[part]), None)
            if wrong is not None:
                raise RenderError(
                    f"{service['key']}: {wrong}: the file says {said[wrong]!r}, resolved was {resolved[wrong]!r}",
                    hint="correct the template",
                    where=file,
                )

    def _resolved(self, stack: str, service: Plain) -> Plain:
        """A service's parts as `_said` tells them, from what was resolved."""
        volumes = [("volume", volume["name"], volume["target"], False) for volume in service["volumes"]]
        return {
            **{part: service[part] for part in ("name", "image", "labels", "endpoint_mode", "constraints", "max_per_node", "replicas")},
            "hostname": service["hostname"],
            "networks": sorted(self.facts["networks"][network] for network in service["networks"]),
            "mounts": sorted(volumes + [("bind", b["source"], b["target"], b["read_only"]) for b in service["binds"]]),
            "secrets": sorted((self._secret_name(item["source"], stack), item["target"]) for item in service["secrets"]),
            "configs": sorted((item["name"], item["target"]) for item in service["configs"]),
            "ports": [(port["target"], port["published"], "host") for port in service["ports"]],
            "health": service["health"]["test"] if service["health"] else [],
        }

    def _file(self, template: str, path: str, kind: str, values: Mapping[str, Any]) -> str:
        text = self.render_file(template, path, kind, values)
        self._put(path, text, f"templates/{template}")
        return text

    def _put(self, path: str, text: str, template: str) -> None:
        self.files[path] = text
        self.templates[path] = template

    def _secret_facts(self) -> list[Plain]:
        return [
            {"name": name, "title": s.manifest.title, "why": s.manifest.why, "kind": s.kind, "length": s.manifest.length, "lines": False,
             "where_to_get": s.manifest.where_to_get, "placeholder": s.manifest.placeholder,
             "swarm_name": context.secret_name(self.slug, s) if self.used[name] else "none: kept in Vault"}
            for name, s in self.resolution.secrets.items()
        ]  # fmt: skip


def _stack_file(stack: str) -> str:
    return f"{stack}/stack.yml"


def _kind(file: str) -> str:
    endings = {".yml": "data", ".yaml": "data", ".json": "data", ".conf": "plain", ".hcl": "plain", ".sh": "shell", ".toml": "toml"}
    return next((kind for ending, kind in endings.items() if file.endswith(ending)), "plain")


def _config_name(found: AsFound, file: str, text: str) -> str:
    """A config's Docker name: the older layout's ends in seven hex digits that its engine drew; here they tell the content."""
    return f"{found.names.get(file, f'{found.name}-{part_of(file)}')}-{hashlib.sha256(text.encode()).hexdigest()[:7]}"


def _health(service: ServiceManifest) -> Plain | None:
    health = service.health
    if health.none:
        return None
    return {"test": list(health.test), "interval": f"{health.interval_s}s", "timeout": f"{health.timeout_s}s", "retries": health.retries,
            "start_period": f"{health.start_period_s}s"}  # fmt: skip


def _said(args: ServiceArgs) -> Plain:
    """What a file says of a service, part by part."""
    return {
        "name": args.name,
        "image": args.image,
        "labels": dict(args.labels),
        "endpoint_mode": args.endpoint_mode,
        "constraints": list(args.constraints),
        "max_per_node": args.max_per_node,
        "replicas": args.replicas,
        "hostname": args.hostname,
        "networks": sorted(network.name for network in args.networks),
        "mounts": sorted((mount.type, mount.source, mount.target, mount.read_only) for mount in args.mounts),
        "secrets": sorted((item.name, item.target) for item in args.secrets),
        "configs": sorted((item.name, item.target) for item in args.configs),
        "ports": [(port.target, port.published, port.mode) for port in args.ports],
        "health": list(args.healthcheck.test) if args.healthcheck else [],
    }
