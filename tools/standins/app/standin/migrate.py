"""The migration job's stand-in. Like upstream's: it has to come before the applications, and says so when it does not."""

from __future__ import annotations

from standin import bus
from standin.postgres import PostgresError
from standin.settings import MissingSetting, Settings, fail, say

_MARKER = "standin-0001"


def migrate() -> None:
    """Prepare the database once; a second run does nothing; after the applications made tables it refuses."""
    settings = Settings()
    try:
        connect = bus.connector(settings, "DB")
    except MissingSetting as error:
        fail(str(error))
    settings.report()
    try:
        database = bus.connect_patiently(connect)
        if database.query("select to_regclass('public.migrations') is not null")[0][0] == "t":
            done = database.query(f"select count(*) from public.migrations where name = '{_MARKER}'")[0][0]
            if done != "0":
                say("migrations: nothing to do")
                return
        if database.query("select to_regclass('sprocket.platform_event') is not null")[0][0] == "t":
            fail('migrations: relation "platform_event" already exists; run migrations before the applications start')
        database.query(
            "begin; create table if not exists public.migrations (id serial primary key, name text not null); "
            f"insert into public.migrations (name) values ('{_MARKER}'); commit"
        )
    except PostgresError as error:
        fail(f"migrations: {error}")
    say("migrations: done")
