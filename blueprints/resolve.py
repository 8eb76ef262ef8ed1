"""Needs -> components, their inputs, and the need behind each. Pure: no files, no database, no Docker."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from blueprints.access import WayIn, ways_in
from blueprints.catalog import Catalog, needs_value
from blueprints.findings import Finding, findings_for
from blueprints.lock import UNRESOLVED, Lock, LockedImage
from blueprints.manifest import Input, Manifest, SecretManifest, ServiceManifest, Wanted
from orgs.needs import Features, Needs
from orgs.needs_file import needs_digest
from sprocket_v2.errors import ResolveError

MAX_STARTING_DATA = 480 * 1024  # a Swarm config holds 500 kB
_ENABLED = Input("enabled", "boolean", "Deploy it", "Nothing else asks for this component.", False, None, None, "", "")


@dataclass(frozen=True, slots=True)
class ResolvedComponent:
    """A component that is in, why, and its answers. `services` are those wanted with these needs."""

    manifest: Manifest
    reasons: tuple[str, ...]
    inputs: Mapping[str, bool | int | str]
    services: tuple[ServiceManifest, ...]
    image: LockedImage

    @property
    def name(self) -> str:
        """The component's name."""
        return self.manifest.name

    @property
    def memory_mib(self) -> int:
        """What its lasting services may use together; a job's memory is free again after it."""
        lasting = [s for s in self.services if not is_job(s)]
        return sum(int(self.inputs[s.memory]) * s.replicas for s in lasting)


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
    """

    needs: Needs
    needs_digest: str
    contract: str
    release: str
    components: tuple[ResolvedComponent, ...]
    secrets: Mapping[str, ResolvedSecret]
    ways: tuple[WayIn, ...]
    starting_data: str
    findings: tuple[Finding, ...]

    def component(self, name: str) -> ResolvedComponent | None:
        """The component of this name, when it is in."""
        return next((component for component in self.components if component.name == name), None)


def is_job(service: ServiceManifest) -> bool:
    """A job runs once and ends; everything else lasts."""
    return service.stage in ("restore", "jobs")


def resolve(needs: Needs, catalog: Catalog, lock: Lock | None = None, attachments: Mapping[str, bytes] | None = None) -> Resolution:
    """Decide what to deploy.

    Args:
        needs: the organization's answers.
        catalog: what the release can deploy.
        lock: image digests and secret versions; an empty one leaves images unresolved and secrets at version 1.
        attachments: file name -> bytes of the files the needs name.
    Raises:
        ResolveError: a need nothing in the release answers, an option nobody knows, a file that is not there.
    """
    lock = lock or Lock()
    profile = catalog.profiles.get(needs.profile)
    if profile is None:
        raise ResolveError(
            f"profile: {needs.profile!r} is not in this release", hint=f"one of {', '.join(catalog.profiles)}", where="profile"
        )
    candidates = {name: m for name, m in catalog.components.items() if needs.profile in m.profiles}
    _refuse_unanswered(needs, candidates.values())
    reasons = _close(needs, candidates)
    _refuse_unknown_options(needs, candidates, reasons)
    components = tuple(_component(needs, candidates[name], reasons[name], lock) for name in _start_order(candidates, frozenset(reasons)))
    ways = ways_in(needs.access)
    return Resolution(
        needs=needs,
        needs_digest=needs_digest(needs),
        contract=profile.contract,
        release=catalog.release,
        components=components,
        secrets=_secrets(needs, catalog, components, lock),
        ways=ways,
        starting_data=_starting_data(needs, attachments or {}),
        findings=findings_for(needs, ways, tuple((c.manifest, c.image) for c in components)),
    )


def questions_of(manifest: Manifest) -> tuple[Input, ...]:
    """A component's own questions, with `enabled` where nothing else asks for it."""
    if any(wanted.need == "component_option" for wanted in manifest.wanted_when):
        return (_ENABLED, *manifest.inputs)
    return manifest.inputs


def reasons_for(needs: Needs, lines: Iterable[Wanted], component: str) -> tuple[str, ...]:
    """Which of these `wanted_when` lines hold, in the words of their questions."""
    return tuple(dict.fromkeys(_reason(wanted) for wanted in lines if _holds(needs, wanted, component)))


def profile_reason(needs: Needs) -> str:
    """What all that belongs to no single component is there for."""
    return f"{Needs.model_fields['profile'].title} = {needs.profile}"


def _holds(needs: Needs, wanted: Wanted, component: str) -> bool:
    if wanted.need == "always":
        return bool(wanted.value)
    if wanted.need == "component_option":
        return bool(needs.options.get(component, {}).get("enabled", False)) == wanted.value
    answer = needs_value(needs, wanted.need)
    return wanted.value in answer if isinstance(answer, tuple) else answer == wanted.value


def _any_holds(needs: Needs, lines: Iterable[Wanted], component: str) -> bool:
    return any(_holds(needs, wanted, component) for wanted in lines)


