"""Which answers of the needs would say what somebody did by hand. Pure.

Each difference has candidates: an answer, an option, a local addition. A candidate is believed only when the needs with it, drawn anew,
give the service as it runs; what none of them gives is left unsaid, with the reason.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from blueprints.catalog import LOCAL, Catalog
from blueprints.compose import Attached, ServiceArgs
from blueprints.estate.secrecy import why_secret
from blueprints.local import local_key
from blueprints.manifest import Input, Manifest, ServiceManifest
from sprocket_v2.errors import SprocketError

MIB = 2**20
Services = Mapping[str, ServiceArgs]
Answers = Mapping[str, Any]
Draw = Callable[[Answers], Services]
Path = tuple[str, ...]
_REMOVED: Any = object()  # in place of a value: the answer goes
_SPARE_MEMORY = "128M"
_UNSEEN = frozenset({"name", "adopted", "image_id"})


@dataclass(frozen=True, slots=True)
class Said:
    """A difference that an answer says: its dotted name, its old and its new value in words."""

    resource: str
    what: str
    key: str
    old: str
    new: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Unsaid:
    """A difference that no answer can say, and why."""

    resource: str
    what: str
    why: str


@dataclass(frozen=True, slots=True)
class Draft:
    """The answers with what was done by hand in them."""

    answers: Answers
    said: tuple[Said, ...]
    unsaid: tuple[Unsaid, ...]


@dataclass(frozen=True, slots=True)
class Candidate:
    """One answer that might say a difference."""

    path: Path
    value: Any
    note: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """Something done by hand, what might say it, and how to see that it does.

    Attributes:
        holds: given the services before and after the candidate, whether that is what runs.
        why: the reason where no candidate holds.
    """

    resource: str
    what: str
    candidates: tuple[Candidate, ...]
    holds: Callable[[Services, Services], bool]
    why: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What is compared.

    Attributes:
        slug: of the organization; its Docker names begin with it.
        applied: services of the applied version, by their key. live: those that run, by Docker name.
        answers: the newest needs, as plain data.
    """

    slug: str
    applied: Services
    live: Mapping[str, ServiceArgs]
    answers: Answers


def draft_of(seen: Seen, catalog: Catalog, draw: Draw) -> Draft:
    """Say as much as can be said of what differs.

    Args:
        draw: answers -> services by key; raises SprocketError where the answers are none.
    """
    answers, now = seen.answers, draw(seen.answers)
    said: list[Said] = []
    unsaid: list[Unsaid] = []
    for difference in differences_of(seen, catalog):
        if difference.holds(now, now):
            continue  # the newest needs say it by now
        found = _first_that_holds(difference, answers, now, draw)
        if isinstance(found, str):
            unsaid.append(Unsaid(difference.resource, difference.what, found))
            continue
        candidate, changed, drawn = found
        old, new = _words(_at(answers, candidate.path)), _words(candidate.value)
        said.append(Said(difference.resource, difference.what, ".".join(candidate.path), old, new, candidate.note))
        answers, now = changed, drawn
    return Draft(answers, tuple(said), tuple(unsaid))


def _first_that_holds(difference: Difference, answers: Answers, now: Services, draw: Draw) -> tuple[Candidate, Answers, Services] | str:
    why = difference.why
    for candidate in difference.candidates:
        changed = with_answer(answers, candidate.path, candidate.value)
        try:
            drawn = draw(changed)
        except SprocketError as error:
            why = f"{error.message.partition(' (and ')[0]}; {error.hint}".rstrip("; ")
            continue
        if difference.holds(now, drawn):
            return candidate, changed, drawn
    return why


def with_answer(answers: Answers, path: Path, value: object) -> dict[str, Any]:
    """The answers with one of them changed, or gone."""
    whole: dict[str, Any] = copy.deepcopy(dict(answers))
    place = whole
    for part in path[:-1]:
        if not isinstance(place.get(part), dict):
            place[part] = {}
        place = place[part]
    if value is _REMOVED:
        place.pop(path[-1], None)
    else:
        place[path[-1]] = value
    return whole


def differences_of(seen: Seen, catalog: Catalog) -> Iterator[Difference]:
    """What differs, by service and field."""
    owners = _owners(catalog, str(seen.answers["profile"]))
    gone = frozenset(key for key, want in seen.applied.items() if want.name not in seen.live)
    for key, want in seen.applied.items():
        if key in gone:
            yield _removed(key, gone, seen, owners)
            continue
        for field, wanted, has in changed_fields(want, seen.live[want.name]):
            yield _changed(key, field, wanted, has, _About(seen, catalog, owners))
    known = {want.name for want in seen.applied.values()}
    for name in sorted(set(seen.live) - known):
        yield _extra(name, seen.live[name], seen)


