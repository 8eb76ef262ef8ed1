"""Loads Django for the commands that need rows, and brings the database up to date in a data folder of its own."""

from __future__ import annotations

import os
from functools import lru_cache


@lru_cache(maxsize=1)
def load_django(*, migrate: bool = True) -> None:
    """Set Django up once; the embedded database is migrated when it is new or older than the code, another one is refused then."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "sprocket_v2.settings")
    import django

    django.setup()
    if migrate:
        _migrate_embedded()


def _migrate_embedded() -> None:
    """The SQLite file of the embedded default needs no administrator; a production database is migrated on purpose."""
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    from sprocket_v2.database_trouble import refuse_older_database

    if connection.vendor != "sqlite":
        refuse_older_database()
        return
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        call_command("migrate", verbosity=0, interactive=False)
