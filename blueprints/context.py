"""The prepared values templates print: plain text, numbers, lists and dictionaries, made from a Resolution. Pure.

A choice that a template would have to make is made here or in resolve.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from blueprints.access import WayIn, aliases
from blueprints.catalog import LOCAL
from blueprints.certificates import certificate_facts
from blueprints.manifest import ServiceManifest
from blueprints.names import content_version, docker_name, part_of
from blueprints.profile import INSIDE
from blueprints.resolve import Resolution, ResolvedComponent, ResolvedSecret
from blueprints.routes import Route, routes
from blueprints.shared import NETWORK as ENTRY
from blueprints.shared import shared_facts
from orgs.additions import LocalService

Plain = dict[str, Any]
PING_PORT = 19000


def facts(resolution: Resolution) -> Plain:
    """Values about the whole deployment that every template may print."""
    needs = resolution.needs
    canonical = resolution.ways[0]
    return {
        "org": {"slug": needs.slug, "name": needs.name},
        "owner": needs.owner.model_dump(),
        "deputy": needs.deputy.model_dump() if needs.deputy else {"name": "", "contact": ""},
        "stand_ins": needs.applications == "stand-in",
        "access": way_facts(canonical),
        "shared": shared_facts(needs),
        "ways": [way_facts(way) for way in resolution.ways],
        "certificates": certificate_facts(needs.access, resolution.ways),
        "cors_origins": ",".join(dict.fromkeys(way.web_origin for way in resolution.ways)),
        "database": database_facts(resolution),
        "storage": storage_facts(resolution),
        "cache": cache_facts(resolution),
        "metrics": metrics_facts(resolution),
        "queues": {queue: f"{needs.slug}-{queue.replace('_', '-')}" for queue in resolution.profile.queues},
        "discord": {"bot": needs.discord.bot, "prefix": needs.discord.prefix},
        "deployed": {part: True for component in resolution.components for part in component.parts},
        "part": service_names(resolution),
        "generation": generation_facts(resolution),
        "public_urls": public_urls(resolution),
        "probes": probes(resolution),
        "status_routes": status_routes(resolution),
        "log_port": _log_port(resolution),
        "release": resolution.release,
        "ping_port": PING_PORT,
    }


def service_names(resolution: Resolution) -> dict[str, str]:
    """Role or component name -> the Docker name of its first service, for whoever has to look at it by hand."""
    slug = resolution.needs.slug
    named = [(c, service_name(slug, c.services[0])) for c in resolution.components if c.services]
    return {part: name for component, name in named for part in component.parts}


def generation_facts(resolution: Resolution) -> Plain:
    """What only this generation of the applications knows: where it answers, signs in, and shows that it can be used."""
    profile, way = resolution.profile, resolution.ways[0]
    api, web = resolution.playing("api"), resolution.playing("web")
    probe = next((s.probe for s in api.services if s.key == api.manifest.routed_service), None) if api else None
    health = probe.path if probe else "/"
    inside = f"http://{api.manifest.routed_service}:{api.manifest.port}" if api else ""
    login, site = profile.login, profile.site
    return {
        "login": {
            "start": f"{way.api_origin}{login.start}" if login.start else "",
            "callbacks": {provider: f"{way.api_origin}{path}" for provider, path in login.callbacks.items()},
        },
        "site": {
            "port": web.manifest.port if web else 0, "page": site.page, "redirects": site.redirects, "marker": site.marker,
            "asks": f"{inside if site.calls == INSIDE else way.api_origin}{health}", "ask": list(site.ask),
        },
        "api": {
            "health": health, "graphql": profile.api.graphql, "bare_query_status": profile.api.bare_query_status,
            "checks_origin": profile.api.checks_origin,
        },
        "tables": {"organization": profile.tables.organization, "people": list(profile.tables.people)},
    }  # fmt: skip


def public_urls(resolution: Resolution) -> dict[str, str]:
    """Component -> its address on the canonical way; empty where that way cannot reach it."""
    way = resolution.ways[0]
    scheme, _, rest = way.web_origin.partition("://")
    urls = {}
    for component in resolution.components:
        subdomain = component.subdomain
        if subdomain is not None:
            reachable = way.subdomains or subdomain == ""
            urls[component.name] = f"{scheme}://{subdomain}.{rest}" if subdomain and reachable else way.web_origin if reachable else ""
    return urls


def way_facts(way: WayIn) -> Plain:
    """One way in, as templates and blueprint.json show it."""
    return {
        "way": way.way,
        "host": way.host,
        "api_host": way.api_host,
        "port": way.port,
        "api_port": way.api_port,
        "tls": way.tls,
        "subdomains": way.subdomains,
        "web_origin": way.web_origin,
        "api_origin": way.api_origin,
        "api_address": way.api_address,
        "allowed": list(way.allowed),
        "email": way.email,
        "certificate": way.certificate,
        "hsts": way.hsts,
    }


def database_facts(resolution: Resolution) -> Plain:
    """How the applications reach Postgres. Inside the deployment the host is exactly `postgres`: any other name means TLS."""
    needs = resolution.needs
    members = needs.expected_members
    pool = 2 if members < 500 else 3 if members <= 5000 else 5
    managed = needs.database.managed
    if managed is not None:
        return {"where": "managed", "host": managed.host, "port": managed.port, "user": managed.user, "name": managed.name, "pool": pool,
                "tls": True}  # fmt: skip
    return {"where": "deployment", "host": "postgres", "port": 5432, "user": "sprocket", "name": "sprocket", "pool": pool, "tls": False}


def storage_facts(resolution: Resolution) -> Plain:
    """How the applications reach object storage. Where nothing stores objects the settings are filled all the same, or they refuse to start.

    `used` is false for such a placeholder; `address` is host and port, without a port that is the scheme's own.
    """
    slug = resolution.needs.slug
    existing = resolution.needs.storage.existing
    buckets = {"replays": f"{slug}-replays", "images": f"{slug}-images"}
    if existing is not None:
        facts = {"used": True, "host": existing.host, "port": existing.port, "tls": existing.tls}
        buckets = {"replays": existing.replays_bucket, "images": existing.images_bucket}
    elif store := resolution.playing("storage"):
        facts = {"used": True, "host": store.name, "port": 9000, "tls": False}
    else:
        facts = {"used": False, "host": "object-storage.invalid", "port": 9000, "tls": False}
    usual = 443 if facts["tls"] else 80
    address = facts["host"] if facts["port"] == usual else f"{facts['host']}:{facts['port']}"
    return {**facts, "address": address, "buckets": buckets}


def cache_facts(resolution: Resolution) -> Plain:
    """How the applications reach Redis."""
    existing = resolution.needs.cache.existing
    if existing is not None:
        return {"where": "existing", "host": existing.host, "port": existing.port, "tls": existing.tls}
    return {"where": "deployment", "host": "redis", "port": 6379, "tls": False}


def metrics_facts(resolution: Resolution) -> Plain:
    """Where figures go. Where nothing keeps them it is a placeholder, `used` is false: who reads it refuses to start without an address."""
    store = resolution.playing("influxdb")
    return {"used": store is not None, "address": f"http://{store.name if store else 'metrics.invalid'}:8086"}


def routers(resolution: Resolution, rows: Sequence[Route] | None = None) -> list[Plain]:
    """Every route through Traefik: name, rule, entry point, service, who is let through, what else is done to a request.

    A public way's names answer on port 80 too, where they only lead to HTTPS.
    """
    by_name: dict[str, WayIn] = {way.way: way for way in resolution.ways}
    reached = [row for row in (routes(resolution) if rows is None else rows) if row.router]
    found: list[Plain] = [
        {
            "name": row.router,
            "rule": f"Host(`{row.host}`)",
            "entry_point": row.entry_point,
            "service": row.component,
            "allow": f"{row.way}-allowed",
            "also": ["hsts"] if by_name[row.way].hsts else [],
            "tls": row.tls,
            "resolver": "acme" if by_name[row.way].is_acme else "",
        }
        for row in reached
    ]
    return found + [
        {**router, "name": f"{router['name']}-redirect", "entry_point": "port-80", "service": "noop@internal", "also": ["public-https"],
         "tls": False, "resolver": ""}
        for router, row in zip(found, reached, strict=True) if row.way == "public"
    ]  # fmt: skip


def entry_ports(resolution: Resolution) -> list[int]:
    """The ports Traefik publishes, sorted; a public way adds 80 for the redirect."""
    ports = {port for way in resolution.ways for port in (way.port, way.api_port)}
    return sorted(ports | ({80} if any(way.way == "public" for way in resolution.ways) else set()))


def routed(resolution: Resolution) -> list[Plain]:
    """Components that Traefik forwards to, with the address inside the deployment."""
    return [
        {"name": c.name, "url": f"http://{c.manifest.routed_service}:{c.manifest.port}"}
        for c in resolution.components
        if c.subdomain is not None
    ]


def component_context(resolution: Resolution, component: ResolvedComponent, configs: Mapping[str, str], shared: Plain) -> Plain:
    """What a component's `stack.yml.j2` sees.

    Args:
        configs: the component's rendered config files, by path relative to its config folder.
        shared: `facts` of the resolution, with routers and entry ports.
    """
    services = {service.key: _service(resolution, component, service, configs, shared["log_port"]) for service in component.services}
    values = {**shared, "component": component.name, "inputs": dict(component.inputs), "services": services}
    if component.name == LOCAL:
        values["own"] = [{**service, **_own(resolution.local[key])} for key, service in services.items()]
    return values


def _own(service: LocalService) -> Plain:
    """What an organization's own service says about itself beside what every service has."""
    return {
        "entrypoint": list(service.entrypoint or ()),
        "command": list(service.command or ()),
        "user": service.user or "",
        "environment": [{"name": name, "text": swarm_text(text)} for name, text in service.environment.items()],
    }