def changed_fields(want: ServiceArgs, has: ServiceArgs) -> Iterator[tuple[str, Any, Any]]:
    """`environment.MODE` with its two values, for each field that differs; None for one that is not there."""
    want = replace(want, networks=tuple(sorted(want.networks, key=lambda item: item.name)))
    for item in fields(ServiceArgs):
        old, new = getattr(want, item.name), getattr(has, item.name)
        if item.name in _UNSEEN or old == new:
            continue
        if isinstance(old, Mapping):
            names = dict.fromkeys((*old, *new))
            yield from ((f"{item.name}.{name}", old.get(name), new.get(name)) for name in names if old.get(name) != new.get(name))
        else:
            yield item.name, old, new


@dataclass(frozen=True, slots=True)
class _Owner:
    component: Manifest
    service: ServiceManifest


@dataclass(frozen=True, slots=True)
class _About:
    seen: Seen
    catalog: Catalog
    owners: Mapping[str, _Owner]


def _owners(catalog: Catalog, profile: str) -> dict[str, _Owner]:
    return {service.key: _Owner(manifest, service) for manifest in catalog.of(profile).values() for service in manifest.services}


def _changed(key: str, field: str, wanted: Any, has: Any, about: _About) -> Difference:  # noqa: ANN401 - a field's value
    name, _, part = field.partition(".")
    local = key.removeprefix(f"{LOCAL}_") if key.startswith(f"{LOCAL}_") else ""
    secret = why_secret(part, str(has or "")) if name == "environment" else ""
    if secret:
        why = f"its value {secret.removeprefix('its name says that it ')}, and needs hold no secret: bring it as a secret (`local-...`)"
        return Difference(f"service/{key}", f"{field} was set", (), _never, why)
    candidates, why = _local(local, name, part, has, about) if local else _of_the_release(key, name, part, has, about)
    return Difference(f"service/{key}", _what(field, wanted, has), tuple(candidates), _field_is(key, field, has), why)


