"""The process that a played plane is asked through: a line of JSON in, the lines of code it holds carried out, a line of JSON out.

It lives as long as its plane, as a web process does: what it holds open (the database, the broker) is what a fault then breaks.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from typing import Any

from tests.provisioning.played_app import app  # first: it sets Django up

# isort: split
from django.contrib.auth import get_user_model
from django.db import close_old_connections

from orgs.models import Membership, Organization
from provisioning import actions, leases
from provisioning.models import Plan, Run, RunEvent, StackLease, StackState
from tests.provisioning.conftest import stored_blueprint

KNOWN = (
    app,
    actions,
    leases,
    Membership,
    Organization,
    Plan,
    Run,
    RunEvent,
    StackLease,
    StackState,
    get_user_model,
    stored_blueprint,
    time,
)


def brief(run: Run) -> dict[str, Any]:
    """What tests ask of a run."""
    return {"id": run.pk, **{name: getattr(run, name) for name in ("state", "error", "deliveries", "pid", "mark", "kind")}}


def answer(code: str, values: dict[str, Any]) -> dict[str, Any]:
    """Carry it out as one request."""
    said: list[Any] = []
    close_old_connections()
    try:
        known = {getattr(thing, "__name__", "").rpartition(".")[2]: thing for thing in KNOWN}
        org, alice = Organization.objects.filter(slug="demo").first(), get_user_model().objects.filter(username="alice").first()
        exec(code, {**known, "org": org, "alice": alice, "brief": brief, "say": said.append, **values})
        return {"said": said[-1] if said else None}
    except Exception:
        return {"error": traceback.format_exc()}
    finally:
        close_old_connections()


def main() -> None:
    """Answer until nobody asks."""
    for line in sys.stdin:
        asked = json.loads(line)
        print(json.dumps(answer(asked["code"], asked["values"]), default=str), flush=True)


if __name__ == "__main__":
    main()
