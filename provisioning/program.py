"""The Pulumi program: one layer of a bundle's files -> resources. It reads files only, and reads like a table of contents."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import pulumi

from blueprints.compose import STAGES, Part, ServiceArgs, StackSpec
from blueprints.estate.adoption import FILE as ADOPTION
from blueprints.estate.adoption import Adopted, Record, read_adoption
from blueprints.layers import Layer, Told, path_beside, read_layers, stack_name, told_otherwise
from blueprints.rendering import STACK
from blueprints.vault_files import VaultFiles, read_vault
from provisioning.program_vault import Declared, in_vault
from provisioning.providers.wire import PACKAGE, to_plain

COMPONENT = f"{PACKAGE}:blueprint:Component"
PROJECT = f"organization/{PACKAGE}"  # how the engine names another stack of ours
_NETWORKS = "networks"


class Component(pulumi.ComponentResource):
    """Everything of one component, by its name."""

    def __init__(self, name: str) -> None:
        super().__init__(COMPONENT, name)


class Resource(pulumi.CustomResource):
    """One Swarm object. Its inputs are the arguments of its kind."""

    def __init__(self, kind: str, name: str, props: Mapping[str, object], opts: pulumi.ResourceOptions) -> None:
        super().__init__(f"{PACKAGE}:swarm:{kind}", name, dict(props), opts)


class VaultResource(pulumi.CustomResource):
    """One object of Vault's. Its inputs are the arguments of its kind."""

    def __init__(self, kind: str, name: str, props: Mapping[str, object], opts: pulumi.ResourceOptions) -> None:
        super().__init__(f"{PACKAGE}:vault:{kind}", name, dict(props), opts)


def build(bundle_dir: Path, fingerprints: Mapping[str, str], layer: str = "") -> None:
    """Declare all resources of one layer of a bundle.

    Args:
        bundle_dir: a bundle folder.
        fingerprints: secret name -> keyed HMAC of its value.
        layer: the stack's name; empty where the bundle has one stack.
    """
    blueprint = json.loads((bundle_dir / "blueprint.json").read_text(encoding="utf-8"))
    lock = json.loads((bundle_dir / "blueprint.lock.json").read_text(encoding="utf-8"))
    paths = [str(entry["file"]) for entry in blueprint.get("stacks") or ()] or [STACK]
    layers = read_layers(blueprint, lock, {path: (bundle_dir / path).read_text(encoding="utf-8") for path in paths})
    mine = next(item for item in layers if item.name == layer)
    former = [item.stack for item in layers[: layers.index(mine)]]
    kept = next((str(entry.get("vault") or "") for entry in blueprint.get("stacks") or () if entry["name"] == layer), "")
    adoption = bundle_dir / ADOPTION
    record = read_adoption(adoption.read_text(encoding="utf-8")) if adoption.is_file() else {}
    program = _Program(bundle_dir, blueprint["organization"]["slug"], mine, fingerprints, lock["secrets"], record)
    if kept:
        files = {path.relative_to(bundle_dir).as_posix(): path.read_text(encoding="utf-8") for path in (bundle_dir / kept).rglob("*.*")}
        program.keep_in_vault(read_vault(kept, files), former)
    program.declare()


