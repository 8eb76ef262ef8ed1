"""Where somebody's Traefik lets requests in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from blueprints.checks.services import Mounted, Service
from blueprints.checks.subjects import subject_of_rendering
from blueprints.compose import Port
from provisioning.entrances import entry_points
from tests.layered import LayeredBundle

PORTS = (Port(80, 8080, "tcp"), Port(443, 8443, "tcp", "ingress"), Port(5672, 5672, "udp"))
STATIC = "entryPoints:\n  web:\n    address: ':80'\n  webSecure:\n    address: '0.0.0.0:443'\n  metrics:\n    address: ':9100'\n"


def _proxy(*texts: str | None, **changes: Any) -> Service:
    edge = next(service for service in subject_of_rendering(LayeredBundle("bench").rendering()).services if service.name == "edge-bench")
    args = replace(edge.args, image="traefik:v2.6.1", command=(), ports=PORTS, **changes)
    return replace(edge, args=args, configs=tuple(Mounted("/static.yaml", "static", text) for text in texts))


def test_they_are_read_from_the_arguments() -> None:
    proxy = _proxy(entrypoint=("--entryPoints.web.address=:80", "--entrypoints.websecure.address=:443/tcp", "--ping"))
    assert entry_points(proxy) == {"web": 8080, "websecure": 8443}


def test_they_are_read_from_the_mounted_configuration_which_may_name_more_than_is_published() -> None:
    assert entry_points(_proxy("[a]\nb = 1\n", STATIC)) == {"web": 8080, "websecure": 8443}


@pytest.mark.parametrize("text", [None, "", "[toml]\nnot = yaml", "- a\n- list\n", "entryPoints: text\n", "entryPoints:\n  web: text\n"])
def test_where_nothing_says_it_the_usual_names_of_the_published_ports_count(text: str | None) -> None:
    assert entry_points(_proxy(text)) == {"web": 8080, "websecure": 8443, "http": 8080, "https": 8443}
