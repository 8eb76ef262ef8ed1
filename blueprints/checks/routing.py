"""Rules about names, routers and certificates: incidents 9 to 12, 26 and 38. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

from blueprints.certificates import PER_DOMAIN_AND_WEEK
from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject
from blueprints.checks.routers import Router, file_targets, static_settings
from blueprints.checks.services import STORES, Service, of_family, reached
from orgs.grammar import is_address

_LIVE = "acme-v02.api.letsencrypt.org"
_PRIVATE = (".localhost", ".local", ".lan", ".internal", ".test", ".ts.net", ".invalid")
_ROUTER_KEYS = r"rule|rulesyntax|entrypoints|service|middlewares|priority|tls|tls\.certresolver|tls\.options|tls\.passthrough|tls\.domains(\[\d+\])?(\.(main|sans))?|observability\..+"
_BALANCER = r"loadbalancer\.(server\.(port|scheme|url|weight|preservepath)|passhostheader|healthcheck\..+|sticky(\..+)?|serverstransport|responseforwarding\..+|proxyprotocol\.version|terminationdelay|strategy)"
_KINDS = (
    "addprefix|basicauth|buffering|chain|circuitbreaker|compress|contenttype|digestauth|errors|forwardauth|grpcweb|headers|ipallowlist|ipwhitelist|"
    "inflightconn|inflightreq|passtlsclientcert|plugin|ratelimit|redirectregex|redirectscheme|replacepath|replacepathregex|retry|stripprefix|stripprefixregex"
)
_LABEL = re.compile(
    rf"\Atraefik\.(enable|(docker|swarm)\.(network|lbswarm)|(http|tcp|udp)\.(routers\.[^.]+\.({_ROUTER_KEYS})|services\.[^.]+\.{_BALANCER}"
    rf"|middlewares\.[^.]+\.({_KINDS})(\..+)?|serverstransports\..+))\Z",
    re.IGNORECASE,
)
_MATCHERS = re.compile(
    r"\A(?:\s|&&|\|\||!|[()]|(?:Host|HostRegexp|HostSNI|HostSNIRegexp|Path|PathPrefix|PathRegexp|Method|Headers?|HeaderRegexp|HeadersRegexp|"
    r"Query|QueryRegexp|ClientIP|ALPN)\((?:\s*`[^`]*`\s*,?)*\))*\Z"
)


def every_way_has_its_router(subject: Subject) -> Answer:
    """Each row of the route matrix is a router of its host and entry point, and leads to its component."""
    rows = [row for row in subject.blueprint.get("routes", ()) if row["router"]]
    if not rows:
        return NotApplicable("there is no route matrix to compare the routers with")
    return tuple(_rows_without(subject, rows))


def _rows_without(subject: Subject, rows: list[Mapping[str, Any]]) -> Iterator[Found]:
    targets = file_targets(subject.services)
    for row in rows:
        fitting = [r for r in subject.routers if row["host"] in r.hosts and (not r.entrypoints or row["entry_point"] in r.entrypoints)]
        if not fitting:
            yield Found(f"{row['title']} by {row['way']}", f"no router answers to {row['host']} on port {row['port']}")
        elif not any(_leads_to(subject, router, targets, str(row["component"])) for router in fitting):
            yield Found(f"router {fitting[0].name}", f"{row['host']} does not lead to {row['title']}")


def _leads_to(subject: Subject, router: Router, targets: Mapping[str, tuple[str, ...]], component: str) -> bool:
    if router.is_label:
        return any(service.name == router.owner and service.component == component for service in subject.services)
    hosts = {urlsplit(url).hostname for url in targets.get(router.service, ())}
    return any(service.component == component and hosts & service.names for service in subject.services)


def every_way_answers(subject: Subject) -> Answer:
    """Each enabled way, asked for its host."""
    assert subject.running is not None  # noqa: S101 - the registry asks only with it
    if not subject.running.ways:
        return NotApplicable("no way in leads to anything")
    return tuple(Found(title, problem) for title, problem in subject.running.ways.items() if problem)


def router_names_are_unique(subject: Subject) -> Answer:
    """A router's name once in each protocol, over everything that stays."""
    if not subject.routers:
        return NotApplicable("nothing is routed")
    owners: dict[tuple[str, str], list[str]] = {}
    for router in subject.routers:
        owners.setdefault((router.protocol, router.name), []).append(router.owner)
    return tuple(
        Found(f"{protocol} router {name}", f"claimed by {' and by '.join(claiming)}")
        for (protocol, name), claiming in owners.items()
        if len(claiming) > 1
    )


