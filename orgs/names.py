"""Whether a name is free: two organizations of one control plane never answer to the same one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from orgs.grammar import shown
from orgs.needs import Access
from sprocket_v2.errors import NeedsError


def refuse_taken_names(access: Access, others: Iterable[Mapping[str, Any]]) -> None:
    """Refuse a name that another organization's needs hold.

    A domain is taken with every name beneath it, or `api.<theirs>` could be asked for and get their players' sign-ins. A name
    of this machine's is taken whatever the port, since browsers keep cookies by name alone. An address or name in a local
    network or VPN is the machine's, which organizations may share: there it is the port that is taken.

    Args:
        others: `access` of the other organizations' newest needs, as plain data.
    Raises:
        NeedsError: says that it is taken, and never by whom.
    """
    for theirs in others:
        _refuse_domain(access, theirs.get("public") or {})
        local = theirs.get("localhost") or {}
        if access.localhost and access.localhost.host == local.get("host"):
            raise _taken("access.localhost.host", access.localhost.host, "choose another name that ends in localhost")
        for way in ("lan", "vpn"):
            near, their = getattr(access, way), theirs.get(way) or {}
            if near is None or near.host != their.get("host"):
                continue
            for port in ("port", "api_port"):
                if getattr(near, port) in (their.get("port"), their.get("api_port")):
                    raise _taken(f"access.{way}.{port}", f"{near.host}:{getattr(near, port)}", "choose another port, or another name")


def _refuse_domain(access: Access, theirs: Mapping[str, Any]) -> None:
    ours, domain = access.public.domain if access.public else "", str(theirs.get("domain", ""))
    if ours and domain and (f".{ours}".endswith(f".{domain}") or f".{domain}".endswith(f".{ours}")):
        raise _taken("access.public.domain", ours, "choose another domain")


def _taken(where: str, name: str, hint: str) -> NeedsError:
    return NeedsError(f"{where}: {shown(name)} is taken", hint=hint, where=where)
