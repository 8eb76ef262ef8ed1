"""What a yes to each feature brings into a deployment, to be shown before it is said. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from blueprints.catalog import Catalog
from blueprints.closure import Closure, answered_by, close
from blueprints.manifest import Manifest
from orgs.needs import Features
from orgs.needs_file import needs_from
from sprocket_v2.errors import NeedsError, SprocketError

# What stands for the answers nobody gave yet: none of them decides what a feature brings.
_LEAST: Mapping[str, Any] = {
    "name": "League",
    "slug": "league",
    "owner": {"name": "Owner", "contact": "none yet"},
    "games": ["rocket-league"],
    "access": {"localhost": {"host": "league.localhost"}},
}


def brought_by_features(data: Mapping[str, Any], catalog: Catalog) -> dict[str, str]:
    """Need -> one sentence about each feature the generation offers: what it brings, or why it cannot be had with these answers.

    Args:
        data: the answers as plain nested data. While they are not complete, the features are looked at by themselves.
    """
    try:
        needs = needs_from(dict(data), "form")
    except NeedsError:
        data = {**_LEAST, **{key: data[key] for key in ("profile", "features", "discord") if data.get(key)}}
        try:
            needs = needs_from(dict(data), "form")
        except NeedsError:
            return {}
    candidates = catalog.of(needs.profile)
    offered = answered_by(candidates.values())
    return {key: _words(data, name, candidates) for name in Features.model_fields if (key := f"features.{name}") in offered}


def _words(data: Mapping[str, Any], feature: str, candidates: Mapping[str, Manifest]) -> str:
    try:
        without, with_it = (_closed(data, feature, answer, candidates) for answer in (False, True))
    except NeedsError as error:
        return f"Not with these answers: {error.problems[0].message}."
    except SprocketError as error:
        return f"Not with these answers: {error.message}."
    own, along = [], []
    for name in sorted(set(with_it.reasons) - set(without.reasons)):
        title = candidates[name].title
        if with_it.through[name]:
            along.append(f"{title} ({'; '.join(with_it.reasons[name])})")
        else:
            own.append(title)
    played = [candidates[name].title for name in with_it.plays if set(with_it.plays[name]) - set(without.plays.get(name, ()))]
    parts = [f"Brings {', '.join(own)}" if own else f"{' and '.join(sorted(played))} does it" if played else ""]
    parts.append(f"{'with it' if parts[0] else 'Brings'} {', '.join(along)}" if along else "")
    return "; ".join(filter(None, parts)) + "." if any(parts) else "Brings nothing that is not there already."


def _closed(data: Mapping[str, Any], feature: str, answer: bool, candidates: Mapping[str, Manifest]) -> Closure:
    needs = needs_from({**data, "features": {**(data.get("features") or {}), feature: answer}}, "form")
    return close(needs, candidates)
