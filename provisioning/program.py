"""The Pulumi program: a bundle's files -> resources. It reads files only, and reads like a table of contents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pulumi

from blueprints.compose import STAGES, Part, ServiceArgs, StackSpec, read_stack
from provisioning.providers.wire import PACKAGE, to_plain

COMPONENT = f"{PACKAGE}:blueprint:Component"
_NETWORKS = "networks"


class Component(pulumi.ComponentResource):
    """Everything of one component, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__(COMPONENT, name)


class Resource(pulumi.CustomResource):
    """One Swarm object. Its inputs are the arguments of its kind."""

    def __init__(self, kind: str, name: str, props: Mapping[str, object], opts: pulumi.ResourceOptions) -> None:
        super().__init__(f"{PACKAGE}:swarm:{kind}", name, dict(props), opts)


def build(bundle_dir: Path, fingerprints: Mapping[str, str]) -> None:
    """Declare all resources of a bundle.

    Args:
        bundle_dir: a bundle folder.
        fingerprints: secret name -> keyed HMAC of its value.
    """
    blueprint = json.loads((bundle_dir / "blueprint.json").read_text(encoding="utf-8"))
    lock = json.loads((bundle_dir / "blueprint.lock.json").read_text(encoding="utf-8"))
    slug = blueprint["organization"]["slug"]
    image_ids = {key: image["local_id"] for key, image in lock["images"].items()}
    stack = read_stack((bundle_dir / "stack.yml").read_text(encoding="utf-8"), slug, image_ids)
    program = _Program(bundle_dir, slug, stack, fingerprints, lock["secrets"])
    program.declare()


class _Program:
    """One pass over the files."""

    def __init__(self, folder: Path, slug: str, stack: StackSpec, fingerprints: Mapping[str, str], versions: Mapping[str, int]) -> None:
        self.folder, self.slug, self.stack = folder, slug, stack
        self.fingerprints, self.versions = fingerprints, versions
        self.components: dict[str, Component] = {}
        self.made: dict[str, Resource] = {}

    def declare(self) -> None:
        for part in self.stack.networks:
            self._part("Network", part, {"internal": part.internal, **({"subnet": part.subnet} if part.subnet else {})})
        for part in self.stack.volumes:
            self._part("Volume", part, {}, keep=True)
        for part in self.stack.configs:
            self._part("Config", part, {"data": (self.folder / part.file).read_text(encoding="utf-8")})
        for part in self.stack.secrets:
            self._part("Secret", part, self._reference(part.key))
        self._services()

    def _part(self, kind: str, part: Part, props: Mapping[str, object], *, keep: bool = False) -> None:
        options = pulumi.ResourceOptions(parent=self._component(part.labels), retain_on_delete=keep)
        all_props = {"name": part.name, "labels": dict(part.labels), **props}
        self.made[part.name] = Resource(kind, f"{kind.lower()}/{part.key}", all_props, options)

    def _reference(self, name: str) -> dict[str, object]:
        return {"reference": f"{self.slug}/{name}", "version": self.versions[name], "fingerprint": self.fingerprints[name]}

    def _services(self) -> None:
        """Each stage waits for the former to be healthy, or finished."""
        former: list[pulumi.Resource] = []
        for stage in STAGES:
            staged = {key: args for key, args in self.stack.services.items() if args.stage == stage}
            resources = [self._service(key, args, former) for key, args in staged.items()]
            former = [*resources] or former

    def _service(self, key: str, args: ServiceArgs, former: list[pulumi.Resource]) -> pulumi.Resource:
        used = [*(n.name for n in args.networks), *(m.source for m in args.mounts if m.source)]
        used += [item.name for item in (*args.secrets, *args.configs)]
        options = pulumi.ResourceOptions(parent=self._component(args.labels), depends_on=[*former, *(self.made[name] for name in used)])
        return Resource("Service", f"service/{key}", to_plain(args), options)

    def _component(self, labels: Mapping[str, str]) -> Component:
        name = labels.get("sprocket.component", _NETWORKS)
        if name not in self.components:
            self.components[name] = Component(name)
        return self.components[name]