def nothing_runs_beside_the_plan(subject: Subject) -> Answer:
    """Services of the organization that no blueprint knows."""
    assert subject.running is not None  # noqa: S101 - the registry asks only with it
    known = {service.name for service in subject.services}
    return tuple(Found(name, "runs, and is in no blueprint") for name in subject.running.services if name not in known)


def labels_are_ones_the_proxy_knows(subject: Subject) -> Answer:
    """Every traefik label by its schema, every rule by its grammar, every middleware defined."""
    labelled = [service for service in subject.services if any(key.startswith("traefik.") for key in service.args.labels)]
    misplaced = [s for s in subject.services if any(key.startswith("traefik.") for key in s.args.container_labels)]
    if not labelled and not misplaced:
        return NotApplicable("no service carries labels for the proxy")
    return (
        *(found for service in labelled for found in _bad_labels(service)),
        *(Found(s.name, "has the proxy's labels on its containers; in a swarm it reads the service's") for s in misplaced),
        *(
            Found(f"{router.owner} router {router.name}", f"rule {router.rule!r} is none that the proxy reads")
            for router in subject.routers
            if router.is_label and not _MATCHERS.match(router.rule or "-")
        ),
    )


def _bad_labels(service: Service) -> Iterator[Found]:
    for label in service.args.labels:
        if label.startswith("traefik.") and not _LABEL.match(label):
            yield Found(f"{service.name} {label}", "is no label that the proxy knows")
    defined = {
        found[1] for label in service.args.labels if (found := re.match(r"(?i)traefik\.(?:http|tcp)\.middlewares\.([^.]+)\.", label))
    }
    for label, value in service.args.labels.items():
        if re.search(r"(?i)\.routers\.[^.]+\.middlewares\Z", label):
            for name in value.split(","):
                if "@" not in name and name.strip() not in defined:
                    yield Found(f"{service.name} {label}", f"middleware {name.strip()} is not defined beside it")


def routed_services_meet_the_proxy(subject: Subject) -> Answer:
    """What is routed shares a network with the proxy, and the proxy is told which."""
    proxies = of_family(subject.services, "traefik")
    if not proxies or not subject.routers:
        return NotApplicable("nothing is routed by a proxy that is part of it")
    settings = static_settings(subject.services)
    told = str(((settings.get("providers") or {}).get("docker") or (settings.get("providers") or {}).get("swarm") or {}).get("network", ""))
    by_name = {service.name: service for service in subject.services}
    routed = [by_name[name] for name in dict.fromkeys(r.owner for r in subject.routers if r.is_label) if name in by_name]
    found = [found for service in routed for found in _not_met(service, proxies, told)]
    for name, urls in file_targets(subject.services).items():
        for host in {urlsplit(url).hostname or "" for url in urls}:
            if "." not in host and not any(list(reached(proxy, host, subject.services)) for proxy in proxies):
                found.append(Found(f"route to {name}", f"the proxy knows no {host} in its networks"))
    return tuple(found)


def _not_met(service: Service, proxies: tuple[Service, ...], told: str) -> Iterator[Found]:
    if service in proxies:
        return
    own = service.args.labels.get("traefik.docker.network") or service.args.labels.get("traefik.swarm.network") or told
    shared = {network for proxy in proxies for network in service.networks & proxy.networks}
    if not shared:
        yield Found(
            service.name, f"is routed, and is in none of the proxy's networks (it is in {', '.join(sorted(service.networks)) or 'none'})"
        )
    elif own and own not in shared and not any(network.endswith(f"_{own}") for network in shared):
        yield Found(service.name, f"the proxy is told to reach it in {own}, which the two do not share")
    elif not own and len(service.networks) > 1:
        yield Found(service.name, f"is in {len(service.networks)} networks, and the proxy is not told which to use")


