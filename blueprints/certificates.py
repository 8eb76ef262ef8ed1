"""Where the ways in get their certificates: authorities, challenges, files. Pure.

An organization brings its own as secrets, or Traefik asks an authority over ACME. A way over a VPN never asks anybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from blueprints.access import WayIn
from orgs.grammar import is_address
from orgs.needs import Access, DnsProvider

DIRECTORIES = {
    "staging": "https://acme-staging-v02.api.letsencrypt.org/directory",
    "live": "https://acme-v02.api.letsencrypt.org/directory",
}
AUTHORITIES = {
    "": "none (plain HTTP)",
    "own": "your own",
    "staging": "Let's Encrypt's staging authority, which browsers do not trust",
    "live": "Let's Encrypt",
    "private": "the private authority",
}
# Variable in which lego, which Traefik contains, takes the provider's one token; with _FILE behind it, from a file.
# Source: go-acme.github.io/lego/dns, providers that need no second value; each name is in Traefik 3.7's binary.
DNS_TOKENS: dict[DnsProvider, str] = {
    "cloudflare": "CLOUDFLARE_DNS_API_TOKEN",
    "desec": "DESEC_TOKEN",
    "digitalocean": "DO_AUTH_TOKEN",
    "dnsimple": "DNSIMPLE_OAUTH_TOKEN",
    "duckdns": "DUCKDNS_TOKEN",
    "gandiv5": "GANDIV5_PERSONAL_ACCESS_TOKEN",
    "hetzner": "HETZNER_API_TOKEN",
    "linode": "LINODE_TOKEN",
    "netlify": "NETLIFY_TOKEN",
    "vultr": "VULTR_API_KEY",
}
# Source: letsencrypt.org/docs/rate-limits. Renewals that carry the old certificate's identity do not count.
PER_DOMAIN_AND_WEEK = 50
SAME_NAMES_AND_WEEK = 5
SECRETS = "/run/secrets"
AUTHORITY_SECRET = "acme-authority"  # noqa: S105 - a name


@dataclass(frozen=True, slots=True)
class Budget:
    """What a first issuance takes out of Let's Encrypt's weekly limits: one certificate for each name."""

    names: tuple[str, ...]
    authority: str

    @property
    def left(self) -> int:
        """Certificates the registered domain may still have that week, when nobody else asks."""
        return PER_DOMAIN_AND_WEEK - len(self.names)


def budget(ways: Sequence[WayIn], subdomains: Sequence[str]) -> Budget | None:
    """The names a public way asks certificates for; None where no way asks Let's Encrypt."""
    way = next((way for way in ways if way.certificate in DIRECTORIES), None)
    if way is None:
        return None
    names = dict.fromkeys(f"{subdomain}.{way.host}" if subdomain else way.host for subdomain in subdomains)
    return Budget(tuple(names), way.certificate)


def certificate_facts(access: Access, ways: Sequence[WayIn]) -> dict[str, Any]:
    """What Traefik's and the site's templates print about certificates.

    `own` lists brought pairs. `default` is the pair shown to clients that name no host, as those do which call an address.
    `trust` is the file that containers have to trust to call the canonical way, empty where the system's authorities do;
    `trust_is_ours` says that a program on this machine would not trust it either.
    """
    own = [{"way": way.way, **_pair(way)} for way in ways if way.certificate == "own"]
    unnamed = next((way for way in ways if way.certificate == "own" and is_address(way.host)), None)
    public = access.public
    return {
        "wanted": public is not None,
        "email": public.email if public else "",
        "authority": public.certificates if public else "",
        "server": (public.acme_server or DIRECTORIES[public.certificates]) if public else "",
        "own_authority": f"{SECRETS}/{AUTHORITY_SECRET}" if public and public.certificates == "private" else "",
        "challenge": public.challenge if public else "",
        "dns_provider": public.dns_provider if public and public.challenge == "dns" else "",
        "dns_variable": f"{DNS_TOKENS[public.dns_provider]}_FILE" if public and public.challenge == "dns" else "",
        "dns_token": f"{SECRETS}/dns-token",
        "own": own,
        "default": _pair(unnamed) if unnamed else {},
        "hsts": bool(public and public.hsts),
        "trust": _trust(ways[0]),
        "trust_is_ours": ways[0].certificate in ("own", "staging", "private"),
    }


def _pair(way: WayIn) -> dict[str, str]:
    return {"certificate": f"{SECRETS}/{way.way}-certificate", "key": f"{SECRETS}/{way.way}-certificate-key"}


def _trust(canonical: WayIn) -> str:
    if canonical.certificate == "own":
        return f"{SECRETS}/{canonical.way}-certificate"
    return f"{SECRETS}/{AUTHORITY_SECRET}" if canonical.certificate == "private" else ""
