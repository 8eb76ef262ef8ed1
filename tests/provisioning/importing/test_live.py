"""Reading a swarm: every object is a row or is counted as the engine's own, and what cannot be read stops nothing."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest

from blueprints.actions import draw_adopted
from blueprints.catalog import load_catalog
from blueprints.compose import read_stack
from blueprints.estate.adoption import read_adoption
from blueprints.estate.store import write_estate
from orgs.needs import Needs
from provisioning.importing.actions import taken_over
from provisioning.importing.live import read_live
from sprocket_v2.errors import ApplyError
from tests.orgs.answers import answers
from tests.provisioning.providers.test_estate_services import LIVE

KEY = b"k" * 32
CANARY = "kq8ZtR4vWm2Xc7Lb9Ny3"
NET = {"Name": "prod-net-1a2b3c4", "Id": "net1", "Scope": "swarm", "Labels": {}, "IPAM": {"Config": [{"Subnet": "10.9.0.0/24"}]}}


class Engine:
    """Answers with what it was given; a kind that is an error raises it."""

    def __init__(self, **objects: Any) -> None:
        self.objects = objects

    def everything(self, kind: str) -> list[Mapping[str, Any]]:
        found = self.objects.get(kind, [])
        if isinstance(found, Exception):
            raise found
        return list(found)

    def network_name(self, network_id: str) -> str:
        return {"swarms-host": "host"}.get(network_id, network_id)


def service(name: str = "prod-web-1a2b3c4", **labels: str) -> dict[str, Any]:
    spec = json.loads(json.dumps(LIVE))
    spec["Name"] = name
    spec["Labels"] |= labels
    return {"ID": f"id-{name}", "Version": {"Index": 7}, "Spec": spec}


def config(name: str, text: str) -> dict[str, Any]:
    return {"ID": f"id-{name}", "Spec": {"Name": name, "Labels": {}, "Data": base64.b64encode(text.encode()).decode()}}


def test_every_object_is_a_row_or_the_engines_own() -> None:
    engine = Engine(
        service=[service()], network=[NET, {"Name": "ingress", "Id": "i", "Scope": "swarm"}], volume=[{"Name": "a" * 64}, {"Name": "data"}]
    )
    estate = read_live(engine, KEY).estate
    assert {(item.kind, item.name) for item in estate.items} == {
        ("service", "prod-web-1a2b3c4"),
        ("network", "prod-net-1a2b3c4"),
        ("volume", "data"),
    }
    assert estate.rows_in_source["live"] == {"network": 1, "volume": 1, "config": 0, "secret": 0, "service": 1, "route": 0, "structure": 2}
    assert sum(estate.structure["live"].values()) == 2


def test_a_secret_in_clear_is_taken_out_named_and_in_nothing_that_is_kept() -> None:
    engine = Engine(service=[service()], network=[NET], config=[config("app-config", f"password = {CANARY}\n")])
    live = read_live(engine, KEY)
    [web] = live.estate.of("service")
    assert list(web.withheld) == ["environment.BOT_TOKEN"]
    assert {note.rule for note in live.estate.all_remarks()} >= {
        "secret.in-clear",
        "secret.plaintext",
        "import.not-modelled",
        "import.normalised",
    }
    assert CANARY not in write_estate(live.estate)


def test_a_swarm_that_vanishes_halfway_gives_what_was_read_and_says_what_is_missing() -> None:
    gone = ApplyError("reading every config: no answer within 30 s", hint="is the machine overloaded?", where="Docker")
    live = read_live(Engine(service=[service()], network=[NET], config=gone), KEY)
    assert len(live.estate.of("service")) == 1
    [note] = [note for note in live.estate.remarks if note.rule == "import.source-gone"]
    assert "no config could be read" in note.message
    assert note.where == "live config"


def test_an_object_that_cannot_be_read_is_a_row_by_name() -> None:
    broken = {"ID": "x", "Spec": {"Name": "broken", "Labels": {}}}
    estate = read_live(Engine(service=[broken, service()], network=[NET]), KEY).estate
    found = estate.find("service", "broken")
    assert found is not None
    assert found.completeness == "name"
    assert any(note.rule == "import.unreadable" and "service/broken" in note.where for note in estate.remarks)


def test_what_belongs_to_another_organization_is_left_and_named() -> None:
    labels = {"sprocket.org": "other"}
    live = read_live(Engine(service=[service(), service("other_web", **labels)], network=[NET]), KEY)
    assert live.managed == {"other_web": "other"}
    estate, left = taken_over(live)
    assert [item.name for item in estate.of("service")] == ["prod-web-1a2b3c4"]
    assert left["service other_web"] == "belongs to other"
    again = read_live(Engine(service=[service("other_web", **labels)], network=[NET]), KEY, mine={"other"})
    assert again.managed == {}


def test_a_part_of_a_swarm_can_be_asked_for() -> None:
    live = read_live(Engine(service=[service(), service("elsewhere")], network=[NET]), KEY, only="prod-.*")
    assert [item.name for item in live.estate.of("service")] == ["prod-web-1a2b3c4"]


def test_the_22_are_known_by_name_and_by_image() -> None:
    renamed = service("strange-name")
    live = read_live(Engine(service=[service("prod-sprocket-web-service-0c0ffee"), renamed], network=[NET]), KEY)
    assert [(i.layer, i.facts["component"]) for i in live.estate.of("service")] == [("platform", "legacy-web"), ("platform", "legacy-web")]
    assert "runs the image" in live.estate.of("service")[1].facts["why"]


def test_the_bundle_says_what_runs_and_by_which_ids() -> None:
    estate, _ = taken_over(read_live(Engine(service=[service()], network=[NET]), KEY))
    needs = Needs.model_validate({**answers(), "profile": "legacy-22", "estate": "estate.json"})
    rendering = draw_adopted(needs, {"estate.json": write_estate(estate, with_texts=False).encode()}, load_catalog())
    [(layer, path)] = rendering.stacks
    assert (layer, path) == ("platform", "platform/stack.yml")
    args = read_stack(rendering.files[path], needs.slug, is_estate=True).services["prod-web-1a2b3c4"]
    assert args.endpoint_mode == "vip"
    assert args.environment["BOT_TOKEN"].startswith("withheld:")
    assert args.mounts[0].type == "bind"
    record = read_adoption(rendering.files["adoption.json"])
    assert {resource: item.id for resource, item in record.items()} == {
        "network/prod-net-1a2b3c4": "net1", "service/prod-web-1a2b3c4": "id-prod-web-1a2b3c4"
    }  # fmt: skip
    assert not [path for path, text in rendering.files.items() if CANARY in text]


def test_an_engine_behind_ssh_is_spoken_to_through_its_socket_and_the_error_says_how() -> None:
    from provisioning.providers.swarm.client import connect

    with pytest.raises(ApplyError, match="through a socket") as refused:
        connect("ssh://admin@estate.example.org")
    assert "ssh -nNT -L estate.sock:/var/run/docker.sock admin@estate.example.org" in refused.value.hint
