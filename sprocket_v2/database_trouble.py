"""A database that cannot be used, in words: what, where, and what to do next. For pages and for the command line; asks no database."""

from __future__ import annotations

import sys
from typing import Any

from sprocket_v2.errors import SetupError

_AWAY = "start it; `sprocket doctor` says whether it answers. Nothing was half-done, and runs under way go on by themselves once it is back"
# What the drivers say, and what that means; the first that fits.
_KNOWN = (
    ("disk is full", "has no room left on its disk", "make room on that disk; runs under way go on by themselves then"),
    ("no space left", "has no room left on its disk", "make room on that disk; runs under way go on by themselves then"),
    ("malformed", "is damaged", "restore it from its backup: `sprocket doctor` names the file"),
    ("not a database", "is damaged", "restore it from its backup: `sprocket doctor` names the file"),
    ("readonly", "cannot be written", "give the user that runs this the right to write it"),
    ("no such table", "is older than this program", "run `python manage.py migrate`, then this again"),
    ("no such column", "is older than this program", "run `python manage.py migrate`, then this again"),
    ("does not exist", "is older than this program, or was never made", "run `python manage.py migrate`, then this again"),
    ("authentication failed", "refuses the name or password it was given", "mend SPROCKET_DATABASE_URL, or the file that holds it"),
    ("locked", "was busy for 20 s", "try again; if it stays so, another program holds the file"),
)


def database_trouble(error: BaseException | None) -> SetupError | None:
    """The error of a database in our words; None for any other error. Does not import Django where nothing else did."""
    django_db = sys.modules.get("django.db")
    if django_db is None or not isinstance(error, django_db.OperationalError | django_db.InterfaceError | django_db.ProgrammingError):
        return None
    said = " ".join(str(error).split()).lower()
    what, hint = next(((what, hint) for word, what, hint in _KNOWN if word in said), ("does not answer", _AWAY))
    return SetupError(f"the database {what}", hint=hint, where=_where())


def refuse_older_database() -> None:
    """Raise SetupError when migrations of this program are missing in the database."""
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    missing = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if missing:
        first = missing[0][0]
        raise SetupError(
            f"the database is older than this program: {len(missing)} migrations are missing, the first is {first.app_label} {first.name}",
            hint="run `python manage.py migrate` (one that was interrupted goes on where it stopped), then this again",
            where=_where(),
        )


def _where() -> str:
    """File, or server and name; never the password."""
    from django.conf import settings

    database: dict[str, Any] = settings.DATABASES["default"]
    if not database.get("HOST"):
        return str(database["NAME"])
    return f"{database['HOST']}:{database.get('PORT') or 'its usual port'}/{database['NAME']}"
