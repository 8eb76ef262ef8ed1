"""What looks secret, what does not, and that no finding repeats a value. Every value here was made up for these tests."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from blueprints.compose import Healthcheck
from blueprints.estate.secrecy import Found, scan_text, secret_words, why_secret, withheld, without_secrets
from tests.blueprints.estate.services import service

ROOT = Path(__file__).resolve().parents[3]
KEY = b"k" * 32
R = "Zq8Yt2Lm5Wx9Rb3Nc7Vd1Kf4"  # 24 signs without a meaning

SHAPES = {
    "a Discord bot token": "MTAx" + "NzY4" * 5 + ".Gh1jK2." + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8v",
    "a Discord webhook": "https://discord.com/api/webhooks/123456789012345678/" + R + R,
    "a GitHub token": "ghp_" + R + R,
    "a Vault token": "hvs." + R + R,
    "an access key id": "DO00" + "QWERTYUIOPASDFGH",
    "a Docker Hub token": "dckr_pat_" + R,
    "a signed token (JWT)": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + R,
    "a private key": "-----BEGIN RSA PRIVATE KEY-----",
    "an address with a password": f"postgresql://league:{R}@db.example.org:5432/main",
    "a DigitalOcean token": "dop_v1_" + "0a1b2c3d" * 8,
    "a hashed password": "admin:$apr1$abcdefgh$0123456789abcdefghijkl",
    "a SendGrid key": f"SG.{R}.{R}{R}",
}


@pytest.mark.parametrize(("kind", "value"), SHAPES.items(), ids=list(SHAPES))
def test_a_shape_is_known_under_any_name(kind: str, value: str) -> None:
    assert why_secret("SOMETHING", value) == f"looks like {kind}"
    assert (
        scan_text(f"first line\nanything {value}\n") == (Found(2, f"looks like {kind}"),)
        or scan_text(f"x\nanything {value}\n")[0].line == 2
    )


def test_the_older_vault_token_is_known() -> None:
    assert why_secret("X", "s." + R) == "looks like a Vault token"
    assert not why_secret("X", "apps." + R), "the end of a host name is none"


@pytest.mark.parametrize(
    "name",
    [
        "DB_PASSWORD",
        "dbPassword",
        "POSTGRES_PASSWD",
        "jwt-secret",
        "clientSecret",
        "--requirepass",
        "connstring",
        "GF_SMTP_PASSWORD",
        "passphrase",
    ],
)
def test_some_names_make_any_value_secret(name: str) -> None:
    assert why_secret(name, "abc") == "its name says that it is secret"


@pytest.mark.parametrize("name", ["bot_token", "INFLUX_TOKEN", "apiKey", "S3_ACCESS_KEY", "hmacKey", "VAULT_ROOT_TOKEN", "unsealKey"])
def test_under_the_name_of_a_made_key_a_plain_word_is_none(name: str) -> None:
    assert why_secret(name, R)
    assert not why_secret(name, "developer")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD_FILE", "/run/secrets/db"), ("PASSWORD", "/app/secret/db.txt"), ("TOKEN_TTL", "32d"), ("secret", "true"), ("password", "${DB}"),
        ("password", "{{ password }}"), ("max_tokens", "4096"), ("token_url", "https://example.org/token"), ("password", ""), ("secretName", "prod-db"),
        ("api_key_id", "42"), ("PATH", "/usr/local/bin:/usr/bin"), ("image", "redis@sha256:" + "ab" * 32), ("rule", "Host(`a.example.org`)"),
        ("address", "postgres://db.example.org:5432/main"), ("address", "amqp://user:${PASSWORD}@mq"), ("keyspace", R), ("password", "withheld:0123456789abcdef"),
    ],
)  # fmt: skip
def test_what_only_speaks_of_a_secret_is_none(name: str, value: str) -> None:
    assert why_secret(name, value) == ""


def test_a_name_and_password_in_one_value_are_known() -> None:
    assert why_secret("NEO4J_AUTH", "neo4j/opensesame")
    assert not why_secret("NEO4J_AUTH", "none")


@pytest.mark.parametrize(
    "text",
    [
        '{"minio": {"secretKey": "opensesame-12"}}', "minio:\n  secretKey: opensesame-12\n", 'secretKey = "opensesame-12"', "[minio]\nsecretKey=opensesame-12",
        "storage \"s3\" {\n  secret_key = \"opensesame-12\"\n}", "export SECRET_KEY=opensesame-12", "password:\n    opensesame-12", 'args: ["--password", "opensesame-12"]',
        "requirepass opensesame-12", "- SECRET_KEY=opensesame-12", "a: {b: 1, password: opensesame-12}", '{"password":\n   "opensesame-12"}', "server --requirepass opensesame-12",
    ],
)  # fmt: skip
def test_a_secret_is_found_in_every_kind_of_file(text: str) -> None:
    found = scan_text(text)
    assert found
    assert "opensesame" not in repr(found)


@pytest.mark.parametrize(
    "text",
    [
        "secrets:\n  - source: db-password\n    target: /run/secrets/x", "# requirepass foobared", "; password = something", "secrets:\n  jwt:\n    file: ./secrets/jwt",
        "password_file: /run/secrets/x", "the password is asked for", "# password: it is chosen by the admin",
    ],
)  # fmt: skip
def test_what_names_a_secret_without_giving_it_is_not_found(text: str) -> None:
    assert scan_text(text) == ()


def test_a_key_pasted_into_a_comment_is_found() -> None:
    assert scan_text("# old: " + SHAPES["a GitHub token"])[0].line == 1


def test_a_very_long_line_is_looked_at_whole() -> None:
    line = "x" * 200_000 + " " + SHAPES["a GitHub token"] + " " + "y" * 200_000
    assert [found.kind for found in scan_text(line)] == ["looks like a GitHub token"]


def test_every_rendered_bundle_and_template_of_this_release_is_clean() -> None:
    files = [path for folder in ("components", "profiles") for path in (ROOT / "templates" / folder).rglob("*") if path.is_file()]
    assert len(files) > 300
    dirty = {str(path): found for path in files if (found := scan_text(path.read_text()))}
    assert dirty == {}


def test_equal_values_are_withheld_alike_and_another_organization_withholds_otherwise() -> None:
    assert withheld("opensesame", KEY) == withheld("opensesame", KEY)
    assert withheld("opensesame", KEY) != withheld("opensesame", b"o" * 32)
    assert len(withheld("opensesame", KEY)) == len("withheld:") + 16


def test_the_secret_words_of_a_command_line_are_those_behind_their_flag() -> None:
    assert set(secret_words(["--requirepass", "opensesame", "--loadmodule", "/usr/lib/redis/modules/rejson.so"])) == {1}
    assert set(secret_words(["serve", "--api-key=Zq8Yt2Lm5Wx9Rb3Nc7", "--port=80"])) == {1}
    assert set(secret_words(["sh", "-c", "PASSWORD=opensesame-1234 exec the-server --with-many-words"])) == {2}
    assert secret_words(["dgraph", "alpha", "--my=prod-elo-service-dgraph-alpha:7080"]) == {}


def test_a_secret_with_a_sign_of_equality_in_it_leaves_no_half() -> None:
    clean, _ = without_secrets(service("cache", command=("--password", "opensesame=12", "--password", "Zq8Yt2Lm5Wx9Rb3Nc7Vd1w==")), KEY)
    assert clean.command == ("--password", withheld("opensesame=12", KEY), "--password", withheld("Zq8Yt2Lm5Wx9Rb3Nc7Vd1w==", KEY))


def test_a_service_loses_every_secret_value_and_says_which() -> None:
    given_service = service(
        "cache",
        environment={"PASSWORD": "opensesame-1", "LOG_LEVEL": "info"},
        command=("--requirepass", "opensesame-2", "--token=Zq8Yt2Lm5Wx9Rb3Nc7Vd1"),
        labels={"traefik.http.middlewares.a.basicauth.users": "a:$apr1$abcdefgh$opensesame5"},
        container_labels={"secret": "opensesame-6"},
        healthcheck=Healthcheck(("CMD", "redis-cli", "--pass", "ok", "--password", "opensesame-7"), 1, 1, 1, 1),
    )
    clean, why = without_secrets(given_service, KEY)
    assert "opensesame" not in repr(clean)
    assert clean.environment["LOG_LEVEL"] == "info"
    assert clean.environment["PASSWORD"] == withheld("opensesame-1", KEY)
    assert clean.command[2] == f"--token={withheld('Zq8Yt2Lm5Wx9Rb3Nc7Vd1', KEY)}"
    assert set(why) == {
        "environment.PASSWORD", "command.1", "command.2", "labels.traefik.http.middlewares.a.basicauth.users", "container_labels.secret", "healthcheck.5",
    }  # fmt: skip
    assert without_secrets(clean, KEY) == (clean, {}), "what was withheld is not withheld again"


@given(st.text(max_size=400))
def test_any_text_can_be_scanned(text: str) -> None:
    assert all(found.line >= 1 for found in scan_text(text))


@given(st.text(alphabet="abcdefghijkmnpqrstuvwxyz23456789", min_size=12, max_size=40))
def test_no_finding_repeats_a_value(value: str) -> None:
    value = f"{value}Q7"
    for text in (f"password: {value}", f'{{"clientSecret": "{value}"}}', f"url: https://a:{value}@b.example.org", f"ghp_{value * 3}"):
        assert value not in repr(scan_text(text))
