"""Docker names, made in one place. Pure."""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

from sprocket_v2.errors import ResolveError

MAX_LENGTH = 63
_NAME = re.compile(r"\A[a-z][a-z0-9_.-]*\Z")


@lru_cache(maxsize=4096)  # an object is named in several files
def docker_name(slug: str, component: str, part: str = "", version: str = "") -> str:
    """`<slug>_<component>[_<part>][_<version>]`, where version is `vN` or 8 hex digits of the content.

    Raises:
        ResolveError: longer than 63 characters, Docker's limit, or not made of a-z, 0-9, `_`, `-` and `.`.
    """
    name = "_".join(word for word in (slug, component, part, version) if word)
    if not _NAME.match(name):
        raise ResolveError(
            f"Docker name {name!r} holds more than a-z, 0-9, _, - and .", hint="rename the component's folder or part", where=component
        )
    if len(name) > MAX_LENGTH:
        raise ResolveError(
            f"Docker name {name!r} has {len(name)} characters, the most is {MAX_LENGTH}",
            hint="use a shorter slug, or a shorter name in the component's folder",
            where=component,
        )
    return name


@lru_cache(maxsize=1024)  # a few files, named again and again
def part_of(file: str) -> str:
    """A file's name as part of a Docker name: `production.json` becomes `production-json`."""
    return re.sub(r"[^a-z0-9-]+", "-", file.lower()).strip("-")


def content_version(text: str) -> str:
    """Eight hex digits that change with the content: Docker refuses new content under an old name."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]
