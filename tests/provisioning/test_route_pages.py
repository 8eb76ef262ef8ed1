"""The routes page: what the needs would give, what the last probe found, and trying again; and secrets of several lines."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from blueprints import actions as blueprint_actions
from orgs import actions as org_actions
from orgs.models import Organization
from provisioning.models import SecretVersion, StackState
from provisioning.verdict import Check, verdict_of
from provisioning.ways import probe_now, route_rows
from sprocket_v2.errors import ApplyError
from tests.certificates import make_authority
from tests.orgs.answers import answers

HOST = {"HTTP_HOST": "localhost"}


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.headers["Host"].startswith("api.") else 502)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture
def entry() -> Iterator[int]:
    """An entry port behind which only the API answers."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def needs_with(demo: Organization, alice: Any, **access: Any) -> None:
    given = answers(slug="demo", applications="stand-in", access={"canonical": next(iter(access)), **access})
    org_actions.set_needs(org=demo, actor=alice, data=given)


@pytest.fixture
def deployed(demo: Organization, alice: Any, entry: int, client: Client) -> Organization:
    """Applied, as far as rows know, with a verdict from before the site broke."""
    needs_with(demo, alice, localhost={"host": "demo.localhost", "port": entry})
    blueprint = blueprint_actions.make_blueprint(org=demo, actor=alice)
    verdict = verdict_of([Check("way/localhost/web", "Web", "ok", "It answered then."), Check("images", "Images", "ok")])
    StackState.objects.update_or_create(organization=demo, defaults={"applied_blueprint": blueprint, "last_verdict": verdict.as_dict()})
    client.force_login(alice)
    return demo


def test_without_a_blueprint_the_page_says_what_to_do(demo: Organization, alice: Any, client: Client) -> None:
    client.force_login(alice)
    assert "Answer the questions" in client.get("/o/demo/routes", **HOST).content.decode()
    assert route_rows(org=demo) == (None, [])
    with pytest.raises(ApplyError, match="nothing is deployed"):
        probe_now(org=demo)


def test_what_is_not_deployed_shows_the_matrix_and_nothing_to_try(demo: Organization, alice: Any, client: Client) -> None:
    needs_with(demo, alice, lan={"host": "box.lan", "certificate": "own"})
    blueprint_actions.make_blueprint(org=demo, actor=alice)
    client.force_login(alice)
    text = client.get("/o/demo/routes", **HOST).content.decode()
    for part in ("https://box.lan:8080", "https://box.lan:8081/login", "A box.lan", "your own", "it is not deployed", "not tried"):
        assert part in text, part
    assert "Try them now" not in text


def test_the_last_results_are_shown_and_trying_puts_new_ones_in_their_place(deployed: Organization, client: Client) -> None:
    assert "It answered then." in client.get("/o/demo/routes", **HOST).content.decode()
    text = client.post("/o/demo/routes/probe", follow=True, **HOST).content.decode()
    assert "Tried: 1 of 2 need a look." in text
    assert "It answered then." not in text
    assert "Traefik is there, and nothing answers behind it." in text
    assert "/healthz answers 200." in text
    state = StackState.objects.for_org(deployed).get()
    assert state.last_verdict["runs"]["state"] == "failed"
    assert [check["name"] for check in state.last_verdict["checks"]] == ["way/localhost/web", "images", "way/localhost/api"]


def test_a_key_of_several_lines_is_taken_as_browsers_send_it_and_never_shown(
    demo: Organization, alice: Any, client: Client, tmp_path: Path
) -> None:
    needs_with(demo, alice, lan={"host": "box.lan", "certificate": "own"})
    client.force_login(alice)
    key = make_authority(tmp_path, ["box.lan"]).key.read_text()
    assert '<textarea class="form-control" id="value-lan-certificate-key"' in client.get("/o/demo/secrets", **HOST).content.decode()
    given = {"name": "lan-certificate-key", "value": key.replace("\n", "\r\n")}
    answer = client.post("/o/demo/secrets/set", given, follow=True, **HOST)
    assert "is set (version 1)" in answer.content.decode()
    assert key.splitlines()[1] not in answer.content.decode()
    assert SecretVersion.objects.for_org(demo).count() == 1


def test_what_is_no_key_is_refused_in_words(demo: Organization, alice: Any, client: Client) -> None:
    needs_with(demo, alice, lan={"host": "box.lan", "certificate": "own"})
    client.force_login(alice)
    answer = client.post("/o/demo/secrets/set", {"name": "lan-certificate-key", "value": "this is\nno key at all"}, **HOST)
    assert answer.status_code == 422
    assert "PEM text of several lines, beginning with -----BEGIN PRIVATE KEY-----" in answer.content.decode()
