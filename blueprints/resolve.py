"""Needs -> components, their inputs, and the need behind each. Pure: no files, no database, no Docker."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from blueprints.access import WayIn, ways_in
from blueprints.catalog import LOCAL, Catalog
from blueprints.closure import Closure, answered_by, any_holds, close, required_by
from blueprints.findings import Finding, findings_for
from blueprints.findings_as_found import findings_as_found
from blueprints.local import LocalPart, local_part, refuse_set_by_the_release
from blueprints.lock import UNRESOLVED, Lock, LockedImage
from blueprints.manifest import ImageManifest, Input, Manifest, SecretManifest, ServiceManifest
from blueprints.profile import Profile
from blueprints.shared import refuse_unshareable
from blueprints.sizes import Size, refuse_too_small, size_of
from orgs.additions import LocalService
from orgs.needs import Features, Needs
from orgs.needs_file import needs_digest
from sprocket_v2.errors import ResolveError

DATA, OUTBOUND = "data", "outbound"
MAX_STARTING_DATA = 480 * 1024  # a Swarm config holds 500 kB
_ENABLED = Input("enabled", "boolean", "Deploy it", "Nothing else asks for this component.", False, None, None, "", "")


@dataclass(frozen=True, slots=True)
class ResolvedComponent:
    """A component that is in, why, and its answers.

    Attributes:
        services: those wanted with these needs.
        images: by the component's name, and by key for each service with an image of its own.
        through: where only others need it, the answers behind those.
        plays: roles it fills beside its own.
    """

    manifest: Manifest
    reasons: tuple[str, ...]
    inputs: Mapping[str, bool | int | str]
    services: tuple[ServiceManifest, ...]
    images: Mapping[str, LockedImage]
    through: tuple[str, ...] = ()
    plays: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The component's name."""
        return self.manifest.name

    @property
    def parts(self) -> tuple[str, ...]:
        """Name and roles others may know it by."""
        return tuple(dict.fromkeys((self.name, self.manifest.role, *self.plays)))

    @property
    def memory_mib(self) -> int:
        """What its lasting services may use together; a job's memory is free again after it."""
        lasting = [s for s in self.services if not s.is_job]
        return sum(int(self.inputs[s.memory]) * self.replicas_of(s) for s in lasting)

    @property
    def subdomain(self) -> str | None:
        """Where it is reached through Traefik; None where it is not."""
        if self.manifest.subdomain is None:
            return None
        is_there = any(service.key == self.manifest.routed_service for service in self.services)
        return self.manifest.subdomain if is_there else None

    @property
    def image(self) -> LockedImage:
        """The component's own image; of local additions, the first service's."""
        return self.images.get(self.name) or next(iter(self.images.values()))

    def image_of(self, service: ServiceManifest) -> LockedImage:
        """The image a service runs."""
        return self.images[service.key if service.image else self.name]

    def replicas_of(self, service: ServiceManifest) -> int:
        """How many copies of a service run."""
        return int(self.inputs[service.copies]) if service.copies else service.replicas


@dataclass(frozen=True, slots=True)
class ResolvedSecret:
    """A secret of this deployment. `kind` is generated, supplied or placeholder; `component` brings it."""

    manifest: SecretManifest
    component: str
    kind: str
    version: int
    consumers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Resolution:
    """Everything that rendering needs, decided.

    Attributes:
        components: in start order: data, apps, edge; inside a layer by name, after what they require.
        ways: the ways in, the canonical one first.
        starting_data: SQL text the database begins with, or empty.
        release: of the templates that will render it.
        local: the organization's own services, by key; their component is `local`.
    """

    needs: Needs
    needs_digest: str
    profile: Profile
    release: str
    components: tuple[ResolvedComponent, ...]
    secrets: Mapping[str, ResolvedSecret]
    ways: tuple[WayIn, ...]
    starting_data: str
    findings: tuple[Finding, ...]
    size: Size
    local: Mapping[str, LocalService]

    def component(self, name: str) -> ResolvedComponent | None:
        """The component of this name, when it is in."""
        return next((component for component in self.components if component.name == name), None)

    def playing(self, role: str) -> ResolvedComponent | None:
        """The component that fills a role in this generation, by its name, its role or beside its own."""
        return next((c for c in self.components if role in (c.manifest.name, c.manifest.role) or role in c.plays), None)


