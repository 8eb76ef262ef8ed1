"""A Compose fragment as text: read with lines for its errors, and written. Pure; never handed to a template engine or to Docker."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from orgs.additions import Fragment, LocalService, Services
from orgs.needs_file import needs_error, read_yaml
from sprocket_v2.errors import NeedsError

MAX_FRAGMENT = 64 * 1024
_SERVICES: TypeAdapter[dict[str, LocalService]] = TypeAdapter(Services)


def parse_fragment(content: str | bytes, source: str) -> dict[str, LocalService]:
    """The services of a fragment.

    Args:
        source: what errors call it, a file's name.
    Raises:
        NeedsError: every problem found, each with source, line, key and hint.
    """
    hint = "an addition is a handful of services; what needs more is a component of a release of your own"
    if len(content) > MAX_FRAGMENT:
        raise NeedsError(f"{len(content) // 1024} KiB, the most is {MAX_FRAGMENT // 1024} KiB", hint=hint, where=source)
    try:
        text = content if isinstance(content, str) else content.decode()
    except UnicodeDecodeError:
        raise NeedsError("not UTF-8 text", hint="save the Compose fragment as UTF-8 text", where=source) from None
    data, lines = read_yaml(text, source, MAX_FRAGMENT, hint)
    try:
        return Fragment.model_validate(data).services
    except ValidationError as error:
        raise needs_error(error, source, lines) from None


def write_fragment(services: Mapping[str, Any]) -> str:
    """A fragment that `parse_fragment` reads as these services; what is at its default is left out. No services, no text.

    Args:
        services: as the needs hold them, plain or validated.
    """
    if not services:
        return ""
    plain = json.loads(_SERVICES.dump_json(_SERVICES.validate_python(dict(services)), exclude_defaults=True))
    yaml = YAML()
    yaml.default_flow_style = False
    yaml.width = 110
    stream = io.StringIO()
    yaml.dump({"services": plain}, stream)
    return stream.getvalue()
