"""The other generations on real Docker: applied with their stand-ins, green, re-applied with no change, destroyed with volumes kept, purged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from provisioning.providers.swarm.client import connect
from tests.engine.deployed import SECRETS, ControlPlane
from tests.engine.scanner import scan_docker

pytestmark = pytest.mark.engine
DATA = "  starting_data:\n    kind: schema-file\n    file: demo-schema.sql\n"


@dataclass(frozen=True)
class Generation:
    """A profile's needs beside the demo's, and what runs of it.

    Attributes:
        says: what a command in a service answers, as JSON: service, command, words in it.
    """

    profile: str
    more: str
    starting_data: bool
    services: frozenset[str]
    says: tuple[str, tuple[str, ...], dict[str, Any]]


_ALL_SEVEN = ["core", "bot", "matchmaking", "notification", "submission", "analytics", "image_generation"]
GENERATIONS = [
    Generation(
        "v2-monolith",
        "features:\n  replays: true\n  template_editor: true\n",
        True,
        frozenset({"postgres", "backup", "redis", "minio", "monolith", "monolith-editor", "replay-parse", "web", "traefik"}),
        ("monolith", ("curl", "http://127.0.0.1:3001/healthz"), {"status": "ok", "runtime": "monolith", "services": _ALL_SEVEN}),
    ),
    Generation(
        "v2-bun",
        "features:\n  scrims: true\n  notifications: true\n  skill_ratings: true\n",
        False,
        frozenset({"postgres", "backup", "bun-api", "bun-bot", "bun-web", "traefik"}),
        ("bun-web", ("curl", "http://127.0.0.1:3000/__standin/api"), {"asked": "http://bun-api:3000/health", "status": 200}),
    ),
]


class Plane(ControlPlane):
    """A control plane whose organization has another profile."""

    generation: Generation

    def needs(self, **changes: str) -> str:
        """The demo's needs with the generation's."""
        left_out = {} if self.generation.starting_data else {DATA: ""}
        return f"{super().needs(**left_out, **changes)}profile: {self.generation.profile}\n{self.generation.more}"


@pytest.fixture(scope="module", params=GENERATIONS, ids=[g.profile for g in GENERATIONS])
def plane(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """A deployment of one generation; gone afterwards."""
    plane = Plane(tmp_path_factory.mktemp("generation") / "data")
    plane.generation = request.param
    try:
        plane.set_up()
        plane.start_worker()
        done = plane.wait(plane.asked_to_apply(plane.planned()))
        assert done["state"] == "succeeded", done
        yield plane
    finally:
        plane.clean_up()


def _lasting(plane: Plane) -> dict[str, Any]:
    return {s.name.removeprefix(f"{plane.slug}_"): s for s in connect().live_services(plane.slug) if not s.is_job}


def test_it_is_green_in_every_check(plane: Plane) -> None:
    verdict = plane.ask("say(actions.verify_now(org=org).as_dict())")
    assert [check for check in verdict["checks"] if check["state"] != "ok"] == []
    assert (verdict["runs"]["text"], verdict["usable"]["text"], verdict["green"]) == ("runs", "usable", True)
    assert {"route/web/sign-in", "route/api/graphql", "inside/web-api", "bot", "closed/postgres"} <= {c["name"] for c in verdict["checks"]}


def test_exactly_its_services_run_and_answer_as_its_contract_says(plane: Plane) -> None:
    services = _lasting(plane)
    assert set(services) == plane.generation.services
    name, command, said = plane.generation.says
    code, output = connect().run_in(services[name].running[0].container, list(command))
    assert (code, json.loads(output)) == (0, said)


def test_no_secret_is_in_what_docker_shows(plane: Plane) -> None:
    assert scan_docker(plane.slug, [SECRETS["discord-client-secret"], SECRETS["bot-token"]]) == {}


def test_it_is_re_applied_with_no_change(plane: Plane) -> None:
    before = {name: service.version for name, service in _lasting(plane).items()}
    plan = plane.planned()
    assert plane.ask("say(Plan.objects.get(pk=ID).steps)", ID=plan) == []
    done = plane.wait(plane.asked_to_apply(plan))
    assert (done["state"], done["changes"]) == ("succeeded", {})
    assert {name: service.version for name, service in _lasting(plane).items()} == before


def test_destroyed_it_keeps_its_volumes_and_purged_nothing(plane: Plane) -> None:
    run = plane.ask("say(brief(actions.destroy(org=org, actor=alice)))")
    done = plane.wait(run["id"])
    assert done["state"] == "succeeded", done["error"]
    left = {(item.kind, item.name) for item in connect().live_objects(plane.slug)}
    assert {kind for kind, _ in left} == {"volume"}
    assert ("volume", f"{plane.slug}_postgres_data") in left
    purged = plane.ask("from provisioning.purge import purge\nsay(purge(org=org, actor=alice))")
    assert {("volume", name) for name in purged} == left
    assert connect().live_objects(plane.slug) == []
