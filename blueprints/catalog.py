"""Reads templates/components/*/component.yaml and templates/profiles/*.yaml into a Catalog. Knows no organization."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from blueprints.manifest import ImageManifest, Manifest, ServiceManifest, read_manifest, schema
from blueprints.strict_yaml import load
from orgs.needs import Needs
from sprocket_v2 import __version__
from sprocket_v2.errors import CatalogError, RenderError

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
NETWORKS = ("edge", "data", "outbound")
SPECIAL_NEEDS = frozenset({"always", "component_option"})
DEPLOYED = "deployed"  # `deployed: <component>`, where the set of components is known already: in secrets and services


@dataclass(frozen=True, slots=True)
class Profile:
    """A named starting set of components for one application generation."""

    name: str
    title: str
    contract: str
    summary: str
    components: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything a release can deploy.

    Attributes:
        components: by name, sorted.
        profiles: by name.
        release: the product's version and eight hex digits of all template files: other templates, other release.
        root: the `templates` folder.
        config_files: component -> its config templates, relative to its `config` folder, with `.j2`.
    """

    components: Mapping[str, Manifest]
    profiles: Mapping[str, Profile]
    release: str
    root: Path
    config_files: Mapping[str, tuple[str, ...]]

    def images(self) -> dict[str, ImageManifest]:
        """Every image, by component, and by service where a service has its own."""
        images = {name: manifest.image for name, manifest in self.components.items()}
        return images | {s.key: s.image for manifest in self.components.values() for s in manifest.services if s.image}


def load_catalog(root: Path = TEMPLATES) -> Catalog:
    """The catalog of a release, read once per process and folder.

    Raises:
        CatalogError: a manifest or profile is wrong; `where` names file and line.
    """
    return _load(root.resolve())


@lru_cache(maxsize=8)
def _load(root: Path) -> Catalog:
    folders = sorted(p for p in (root / "components").iterdir() if p.is_dir() and not p.name.startswith(("_", ".")))
    rules = schema(root / "components" / "_example" / "component.yaml")
    components = {}
    for folder in folders:
        manifest = read_manifest(folder, rules, f"templates/components/{folder.name}")
        _check_manifest(manifest, folder)
        components[folder.name] = manifest
    _check_together(components)
    profiles = {file.stem: _profile(file, components) for file in sorted((root / "profiles").glob("*.yaml"))}
    configs = {folder.name: _config_files(folder) for folder in folders}
    return Catalog(components, profiles, f"{__version__}+{_digest(root)[:8]}", root, configs)


def needs_value(needs: Needs, need: str) -> object:
    """The answer a dotted name stands for. Raises AttributeError for a name that is no question."""
    value: object = needs
    for part in need.split("."):
        value = getattr(value, part)
    return value


def _check_manifest(manifest: Manifest, folder: Path) -> None:
    where = f"{manifest.path}/component.yaml"
    if not re.match(r"\A[a-z][a-z0-9-]{0,30}\Z", manifest.name):
        raise CatalogError(f"folder name {manifest.name!r}", hint="a-z, 0-9 and -, at most 31", where=manifest.path)
    images = [manifest.image, *(service.image for service in manifest.services if service.image)]
    for image in images:
        if "latest" in (image.tag, image.stand_in):
            raise CatalogError("image tag is latest", hint="name a version", where=where)
    inputs = {item.name for item in manifest.inputs}
    for service in manifest.services:
        _check_service(manifest, service, inputs, where)
    if not manifest.backup and any(service.volumes for service in manifest.services):
        raise CatalogError("it has volumes, and backup does not say how they are saved", hint="say why, if they need not be", where=where)
    if not (folder / "stack.yml.j2").is_file():
        raise CatalogError("no stack.yml.j2", hint="copy it from templates/components/_example", where=manifest.path)


