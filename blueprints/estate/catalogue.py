"""The legacy estate as the release knows it: the transcribed facts as items, and how a thing of an estate is known again. Pure but for reading the file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from blueprints.catalog import TEMPLATES
from blueprints.estate.model import Estate, Item, Kind, Origin
from blueprints.strict_yaml import load

FILE = "templates/legacy/estate.yaml"
SUFFIX = r"(?:-[0-9a-f]{7})?"  # what the estate's engine puts behind the names it makes


@dataclass(frozen=True, slots=True)
class Known:
    """A service the release knows by name.

    Attributes:
        component: of the 22, `legacy-<name>`; of the others the name alone.
        counted: one of the 22.
    """

    component: str
    layer: str
    docker_name: str
    image: str
    why: str
    counted: bool

    def is_named(self, docker_name: str) -> bool:
        """Whether a Docker name is this service's, with or without the suffix its engine drew."""
        return re.fullmatch(re.escape(self.docker_name) + SUFFIX, docker_name) is not None

    def is_of(self, image: str) -> bool:
        """Whether an image is this service's, whatever its tag and digest."""
        return _repository(image) == _repository(self.image)


def _repository(image: str) -> str:
    name = image.partition("@")[0].removeprefix("docker.io/").removeprefix("library/")
    return name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name


@lru_cache(maxsize=2)
def facts(root: Path = TEMPLATES) -> Mapping[str, Any]:
    """The whole file as data."""
    data: Mapping[str, Any] = load((root / "legacy" / "estate.yaml").read_text(encoding="utf-8"), FILE)
    return data


@lru_cache(maxsize=2)
def known_services(root: Path = TEMPLATES) -> tuple[Known, ...]:
    """The 22, then those that are known beside them."""
    data = facts(root)
    counted = [Known(f"legacy-{n}", s["layer"], s["docker_name"], s["image"], s["role"], True) for n, s in data["services"].items()]
    extra = [Known(n, s["layer"], s["docker_name"], s["image"], s["why"], False) for n, s in data["extra"].items()]
    return (*counted, *extra)


def legacy_estate(root: Path = TEMPLATES) -> Estate:
    """The facts as an estate: everything by name, with what is known of it."""
    items = tuple(_items(facts(root), known_services(root)))
    counts: dict[str, int] = {}
    for item in items:
        counts[item.kind] = counts.get(item.kind, 0) + 1
    return Estate(items, (FILE,), {FILE: counts})


def _items(data: Mapping[str, Any], services: tuple[Known, ...]) -> Iterator[Item]:
    for known in services:
        yield _item("service", known.docker_name, known.layer, {"component": known.component, "image": known.image, "why": known.why})
    for key, network in data["networks"].items():
        yield _item("network", network["docker_name"], network["stack"], {"key": key, "members": network["members"]})
    for key, network in data["extra_networks"].items():
        yield _item("network", network["docker_name"], "", {"key": key, "deployed": network["deployed"]})
    for name, volume in data["volumes"].items():
        yield _item("volume", name, "", dict(volume))
    for name, origin in data["secrets"].items():
        yield _item("secret", name, "platform", {"from": origin})
    for name, service in data["services"].items():
        for config, target in service["configs"].items():
            yield _item("config", config, service["layer"], {"component": f"legacy-{name}", "target": target})
        for router in service["routers"]:
            yield _item("route", router["name"], service["layer"], {**router, "component": f"legacy-{name}"})
    for name, bucket in data["buckets"].items():
        yield _item("bucket", name, "platform", dict(bucket))
    for name, database in data["databases"].items():
        yield _item("database", name, "", dict(database))
    for path, entry in data["vault"]["paths"].items():
        yield _item("vault", path, "", dict(entry))
    for outside in data["external"]:
        yield _item("external", outside["name"], "", {"critical": outside["critical"]})


def _item(kind: Kind, name: str, layer: str, about: Mapping[str, Any]) -> Item:
    return Item(kind, name, Origin("catalogue", FILE, f"{kind} {name}"), layer if layer != "none" else "", facts=about, completeness="name")
