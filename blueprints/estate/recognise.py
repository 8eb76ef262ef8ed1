"""Which component a part of an estate is, and why: by its name, its image, where its config is mounted, who uses it. Pure.

The facts are templates/legacy/recognise.yaml; a label of ours beats them. What nothing speaks for stays unrecognised, to be decided by
a person.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from blueprints.compose import NAMESPACE, ServiceArgs
from blueprints.estate.model import Estate, Item, Kind
from blueprints.strict_yaml import load
from sprocket_v2.errors import CatalogError, RenderError

KNOWN = Path(__file__).resolve().parents[2] / "templates" / "legacy" / "recognise.yaml"
PREFIX = "legacy-"
_SUFFIX = re.compile(r"-[0-9a-f]{7}\Z")
_USES: tuple[tuple[Kind, str], ...] = (("network", "networks"), ("config", "configs"), ("secret", "secrets"))
Confidence = Literal["certain", "likely", "guess", ""]


@dataclass(frozen=True, slots=True)
class Signs:
    """What a role's services show."""

    names: tuple[str, ...]
    images: tuple[str, ...]
    targets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """All of recognise.yaml."""

    services: Mapping[str, Signs]
    extra: frozenset[str]
    parts: Mapping[str, Mapping[str, str]]
    outside: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Recognition:
    """What an item is.

    Attributes:
        role: the component's name without `legacy-`; empty where nothing speaks for any.
        component: its folder, or the name of an extra of the catalogue; empty as well.
    """

    role: str = ""
    component: str = ""
    why: str = "nothing speaks for any component"
    confidence: Confidence = ""


