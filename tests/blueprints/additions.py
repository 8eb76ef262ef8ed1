"""Any local additions that are allowed, as a strategy: hostile text in every value."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.blueprints.cases import HOSTILE, catalog
from tests.orgs.answers import printable

_NAME = st.from_regex(r"\A[a-z][a-z0-9-]{0,15}\Z").filter(lambda name: name not in catalog().components)
_VARIABLE = st.from_regex(r"\AX_[A-Z]{0,10}[0-9]\Z")
_ENVIRONMENT = st.dictionaries(_VARIABLE, st.one_of(st.sampled_from(HOSTILE), printable(80)), max_size=3)


@st.composite
def any_additions(draw: st.DrawFn) -> dict[str, Any]:
    """Any additions that are allowed: hostile text in every value."""
    services = {}
    for number, name in enumerate(draw(st.lists(_NAME, max_size=3, unique=True))):
        services[name] = {
            "image": "redis:7.0-bookworm",
            "command": draw(st.lists(st.sampled_from(HOSTILE), max_size=3)),
            "environment": draw(_ENVIRONMENT),
            "networks": ["edge", *draw(st.lists(st.sampled_from(["data", "outbound"]), max_size=2, unique=True))],
            "ports": [f"{20000 + number}:80"] if draw(st.booleans()) else [],
            "volumes": ["postgres:/data"] if draw(st.booleans()) else [],
            "secrets": ["local-x"] if draw(st.booleans()) else [],
            "deploy": {"resources": {"limits": {"memory": "64M"}}},
        }
    environment = draw(
        st.dictionaries(st.sampled_from(["api", "api_migrate", "web", "redis", "postgres", "traefik"]), _ENVIRONMENT, max_size=3)
    )
    return {"services": services, "environment": {key: values for key, values in environment.items() if values}}
