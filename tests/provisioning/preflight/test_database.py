"""An existing PostgreSQL, for real: what is fit, and every way in which one is not."""

from __future__ import annotations

import time
from contextlib import closing
from typing import Any

import pytest

from provisioning.preflight import network
from provisioning.preflight.database import check_database
from provisioning.preflight.result import Result
from tests.provisioning.preflight.conftest import PASSWORD, Certificates, Saying, Server, Silent, free_port


def facts(league: str, **changes: Any) -> dict[str, Any]:
    return {"host": "db.example.org", "user": league, "name": league, "connections": {"demo_api": 4, "demo_bot": 2}, **changes}


def looked(server: Server, about: dict[str, Any], trust: Certificates, password: str = PASSWORD, **more: Any) -> dict[str, Result]:
    """Part -> result."""
    least = {"least": more.pop("least")} if "least" in more else {}
    results = list(check_database(about, password, server.peer(trust.authority, **more), **least))
    for result in results:
        assert PASSWORD not in repr(result)
        assert password not in repr(result)
        assert result.sentence.endswith(".")
        assert result.field.startswith("database.managed")
        assert bool(result.remedy) == (result.state != "pass")
    return {result.key.removeprefix("database/"): result for result in results}


def states(results: dict[str, Result]) -> dict[str, str]:
    return {key: result.state for key, result in results.items()}


def test_a_database_with_a_leagues_tables_passes(postgres: Server, league: str, certificates: Certificates) -> None:
    for schema, table in (("sprocket", "organization"), ("mledb", "player")):
        postgres.run(f"create schema {schema}; create table {schema}.{table} (id int)", league)
    results = looked(postgres, facts(league), certificates)
    assert set(states(results).values()) == {"pass"}
    assert set(results) == {"reach", "tls", "sign-in", "version", "right-schema", "right-table", "connections", "content"}
    assert "up to 6 connections (demo_api 4, demo_bot 2), it takes 37" in results["connections"].sentence


def test_the_look_leaves_nothing_behind(postgres: Server, league: str, certificates: Certificates) -> None:
    looked(postgres, facts(league), certificates)
    assert postgres.run("select count(*) from pg_namespace where nspname like 'sprocket%'", league) == "0"
    assert postgres.run("select count(*) from pg_tables where schemaname = 'public'", league) == "0"


def test_an_empty_database_is_a_warning_that_says_what_to_load(postgres: Server, league: str, certificates: Certificates) -> None:
    result = looked(postgres, facts(league), certificates)["content"]
    assert result.state == "warn"
    assert "empty" in result.sentence
    assert "psql" in result.remedy


def test_a_database_of_something_else_blocks_and_names_a_table(postgres: Server, league: str, certificates: Certificates) -> None:
    postgres.run("create table public.wp_posts (id int)", league)
    result = looked(postgres, facts(league), certificates)["content"]
    assert result.state == "block"
    assert "public.wp_posts" in result.sentence
    assert result.field == "database.managed.name"


def test_half_a_league_is_a_warning(postgres: Server, league: str, certificates: Certificates) -> None:
    postgres.run("create table public.migrations (id int)", league)
    assert looked(postgres, facts(league), certificates)["content"].state == "warn"


def test_a_wrong_password_blocks_without_being_told(postgres: Server, league: str, certificates: Certificates) -> None:
    results = looked(postgres, facts(league), certificates, password="canary-wrong-password")
    assert states(results) == {"reach": "pass", "tls": "pass", "sign-in": "block"}
    assert "password authentication failed" in results["sign-in"].sentence
    assert "db-password" in results["sign-in"].remedy


def test_a_database_that_is_not_there_blocks(postgres: Server, league: str, certificates: Certificates) -> None:
    result = looked(postgres, facts(league, name="nothing"), certificates)["sign-in"]
    assert result.state == "block"
    assert 'database "nothing" does not exist' in result.sentence


def test_a_role_without_rights_blocks_and_the_remedy_is_the_grant_that_mends_it(
    postgres: Server, league: str, certificates: Certificates
) -> None:
    postgres.run(f"alter database {league} owner to boss; revoke create on schema public from {league}, public", league)
    results = looked(postgres, facts(league), certificates)
    assert {key: state for key, state in states(results).items() if key.startswith("right")} == {
        "right-schema": "block",
        "right-table": "block",
    }
    for part in ("right-schema", "right-table"):
        assert "may not create" in results[part].sentence
        postgres.run(results[part].remedy.partition("run: ")[2], league)
    mended = looked(postgres, facts(league), certificates)
    assert (mended["right-schema"].state, mended["right-table"].state) == ("pass", "pass")


def test_a_standby_blocks(postgres: Server, league: str, certificates: Certificates) -> None:
    postgres.run(f"alter role {league} set default_transaction_read_only = on")
    result = looked(postgres, facts(league), certificates)["right-schema"]
    assert (result.state, "read-only" in result.sentence) == ("block", True)


