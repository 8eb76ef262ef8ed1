"""An estate as JSON and back: canonical (equal estates, equal bytes), with its version, and strict on reading. Pure.

What is at its default is left out, which halves the size. Configuration files may be left out as well, for the copy that the needs name.
"""

from __future__ import annotations

import json
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass, replace
from functools import lru_cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from blueprints.estate.model import Estate
from orgs.grammar import shown
from sprocket_v2.errors import EstateError

FORMAT = 1
# Twenty-nine services with their remarks are about 200 KiB; the rest is for configuration files, which stock ones of 90 KiB fill quickly.
# The limit of an attachment (480 KiB, what a Swarm config holds) is about files that go into a container; an estate never does.
MAX_ESTATE = 8 * 1024 * 1024


def write_estate(estate: Estate, *, with_texts: bool = True) -> str:
    """The estate as JSON text.

    Args:
        with_texts: whether configuration files are kept.
    Raises:
        EstateError: it is larger than is kept.
    """
    if not with_texts:
        estate = replace(estate, items=tuple(_without_text(item) for item in estate.items))
    text = json.dumps({"format": FORMAT, **plain(estate)}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    if len(text) > MAX_ESTATE:
        raise EstateError(
            f"the estate has {len(text) // 1024} KiB, the most that is kept is {MAX_ESTATE // 1024} KiB",
            hint="import the layers one by one, or the live swarm alone",
            where="estate",
        )
    return text


def read_estate(text: str, name: str = "estate.json") -> Estate:
    """The estate of a text that `write_estate` wrote.

    Raises:
        EstateError: another format, a key or value that is none of an estate's; `where` names its place.
    """
    hint = "import the estate again; this file is written by the control plane, not by hand"
    if len(text) > MAX_ESTATE:
        raise EstateError(f"{len(text) // 1024} KiB, the most is {MAX_ESTATE // 1024} KiB", hint=hint, where=name)
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        raise EstateError("not the JSON of an estate", hint=hint, where=name) from None
    if not isinstance(data, dict) or data.pop("format", None) != FORMAT:
        raise EstateError(f"not an estate of format {FORMAT}", hint=hint, where=name)
    try:
        estate: Estate = _read(Estate, data, name)
    except _WrongError as error:
        raise EstateError(str(error), hint=hint, where=error.place) from None
    return estate


def _without_text(item: Any) -> Any:  # noqa: ANN401 - an item
    return replace(item, facts={k: v for k, v in item.facts.items() if k != "text"}) if "text" in item.facts else item


class _WrongError(Exception):
    """A value that is not what its place asks for."""

    def __init__(self, message: str, place: str) -> None:
        super().__init__(message)
        self.place = place


def plain(value: Any) -> Any:  # noqa: ANN401 - any value of an estate
    """A value as JSON data, without what is at its default, so that a later release's new field changes nothing."""
    if is_dataclass(value) and not isinstance(value, type):
        pairs = ((field.name, getattr(value, field.name), _default(field)) for field in fields(value))
        return {name: plain(item) for name, item, default in pairs if item != default}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value


def _default(field: Field[Any]) -> Any:  # noqa: ANN401
    if field.default_factory is not MISSING:
        return field.default_factory()
    return field.default


@lru_cache(maxsize=32)
def _types(kind: type) -> Mapping[str, Any]:
    return get_type_hints(kind)


def _read(wanted: Any, value: Any, place: str) -> Any:  # noqa: ANN401 - types of all kinds
    """A value of this type, or the error that says where it is not."""
    if wanted is Any:
        return value
    origin, inner = get_origin(wanted), get_args(wanted)
    if origin in (Union, types.UnionType):  # something, or None
        return None if value is None else _read(next(kind for kind in inner if kind is not type(None)), value, place)
    if origin is Literal:
        if value not in inner:
            raise _WrongError(f"{_shown(value)} is none of {', '.join(map(str, inner))}", place)
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise _WrongError("a list is expected", place)
        return tuple(_read(inner[0], item, f"{place}[{index}]") for index, item in enumerate(value))
    if origin is not None:  # a mapping
        if not isinstance(value, dict):
            raise _WrongError("a mapping is expected", place)
        return {key: _read(inner[1], item, f"{place}.{key}") for key, item in value.items()}
    if is_dataclass(wanted):
        return _record(wanted, value, place)
    fits = isinstance(value, (int, float) if wanted is float else wanted) and isinstance(value, bool) == (wanted is bool)
    if not fits:
        raise _WrongError(f"{_shown(value)} is no {wanted.__name__}", place)
    return value


def _record(wanted: Any, value: Any, place: str) -> Any:  # noqa: ANN401 - one of the dataclasses
    if not isinstance(value, dict):
        raise _WrongError("a mapping is expected", place)
    hints = _types(wanted)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise _WrongError(f"key {_shown(unknown[0])} is not known", place)
    missing = [f.name for f in fields(wanted) if f.name not in value and _default(f) is MISSING]
    if missing:
        raise _WrongError(f"{missing[0]} is missing", place)
    return wanted(**{name: _read(hints[name], item, f"{place}.{name}") for name, item in value.items()})


def _shown(value: Any) -> str:  # noqa: ANN401
    return shown(str(value))