def swarm_text(text: str) -> str:
    """An environment value as Swarm takes it for text: it expands templates of its own there (measured), so two braces are escaped."""
    return text.replace("{{", '{{"{{"}}')


def added_environment(resolution: Resolution, component: ResolvedComponent) -> dict[str, list[Plain]]:
    """Service key -> the values that local additions give to a service of the release; services without any are left out."""
    slug = resolution.needs.slug
    return {
        service.key: [
            {"name": name, "value": swarm_text(value), "labels": labels(slug, component.name, f"service/{service.key}")}
            for name, value in added.items()
        ]
        for service in component.services
        if (added := resolution.needs.additions.environment.get(service.key))
    }


def labels(slug: str, component: str, resource: str) -> Plain:
    """Owner labels: by them the provider and a person know whose an object is."""
    return {"sprocket.org": slug, "sprocket.component": component, "sprocket.resource": resource}


def service_name(slug: str, service: ServiceManifest) -> str:
    """The service's Docker name: its own where an older layout gave it one."""
    return service.as_found.name if service.as_found else docker_name(slug, *service.key.split("_", 1))


def secret_name(slug: str, secret: ResolvedSecret) -> str:
    """The Swarm secret's name; a new version is a new name, since Swarm secrets cannot change.

    An older layout's names end in seven hex digits that its engine drew; here they are the version.
    """
    if secret.manifest.docker_name:
        return f"{secret.manifest.docker_name}-{secret.version:07x}"
    return docker_name(slug, secret.component, secret.manifest.name, f"v{secret.version}")


