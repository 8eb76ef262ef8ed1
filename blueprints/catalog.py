"""Reads templates/components/*/component.yaml and templates/profiles/*.yaml into a Catalog. Knows no organization."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import get_args

from blueprints.manifest import ImageManifest, Manifest, ServiceManifest, Wanted, read_manifest
from blueprints.profile import Profile, read_profile
from blueprints.schema import schema
from orgs.needs import Needs
from sprocket_v2 import __version__
from sprocket_v2.errors import CatalogError

TEMPLATES = Path(__file__).resolve().parent.parent / "templates"
NETWORKS = ("edge", "data", "outbound")
LOCAL = "local"  # the pseudo component of an organization's own additions
_ENVIRONMENT_LINE = re.compile(r"\A {6}([A-Za-z_][A-Za-z0-9_]*):(?: |\Z)")
_SHARED = re.compile(r'\A\{% from "(components/_shared/(?!service)[^"]+)"')
SPECIAL_NEEDS = frozenset({"always", "component_option"})
OPTIONS = "options."  # `options.<component>.<input>: true`, another component's or one's own yes-or-no question
DEPLOYED = "deployed"  # `deployed: <component>`, where the set of components is known already: in secrets and services


@dataclass(frozen=True, slots=True)
class Catalog:
    """Everything a release can deploy.

    Attributes:
        components: by name, sorted.
        profiles: by name.
        release: the product's version and eight hex digits of all template files: other templates, other release.
        root: the `templates` folder.
        config_files: component -> its config templates, relative to its `config` folder, with `.j2`.
        environment: component -> name of an environment value its template sets -> `templates/...:line`.
    """

    components: Mapping[str, Manifest]
    profiles: Mapping[str, Profile]
    release: str
    root: Path
    config_files: Mapping[str, tuple[str, ...]]
    environment: Mapping[str, Mapping[str, str]]

    def of(self, profile: str) -> dict[str, Manifest]:
        """The components of one generation: those that say so, and its starting set."""
        start = self.profiles[profile].components if profile in self.profiles else ()
        return {name: manifest for name, manifest in self.components.items() if profile in manifest.profiles or name in start}

    def images(self) -> dict[str, ImageManifest]:
        """Every image, by component, and by service where a service has its own."""
        images = {name: manifest.image for name, manifest in self.components.items()}
        return images | {s.key: s.image for manifest in self.components.values() for s in manifest.services if s.image}

    def option_titles(self) -> dict[str, str]:
        """`options.<component>.<input>` -> the component and its question, in words and with the unit."""
        return {
            f"options.{name}.{question.name}": f"{manifest.title}: {question.title}" + (f" ({question.unit})" if question.unit else "")
            for name, manifest in self.components.items()
            for question in manifest.inputs
        }


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
    profile_rules = schema(root / "profiles" / "_example.yaml")
    files = sorted(file for file in (root / "profiles").glob("*.yaml") if not file.name.startswith("_"))
    profiles = {file.stem: read_profile(file, profile_rules) for file in files}
    configs = {folder.name: _config_files(folder) for folder in folders}
    environment = {folder.name: _environment(root, f"components/{folder.name}/stack.yml.j2") for folder in folders}
    catalog = Catalog(components, profiles, f"{__version__}+{_digest(root)[:8]}", root, configs, environment)
    for profile in profiles.values():
        _check_profile(profile, catalog)
    return catalog


def needs_value(needs: Needs, need: str) -> object:
    """The answer a dotted name stands for; None for a component's own question (`options.<component>.<input>`) nobody answered.

    Raises AttributeError for a name that is no question.
    """
    if need.startswith(OPTIONS):
        _, component, question = need.split(".", 2)
        return needs.options.get(component, {}).get(question)
    value: object = needs
    for part in need.split("."):
        value = None if value is None else getattr(value, part)  # what was not described answers nothing
    return value


def _check_manifest(manifest: Manifest, folder: Path) -> None:
    where = f"{manifest.path}/component.yaml"
    if not re.match(r"\A[a-z][a-z0-9-]{0,30}\Z", manifest.name):
        raise CatalogError(f"folder name {manifest.name!r}", hint="a-z, 0-9 and -, at most 31", where=manifest.path)
    if manifest.name == LOCAL or manifest.name.startswith(f"{LOCAL}-"):
        raise CatalogError(f"folder name {manifest.name!r}", hint="local is what an organization adds itself", where=manifest.path)
    images = [manifest.image, *(service.image for service in manifest.services if service.image)]
    for image in images:
        if "latest" in (image.tag, image.stand_in) and not manifest.stack:  # an older layout is shown as it is, with a finding
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
    if manifest.stack and service.as_found is None:
        raise CatalogError(f"{service.key}: as_found is missing", hint="a service of several stacks says how it was found", where=where)
    unknown = [network for network in service.networks if network not in NETWORKS and not manifest.stack]
    if unknown:
        raise CatalogError(f"{service.key}: network {unknown[0]!r}", hint=f"one of {', '.join(NETWORKS)}", where=where)


def _check_together(components: Mapping[str, Manifest]) -> None:
    owners: dict[str, str] = {}
    parts = {part for manifest in components.values() for part in (manifest.name, manifest.role, *(play.role for play in manifest.plays))}
    for manifest in components.values():
        where = f"{manifest.path}/component.yaml"
        wanted_parts = [*manifest.requires, *manifest.requires_one_of, *(name for play in manifest.plays for name in play.requires)]
        for name in (*wanted_parts, *(c for s in manifest.services for names in s.only_with.values() for c in names)):
            if name not in parts:
                raise CatalogError(f"requires {name!r}, which is no component", hint="see templates/components", where=where)
        for secret in manifest.secrets:
            if secret.name in owners and owners[secret.name] != manifest.name:
                raise CatalogError(
                    f"secret {secret.name!r} is {owners[secret.name]}'s already", hint="mount that one, or rename this", where=where
                )
            owners[secret.name] = manifest.name
        late = [w for s in manifest.services for w in (*s.wanted_when, *(w for lines in s.only_when.values() for w in lines))]
        late += [w for s in manifest.secrets for w in (*s.supplied_when, *s.generated_when)]
        plays = [w for play in manifest.plays for w in play.wanted_when]
        for wanted in [*manifest.wanted_when, *manifest.left_out_when, *plays, *late]:
            if wanted in late and wanted.need == DEPLOYED and wanted.value in parts:
                continue
            _check_question(wanted, components, where)
    for manifest in components.values():
        for service in manifest.services:
            for secret_name in service.secrets:
                if secret_name not in owners:
                    raise CatalogError(f"{service.key}: nobody brings secret {secret_name!r}", where=f"{manifest.path}/component.yaml")


def _check_profile(profile: Profile, catalog: Catalog) -> None:
    where = f"templates/profiles/{profile.name}.yaml"
    for name in profile.components:
        if name not in catalog.components:
            raise CatalogError(f"{name!r} is no component", hint="see templates/components", where=where)
    parts = {part for m in catalog.components.values() for part in (m.name, m.role, *(play.role for play in m.plays))}
    for limit in profile.findings:
        for wanted in limit.only_when:
            if wanted.need != DEPLOYED or wanted.value not in parts:
                _check_question(wanted, catalog.components, where)
    _check_stacks(profile, catalog)
    filled: dict[str, str] = {}
    for name, manifest in catalog.of(profile.name).items():
        for part in {name, manifest.role, *(play.role for play in manifest.plays)}:
            if filled.setdefault(part, name) != name:
                raise CatalogError(f"{filled[part]} and {name} both fill the role {part!r}", hint="leave one of them out", where=where)


def _check_stacks(profile: Profile, catalog: Catalog) -> None:
    where = f"templates/profiles/{profile.name}.yaml"
    stacks, networks = {stack.name for stack in profile.stacks}, {network.key for network in profile.networks}
    for shared in (*profile.networks, *profile.left_volumes):
        if shared.stack not in stacks:
            raise CatalogError(f"{shared.key} is in stack {shared.stack!r}", hint=f"one of {', '.join(sorted(stacks))}", where=where)
    for manifest in catalog.of(profile.name).values():
        if manifest.stack not in (stacks or {""}):
            raise CatalogError(f"{manifest.name} is in stack {manifest.stack!r}, which {profile.name} has not", where=where)
        for service in manifest.services if manifest.stack else ():
            unknown = [network for network in service.networks if network not in networks]
            if unknown:
                raise CatalogError(f"{service.key}: network {unknown[0]!r}", hint=f"one of {', '.join(sorted(networks))}", where=where)
            hosts = [router.host for router in (service.as_found.routers if service.as_found else ()) if router.host not in profile.hosts]
            if hosts:
                raise CatalogError(f"{service.key}: host {hosts[0]!r}", hint=f"one of {', '.join(profile.hosts)}", where=where)


def _check_question(wanted: Wanted, components: Mapping[str, Manifest], where: str) -> None:
    if wanted.need.startswith(OPTIONS):
        _check_option(wanted.need, components, where)
        return
    if wanted.need not in SPECIAL_NEEDS and not _is_question(wanted.need):
        raise CatalogError(f"{wanted.need!r} is no question of the needs", hint="see orgs/needs.py", where=where)


def _check_option(need: str, components: Mapping[str, Manifest], where: str) -> None:
    """A yes-or-no question whose default is no: an answer nobody gave counts as no."""
    _, name, question = [*need.split(".", 2), "", ""][:3]
    asked = components[name].inputs if name in components else ()
    if not any(item.name == question and item.default is False for item in asked):
        raise CatalogError(f"{need!r} is no yes-or-no input of a component", hint="its default has to be false", where=where)


def _is_question(need: str) -> bool:
    model: type | None = Needs
    for part in need.split("."):
        fields = getattr(model, "model_fields", {})
        if part not in fields:
            return False
        annotation = fields[part].annotation
        model = next((choice for choice in (annotation, *get_args(annotation)) if hasattr(choice, "model_fields")), None)
    return True


def _environment(root: Path, template: str) -> dict[str, str]:
    """The environment names a stack template, or a shared one it uses, can set, and the line of each: no addition may set them again."""
    found: dict[str, str] = {}
    for number, line in enumerate((root / template).read_text(encoding="utf-8").splitlines(), start=1):
        if name := _ENVIRONMENT_LINE.match(line):
            found.setdefault(name[1], f"templates/{template}:{number}")
        if shared := _SHARED.match(line):
            found = {**_environment(root, shared[1]), **found}
    return found


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