def _live(subject: Subject) -> list[tuple[str, Router]]:
    """Host and router of every name that the real authority is asked about."""
    resolvers = static_settings(subject.services).get("certificatesResolvers") or {}
    live = {name for name, given in resolvers.items() if _LIVE in str(((given or {}).get("acme") or {}).get("caServer") or _LIVE)}
    return [(host, r) for r in subject.routers if r.resolver and (r.resolver in live or not resolvers) for host in r.hosts]


def _is_public(host: str) -> bool:
    return not is_address(host) and "." in host and not host.endswith(_PRIVATE)


def only_public_names_ask_the_real_authority(subject: Subject) -> Answer:
    """A name that the internet cannot know must not cost a failed validation."""
    live = _live(subject)
    if not live:
        return NotApplicable("nobody asks the real authority for a certificate")
    return tuple(
        Found(f"router {router.name}", f"asks a public authority about {host}, which no name server knows")
        for host, router in live
        if not _is_public(host)
    )


def certificates_stay_within_the_week(subject: Subject) -> Answer:
    """What a registered domain may be given in a week."""
    live = sorted({host for host, _ in _live(subject) if _is_public(host)})
    if not live:
        return NotApplicable("nobody asks the real authority for a certificate")
    domains: dict[str, int] = {}
    for host in live:
        domain = ".".join(host.split(".")[-2:])
        domains[domain] = domains.get(domain, 0) + 1
    return tuple(
        Found(domain, f"{count} names ask for a certificate, and {PER_DOMAIN_AND_WEEK} a week are given")
        for domain, count in domains.items()
        if count > PER_DOMAIN_AND_WEEK
    )


def names_lead_here(subject: Subject) -> Answer:
    """Before the real authority is asked: DNS knows every name, and says this machine."""
    assert subject.target is not None  # noqa: S101 - the registry asks only with it
    hosts = sorted({host for host, _ in _live(subject) if _is_public(host)})
    if not hosts:
        return NotApplicable("nobody asks the real authority for a certificate")
    mine = set(subject.target.addresses)
    found = []
    for host in hosts:
        leads = subject.target.names.get(host, ())
        if not leads:
            found.append(Found(host, "no name server knows it"))
        elif mine and not mine & set(leads):
            found.append(Found(host, f"leads to {', '.join(leads)}, which is not this machine ({', '.join(sorted(mine))})"))
    return tuple(found)


def every_configured_way_is_used(subject: Subject) -> Answer:
    """An address that somebody configured stands in some router's rule."""
    ways = {
        str(way["way"]): str(way.get("host") or way.get("web_host", "")) for way in (subject.blueprint.get("access") or {}).get("ways", ())
    }
    if not ways:
        return NotApplicable("it does not say by which ways it is reached")
    hosts = {host for router in subject.routers for host in router.hosts}
    return tuple(
        Found(f"access.{way}", f"{host} is configured, and no router's rule names it") for way, host in ways.items() if host not in hosts
    )


def every_input_is_used(subject: Subject) -> Answer:
    """A question whose answer changes nothing."""
    if subject.unused_inputs is None:
        return NotApplicable("its templates are not at hand; ask for a needs file or an organization")
    return tuple(
        Found(f"options.{name}.{given}", "is asked for, and no template uses it")
        for name, all_ in subject.unused_inputs.items()
        for given in all_
    )