def config_key(component: str, file: str) -> str:
    """A config's key in stack.yml."""
    return f"{component}_{part_of(file)}"


def config_name(slug: str, component: str, file: str, text: str) -> str:
    """A config's Docker name, which changes with its content."""
    return docker_name(slug, component, part_of(file), content_version(text))


def _service(
    resolution: Resolution, component: ResolvedComponent, service: ServiceManifest, configs: Mapping[str, str], log_port: int
) -> Plain:
    slug = resolution.needs.slug
    job = service.is_job
    memory_mib = int(component.inputs[service.memory])
    return {
        "key": service.key,
        "name": docker_name(slug, *service.key.split("_", 1)),
        "image": component.image_of(service).reference,
        "networks": _networks(resolution, service),
        "secrets": [{"source": name, "target": target} for name, target in service.secrets.items()],
        "configs": [
            {"source": config_key(component.name, file), "target": target} for file, target in service.configs.items() if file in configs
        ],
        "volumes": [{"source": f"{component.name}_{part}", "target": path} for part, path in service.volumes.items()],
        "tmpfs": list(service.tmpfs),
        "ports": _ports(resolution, component, service),
        "logging": _logging(log_port, service),
        "health": None if service.health.none else {
            "test": list(service.health.test),
            "interval": f"{service.health.interval_s}s",
            "timeout": f"{service.health.timeout_s}s",
            "retries": service.health.retries,
            "start_period": f"{service.health.start_period_s}s",
        },
        "stop_grace": f"{service.stop_grace_s}s",
        "replicas": component.replicas_of(service),
        "memory_bytes": str(memory_mib * 1024 * 1024),
        "cpus": f"{int(component.inputs[service.cpu]) / 100:.2f}" if service.cpu else "",
        "order": service.order,
        "restart": "none" if job else "any",
        "on_failure": "continue" if job else "rollback",  # Swarm counts a job's task that ended as failed, whatever its exit code
        "labels": {
            **labels(slug, component.name, f"service/{service.key}"),
            "sprocket.stage": service.stage,
            "sprocket.kind": "job" if job else "service",
            "sprocket.deadline_s": str(service.deadline_s),
        },
        "memory_mib": memory_mib,
    }  # fmt: skip


