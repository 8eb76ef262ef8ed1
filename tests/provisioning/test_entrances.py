"""Where somebody's Traefik lets requests in."""

from __future__ import annotations

from dataclasses import replace

import pytest

from blueprints.compose import Mounted, Part, Port, ServiceArgs
from blueprints.layers import layers_of
from provisioning.entrances import entry_points, image_name, is_traefik
from tests.layered import LayeredBundle

PORTS = (Port(80, 8080, "tcp"), Port(443, 8443, "tcp", "ingress"), Port(5672, 5672, "udp"))
STATIC = "entryPoints:\n  web:\n    address: ':80'\n  websecure:\n    address: '0.0.0.0:443'\n  metrics:\n    address: ':9100'\n"
CONFIGS = (Part("static", "estate_static", {}, file="config/traefik/static.yaml"), Part("other", "estate_other", {}, file="config/x"))


def _args(**changes: object) -> ServiceArgs:
    edge = layers_of(LayeredBundle("bench").rendering())[0].stack.services["edge"]
    return replace(edge, image="traefik:v2.6.1", command=(), ports=PORTS, **changes)  # type: ignore[arg-type]


def test_they_are_read_from_the_arguments() -> None:
    args = replace(_args(), command=("--entryPoints.web.address=:80", "--entrypoints.websecure.address=:443/tcp", "--ping"))
    assert entry_points(args, (), {}) == {"web": 8080, "websecure": 8443}


def test_they_are_read_from_the_mounted_configuration_which_may_name_more_than_is_published() -> None:
    args = _args(configs=(Mounted("estate_static", "/static.yaml", 0o444),))
    assert entry_points(args, CONFIGS, {"config/traefik/static.yaml": STATIC}) == {"web": 8080, "websecure": 8443}


@pytest.mark.parametrize("text", ["", "[toml]\nnot = yaml", "- a\n- list\n", "entryPoints: text\n"])
def test_where_nothing_says_it_the_usual_names_of_the_published_ports_count(text: str) -> None:
    args = _args(configs=(Mounted("estate_static", "/static.yaml", 0o444),))
    assert entry_points(args, CONFIGS, {"config/traefik/static.yaml": text}) == {
        "web": 8080,
        "websecure": 8443,
        "http": 8080,
        "https": 8443,
    }


@pytest.mark.parametrize(
    ("image", "name"),
    [("traefik:v2.6.1", "traefik"), ("docker.io/library/traefik@sha256:ab", "traefik"), ("localhost:5000/openbao/openbao:2", "openbao")],
)
def test_a_program_is_known_by_the_last_word_of_its_image(image: str, name: str) -> None:
    args = replace(_args(), image=image)
    assert image_name(args) == name
    assert is_traefik(args) == (name == "traefik")