def stores_are_not_public(subject: Subject) -> Answer:
    """Databases, caches, brokers and the secret store are reached from inside; a league's own additions may publish what they like."""
    stores = [s for s in of_family(subject.services, *STORES) if s.component != "local"]
    if not stores:
        return NotApplicable("it has no store of its own")
    targets = file_targets(subject.services)
    found = []
    for store in stores:
        for router in subject.routers:
            hosts = {urlsplit(url).hostname for url in targets.get(router.service, ())}
            if (router.is_label and router.owner == store.name) or (not router.is_label and hosts & store.names):
                found.append(Found(store.name, f"{router.protocol} router {router.name} leads to it: {router.rule}"))
        found += [Found(store.name, f"port {port.published} is published on the machine") for port in store.args.ports]
    return tuple(found)


def brokers_have_no_guest(subject: Subject) -> Answer:
    """A broker with the user everybody knows."""
    brokers = of_family(subject.services, "rabbitmq")
    if not brokers:
        return NotApplicable("it has no broker")
    return tuple(
        Found(broker.name, "has no user of its own, so guest with the password guest is let in")
        for broker in brokers
        if "RABBITMQ_DEFAULT_USER" not in broker.args.environment
        and not any(re.search(r"^\s*(default_user|load_definitions)\s*=", config.text or "", re.MULTILINE) for config in broker.configs)
    )


RULES = (
    Rule("I09-host-of-every-way", "block", "lint", "Every way in has a router for its host that leads to the right service.",
         "Make the blueprint again; where a label is written by hand, let its rule name every host people use.", every_way_has_its_router),
    Rule("I09-way-answers", "block", "probe", "Every way in answers when it is asked by its own host.",
         "`sprocket routes ORG --probe` says what each answers; a 404 is a router that is missing, a 502 a service that does not run.",
         every_way_answers, "running"),
    Rule("I10-duplicate-router", "block", "lint", "No two services claim the same router.",
         "Give each router a name of its own, and remove the service that is left over from an earlier deployment.", router_names_are_unique),
    Rule("I10-service-beside-the-plan", "warning", "probe", "Nothing of the organization runs that no blueprint knows.",
         "Remove it (`docker service rm NAME`), or bring it into the blueprint: an orphan may answer in place of the real one.",
         nothing_runs_beside_the_plan, "running"),
    Rule("I11-proxy-labels", "block", "lint", "Every label for the proxy is one it knows, on the service.",
         "Correct the label; the proxy ignores what it does not know, without a word.", labels_are_ones_the_proxy_knows),
    Rule("I11-proxy-network", "block", "lint", "Every routed service shares a network with the proxy, and the proxy is told which.",
         "Attach the service to the proxy's network, and name that network in the proxy's settings or in traefik.docker.network.",
         routed_services_meet_the_proxy),
    Rule("I12-real-authority-for-public-names", "block", "lint", "Only names of the internet ask the real certificate authority.",
         "Take the resolver from that router, or use the staging authority: failed validations are limited by the hour.",
         only_public_names_ask_the_real_authority),
    Rule("I12-certificate-budget", "warning", "lint", "The certificates asked for fit into the authority's weekly limit.",
         "Spread the names over several weeks, ask for one wildcard by DNS, or stay with the staging authority meanwhile.",
         certificates_stay_within_the_week),
    Rule("I12-names-lead-here", "block", "preflight", "Every name that asks the real authority leads to this machine.",
         "Make the DNS record and wait until it is known, then choose live certificates.", names_lead_here, "target"),
    Rule("I26-way-unused", "warning", "lint", "Every address that is configured is used by a router.",
         "Give the way a router, or take its address out of the answers: it promises what does not work.", every_configured_way_is_used),
    Rule("I26-input-unused", "warning", "lint", "Every question of a component changes something.",
         "Use the input in the component's templates, or take it out of its manifest.", every_input_is_used),
    Rule("I38-store-is-public", "block", "lint", "No database, cache, broker or secret store can be reached from outside.",
         "Take the route or the port away; whoever needs it from outside goes through a tunnel.", stores_are_not_public),
    Rule("I38-guest-user", "block", "lint", "No broker lets in the user guest.",
         "Give it a user of its own and a password from a secret.", brokers_have_no_guest),
)  # fmt: skip