def test_a_version_that_is_too_old_blocks(postgres: Server, league: str, certificates: Certificates) -> None:
    major = int(postgres.run("show server_version_num")) // 10000
    assert looked(postgres, facts(league), certificates, least=major)["version"].state == "pass"
    result = looked(postgres, facts(league), certificates, least=major + 1)["version"]
    assert result.state == "block"
    assert f"PostgreSQL {major}, the oldest that works is {major + 1}" in result.sentence


def test_pools_beyond_what_the_server_takes_block(postgres: Server, league: str, certificates: Certificates) -> None:
    result = looked(postgres, facts(league, connections={"demo_api": 38}), certificates)["connections"]
    assert result.state == "block"
    assert "it takes 37" in result.sentence
    assert "48 at least" in result.remedy


def test_a_limit_of_the_role_counts(postgres: Server, league: str, certificates: Certificates) -> None:
    postgres.run(f"alter role {league} connection limit 5")
    assert looked(postgres, facts(league), certificates)["connections"].state == "block"


def test_connections_of_others_are_a_warning(postgres: Server, league: str, certificates: Certificates) -> None:
    import psycopg

    with closing(psycopg.connect(host=str(postgres.folder), port=postgres.port, user="boss", dbname="postgres")):
        result = looked(postgres, facts(league, connections={"demo_api": 37}), certificates)["connections"]
    assert result.state == "warn"
    assert "are in use now" in result.sentence


def test_a_certificate_for_another_name_is_a_warning_since_the_applications_do_not_look(
    postgres: Server, league: str, certificates: Certificates
) -> None:
    results = looked(postgres, facts(league), certificates, host="other.example.org")
    assert results["tls"].state == "warn"
    assert "does not hold for other.example.org" in results["tls"].sentence
    assert results["sign-in"].state == "pass"


def test_a_certificate_of_nobody_known_is_a_warning(postgres: Server, league: str) -> None:
    results = {r.key: r for r in check_database(facts(league), PASSWORD, postgres.peer(None))}
    assert results["database/tls"].state == "warn"
    assert "certificate verify failed" in results["database/tls"].sentence or "issuer" in results["database/tls"].sentence


def test_a_server_without_tls_blocks(postgres: Server, league: str, certificates: Certificates) -> None:
    postgres.run("alter system set ssl = off; ", "postgres")
    postgres.run("select pg_reload_conf()")
    try:
        time.sleep(0.3)
        results = looked(postgres, facts(league), certificates)
    finally:
        postgres.run("alter system reset ssl")
        postgres.run("select pg_reload_conf()")
        time.sleep(0.3)
    assert states(results) == {"reach": "pass", "tls": "block"}
    assert "does not offer TLS" in results["tls"].sentence


def test_a_closed_port_blocks(postgres: Server, league: str, certificates: Certificates) -> None:
    results = looked(postgres, facts(league), certificates, port=free_port())
    assert states(results) == {"reach": "block"}
    assert "refuses connections" in results["reach"].sentence


def test_a_name_nobody_knows_blocks(postgres: Server, league: str, certificates: Certificates) -> None:
    results = looked(postgres, facts(league), certificates, host="no-such-host.invalid")
    assert states(results) == {"reach": "block"}
    assert "not known to DNS" in results["reach"].sentence


def test_a_host_that_is_this_machine_is_not_asked(postgres: Server, league: str) -> None:
    peer = network.Peer("database", "Database", "db.example.org", postgres.port, "database.managed")
    [result] = check_database(facts(league), PASSWORD, peer)
    assert result.state == "block"
    assert "127.0.0.1, which inside a container is the container itself" in result.sentence


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.9.9.9", "::1", "0.0.0.0", "169.254.169.254", "fe80::1%eth0", "::ffff:127.0.0.1", "224.0.0.1"]
)
def test_addresses_of_this_machine_and_of_its_cloud_are_known(address: str) -> None:
    assert network.is_of_this_machine(address)


@pytest.mark.parametrize("address", ["10.0.0.5", "192.168.1.5", "100.64.0.1", "203.0.113.7", "fd00::1"])
def test_private_networks_are_allowed(address: str) -> None:
    assert not network.is_of_this_machine(address)


def test_a_server_that_says_nothing_is_given_up_in_time(
    postgres: Server, league: str, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(network, "DEADLINE_S", 0.5)
    silent = Silent()
    begun = time.monotonic()
    results = looked(postgres, facts(league), certificates, port=silent.port)
    assert states(results) == {"reach": "pass", "tls": "block"}
    assert time.monotonic() - begun < 3


def test_something_that_is_no_database_blocks(postgres: Server, league: str, certificates: Certificates) -> None:
    web = Saying(b"HTTP/1.1 400 Bad Request\r\n\r\n")
    assert states(looked(postgres, facts(league), certificates, port=web.port))["tls"] == "block"
