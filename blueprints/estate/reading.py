"""Takes values out of somebody else's JSON or YAML: of the type they should be, or left out and named. Never guesses, never fails. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from blueprints.estate.opening import UNKNOWN

_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")


@dataclass(slots=True)
class Reading:
    """A service while it is read: what was encrypted, of another type, or without a place in our vocabulary."""

    unknown: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def mapping(self, value: Any, name: str) -> Mapping[str, Any]:  # noqa: ANN401 - JSON
        """A mapping, or the first of a list of one, which is how some versions write it."""
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        found: Mapping[str, Any] = value if isinstance(value, dict) else self._other(value, name, {})
        return found

    def items(self, value: Any, name: str) -> list[Any]:  # noqa: ANN401 - JSON
        """A list."""
        found: list[Any] = value if isinstance(value, list) else self._other(value, name, [])
        return found

    def words(self, value: Any, name: str) -> tuple[str, ...]:  # noqa: ANN401 - JSON
        """A list of words."""
        listed = self.items(value, name)
        if any(item == UNKNOWN for item in listed):
            self.unknown.append(name)
        return tuple(as_text(item) for item in listed if isinstance(item, (str, int, float, bool)))

    def text(self, value: Any, name: str) -> str:  # noqa: ANN401 - JSON
        """A text."""
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return str(value)
        return value if isinstance(value, str) and value != UNKNOWN else str(self._other(value, name, ""))

    def number(self, value: Any, name: str) -> int:  # noqa: ANN401 - JSON
        """A whole number that Docker can hold."""
        if isinstance(value, str) and re.fullmatch(r"\d{1,18}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**63:
            return value
        return int(self._other(value, name, 0))

    def seconds(self, value: Any, name: str) -> float:  # noqa: ANN401 - JSON
        """A duration such as `1m30s`."""
        text = self.text(value, name)
        found = _DURATION.findall(text)
        if text and (not found or "".join(n + unit for n, unit in found) != text):
            self.wrong.append(name)
            return 0
        return float(sum(float(n) * _UNITS[unit] for n, unit in found))

    def texts(self, value: Any, name: str) -> dict[str, str]:  # noqa: ANN401 - JSON
        """A mapping of texts, from a mapping, a list of {label, value}, or a list of `name=value`."""
        if isinstance(value, list):
            pairs = [self._pair(item) for item in value]
            return {key: self._value(item, f"{name}.{key}") for key, item in pairs if key}
        given = self.mapping(value, name)
        return {key: self._value(item, f"{name}.{key}") for key, item in given.items()}

    def _pair(self, item: Any) -> tuple[str, Any]:  # noqa: ANN401 - JSON
        if isinstance(item, dict):
            return str(item.get("label", "")), item.get("value", "")
        name, _, value = as_text(item).partition("=")
        return name, value

    def _value(self, value: Any, name: str) -> str:  # noqa: ANN401 - JSON
        if value == UNKNOWN:
            self.unknown.append(name)
        return as_text(value)

    def _other(self, value: Any, name: str, empty: Any) -> Any:  # noqa: ANN401 - JSON
        if value == UNKNOWN:
            self.unknown.append(name)
        elif value is not None:
            self.wrong.append(name)
        return empty


def as_text(value: Any) -> str:  # noqa: ANN401 - JSON
    """A scalar as Docker takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None or isinstance(value, (dict, list)) else str(value)
