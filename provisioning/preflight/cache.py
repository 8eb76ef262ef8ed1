"""An existing Redis: TLS, password, version, JSON module, database 13, memory. The only importer of redis."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Iterator, Mapping
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from provisioning.preflight.network import DEADLINE_S, Peer, certificate, reach
from provisioning.preflight.result import Result, without_values

MIN_VERSION = 5
DATABASE = 13  # the API keeps its response cache there
_TITLE = "Redis"


def check_cache(facts: Mapping[str, Any], password: str, peer: Peer, *, least: int = MIN_VERSION) -> Iterator[Result]:
    """Everything about an existing Redis.

    Args:
        facts: `existing.cache` of blueprint.json; `json` says whether the JSON module is needed.
        least: the oldest major version that is taken.
    """
    reached = reach(peer)
    yield reached.result
    if not reached.address:
        return
    if facts["tls"]:
        tls = certificate(peer, reached.address, must_hold=True)
        yield tls
        if tls.state == "block":
            return
    try:
        with contextlib.closing(_client(facts, password, peer)) as client:
            yield from _signed_in(client, facts, peer, least)
    except redis.AuthenticationError:
        if _lets_everybody_in(facts, peer):
            sentence = f"{_TITLE}: it has no password, and the applications refuse a Redis without one."
            yield peer.result("sign-in", "block", sentence, "Set requirepass at the server, and the same as secret redis-password.", "host")
        else:
            sentence = f"{_TITLE}: it does not take the password."
            yield peer.result("sign-in", "block", sentence, "Set the secret redis-password to the server's own.", "host")
    except redis.RedisError as error:
        said = without_values(str(error), {"password": password}).rstrip(".")
        remedy = "Look at the server, and whether tls in the needs is as it speaks; then look again."
        yield peer.result("answers", "block", f"{_TITLE}: it does not answer as a Redis does: {said}.", remedy, "tls")


def _lets_everybody_in(facts: Mapping[str, Any], peer: Peer) -> bool:
    try:
        with contextlib.closing(_client(facts, None, peer)) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False


def _client(facts: Mapping[str, Any], password: str | None, peer: Peer) -> redis.Redis:
    """A connection that is made at once, and only once."""
    encrypted: dict[str, Any] = {}
    if facts["tls"]:
        encrypted = {"ssl": True, "ssl_check_hostname": True, **({"ssl_ca_certs": str(peer.trust)} if peer.trust else {})}
    return redis.Redis(
        host=peer.host,
        port=peer.port,
        password=password,
        socket_timeout=DEADLINE_S,
        socket_connect_timeout=DEADLINE_S,
        retry=Retry(NoBackoff(), 0),
        single_connection_client=True,
        protocol=2,
        **encrypted,
    )


def _signed_in(client: redis.Redis, facts: Mapping[str, Any], peer: Peer, least: int) -> Iterator[Result]:
    client.ping()
    yield peer.result("sign-in", "pass", f"{_TITLE}: it takes the password.")
    server: Any = client.info()
    version = str(server.get("redis_version", "0"))
    if int(version.partition(".")[0]) < least:
        sentence = f"{_TITLE}: it is version {version}, the oldest that works is {least}."
        yield peer.result("version", "block", sentence, f"Upgrade it to {least} or newer.", "host")
    else:
        yield peer.result("version", "pass", f"{_TITLE}: it is version {version}.")
    if facts["json"]:
        yield _json(client, peer)
    yield _database(client, peer)
    yield _memory(server, peer)


def _json(client: Any, peer: Peer) -> Result:  # noqa: ANN401 - the library's raw commands have no types
    """Asked for by using it: what a server lists as a module it may still not let this user do."""
    key = f"sprocket-preflight:{secrets.token_hex(8)}"
    try:
        client.execute_command("JSON.SET", key, "$", '"look"')
        client.execute_command("DEL", key)
    except redis.ResponseError:
        sentence = f"{_TITLE}: it has no JSON module, which notifications are kept with."
        remedy = "Take a Redis with RedisJSON (Redis 8, Redis Stack), or set features.notifications to false."
        return peer.result("json", "block", sentence, remedy, "host")
    return peer.result("json", "pass", f"{_TITLE}: it has the JSON module, which notifications need.")


def _database(client: Any, peer: Peer) -> Result:  # noqa: ANN401 - as above
    try:
        client.execute_command("SELECT", DATABASE)
    except redis.ResponseError:
        sentence = f"{_TITLE}: it has no database {DATABASE}, where the API keeps its cache."
        return peer.result("database", "block", sentence, "Set databases to 16, and cluster mode off, at the server.", "host")
    return peer.result("database", "pass", f"{_TITLE}: it has a database {DATABASE}.")


def _memory(server: Mapping[str, Any], peer: Peer) -> Result:
    most, policy = int(server.get("maxmemory") or 0), str(server.get("maxmemory_policy", ""))
    if most and policy == "noeviction":
        sentence = f"{_TITLE}: when its {most // 2**20} MiB are full it refuses to write (noeviction)."
        return peer.result("memory", "warn", sentence, "Set maxmemory-policy to allkeys-lru or volatile-lru.", "host")
    if not most:
        sentence = f"{_TITLE}: it has no limit of memory, so the cache can grow until the server is full."
        return peer.result("memory", "warn", sentence, "Set maxmemory, 128 MiB or more, with allkeys-lru.", "host")
    return peer.result("memory", "pass", f"{_TITLE}: it keeps {most // 2**20} MiB, then lets old entries go ({policy}).")