@lru_cache(maxsize=4)
def read_known(file: Path = KNOWN) -> Known:
    """The facts of this release.

    Raises:
        CatalogError: the file is not what its comments say; `where` names it.
    """
    where = f"templates/legacy/{file.name}"
    try:
        data = load(file.read_text(encoding="utf-8"), where)
        unknown = sorted(set(data) ^ {"services", "extra", "parts", "outside"})
        if unknown:
            raise ValueError(f"{unknown[0]} is missing or unknown")
        services = {role: _signs(item) for role, item in data["services"].items()}
        parts = {kind: _by_name(roles) for kind, roles in data["parts"].items()}
        roles = {*data["extra"], *data["outside"].values(), *(role for names in parts.values() for role in names.values())}
        if lost := sorted(roles - set(services)):
            raise ValueError(f"{lost[0]} is no role of `services`")
        return Known(services, frozenset(data["extra"]), parts, dict(data["outside"]))
    except (RenderError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogError(
            f"what the estate is recognised by cannot be read: {error}", hint="see the comment at its head", where=where
        ) from None


def _by_name(roles: Mapping[str, Any]) -> dict[str, str]:
    """Name -> role, the longest name first."""
    pairs = [(str(name), role) for role, names in roles.items() for name in names]
    return dict(sorted(pairs, key=lambda pair: (-len(pair[0]), pair[0])))


def _signs(item: Mapping[str, Any]) -> Signs:
    if set(item) - {"names", "images", "targets"}:
        raise ValueError(f"{sorted(item)} has an unknown key")
    return Signs(tuple(item["names"]), tuple(item["images"]), tuple(item.get("targets", ())))


def recognise(estate: Estate, known: Known | None = None) -> tuple[Recognition, ...]:
    """What each item is, in the order of the estate's items."""
    known = known or read_known()
    services = {id(item): _service(item, known) for item in estate.items if item.service}
    users = _users(estate, services)
    owners = {item.name: services[id(item)] for item in estate.items if item.service}
    return tuple(services.get(id(item)) or _other(item, users, owners, known) for item in estate.items)


def bare_name(item: Item) -> str:
    """The name without what a deployment adds: Pulumi's random suffix, the swarm stack's prefix."""
    labels: Mapping[str, str] = item.service.labels if item.service else item.part.labels if item.part else {}
    stack = labels.get(NAMESPACE, "")
    name = item.name.removeprefix(f"{stack}_") if stack else item.name
    return _SUFFIX.sub("", name)


def repository(image: str) -> str:
    """An image's repository without registry, tag and digest."""
    name = image.partition("@")[0]
    last = name.rpartition("/")[2]
    name = name.removesuffix(f":{last.partition(':')[2]}") if ":" in last else name
    first, _, rest = name.partition("/")
    name = rest if rest and ("." in first or ":" in first or first == "localhost") else name
    return name.removeprefix("library/")


def _service(item: Item, known: Known) -> Recognition:
    args = item.service
    assert args is not None  # noqa: S101 - only services are asked
    ours = args.labels.get("sprocket.component") or (item.facts.get("component") if item.origin.source == "bundle" else "")
    if ours:
        return Recognition(str(ours).removeprefix(PREFIX), str(ours), "it carries this component's label", "certain")
    names = {bare_name(item).lower(): "its name", _SUFFIX.sub("", str(item.facts.get("pulumi_name", ""))).lower(): "its name in Pulumi"}
    by_name = next(((role, why) for role, signs in known.services.items() for n, why in names.items() if n in signs.names), ("", ""))
    image, targets = repository(args.image), {config.target for config in args.configs}
    by_image = [role for role, signs in known.services.items() if image in signs.images]
    by_target = [role for role, signs in known.services.items() if targets & set(signs.targets)]
    role, why = by_name
    if role:
        agrees = [f"its image {image}"] * (role in by_image) + ["where its config is mounted"] * (role in by_target)
        called = bare_name(item) if why == "its name" else str(item.facts.get("pulumi_name"))
        reason = f"{why} {called}" + (f", and {' and '.join(agrees)}" if agrees else "")
        if by_image and not agrees:
            return _as(known, role, f"{reason}; but its image {image} is that of {by_image[0]}", "guess")
        return _as(known, role, reason, "certain" if agrees or "-" in called else "likely")
    if by_image:
        also = ", and where its config is mounted" if by_image[0] in by_target else ""
        return _as(known, by_image[0], f"its image {image}{also}", "likely")
    return _as(known, by_target[0], "where its config is mounted", "guess") if by_target else _by_reader(item)


def _by_reader(item: Item) -> Recognition:
    """What the source's own reader took it for, where nothing else speaks."""
    component = str(item.facts.get("component", ""))
    why = str(item.facts.get("why", "")) or f"its name begins like {component}'s"
    return Recognition(component.removeprefix(PREFIX), component, why, "likely") if component else Recognition()


def _as(known: Known, role: str, why: str, confidence: Confidence) -> Recognition:
    return Recognition(role, role if role in known.extra else PREFIX + role, why, confidence)


def _users(estate: Estate, services: Mapping[int, Recognition]) -> dict[tuple[str, str], list[Recognition]]:
    """(kind, name) of a part -> what the services that use it were recognised as, those that stay first."""
    found: dict[tuple[str, str], list[Recognition]] = {}
    for item in sorted((i for i in estate.items if i.service), key=lambda i: i.is_leaving):
        recognised = services[id(item)]
        for key in _used(item.service) if item.service and recognised.role else ():
            found.setdefault(key, []).append(recognised)
    return found


def _used(args: ServiceArgs) -> list[tuple[str, str]]:
    used: list[tuple[str, str]] = [(kind, part.name) for kind, field in _USES for part in getattr(args, field)]
    return used + [("volume", mount.source) for mount in args.mounts if mount.type == "volume" and mount.source]


def _other(item: Item, users: Mapping[tuple[str, str], list[Recognition]], owners: Mapping[str, Recognition], known: Known) -> Recognition:
    if item.kind == "route":
        owner = owners.get(str(item.facts.get("service", "")))
        return (
            Recognition(owner.role, owner.component, f"it leads to {item.facts['service']}", owner.confidence)
            if owner and owner.role
            else Recognition()
        )
    if item.kind == "vault":
        return _as(known, "vault", "it is kept in Vault", "certain")
    if item.kind == "external":
        role = known.outside.get(item.name.partition(" ")[0], "") if "provider" in item.facts else ""
        return _as(known, role, "a provider of the export reaches it", "likely") if role else Recognition()
    for name, why in ((bare_name(item), "its name"), (_SUFFIX.sub("", str(item.facts.get("pulumi_name", ""))), "its name in Pulumi")):
        role = _listed(known.parts.get(item.kind, {}), name)
        if role:
            return _as(known, role, f"{why} {name}", "certain")
    using = users.get((item.kind, item.name), [])
    if using:
        roles = list(dict.fromkeys(user.component for user in using))
        more = f" and {len(roles) - 1} more" if len(roles) > 1 else ""
        return Recognition(using[0].role, using[0].component, f"{roles[0]}{more} uses it", "likely")
    return _by_reader(item)


def _listed(names: Mapping[str, str], name: str) -> str:
    if name in names:
        return names[name]
    return next((role for pattern, role in names.items() if pattern.endswith("*") and name.startswith(pattern[:-1])), "") if name else ""