def _ports(resolution: Resolution, component: ResolvedComponent, service: ServiceManifest) -> list[Plain]:
    ports: list[Plain] = []
    if service.publishes_entry_ports and not resolution.needs.access.shared:
        ports += [{"number": port, "target": port, "protocol": "tcp"} for port in entry_ports(resolution)]
    if service.udp_port:
        number = int(component.inputs[service.udp_port])
        ports.append({"number": number, "target": number, "protocol": "udp"})
    if service.key in resolution.local:
        ports += [{"number": p.published, "target": p.target, "protocol": p.protocol} for p in resolution.local[service.key].ports]
    return ports


def _log_port(resolution: Resolution) -> int:
    """The collector's port for log lines; 0 where nothing keeps them."""
    collector = resolution.playing("collector")
    return 0 if resolution.playing("logs") is None or collector is None else int(collector.inputs["log_port"])


def _logging(log_port: int, service: ServiceManifest) -> Plain:
    """Docker keeps the last lines itself; with log search on it also sends them to the collector, over UDP, which waits for nobody."""
    if not log_port:
        return {"driver": "json-file", "options": {"max-size": "10m", "max-file": "3"}}
    address = f"udp://127.0.0.1:{log_port}"
    return {"driver": "syslog", "options": {"syslog-address": address, "syslog-format": "rfc5424", "tag": service.key}}


def probes(resolution: Resolution) -> list[Plain]:
    """Where each lasting service shows that it answers: `url` for HTTP, else `address` (host:port) whose port is opened."""
    found = []
    for component in resolution.components:
        for service in component.services:
            if service.probe is not None and not service.is_job:
                address = f"{service.key}:{service.probe.port}"
                url = f"http://{address}{service.probe.path}" if service.probe.path else ""
                found.append(
                    {
                        "name": service.key,
                        "url": url,
                        "address": address,
                        "target": url or f"tcp://{address}",
                        "condition": "[STATUS] == 200" if url else "[CONNECTED] == true",
                    }
                )
    return found


def status_routes(resolution: Resolution) -> list[Plain]:
    """What people reach on the canonical way, as addresses that answer below 400."""
    found, urls = [], public_urls(resolution)
    for component in resolution.components:
        if component.name not in urls:
            continue
        routed = next(s for s in component.services if s.key == component.manifest.routed_service)
        url = resolution.ways[0].api_origin if component.subdomain == "api" else urls[component.name]
        if url:
            found.append({"title": component.manifest.title, "url": f"{url}{routed.probe.path if routed.probe else '/'}"})
    return found


def _networks(resolution: Resolution, service: ServiceManifest) -> list[Plain]:
    names = [service.key, *service.aliases]
    if service.publishes_entry_ports:
        subdomains = tuple(c.subdomain for c in resolution.components if c.subdomain is not None)
        names += aliases(resolution.ways, subdomains)
    networks = (*service.networks, ENTRY) if service.publishes_entry_ports and resolution.needs.access.shared else service.networks
    return [
        {"key": network, "aliases": list(dict.fromkeys(names)) if index == 0 else [service.key]} for index, network in enumerate(networks)
    ]