def _check_service(manifest: Manifest, service: ServiceManifest, inputs: set[str], where: str) -> None:
    if service.key != manifest.name and not service.key.startswith(f"{manifest.name}_"):
        raise CatalogError(
            f"service {service.key!r} does not begin with the component's name",
            hint=f"call it {manifest.name} or {manifest.name}_<part>",
            where=where,
        )
    for key, name in (
        ("memory", service.memory),
        ("cpu", service.cpu or service.memory),
        ("copies", service.copies or service.memory),
        ("udp_port", service.udp_port or service.memory),
    ):
        if name not in inputs:
            raise CatalogError(f"{service.key}: {key} names no input", hint=f"one of {', '.join(sorted(inputs))}", where=where)
    if bool(service.health.test) == bool(service.health.none):
        raise CatalogError(f"{service.key}: health needs either test or none", hint="give the reason in none", where=where)
    unknown = [network for network in service.networks if network not in NETWORKS]
    if unknown:
        raise CatalogError(f"{service.key}: network {unknown[0]!r}", hint=f"one of {', '.join(NETWORKS)}", where=where)


def _check_together(components: Mapping[str, Manifest]) -> None:
    owners: dict[str, str] = {}
    for manifest in components.values():
        where = f"{manifest.path}/component.yaml"
        for name in (*manifest.requires, *manifest.requires_one_of, *(c for s in manifest.services for c in s.only_with.values())):
            if name not in components:
                raise CatalogError(f"requires {name!r}, which is no component", hint="see templates/components", where=where)
        for secret in manifest.secrets:
            if secret.name in owners and owners[secret.name] != manifest.name:
                raise CatalogError(
                    f"secret {secret.name!r} is {owners[secret.name]}'s already", hint="mount that one, or rename this", where=where
                )
            owners[secret.name] = manifest.name
        late = [w for s in manifest.services for w in s.wanted_when]
        late += [w for s in manifest.secrets for w in (*s.supplied_when, *s.generated_when)]
        for wanted in [*manifest.wanted_when, *manifest.left_out_when, *late]:
            if wanted in late and wanted.need == DEPLOYED and wanted.value in components:
                continue
            if wanted.need not in SPECIAL_NEEDS and not _is_question(wanted.need):
                raise CatalogError(f"{wanted.need!r} is no question of the needs", hint="see orgs/needs.py", where=where)
    for manifest in components.values():
        for service in manifest.services:
            for secret_name in service.secrets:
                if secret_name not in owners:
                    raise CatalogError(f"{service.key}: nobody brings secret {secret_name!r}", where=f"{manifest.path}/component.yaml")


def _is_question(need: str) -> bool:
    model: type | None = Needs
    for part in need.split("."):
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return False
        annotation = fields[part].annotation
        model = annotation if isinstance(annotation, type) else None
    return True


def _profile(file: Path, components: Mapping[str, Manifest]) -> Profile:
    where = f"templates/profiles/{file.name}"
    try:
        data = load(file.read_text(encoding="utf-8"), where)
    except RenderError as error:
        raise CatalogError(error.message, hint="check this line", where=error.where) from None
    keys = {"title", "summary", "contract", "components"}
    if not isinstance(data, dict) or set(data) != keys or not isinstance(data["components"], list):
        raise CatalogError("a profile has exactly these keys, components being a list", hint=", ".join(sorted(keys)), where=where)
    for name in data["components"]:
        if name not in components:
            raise CatalogError(f"{name!r} is no component", hint="see templates/components", where=where)
    return Profile(file.stem, data["title"], data["contract"], data["summary"], tuple(data["components"]))


def _config_files(folder: Path) -> tuple[str, ...]:
    config = folder / "config"
    return tuple(sorted(p.relative_to(config).as_posix() for p in config.rglob("*.j2"))) if config.is_dir() else ()


def _digest(root: Path) -> str:
    """SHA-256 over the name and bytes of every file a rendering can depend on."""
    digest = hashlib.sha256()
    for part in ("bundle", "components", "profiles"):
        for file in sorted((root / part).rglob("*")):
            if file.is_file() and "cases" not in file.parts and file.suffix != ".md":
                digest.update(f"{file.relative_to(root).as_posix()}\0".encode() + file.read_bytes() + b"\0")
    digest.update((root / "prices.yaml").read_bytes())
    return digest.hexdigest()
