"""What tells that nothing was changed on the host: names, ids and versions of ours and of what was adopted."""

from __future__ import annotations

import json

from provisioning.live import NONE_ADOPTED, Adopted, LiveObject, LiveService, adopted_of, live_fingerprint
from tests.provisioning.conftest import FakeDocker


class Swarm(FakeDocker):
    """Knows objects by label and by name."""

    def live_services(self, org: str, adopted: Adopted = NONE_ADOPTED) -> list[LiveService]:
        return [s for s in self.services if s.name.startswith(f"{org}_") or ("service", s.name) in adopted]

    def live_objects(self, org: str, adopted: Adopted = NONE_ADOPTED) -> list[LiveObject]:
        return [o for o in self.objects if (o.kind, o.name) in adopted]


def _service(name: str, version: int = 1) -> LiveService:
    return LiveService(name, f"id-{name}", version, "image", 1, False)


ADOPTION = {
    "resources": {
        "service/vault": {"id": "x", "name": "vault", "layer": "platform", "fingerprint": "1"},
        "volume/data": {"id": "d", "name": "influx-data", "layer": "platform", "fingerprint": "2"},
    }
}


def test_a_bundle_names_what_it_adopts_by_kind_and_docker_name() -> None:
    assert adopted_of({"adoption.json": json.dumps(ADOPTION)}) == {("service", "vault"), ("volume", "influx-data")}
    assert adopted_of({"stack.yml": "{}"}) == frozenset()


def test_an_adopted_object_that_changes_shows_and_a_strangers_does_not() -> None:
    adopted = adopted_of({"adoption.json": json.dumps(ADOPTION)})
    swarm = Swarm([_service("demo_web"), _service("vault"), _service("stranger")], [LiveObject("volume", "influx-data", "influx-data")])
    before, without = live_fingerprint(swarm, "demo", adopted), live_fingerprint(swarm, "demo")
    assert before != without
    swarm.services[2] = _service("stranger", 2)
    assert live_fingerprint(swarm, "demo", adopted) == before
    swarm.services[1] = _service("vault", 2)
    assert live_fingerprint(swarm, "demo", adopted) != before
    assert live_fingerprint(swarm, "demo") == without