def _of_the_release(key: str, name: str, part: str, has: Any, about: _About) -> tuple[list[Candidate], str]:  # noqa: ANN401
    owner = about.owners.get(key)
    if owner is None:
        return [], "this version's templates do not have the service any more"
    component, service = owner.component, owner.service
    if name == "environment":
        return _environment(key, part, has, about, owner)
    if name == "replicas":
        path = ("options", component.name, service.copies)
        return ([Candidate(path, has)] if service.copies else []), f"{key} keeps state or a port, and runs {service.replicas} times"
    if name in ("memory_bytes", "nano_cpus"):
        question, value = (service.memory, has // MIB) if name == "memory_bytes" else (service.cpu, has // 10_000_000)
        return ([Candidate(("options", component.name, question), value)] if question else []), "no option says it"
    return [], _WHY.get(name, "the release decides it, and no answer or local addition reaches it")


_WHY = {
    "image": "images come with the template release (templates/images.lock.yaml): change it there, for everybody",
    "labels": "labels say whose a service is, and are the release's",
    "container_labels": "labels say whose a container is, and are the release's",
    "networks": "which networks a service is in is the release's: who reaches whom follows from it",
    "ports": "published ports follow from the ways in (Needs > Access)",
    "secrets": "which secrets a service reads is the release's",
    "configs": "configuration files are rendered from the needs, whole",
    "mounts": "which volumes a service has is the release's",
}


def _environment(key: str, part: str, has: Any, about: _About, owner: _Owner) -> tuple[list[Candidate], str]:  # noqa: ANN401
    place = about.catalog.environment.get(owner.component.name, {}).get(part)
    if not place:
        return [Candidate(("additions", "environment", key, part), _REMOVED if has is None else has)], f"no addition gives {part} so"
    if has is None:
        return [], f"the release sets {part} itself, in {place}"
    values = [(item, _typed(item, str(has))) for item in owner.component.inputs]
    options = [Candidate(("options", owner.component.name, item.name), value) for item, value in values if value is not None]
    return options, f"the release sets {part} itself, in {place}, and no option of {owner.component.title} gives this value"


def _typed(item: Input, text: str) -> bool | int | str | None:
    """A value as an input of this kind takes it; None where it does not."""
    if item.type == "integer":
        return int(text) if text.isdecimal() else None
    if item.type == "boolean":
        return {"true": True, "false": False}.get(text)
    return text


def _local(own: str, name: str, part: str, has: Any, about: _About) -> tuple[list[Candidate], str]:  # noqa: ANN401
    services = (about.seen.answers.get("additions") or {}).get("services") or {}
    path: Path = ("additions", "services", own)
    if own not in services:
        return [], "the service is in the attached fragment: change it there, and attach it again"
    if name == "environment":
        return [Candidate((*path, "environment", part), _REMOVED if has is None else has)], "the addition does not take the value"
    if name == "image":
        return [Candidate((*path, "image"), has)], "the addition does not take the image"
    if name == "replicas":
        return [Candidate((*path, "deploy", "replicas"), has)], "an addition runs 1 to 4 times"
    if name == "memory_bytes":
        return [Candidate((*path, "deploy", "resources", "limits", "memory"), f"{has // MIB}M")], "an addition takes 16M to 64G"
    if name == "networks":
        return [Candidate((*path, "networks"), _networks(has, about.seen.slug))], "an addition is in edge, data and outbound, nowhere else"
    return [], _WHY.get(name, "a local addition does not say it")


def _networks(attached: Sequence[Attached], slug: str) -> list[str]:
    return [item.name.removeprefix(f"{slug}_") for item in attached]


def _removed(key: str, gone: frozenset[str], seen: Seen, owners: Mapping[str, _Owner]) -> Difference:
    """A service that is gone: an answer that leaves it out, and nothing that still runs."""

    def holds(now: Services, drawn: Services) -> bool:
        return key not in drawn and set(now) - set(drawn) <= gone

    what, resource = "was removed", f"service/{key}"
    if key.startswith(f"{LOCAL}_"):
        path = ("additions", "services", key.removeprefix(f"{LOCAL}_"))
        return Difference(resource, what, (Candidate(path, _REMOVED),), holds, "it is in the attached fragment: take it out there")
    owner = owners.get(key)
    lines = (*owner.service.wanted_when, *owner.component.wanted_when) if owner else ()
    switch = ("options", owner.component.name, "enabled") if owner else ()
    paths = [switch if line.need == "component_option" else tuple(line.need.split(".")) for line in lines if line.value is True]
    candidates = tuple(Candidate(path, value=False) for path in paths if _at(seen.answers, path) is True)
    title = owner.component.title if owner else key
    return Difference(resource, what, candidates, holds, f"no answer leaves out {title} and nothing else: other parts need it")


def _extra(name: str, has: ServiceArgs, seen: Seen) -> Difference:
    """A service that nobody applied becomes a local addition; its own name and its labels are new ones."""
    own = name.removeprefix(f"{seen.slug}_").replace("_", "-")[:16].strip("-")
    key = local_key(own)
    secret = next((variable for variable, value in has.environment.items() if why_secret(variable, value)), "")
    if secret:
        why = f"its {secret} looks secret, and needs hold no secret: add the service with a secret of its own (`local-...`)"
        return Difference(f"service/{name}", "was added", (), _never, why)
    limits = {"memory": f"{has.memory_bytes // MIB}M" if has.memory_bytes else _SPARE_MEMORY}
    service: dict[str, Any] = {
        "image": has.image,
        "deploy": {"resources": {"limits": limits}, "replicas": max(has.replicas, 1)},
        "environment": dict(has.environment),
        "networks": _networks(has.networks, seen.slug) or ["data"],
        "ports": [{"published": port.published, "target": port.target, "protocol": port.protocol} for port in has.ports],
    }
    service |= {"entrypoint": list(has.entrypoint)} if has.entrypoint else {}
    service |= {"command": list(has.command)} if has.command else {}
    note = f"it becomes {seen.slug}_{key}; the plan removes the one made by hand"
    note += "" if has.memory_bytes else f"; it had no memory limit, and gets {_SPARE_MEMORY}"
    mounted = [mount.source or mount.target for mount in has.mounts] + [item.name for item in (*has.secrets, *has.configs)]
    if mounted:
        return Difference(
            f"service/{name}", "was added", (), _never, f"it uses {mounted[0]}: an addition has volumes and secrets of its own only"
        )
    candidate = Candidate(("additions", "services", own), service, note)
    return Difference(f"service/{name}", "was added", (candidate,), lambda _now, drawn: key in drawn, "an addition cannot be so")


def _field_is(key: str, field: str, has: Any) -> Callable[[Services, Services], bool]:  # noqa: ANN401
    name, _, part = field.partition(".")

    def holds(_now: Services, drawn: Services) -> bool:
        if key not in drawn:
            return False
        value = getattr(drawn[key], name)
        if part:
            return bool(value.get(part) == has)
        return bool(_names(value) == _names(has) if name == "networks" else value == has)

    return holds


def _names(attached: Sequence[Attached]) -> frozenset[str]:
    """Whatever it is called in them: a hand gives no further names, and our templates do."""
    return frozenset(item.name for item in attached)


def _never(_now: Services, _drawn: Services) -> bool:
    return False


def _at(answers: Answers, path: Path) -> Any:  # noqa: ANN401 - an answer
    value: Any = answers
    for part in path:
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _what(field: str, old: Any, new: Any) -> str:  # noqa: ANN401
    if new is None:
        return f"{field} was taken away"
    return f"{field} was added" if old is None else f"{field} was changed"


def _words(value: object) -> str:
    if value is None or value is _REMOVED:
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(f"{key} {_words(part)}" for key, part in value.items() if part) if isinstance(value, Mapping) else str(value)