class _Program:
    """One pass over the files."""

    def __init__(
        self,
        folder: Path,
        slug: str,
        layer: Layer,
        fingerprints: Mapping[str, str],
        versions: Mapping[str, int],
        record: Record,
    ) -> None:
        self.folder, self.slug, self.layer, self.stack = folder, slug, layer, layer.stack
        self.fingerprints, self.versions = fingerprints, versions
        self.record = {resource: item for resource, item in record.items() if item.layer == layer.name}
        self.components: dict[str, Component] = {}
        self.made: dict[tuple[str, str], Resource] = {}
        self.heard = _heard(slug, layer.told)

    def keep_in_vault(self, files: VaultFiles, former: list[StackSpec]) -> None:
        """What the layer keeps in the secret server of a former one; its services wait for it."""
        for _, stage in groupby(in_vault(files, self.slug, former, self.versions, self.fingerprints), key=lambda item: item.stage):
            self.heard = [*self.heard, *[self._in_vault(item) for item in stage]]

    def _in_vault(self, item: Declared) -> pulumi.Resource:
        options = pulumi.ResourceOptions(parent=self._component("vault"), depends_on=self.heard, retain_on_delete=item.is_engine)
        return VaultResource(item.kind, item.name, item.props, options)

    def declare(self) -> None:
        for part in self.stack.networks:
            self._part("Network", part, {"internal": part.internal, **({"subnet": part.subnet} if part.subnet else {})})
        for part in self.stack.volumes:
            self._part("Volume", part, {}, keep=True)
        for part in self.stack.configs:
            self._part("Config", part, self._content(part))
        for part in self.stack.secrets:
            self._part("Secret", part, self._reference(part))
        self._services()
        for name, value in self.layer.outputs.items():
            pulumi.export(name, value)

    def _part(self, kind: str, part: Part, props: Mapping[str, object], *, keep: bool = False) -> None:
        record = self.record.get(f"{kind.lower()}/{part.key}")
        if record is not None:
            self._adopted(kind, part, adopted_props(kind, part, record), record)
            return
        if part.external:
            return  # a former layer's
        parent = self._component(part.labels.get("sprocket.component", _NETWORKS))
        options = pulumi.ResourceOptions(parent=parent, depends_on=self.heard, retain_on_delete=keep)
        all_props = {"name": part.name, "labels": dict(part.labels), **props}
        self.made[kind, part.name] = Resource(kind, f"{kind.lower()}/{part.key}", all_props, options)

    def _adopted(self, kind: str, part: Part, props: Mapping[str, object], record: Adopted) -> None:
        """Somebody else's object: it enters the state by the engine's id, and nothing is made."""
        parent = self._component(part.labels.get("sprocket.component", _NETWORKS))
        options = pulumi.ResourceOptions(parent=parent, depends_on=self.heard, retain_on_delete=True, import_=record.id)
        self.made[kind, part.name] = Resource(kind, f"{kind.lower()}/{part.key}", props, options)

    def _content(self, part: Part) -> dict[str, object]:
        return {} if part.external else {"data": (self.folder / path_beside(self.layer.file, part.file)).read_text(encoding="utf-8")}

    def _reference(self, part: Part) -> dict[str, object]:
        name = part.key
        if part.external:
            return {}
        return {"reference": f"{self.slug}/{name}", "version": self.versions[name], "fingerprint": self.fingerprints[name]}

    def _services(self) -> None:
        """Each stage waits for the former to be healthy, or finished."""
        former: list[pulumi.Resource] = []
        for stage in STAGES:
            staged = {key: args for key, args in self.stack.services.items() if self.stack.notes[key].stage == stage}
            resources = [self._service(key, args, former) for key, args in staged.items()]
            former = [*resources] or former

    def _service(self, key: str, args: ServiceArgs, former: list[pulumi.Resource]) -> pulumi.Resource:
        used = [("Network", item.name) for item in args.networks] + [("Volume", item.source) for item in args.mounts]
        used += [("Secret", item.name) for item in args.secrets] + [("Config", item.name) for item in args.configs]
        needed = [self.made[name] for name in used if name in self.made]
        parent = self._component(self.stack.notes[key].component or key)
        record = self.record.get(f"service/{key}")
        # Somebody else's services run already: they wait for nobody, and enter the state by the engine's id.
        after = needed if record else [*former, *needed]
        options = pulumi.ResourceOptions(parent=parent, depends_on=[*self.heard, *after], import_=record.id if record else None)
        return Resource("Service", f"service/{key}", to_plain(replace(args, adopted=record.id) if record else args), options)

    def _component(self, name: str) -> Component:
        if name not in self.components:
            self.components[name] = Component(name)
        return self.components[name]


def adopted_props(kind: str, part: Part, record: Adopted) -> dict[str, object]:
    """The inputs of somebody else's object, exactly as reading it by its id gives them; a value we do not have is none."""
    own: dict[str, dict[str, object]] = {
        "Network": {"internal": part.internal, "subnet": part.subnet, "attachable": part.attachable},
        "Volume": {"driver_options": dict(part.driver_options)},
        "Config": {"data": "", "fingerprint": record.fingerprint},
        "Secret": {"reference": "", "version": 0, "fingerprint": record.fingerprint},
    }
    return {"name": part.name, "labels": dict(part.labels), **own[kind], "adopted": record.id}


def _heard(slug: str, told: tuple[Told, ...]) -> list[pulumi.Input[pulumi.Resource]]:
    """One reference to each former layer's stack, to be waited for: it is there once what it tells was found right."""
    former = dict.fromkeys(item.layer for item in told)
    return [_checked(slug, layer, [item for item in told if item.layer == layer]) for layer in former]


def _checked(slug: str, layer: str, told: list[Told]) -> pulumi.Output[pulumi.Resource]:
    reference = pulumi.StackReference(f"{PROJECT}/{stack_name(slug, layer)}")

    def check(outputs: Mapping[str, object] | None) -> pulumi.Resource:
        wrong = told_otherwise(told, outputs or {}, is_preview=pulumi.runtime.is_dry_run())
        if wrong:
            pulumi.log.error(f"{wrong}\nhint: make a new plan: the former layer is not as this blueprint has it")
            raise ValueError(wrong)
        return reference

    return reference.outputs.apply(check)
