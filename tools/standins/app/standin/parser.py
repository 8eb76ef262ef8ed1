"""The replay parser's stand-in. It reads ENV, not NODE_ENV, and answers its health check before it has a database."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

from standin import bus
from standin.postgres import PostgresError
from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import MissingSetting, Settings, fail, say


def parser() -> None:
    """Run until told to stop."""
    settings = Settings()
    env = settings.environ.get("ENV", "development")
    file = Path("/app/config") / f"{env}.json"
    if not file.is_file():
        fail(f"no configuration file {file}: ENV has to be production")
    config = json.loads(file.read_text())
    for key in ("transport", "minio", "tempDir", "disableCache"):
        if key not in config:
            fail(f"missing setting {key} in {file}")
    try:
        connect = bus.connector(settings, "DB")
        settings.secret("MINIO_ACCESS_KEY", "minio-access.txt")
        settings.secret("MINIO_SECRET_KEY", "minio-secret.txt")
    except MissingSetting as error:
        fail(str(error))
    settings.report()

    def work() -> None:
        try:
            database = bus.connect_patiently(connect)
            database.query(bus.TABLES)
            while True:
                database.query(
                    "update sprocket.platform_task_queue set state = 'done', result = request where id = (select id from "
                    "sprocket.platform_task_queue where state = 'new' order by id for update skip locked limit 1)"
                )
                time.sleep(0.25)
        except PostgresError as error:
            say(f"database: {error}")

    threading.Thread(target=work, daemon=True).start()

    def handle(ask: Ask) -> Answer:
        return as_json({"status": "ok"}) if ask.method == "GET" and ask.path == "/healthz" else Answer(404)

    until_told(make_server(("0.0.0.0", 3015), handle))
