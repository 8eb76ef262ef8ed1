"""Cases of the rules about names, routers and certificates."""

from __future__ import annotations

from blueprints.checks.facts import Running, Target
from tests.blueprints.checks.estates import Case, port, routed, service, subject, traefik

_ROW = {
    "router": "localhost-web",
    "host": "a.localhost",
    "entry_point": "port-8080",
    "component": "web",
    "title": "Web",
    "way": "localhost",
    "port": 8080,
}
_ROUTES = """\
http:
  routers:
    "localhost-web":
      rule: "Host(`a.localhost`)"
      entryPoints: ["port-8080"]
      service: "web"
  services:
    "web":
      loadBalancer:
        servers:
          - url: "http://web:3000"
"""
_STATIC = """\
providers:
  docker:
    network: net
certificatesResolvers:
  real:
    acme: {}
"""
_REAL = {"traefik.http.routers.web.tls.certresolver": "real"}
_WEB = service("web", facts={"component": "web"})
_WAYS = {"access": {"ways": [{"way": "lan", "host": "192.168.0.5"}]}}


def _names(count: int) -> tuple[object, ...]:
    return tuple(routed(f"s{n}", f"n{n}.example.org", labels={f"traefik.http.routers.s{n}.tls.certresolver": "real"}) for n in range(count))


CASES = {
    "I09-host-of-every-way": Case(
        subject(traefik(routes=_ROUTES.replace("a.localhost", "b.localhost")), _WEB, blueprint={"routes": [_ROW]}),
        "no router answers to a.localhost",
        subject(traefik(routes=_ROUTES), _WEB, blueprint={"routes": [_ROW]}),
    ),
    "I09-way-answers": Case(
        subject(_WEB, running=Running(ways={"Web by lan": "answered 404"})),
        "answered 404",
        subject(_WEB, running=Running(ways={"Web by lan": ""})),
    ),
    "I10-duplicate-router": Case(
        subject(routed("web", "a.org"), service("old", labels={"traefik.http.routers.web.rule": "Host(`a.org`)"})),
        "claimed by web and by old",
        subject(routed("web", "a.org"), service("db", labels={"traefik.tcp.routers.web.rule": "HostSNI(`a.org`)"})),
    ),
    "I10-service-beside-the-plan": Case(
        subject(_WEB, running=Running(services=("web", "web-3f2a1b7"))),
        "is in no blueprint",
        subject(_WEB, running=Running(services=("web",))),
    ),
    "I11-proxy-labels": Case(
        subject(routed("web", "a.org", labels={"traefik.http.router.web.entrypoints": "websecure"})),
        "is no label that the proxy knows",
        subject(
            routed(
                "web",
                "a.org",
                labels={
                    "traefik.http.routers.web.entryPoints": "websecure",
                    "traefik.http.routers.web.tls.certResolver": "real",
                    "traefik.http.services.web.loadbalancer.server.port": "3000",
                    "traefik.http.middlewares.web.forwardauth.address": "https://a.org/login?rule=Admin",
                    "traefik.http.routers.web.middlewares": "web",
                },
            )
        ),
    ),
    "I11-proxy-network": Case(
        subject(traefik(_STATIC, networks=("edge",)), routed("web", "a.org", networks=("inside",))),
        "is in none of the proxy's networks",
        subject(traefik(_STATIC, networks=("net",)), routed("web", "a.org", networks=("net", "inside"))),
    ),
    "I12-real-authority-for-public-names": Case(
        subject(traefik(_STATIC), routed("web", "sprocket.localhost", labels=_REAL)),
        "asks a public authority about sprocket.localhost",
        subject(traefik(_STATIC), routed("web", "league.example.org", labels=_REAL)),
    ),
    "I12-certificate-budget": Case(
        subject(traefik(_STATIC), *_names(51)),
        "51 names ask for a certificate",
        subject(traefik(_STATIC), *_names(50)),
    ),
    "I12-names-lead-here": Case(
        subject(
            traefik(_STATIC),
            routed("web", "a.example.org", labels=_REAL),
            target=Target(names={"a.example.org": ("198.51.100.7",)}, addresses=("203.0.113.5",)),
        ),
        "leads to 198.51.100.7, which is not this machine",
        subject(
            traefik(_STATIC),
            routed("web", "a.example.org", labels=_REAL),
            target=Target(names={"a.example.org": ("203.0.113.5",)}, addresses=("203.0.113.5",)),
        ),
    ),
    "I26-way-unused": Case(
        subject(routed("web", "a.org"), blueprint=_WAYS),
        "192.168.0.5 is configured, and no router's rule names it",
        subject(service("web", labels={"traefik.http.routers.web.rule": "Host(`a.org`) || Host(`192.168.0.5`)"}), blueprint=_WAYS),
    ),
    "I26-input-unused": Case(
        subject(unused_inputs={"web": ("server_ip",)}), "is asked for, and no template uses it", subject(unused_inputs={})
    ),
    "I38-store-is-public": Case(
        subject(service("cache", "redis:7.0", labels={"traefik.tcp.routers.cache.rule": "HostSNI(`redis.a.org`)"})),
        "tcp router cache leads to it",
        subject(service("cache", "redis:7.0"), service("web", ports=(port(80),))),
    ),
    "I38-guest-user": Case(
        subject(service("broker", "rabbitmq:3.13", files={"/etc/rabbitmq/rabbitmq.conf": "# default_user = x\nheartbeat = 60\n"})),
        "guest",
        subject(service("broker", "rabbitmq:3.13", files={"/etc/rabbitmq/rabbitmq.conf": "load_definitions = /run/d.json\n"})),
    ),
}