def resolve(needs: Needs, catalog: Catalog, lock: Lock | None = None, attachments: Mapping[str, bytes] | None = None) -> Resolution:
    """Decide what to deploy.

    Args:
        needs: the organization's answers.
        catalog: what the release can deploy.
        lock: image digests and secret versions; an empty one leaves images unresolved and secrets at version 1.
        attachments: file name -> bytes of the files the needs name.
    Raises:
        ResolveError: a need nothing in the release answers, an option nobody knows, a file that is not there.
        NeedsError: a fragment of local additions is wrong; each problem has its line.
    """
    lock = lock or Lock()
    profile = catalog.profiles.get(needs.profile)
    if profile is None:
        raise ResolveError(
            f"profile: {needs.profile!r} is not in this release", hint=f"one of {', '.join(catalog.profiles)}", where="profile"
        )
    candidates = catalog.of(needs.profile)
    _refuse_unanswered(needs, candidates.values())
    closure = close(needs, candidates)
    _refuse_unknown_options(needs, candidates, closure.reasons)
    _refuse_switched_off(needs, candidates, closure)
    outside = _secrets_of_what_is_outside(needs, candidates, closure.parts)
    components = tuple(
        _with_way_out(_component(needs, candidates[name], closure, lock), outside) for name in _start_order(candidates, closure)
    )
    ways = ways_in(needs.access)
    refuse_unshareable(needs, ways)
    refuse_set_by_the_release(needs, components, catalog)
    local = local_part(needs, attachments or {}, components, ways, catalog)
    components = _with_local(components, local, lock)
    size = size_of(components, catalog.root)
    refuse_too_small(needs, size)
    return Resolution(
        needs=needs,
        needs_digest=needs_digest(needs),
        profile=profile,
        release=catalog.release,
        components=components,
        secrets=_secrets(needs, catalog, components, lock),
        ways=ways,
        starting_data=_starting_data(needs, attachments or {}),
        findings=(findings_as_found if profile.has_layers else findings_for)(needs, ways, components, profile),
        size=size,
        local=local.services if local else {},
    )


def questions_of(manifest: Manifest) -> tuple[Input, ...]:
    """A component's own questions, with `enabled` where nothing else asks for it."""
    if any(wanted.need == "component_option" for wanted in manifest.wanted_when):
        return (_ENABLED, *manifest.inputs)
    return manifest.inputs


def profile_reason(needs: Needs) -> str:
    """What all that belongs to no single component is there for."""
    return f"{Needs.model_fields['profile'].title} = {needs.profile}"


def _refuse_unanswered(needs: Needs, manifests: Iterable[Manifest]) -> None:
    answered = answered_by(manifests)
    for field, info in Features.model_fields.items():
        need = f"features.{field}"
        if getattr(needs.features, field) and need not in answered:
            raise ResolveError(
                f"{need} is true, and nothing in this release provides {str(info.title).lower()} for profile {needs.profile}",
                hint=f"set it to false; offered: {', '.join(sorted(n for n in answered if n.startswith('features.')))}",
                where=need,
            )


def _refuse_switched_off(needs: Needs, candidates: Mapping[str, Manifest], closure: Closure) -> None:
    """Refuse `options.<component>.enabled: false` where something else needs the component: both are named."""
    for name, reasons in closure.reasons.items():
        if needs.options.get(name, {}).get("enabled") is False:
            behind = f" ({'; '.join(closure.through[name])})" if closure.through[name] else ""
            raise ResolveError(
                f"options.{name}.enabled is false, yet {candidates[name].title} is in this deployment: {'; '.join(reasons)}{behind}",
                hint="turn one of the two round",
                where=f"options.{name}.enabled",
            )


def _refuse_unknown_options(needs: Needs, candidates: Mapping[str, Manifest], wanted: Mapping[str, object]) -> None:
    for component, answers in needs.options.items():
        if component not in candidates:
            raise ResolveError(
                f"options.{component}: no such component", hint=f"one of {', '.join(candidates)}", where=f"options.{component}"
            )
        known = [question.name for question in questions_of(candidates[component])]
        for name in answers:
            if name not in known and not (name == "enabled" and answers[name] is False):
                raise ResolveError(
                    f"options.{component}.{name}: {component} has no such input",
                    hint=f"one of {', '.join(known)}",
                    where=f"options.{component}.{name}",
                )
        if component not in wanted and any(name != "enabled" for name in answers):
            raise ResolveError(
                f"options.{component} is answered, yet {component} is not in this deployment",
                hint="remove the answers, or say the need that brings it in",
                where=f"options.{component}",
            )


