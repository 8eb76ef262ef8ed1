"""The ways in as addresses: origins, hosts, ports, who is let through. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from orgs.grammar import is_address
from orgs.needs import Access, Way

# Requests from the machine itself reach Traefik from the gateway of docker_gwbridge (measured), requests between containers
# from the overlay's pool. Docker takes both from these ranges unless told otherwise.
_MACHINE = ("127.0.0.0/8", "::1/128", "172.16.0.0/12", "10.0.0.0/8")
_ALLOWED: dict[Way, tuple[str, ...]] = {
    "localhost": _MACHINE,
    "lan": (*_MACHINE, "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"),
    "vpn": (*_MACHINE, "100.64.0.0/10", "fd7a:115c:a1e0::/48"),
    "public": ("0.0.0.0/0", "::/0"),
}


@dataclass(frozen=True, slots=True)
class WayIn:
    """One way to reach the deployment.

    Attributes:
        host: of the web; the API's is `api_host`. Equal where the host admits no subdomain.
        port, api_port: entry ports on the machine.
        subdomains: whether `<name>.<host>` can be reached.
        allowed: CIDR ranges whose requests are let through.
        certificate: who signs it: empty for plain HTTP, else own, staging, live or private.
        hsts: whether browsers are told to insist on HTTPS.
    """

    way: Way
    host: str
    api_host: str
    port: int
    api_port: int
    tls: bool
    subdomains: bool
    allowed: tuple[str, ...]
    email: str = ""
    certificate: str = ""
    hsts: bool = False

    @property
    def is_acme(self) -> bool:
        """Its certificates are asked for over ACME, rather than brought."""
        return self.certificate in ("staging", "live", "private")

    @property
    def web_origin(self) -> str:
        """Scheme, host and, where it is not the scheme's own, port."""
        return _origin(self.tls, self.host, self.port)

    @property
    def api_origin(self) -> str:
        """The API's origin."""
        return _origin(self.tls, self.api_host, self.api_port)

    @property
    def api_address(self) -> str:
        """The API as `host[:port]` without scheme, as the web application wants it."""
        return self.api_origin.partition("://")[2]


def ways_in(access: Access) -> tuple[WayIn, ...]:
    """All ways in use, the canonical one first."""
    return tuple(_way_in(access, way) for way in access.ways())


def _way_in(access: Access, way: Way) -> WayIn:
    allowed = _ALLOWED[way]
    if way == "localhost" and access.localhost:
        local = access.localhost
        return WayIn(way, local.host, f"api.{local.host}", local.port, local.port, False, True, allowed)
    if way == "public" and access.public:
        public = access.public
        api = f"api.{public.domain}"
        return WayIn(way, public.domain, api, 443, 443, True, True, allowed, public.email, public.certificates, public.hsts)
    near = access.lan if way == "lan" else access.vpn
    assert near is not None  # noqa: S101 - `ways()` names only ways that are there
    own = near.certificate == "own"
    return WayIn(way, near.host, near.host, near.port, near.api_port, own, False, allowed, certificate="own" if own else "")


def _origin(tls: bool, host: str, port: int) -> str:
    scheme, usual = ("https", 443) if tls else ("http", 80)
    return f"{scheme}://{host}" if port == usual else f"{scheme}://{host}:{port}"


def aliases(ways: tuple[WayIn, ...], subdomains: tuple[str, ...]) -> tuple[str, ...]:
    """Public names Traefik answers to inside the deployment, so that server-side calls reach it. Addresses need none."""
    names = []
    for way in ways:
        if is_address(way.host):
            continue
        names += [f"{sub}.{way.host}" if sub else way.host for sub in (subdomains if way.subdomains else ("",))]
    return tuple(dict.fromkeys(names))
