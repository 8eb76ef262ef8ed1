"""An existing PostgreSQL: TLS, sign-in, version, rights, room for connections, what is in it. The only importer of psycopg."""

from __future__ import annotations

import secrets
import socket
import struct
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from provisioning.preflight.network import DEADLINE_S, Peer, certificate, reach
from provisioning.preflight.result import Result, without_values

MIN_VERSION = 13  # the oldest that the applications' migrations and our own dumps are known to work with
_TITLE = "Database"
_SSL_REQUEST = struct.pack("!ii", 8, 80877103)  # the protocol's own number
_FOREIGN = """
    select n.nspname || '.' || c.relname from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where c.relkind in ('r', 'p') and n.nspname not in ('pg_catalog', 'information_schema') and n.nspname not like 'pg\\_%%'
    order by 1 limit 200
"""
_LIMITS = """
    select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int,
           (select datconnlimit from pg_database where datname = current_database()),
           (select rolconnlimit from pg_roles where rolname = current_user),
           (select count(*) from pg_stat_activity where datname is not null and pid <> pg_backend_pid())
"""


def check_database(facts: Mapping[str, Any], password: str, peer: Peer, *, least: int = MIN_VERSION) -> Iterator[Result]:
    """Everything about an existing database.

    Args:
        facts: `existing.database` of blueprint.json.
        least: the oldest major version that is taken.
    """
    reached = reach(peer)
    yield reached.result
    if not reached.address:
        return
    tls = certificate(peer, reached.address, must_hold=False, begin=_asks_for_tls)
    yield tls
    if tls.state == "block":
        return
    try:
        connection = psycopg.connect(
            host=peer.host,
            hostaddr=reached.address,
            port=peer.port,
            user=facts["user"],
            dbname=facts["name"],
            password=password,
            sslmode="require",
            connect_timeout=int(DEADLINE_S),
            application_name="sprocket-preflight",
            options=f"-c statement_timeout={int(DEADLINE_S * 1000)} -c lock_timeout={int(DEADLINE_S * 1000)}",
            passfile="/dev/null",
            autocommit=True,
        )
    except psycopg.Error as error:
        said = without_values(str(error).rpartition("FATAL:")[2], {"password": password})
        sentence = f"{_TITLE}: it does not let user {facts['user']} into {facts['name']}: {said.rstrip('.')}."
        remedy = "Correct user and database in the needs, or set the secret db-password to this user's password."
        yield peer.result("sign-in", "block", sentence, remedy, "user")
        return
    with connection:
        yield peer.result("sign-in", "pass", f"{_TITLE}: user {facts['user']} signs in to {facts['name']}.")
        try:
            yield _version(connection, peer, least)
            yield from _rights(connection, facts, peer)
            yield _room(connection, facts, peer)
            yield _content(connection, peer)
        except psycopg.Error as error:
            said = without_values(str(error), {"password": password})
            yield peer.result("answers", "block", f"{_TITLE}: it stopped answering: {said}.", "Look at the server, then look again.")


def _asks_for_tls(plain: socket.socket) -> bool:
    plain.sendall(_SSL_REQUEST)
    return plain.recv(1) == b"S"


def _version(connection: psycopg.Connection[Any], peer: Peer, least: int) -> Result:
    major = connection.info.server_version // 10000
    if major < least:
        return peer.result(
            "version",
            "block",
            f"{_TITLE}: it is PostgreSQL {major}, the oldest that works is {least}.",
            f"Upgrade it to {least} or newer.",
            "host",
        )
    return peer.result("version", "pass", f"{_TITLE}: it is PostgreSQL {major}.")


def _rights(connection: psycopg.Connection[Any], facts: Mapping[str, Any], peer: Peer) -> Iterator[Result]:
    """Tried for real, in a transaction that is rolled back: what the catalogue says about rights has too many exceptions."""
    name = f"sprocket_preflight_{secrets.token_hex(6)}"
    user, database = facts["user"], facts["name"]
    tries = (
        (
            "schema",
            "create a schema",
            sql.SQL("create schema {}").format(sql.Identifier(name)),
            f"GRANT CREATE ON DATABASE {database} TO {user};",
        ),
        (
            "table",
            "create a table in the schema public",
            sql.SQL("create table public.{} (id int)").format(sql.Identifier(name)),
            f"GRANT USAGE, CREATE ON SCHEMA public TO {user};",
        ),
    )
    for part, what, statement, grant in tries:
        try:
            with connection.transaction(force_rollback=True):
                connection.execute(statement)
            yield peer.result(f"right-{part}", "pass", f"{_TITLE}: user {user} may {what}.")
        except psycopg.errors.InsufficientPrivilege:
            sentence = f"{_TITLE}: user {user} may not {what}, which the applications' migrations have to."
            yield peer.result(f"right-{part}", "block", sentence, f"As the database's owner run: {grant}", "user")
        except psycopg.errors.ReadOnlySqlTransaction:
            sentence = f"{_TITLE}: it is read-only, a standby or a server whose disk is full."
            yield peer.result(f"right-{part}", "block", sentence, "Name the server that takes writes.", "host")
            return


def _room(connection: psycopg.Connection[Any], facts: Mapping[str, Any], peer: Peer) -> Result:
    """Whether the applications' pools fit, beside those who are connected already."""
    row = connection.execute(_LIMITS).fetchone()
    server, *others, in_use = row or (0, -1, -1, 0)
    most = min([server, *(limit for limit in others if limit >= 0)])
    wanted = sum(facts["connections"].values())
    heaviest = ", ".join(f"{name} {count}" for name, count in sorted(facts["connections"].items(), key=lambda item: -item[1])[:3])
    numbers = f"the applications keep up to {wanted} connections ({heaviest}), it takes {most}"
    remedy = f"Raise max_connections (or the limit of the role or database) to {wanted + 10} at least, or take a larger server."
    if wanted > most:
        return peer.result("connections", "block", f"{_TITLE}: {numbers}.", remedy, "host")
    if wanted > most - in_use:
        return peer.result("connections", "warn", f"{_TITLE}: {numbers}, of which {in_use} are in use now.", remedy, "host")
    return peer.result("connections", "pass", f"{_TITLE}: {numbers}.")


def _content(connection: psycopg.Connection[Any], peer: Peer) -> Result:
    tables = [str(row[0]) for row in connection.execute(_FOREIGN)]
    if not tables:
        return peer.result(
            "content",
            "warn",
            f"{_TITLE}: it is empty, and the applications' migrations do not build an empty database.",
            "Load a schema file or a backup with psql before the first apply.",
            "name",
        )
    if {"sprocket.organization", "mledb.player"} <= set(tables):
        return peer.result("content", "pass", f"{_TITLE}: it holds a league's tables.")
    if any(table == "public.migrations" or table.startswith(("sprocket.", "mledb.")) for table in tables):
        return peer.result(
            "content",
            "warn",
            f"{_TITLE}: it holds some of the applications' tables, and no whole league.",
            "Load a schema file or a backup into an empty database, unless this is meant.",
            "name",
        )
    return peer.result(
        "content",
        "block",
        f"{_TITLE}: it holds tables of something else, such as {tables[0]}.",
        "Make a database for this organization alone.",
        "name",
    )