def _component(needs: Needs, manifest: Manifest, closure: Closure, lock: Lock) -> ResolvedComponent:
    answers = needs.options.get(manifest.name, {})
    inputs = {question.name: _answer(manifest, question, answers, needs.expected_members) for question in manifest.inputs}
    services = tuple(
        _with_what_is_there(needs, manifest.name, s, closure.parts)
        for s in manifest.services
        if not s.wanted_when or any_holds(needs, s.wanted_when, manifest.name, closure.parts)
    )
    images = {manifest.name: _image(needs, manifest.name, manifest.image, lock)}
    images |= {s.key: _image(needs, s.key, s.image, lock) for s in services if s.image}
    name = manifest.name
    return ResolvedComponent(manifest, closure.reasons[name], inputs, services, images, closure.through[name], closure.plays[name])


def _secrets_of_what_is_outside(needs: Needs, candidates: Mapping[str, Manifest], deployed: frozenset[str]) -> frozenset[str]:
    """Secrets that somebody else's server takes with these needs: whoever mounts one speaks to it over the network."""
    return frozenset(
        secret.name for name, m in candidates.items() for secret in m.secrets if any_holds(needs, secret.supplied_when, name, deployed)
    )


def _with_way_out(component: ResolvedComponent, outside: frozenset[str]) -> ResolvedComponent:
    """The network `data` has no way out, so a service that is in no other one cannot reach an existing database, Redis or storage."""
    services = tuple(
        replace(s, networks=(*s.networks, OUTBOUND)) if set(s.networks) == {DATA} and outside & set(s.secrets) else s
        for s in component.services
    )
    return replace(component, services=services)


def _with_local(components: tuple[ResolvedComponent, ...], local: LocalPart | None, lock: Lock) -> tuple[ResolvedComponent, ...]:
    """The organization's own services start after the applications, before the edge."""
    if local is None:
        return components
    images = {}
    for key, image in local.images.items():
        locked = lock.images.get(key)
        keeps_id = locked is not None and (locked.name, locked.tag, locked.digest) == (image.name, image.tag, image.digest)
        images[key] = locked if locked is not None and keeps_id else image
    own = ResolvedComponent(local.manifest, local.reasons, local.inputs, local.manifest.services, images)
    edge = [component for component in components if component.manifest.layer == "edge"]
    return (*(component for component in components if component not in edge), own, *edge)


def _with_what_is_there(needs: Needs, component_name: str, service: ServiceManifest, deployed: frozenset[str]) -> ServiceManifest:
    """The service without the secrets and configs that belong to a component which is not deployed, or to answers nobody gave."""
    left_out = {name for name, components in service.only_with.items() if not deployed.issuperset(components)}
    left_out |= {name for name, lines in service.only_when.items() if not any_holds(needs, lines, component_name, deployed)}
    if not left_out:
        return service
    secrets = {name: target for name, target in service.secrets.items() if name not in left_out}
    configs = {name: target for name, target in service.configs.items() if name not in left_out}
    return replace(service, secrets=secrets, configs=configs, udp_port="" if service.udp_port in left_out else service.udp_port)


def _answer(manifest: Manifest, question: Input, answers: Mapping[str, bool | int | str], members: int) -> bool | int | str:
    value = answers.get(question.name, question.default_for(members))
    where = f"options.{manifest.name}.{question.name}"
    kinds: dict[str, type] = {"integer": int, "text": str, "boolean": bool}
    if type(value) is not kinds[question.type]:
        words = {"integer": "a whole number", "text": "text", "boolean": "true or false"}
        raise ResolveError(f"{where} is {value!r}", hint=f"write {words[question.type]}", where=where)
    if isinstance(value, int) and not isinstance(value, bool):
        if question.minimum is not None and value < question.minimum:
            raise ResolveError(f"{where} is {value}, the least is {question.minimum}", hint=f"raise it ({question.title})", where=where)
        if question.maximum is not None and value > question.maximum:
            raise ResolveError(f"{where} is {value}, the most is {question.maximum}", hint=f"lower it ({question.title})", where=where)
    if isinstance(value, str) and not (value.isprintable() and re.fullmatch(question.pattern or ".{0,200}", value)):
        raise ResolveError(f"{where} is {value[:60]!r}", hint=f"it has to match {question.pattern or 'one printable line'}", where=where)
    return value