def _reason(wanted: Wanted) -> str:
    """The need in the words of its own question."""
    if wanted.need == "always":
        return "every deployment of this generation has it"
    if wanted.need == "component_option":
        return "switched on under Options"
    model: type = Needs
    title = wanted.need
    for part in wanted.need.split("."):
        info = model.model_fields[part]  # type: ignore[attr-defined]
        title = info.title or title
        model = info.annotation if isinstance(info.annotation, type) else Needs
    value = {True: "yes", False: "no"}.get(wanted.value, wanted.value) if isinstance(wanted.value, bool) else wanted.value
    return f"{title} = {value}"


def _close(needs: Needs, candidates: Mapping[str, Manifest]) -> dict[str, tuple[str, ...]]:
    """The components that are wanted, and those they require, each with its reasons."""
    reasons: dict[str, tuple[str, ...]] = {}
    for name, manifest in candidates.items():
        own = reasons_for(needs, manifest.wanted_when, name)
        if own:
            reasons[name] = own
    todo = list(reasons)
    while todo:
        name = todo.pop(0)
        for required in candidates[name].requires:
            if required not in candidates:
                raise ResolveError(f"{name} requires {required}, which is not of this generation", where=candidates[name].path)
            if required not in reasons:
                todo.append(required)
                reasons[required] = ()
            reasons[required] = tuple(dict.fromkeys((*reasons[required], f"{candidates[name].title} needs it")))
    return reasons


def _refuse_unanswered(needs: Needs, manifests: Iterable[Manifest]) -> None:
    answered = {wanted.need for manifest in manifests for wanted in manifest.wanted_when}
    for field, info in Features.model_fields.items():
        need = f"features.{field}"
        if getattr(needs.features, field) and need not in answered:
            raise ResolveError(
                f"{need} is true, and nothing in this release provides {str(info.title).lower()} for profile {needs.profile}",
                hint=f"set it to false; offered: {', '.join(sorted(n for n in answered if n.startswith('features.')))}",
                where=need,
            )


def _refuse_unknown_options(needs: Needs, candidates: Mapping[str, Manifest], wanted: Mapping[str, object]) -> None:
    for component, answers in needs.options.items():
        if component not in candidates:
            raise ResolveError(
                f"options.{component}: no such component", hint=f"one of {', '.join(candidates)}", where=f"options.{component}"
            )
        known = [question.name for question in questions_of(candidates[component])]
        for name in answers:
            if name not in known:
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


def _component(needs: Needs, manifest: Manifest, reasons: tuple[str, ...], lock: Lock) -> ResolvedComponent:
    answers = needs.options.get(manifest.name, {})
    inputs = {question.name: _answer(manifest, question, answers) for question in manifest.inputs}
    services = tuple(s for s in manifest.services if not s.wanted_when or _any_holds(needs, s.wanted_when, manifest.name))
    return ResolvedComponent(manifest, reasons, inputs, services, _image(needs, manifest, lock))


def _answer(manifest: Manifest, question: Input, answers: Mapping[str, bool | int | str]) -> bool | int | str:
    value = answers.get(question.name, question.default)
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


def _image(needs: Needs, manifest: Manifest, lock: Lock) -> LockedImage:
    tag = manifest.image_tag
    if needs.applications == "stand-in" and manifest.image_stand_in:
        tag = manifest.image_stand_in
    locked = lock.images.get(manifest.name)
    if locked is not None and (locked.name, locked.tag) == (manifest.image_name, tag):
        return locked
    return LockedImage(manifest.image_name, tag, UNRESOLVED)


def _start_order(candidates: Mapping[str, Manifest], chosen: frozenset[str]) -> list[str]:
    """Layers data, apps, edge; inside a layer a component comes after what it requires, else by name."""
    layers = {"data": 0, "apps": 1, "edge": 2}
    waiting = sorted(chosen, key=lambda name: (layers[candidates[name].layer], name))
    ordered: list[str] = []
    while waiting:
        ready = next((n for n in waiting if not set(candidates[n].requires) & set(waiting)), None)
        if ready is None:
            raise ResolveError(f"{', '.join(waiting)} require each other in a circle", hint="break it in component.yaml")
        waiting.remove(ready)
        ordered.append(ready)
    return ordered


def _secrets(needs: Needs, catalog: Catalog, components: tuple[ResolvedComponent, ...], lock: Lock) -> dict[str, ResolvedSecret]:
    owners = {secret.name: (manifest.name, secret) for manifest in catalog.components.values() for secret in manifest.secrets}
    consumers: dict[str, list[str]] = {}
    for component in components:
        for service in component.services:
            for name in service.secrets:
                consumers.setdefault(name, []).append(service.key)
    result = {}
    for name in sorted(consumers):
        component_name, secret = owners[name]
        kind = "supplied" if _any_holds(needs, secret.supplied_when, component_name) else secret.kind
        result[name] = ResolvedSecret(secret, component_name, kind, lock.secrets.get(name, 1), tuple(consumers[name]))
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
