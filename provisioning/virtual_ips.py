"""Whether the services of an estate will find each other on this machine: a kernel without IPVS answers no virtual IP."""

from __future__ import annotations

import os

from blueprints.layers import layers_of
from blueprints.rendering import Rendering
from sprocket_v2.machine import has_virtual_ips


def needs_virtual_ips(rendering: Rendering) -> list[str]:
    """The services that are reached by a virtual IP, in a bundle of several stacks."""
    if not rendering.blueprint.get("stacks"):
        return []
    found = [args for layer in layers_of(rendering) for args in layer.stack.services.values()]
    return sorted(args.name for args in found if args.endpoint_mode == "vip" and args.networks)


def virtual_ip_warning(rendering: Rendering) -> str:
    """Why a bundle's services will not find each other on this machine, and what to do; empty where they will, or it is not known."""
    names = needs_virtual_ips(rendering)
    is_here = os.environ.get("DOCKER_HOST", "unix://").startswith("unix://")
    if not names or not is_here or has_virtual_ips():
        return ""
    count = f"{len(names)} services are" if len(names) > 1 else f"{names[0]} is"
    return (
        f"{count} reached by a virtual IP, which answers nothing on this machine: its kernel has no IPVS. "
        "Answer endpoint_mode with dnsrr in the needs, or load the module (modprobe ip_vs)"
    )
