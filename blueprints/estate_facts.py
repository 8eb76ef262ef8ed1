"""What the templates of an older layout print beside a service's own: hosts, names, data outside, labels of routes. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from blueprints import context
from blueprints.manifest import Router
from blueprints.resolve import Resolution
from sprocket_v2.errors import ResolveError

Plain = dict[str, Any]
VIRTUAL_IPS, FORWARD_AUTH = "virtual_ips", "forward_auth_host"
FROM_THE_PROXY = (VIRTUAL_IPS, FORWARD_AUTH)  # questions of the proxy's that concern every service


def estate_facts(resolution: Resolution) -> Plain:
    """Values about the whole layout.

    Raises:
        ResolveError: the canonical way in has no names, and every route of such a layout is a name.
    """
    needs = resolution.needs
    hosts = _hosts(resolution)
    edge = resolution.playing("proxy")
    inputs: Mapping[str, Any] = edge.inputs if edge else {}
    names = {part: context.service_name(needs.slug, c.services[0]) for c in resolution.components if c.services for part in c.parts}
    storage = context.storage_facts(resolution)
    return {
        "org": {"slug": needs.slug, "name": needs.name},
        "owner": needs.owner.model_dump(),
        "deputy": needs.deputy.model_dump() if needs.deputy else {"name": "", "contact": ""},
        "stand_ins": needs.applications == "stand-in",
        "hosts": hosts,
        "web_also": [way.host for way in resolution.ways if way.way in ("lan", "vpn")],
        "names": names,
        "database": context.database_facts(resolution),
        "storage": storage,
        "queues": {queue: f"prod-{_QUEUES.get(queue, queue.replace('_', '-'))}" for queue in resolution.profile.queues},
        "tls": resolution.ways[0].way == "public",
        "scheme": "https://" if resolution.ways[0].way == "public" else "http://",
        "networks": {network.key: network.name for network in resolution.profile.networks},
        "email": needs.access.public.email if needs.access.public else "nobody@localhost.invalid",
        "release": resolution.release,
        VIRTUAL_IPS: inputs.get(VIRTUAL_IPS, True),
        FORWARD_AUTH: inputs.get(FORWARD_AUTH, ""),
        "outputs": {
            "vault-address": f"http://{hosts.get('vault', '')}",
            "postgres-host": _database_host(resolution),
            "postgres-port": str(context.database_facts(resolution)["port"]),
            "minio-url": str(storage["address"]),
        },
    }


_QUEUES = {"image_generation": "ig", "submission": "submissions", "notification": "notifications"}


def _database_host(resolution: Resolution) -> str:
    return str(context.database_facts(resolution)["host"])


def _hosts(resolution: Resolution) -> dict[str, str]:
    """The layout's names: `web` is the site's, `hostname` what the rest is made of (design of the estate: hostname and subdomain)."""
    way = resolution.ways[0]
    if way.way not in ("public", "localhost"):
        raise ResolveError(
            f"access.canonical is {way.way}, and every route of {resolution.profile.name} is a name",
            hint="choose localhost or public; lan and vpn beside it become alternatives of the site's route",
            where="access.canonical",
        )
    return resolution.profile.hosts_at(way.host, way.host if way.way == "public" else "localhost")


def labels_of(routers: tuple[Router, ...], facts: Mapping[str, Any]) -> dict[str, str]:
    """The labels of a service's routes, in the form the estate's engine writes them; none for a service nobody visits."""
    if not routers:
        return {}
    labels = {"traefik.enable": "true"}
    for router in routers:
        labels |= dict(_labels(router, facts))
    return labels


def _labels(router: Router, facts: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    base, name = f"traefik.{router.protocol}", router.name
    at = f"{base}.routers.{name}"
    yield f"{at}.rule", rule_of(router, facts["hosts"][router.host], facts["web_also"])
    if router.entrypoint:
        yield f"{at}.entryPoints", router.entrypoint
    if router.tls:
        yield f"{at}.tls", "true"
        yield f"{at}.tls.certResolver", "lets-encrypt-tls"
    if router.service:
        yield f"{at}.service", router.service
    if router.forward_auth:
        yield f"{base}.middlewares.{name}.forwardauth.address", f"https://{facts[FORWARD_AUTH]}/login?rule={router.forward_auth}"
        yield f"{at}.middlewares", name
    yield f"{base}.services.{name}.loadbalancer.server.port", str(router.port)


def rule_of(router: Router, host: str, also: list[str]) -> str:
    """The rule, in Traefik's language: by the name in the request, or in TLS; the other ways in are alternatives where it has them."""
    match = "HostSNI" if router.protocol == "tcp" else "Host"
    hosts = [host, *(also if router.every_way else ())]
    rule = " || ".join(f"{match}(`{item}`)" for item in hosts)
    return f"{rule} && PathPrefix(`{router.path_prefix}`)" if router.path_prefix else rule
