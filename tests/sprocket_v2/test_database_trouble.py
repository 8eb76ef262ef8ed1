"""What a database's error means, in words for people."""

from __future__ import annotations

import pytest
from django.conf import settings
from django.db import IntegrityError, OperationalError, ProgrammingError

from sprocket_v2.database_trouble import database_trouble


@pytest.mark.parametrize(
    ("said", "means", "hint"),
    [
        (
            "connection failed: connection to server at 127.0.0.1, port 5432 failed: Connection refused",
            "does not answer",
            "sprocket doctor",
        ),
        ("database or disk is full", "has no room left", "make room"),
        ("could not extend file: No space left on device", "has no room left", "make room"),
        ("database disk image is malformed", "is damaged", "backup"),
        ("no such table: orgs_organization", "is older than this program", "manage.py migrate"),
        ("attempt to write a readonly database", "cannot be written", "right to write"),
    ],
)
def test_an_error_of_the_database_is_told_with_what_to_do(said: str, means: str, hint: str) -> None:
    trouble = database_trouble(OperationalError(said))
    assert trouble
    assert means in trouble.message
    assert hint in trouble.hint
    assert trouble.where


def test_a_table_that_postgres_does_not_know_means_an_older_database() -> None:
    trouble = database_trouble(ProgrammingError('relation "orgs_organization" does not exist'))
    assert trouble
    assert "migrate" in trouble.hint


def test_a_server_is_named_without_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    where = {"HOST": "db.example.org", "PORT": 5433, "NAME": "sprocket", "USER": "u", "PASSWORD": "canary-password"}
    monkeypatch.setitem(settings.DATABASES, "default", where)
    trouble = database_trouble(OperationalError("password authentication failed for user u"))
    assert trouble
    assert trouble.message == "the database refuses the name or password it was given"
    assert trouble.where == "db.example.org:5433/sprocket"


@pytest.mark.parametrize("error", [None, ValueError("database"), IntegrityError("unique")])
def test_any_other_error_is_not_about_the_database(error: Exception | None) -> None:
    assert database_trouble(error) is None
