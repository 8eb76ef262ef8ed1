"""Writes docs/catalogue.md from the manifests and the image table: `python -m tools.catalogue`, and with `make golden`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from blueprints.catalog import load_catalog
from blueprints.manifest import ImageManifest, Manifest, ServiceManifest, Wanted
from tools.images.table import IMAGES

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "catalogue.md"
_HEAD = """# Catalogue

Every component of this release, made from the manifests in `templates/components` by `python -m tools.catalogue`; a test keeps it
current. How each works, and how to see that it does, is in its folder's README.

*Here* says what runs on a machine that can pull no image, in `make demo` and the engine tests: the **real** program, or a **stand-in**
of this project that reads the same settings.
"""
_LAYERS = {"edge": "The way in", "apps": "Applications and pages", "data": "Data and collectors"}


def main() -> int:
    """Rewrite the page; says whether it changed."""
    text = page()
    changed = not PAGE.is_file() or PAGE.read_text() != text
    if changed:
        PAGE.write_text(text)
    print(f"{'rewritten' if changed else 'as it was'}: {PAGE.relative_to(ROOT)}")
    return 0


def page() -> str:
    """The whole page."""
    components = load_catalog().components.values()
    parts = [_HEAD]
    for layer, title in _LAYERS.items():
        parts.append(f"## {title}\n")
        parts += [_section(manifest) for manifest in components if manifest.layer == layer]
    return "\n".join(parts)


def _section(manifest: Manifest) -> str:
    rows = [
        ("Wanted when", _or(_wanted(line) for line in manifest.wanted_when) or "only where another component needs it"),
        ("Needed by", _and(other.name for other in load_catalog().components.values() if manifest.name in other.requires)),
        ("Generations", _and(manifest.profiles)),
        ("Left out when", _or(_wanted(line) for line in manifest.left_out_when)),
        ("Brings along", _and(manifest.requires)),
        ("Brings one of", _or(f"`{name}`" for name in manifest.requires_one_of)),
        ("Address", f"`{manifest.subdomain}.<host>`" if manifest.subdomain else "`<host>`" if manifest.subdomain == "" else ""),
        ("Runs", "; ".join(_service(service) for service in manifest.services)),
        ("Memory", "; ".join(_memory(manifest, service) for service in manifest.services)),
        ("Volumes", _and(f"{manifest.name}_{part}" for service in manifest.services for part in service.volumes)),
        ("Backup", manifest.backup),
        ("Secrets", "; ".join(f"`{secret.name}` ({secret.kind})" for secret in manifest.secrets)),
        ("Health", "; ".join(_health(service) for service in manifest.services)),
        ("While it restarts", f"{manifest.interruption} Noticed by {manifest.noticed_by}." if manifest.interruption else ""),
        ("Here", "; ".join(_here(image) for image in _images(manifest))),
    ]
    lines = [f"| {name} | {text} |" for name, text in rows if text]
    link = f"../{manifest.path}/README.md"
    return "\n".join([f"### [{manifest.title}]({link}) `{manifest.name}`\n", f"{manifest.summary}\n", "| | |", "|---|---|", *lines, ""])


def _wanted(line: Wanted) -> str:
    if line.need == "always":
        return "always"
    if line.need == "component_option":
        return "switched on under its options"
    value = str(line.value).lower() if isinstance(line.value, bool) else line.value
    return f"`{line.need} = {value}`"


def _or(words: Iterable[str]) -> str:
    return " or ".join(words)


def _and(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _service(service: ServiceManifest) -> str:
    return f"`{service.key}` ({'a job that ends' if service.is_job else 'lasting'})"


def _memory(manifest: Manifest, service: ServiceManifest) -> str:
    item = next(item for item in manifest.inputs if item.name == service.memory)
    larger = [f"{value} from {members} members" for value, members in ((item.default_medium, 500), (item.default_large, 5000)) if value]
    more = f" ({', '.join(larger)})" if larger else ""
    return f"`{service.key}` {item.default} {item.unit}{more}"


def _health(service: ServiceManifest) -> str:
    if service.health.none:
        return f"`{service.key}`: none. {service.health.none.rstrip('.')}"
    return f"`{service.key}`: asked every {service.health.interval_s} s"


def _images(manifest: Manifest) -> list[ImageManifest]:
    own = [manifest.image] if any(service.image is None for service in manifest.services) else []
    return list(dict.fromkeys([*own, *(service.image for service in manifest.services if service.image)]))


def _here(image: ImageManifest) -> str:
    """What runs where nothing can be pulled."""
    known = {item.name: item for item in IMAGES}
    found = known.get(f"{image.name}:{image.stand_in or image.tag}")
    if found is None:
        return f"`{image.name}`: nothing, it has to be pulled"
    tag = found.name.rpartition(":")[2]
    return f"`{image.name}`: {'real' if found.runs_the_real_program else 'stand-in'} (`{tag}`; pulled as `{image.tag}`)"


if __name__ == "__main__":
    sys.exit(main())