def _image(needs: Needs, key: str, image: ImageManifest, lock: Lock) -> LockedImage:
    tag = image.stand_in if needs.applications == "stand-in" and image.stand_in else image.tag
    locked = lock.images.get(key)
    if locked is not None and (locked.name, locked.tag) == (image.name, tag):
        return locked
    return LockedImage(image.name, tag, UNRESOLVED)


def _start_order(candidates: Mapping[str, Manifest], closure: Closure) -> list[str]:
    """Layers data, apps, edge; inside a layer a component comes after what it requires, else by name."""
    layers = {"data": 0, "apps": 1, "edge": 2}
    waiting = sorted(closure.reasons, key=lambda name: (layers[candidates[name].layer], name))
    parts = {name: {name, candidates[name].role, *closure.plays[name]} for name in waiting}
    before = {name: set(required_by(candidates[name], closure.plays[name])) - parts[name] for name in waiting}
    ordered: list[str] = []
    while waiting:
        ready = next((n for n in waiting if not any(before[n] & parts[other] for other in waiting)), None)
        if ready is None:
            raise ResolveError(f"{', '.join(waiting)} require each other in a circle", hint="break it in component.yaml")
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _secrets(needs: Needs, catalog: Catalog, components: tuple[ResolvedComponent, ...], lock: Lock) -> dict[str, ResolvedSecret]:
    owners = {secret.name: (manifest.name, secret) for manifest in catalog.components.values() for secret in manifest.secrets}
    owners |= {secret.name: (c.name, secret) for c in components if c.name == LOCAL for secret in c.manifest.secrets}
    consumers: dict[str, list[str]] = {}
    for component in components:
        for service in component.services:
            for name in service.secrets:
                consumers.setdefault(name, []).append(service.key)
    deployed = frozenset(part for component in components for part in component.parts)
    # What an older layout keeps in its secret server, or collects from a container, no service mounts.
    unmounted = {secret.name for c in components if c.manifest.stack for secret in c.manifest.secrets}
    result = {}
    for name in sorted({*consumers, *unmounted}):
        component_name, secret = owners[name]
        kind = secret.kind
        if any_holds(needs, secret.supplied_when, component_name, deployed):
            kind = "supplied"
        elif any_holds(needs, secret.generated_when, component_name, deployed):
            kind = "generated"
        result[name] = ResolvedSecret(secret, component_name, kind, lock.secrets.get(name, 1), tuple(consumers.get(name, ())))
    return result


def _starting_data(needs: Needs, attachments: Mapping[str, bytes]) -> str:
    wanted = needs.database.starting_data
    where = "database.starting_data"
    if wanted.kind == "empty" or wanted.file is None:
        return ""
    if needs.database.where == "managed":
        raise ResolveError(
            "starting data cannot be loaded into a managed database from here",
            hint="load the file with psql yourself, then set database.starting_data.kind to empty",
            where=where,
        )
    content = attachments.get(wanted.file)
    if content is None:
        raise ResolveError(f"file {wanted.file!r} is not there", hint="put it beside the needs file, or attach it", where=where)
    if len(content) > MAX_STARTING_DATA:
        raise ResolveError(
            f"{wanted.file} has {len(content) // 1024} KiB, the most is {MAX_STARTING_DATA // 1024} KiB",
            hint="begin with a schema-only dump, then restore the rest as RUNBOOK.md says",
            where=where,
        )
    if wanted.sha256 and hashlib.sha256(content).hexdigest() != wanted.sha256:
        raise ResolveError(f"{wanted.file} is not the file of database.starting_data.sha256", hint="attach that file", where=where)
    plain_dump = "make a plain SQL dump (pg_dump -Fp)"
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ResolveError(f"{wanted.file} is not UTF-8 text", hint=plain_dump, where=where) from None
    if "\0" in text:
        raise ResolveError(f"{wanted.file} is not plain SQL", hint=plain_dump, where=where)
    if not text.strip():
        raise ResolveError(f"{wanted.file} is empty", hint="choose empty, or give the right file", where=where)
    return text
