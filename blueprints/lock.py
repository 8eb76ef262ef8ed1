"""What a rendering is locked to: image digests or local ids, and secret versions. Reviewed like a file. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from sprocket_v2.errors import CatalogError

UNRESOLVED = "unresolved"


@dataclass(frozen=True, slots=True)
class LockedImage:
    """One component's image.

    Attributes:
        digest: `sha256:...` of the registry's manifest, or `unresolved`.
        local_id: `sha256:...` of an image built on the machine that deploys; empty when not known. Never called pinned.
    """

    name: str
    tag: str
    digest: str = UNRESOLVED
    local_id: str = ""

    @property
    def reference(self) -> str:
        """What `image:` says."""
        base = f"{self.name}:{self.tag}"
        return f"{base}@{self.digest}" if self.digest != UNRESOLVED else base


@dataclass(frozen=True, slots=True)
class Lock:
    """Images by component name, secret versions by secret name (a secret that is not named has version 1)."""

    images: Mapping[str, LockedImage] = field(default_factory=dict)
    secrets: Mapping[str, int] = field(default_factory=dict)


def read_lock(file: Path) -> Lock:
    """The release's own lock, `templates/images.lock.yaml`; no file, nothing locked."""
    if not file.is_file():
        return Lock()
    try:
        data = YAML(typ="safe", pure=True).load(file.read_text(encoding="utf-8")) or {}
        listed = (data.get("images") or {}).items()
    except (YAMLError, AttributeError, UnicodeDecodeError):
        raise CatalogError("not a mapping with the key images", hint="run `sprocket images lock`", where=file.name) from None
    images = {}
    for component, item in listed:
        try:
            images[component] = LockedImage(item["name"], str(item["tag"]), item.get("digest", UNRESOLVED))
        except (KeyError, TypeError, AttributeError):
            raise CatalogError(f"{component}: needs name, tag and digest", hint="run `sprocket images lock`", where=file.name) from None
    return Lock(images)
