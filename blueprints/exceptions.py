"""Reads templates/exceptions.yaml: which component may have which path of the host, although no other may. Pure.

The list belongs to the release, never to an organization: needs, options and local additions cannot add to it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePosixPath
from typing import Any

from blueprints.compose import Mount
from blueprints.strict_yaml import load
from sprocket_v2.errors import CatalogError

FILE = Path(__file__).resolve().parent.parent / "templates" / "exceptions.yaml"
ANYWHERE = "*/"
_BIND_KEYS = frozenset({"source", "target", "read_only"})


def read_exceptions(text: str) -> dict[str, tuple[Mount, ...]]:
    """Component -> the binds it may have.

    Raises:
        CatalogError: a key that is not known, or a bind that is not one.
    """
    listed: Mapping[str, Any] = load(text, FILE.name) or {}
    return {str(component): tuple(_bind(item, component) for item in _binds(entry, component)) for component, entry in listed.items()}


def exceptions_of(component: str) -> tuple[Mount, ...]:
    """What the release lets a component have; nothing for nearly all of them."""
    return _of_the_release().get(component, ()) if component else ()


@lru_cache(maxsize=1)  # asked for at every service that is made or updated, and at every mount of an older layout
def _of_the_release() -> Mapping[str, tuple[Mount, ...]]:
    return read_exceptions(FILE.read_text(encoding="utf-8"))


def is_excepted(mount: Mount, allowed: Iterable[Mount]) -> bool:
    """Whether a bind is on the list: same target, not more rights, and the very path (`*/` in front: in whatever folder)."""
    return any(
        mount.target == item.target and (mount.read_only or not item.read_only) and _same_place(mount.source, item.source)
        for item in allowed
    )


def _same_place(source: str, listed: str) -> bool:
    path = PurePosixPath(source)
    if not path.is_absolute() or ".." in path.parts:
        return False
    return str(path).endswith(f"/{listed.removeprefix(ANYWHERE)}") if listed.startswith(ANYWHERE) else str(path) == listed


def _binds(entry: Any, component: str) -> list[Any]:  # noqa: ANN401 - YAML
    if not isinstance(entry, Mapping) or set(entry) != {"binds"} or not isinstance(entry["binds"], list):
        raise _bad(component, "an exception is a component with its binds")
    return entry["binds"]


def _bind(item: Any, component: str) -> Mount:  # noqa: ANN401 - YAML
    if not isinstance(item, Mapping) or not {"source", "target"} <= set(item) <= _BIND_KEYS:
        raise _bad(component, "a bind has source, target and perhaps read_only")
    return Mount("bind", str(item["source"]), str(item["target"]), read_only=bool(item.get("read_only")))


def _bad(component: str, why: str) -> CatalogError:
    return CatalogError(f"{component}: {why}", hint="see the comment at the top of the file", where=f"templates/{FILE.name}")
