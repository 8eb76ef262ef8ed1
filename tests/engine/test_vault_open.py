"""A sealed server opened by the secret store's keys, the life of a token, and the mapping of GitHub teams, through the real engine.

OpenBao 2.7 has no auth method github: a door before the real server stands in for that method's API. A login is not tried.
"""

from __future__ import annotations

import contextlib
import http.client
import http.server
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.ports import free_port
from tests.engine.vault_stage import FOLDER, TOKEN, VaultStage, vault_stage

pytestmark = pytest.mark.engine
TEAMS = {"contributor": "readonly-team", "maintainers": "admin-team", "data-science": "data-science-team", "elo": "elo-team"}
AUTH = "auth:\n  github:\n    organization: SprocketBot\n    teams:\n" + "".join(
    f"      {team}: [{name}]\n" for team, name in TEAMS.items()
)


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultStage]:
    """A layer that keeps one engine and six policies, behind the door."""
    with vault_stage(tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("open")) as made, door(made.server.port) as port:
        made.server.port = port
        made.files = {path: text for path, text in made.files.items() if "/secrets/" not in path}
        yield made


def head(stage: VaultStage, more: str) -> None:
    stage.files[f"{FOLDER}/vault.yml"] = (
        f"host: vault.example.org\nsigns_in_with: {TOKEN}\nmounts: {{misc: {{type: kv, version: 1}}}}\n{more}"
    )


def test_the_estates_four_teams_are_mapped_and_what_was_added_by_hand_is_taken_out(stage: VaultStage) -> None:
    head(stage, AUTH)
    assert stage.run("apply").ok
    api = stage.server.api
    assert api("GET", "auth/github/config")["data"] == {"organization": "SprocketBot"}
    mapped = api("GET", "auth/github/map/teams?list=true")["data"]["keys"]
    assert {team: api("GET", f"auth/github/map/teams/{team}")["data"]["value"] for team in mapped} == TEAMS
    assert stage.changed() == {}

    api("POST", "auth/github/map/teams/friends", {"value": "admin-team"})
    outcome = stage.run("preview", refresh=True)
    assert [(step["resource"], step["fields"]) for step in outcome.steps] == [("layer_2/vault-auth/github", ["teams.friends"])]
    assert stage.run("refresh").ok
    assert stage.run("apply").ok
    assert set(api("GET", "auth/github/map/teams?list=true")["data"]["keys"]) == set(TEAMS)


def test_a_sealed_server_is_opened_by_its_keys_where_the_store_has_them_and_they_are_nowhere(stage: VaultStage) -> None:
    stage.versions["key-1"] = 1
    value, stage.value = stage.value, lambda name: stage.server.key if name == "key-1" else value(name)  # type: ignore[method-assign]
    head(stage, "unseal_keys: [key-1]\n")
    stage.server.api("PUT", "sys/seal")
    outcome = stage.run("apply")
    assert outcome.ok, outcome.error
    assert not stage.server.api("GET", "sys/seal-status")["sealed"]
    assert stage.server.key not in stage.written()


def test_a_token_that_ends_during_the_run_is_refused_before_anything_is_written(stage: VaultStage) -> None:
    made = stage.server.api("POST", "auth/token/create", {"policies": ["root"], "ttl": "300s", "renewable": False})
    stage.token = made["auth"]["client_token"]
    head(stage, "unseal_keys: []\n")
    stage.files[f"{FOLDER}/policies/new.hcl"] = 'path "x" {\n  capabilities = ["read"]\n}\n'
    outcome = stage.run("apply")
    assert outcome.error is not None
    assert "sooner than a run" in outcome.error["message"]
    assert f"sprocket secret set {stage.slug} {TOKEN}" in outcome.error["hint"]
    assert "new" not in stage.server.api("GET", "sys/policies/acl?list=true")["data"]["keys"]


@contextlib.contextmanager
def door(behind: int) -> Iterator[int]:
    """A port that leads to the server, and knows the method github."""
    github: dict[str, dict[str, Any]] = {}  # "" is the method itself

    class Door(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return None

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path, _, query = self.path.removeprefix("/v1/").partition("?")
            if path.startswith(("sys/auth/github", "auth/github/")):
                known, _ = self._behind(b"", "GET", "/v1/auth/token/lookup-self")
                self._answer(*(self._github(path, query, body) if known == 200 else (known, b'{"errors": ["permission denied"]}')))
                return
            code, said = self._behind(body, self.command, self.path)
            if path == "sys/auth" and self.command == "GET" and code == 200 and "" in github:
                whole = json.loads(said)
                whole["data"]["github/"] = github[""]
                said = json.dumps(whole).encode()
            self._answer(code, said)

        do_GET = do_POST = do_PUT = do_DELETE = _handle

        def _github(self, path: str, query: str, body: bytes) -> tuple[int, bytes]:
            name = path.removeprefix("sys/auth/github").removeprefix("auth/github/")
            if self.command == "DELETE":
                for key in [key for key in github if key == name or not name]:
                    del github[key]
                return 204, b""
            if self.command != "GET":
                github[name] = json.loads(body)
                return 204, b""
            below = [key.removeprefix(f"{name}/") for key in github if key.startswith(f"{name}/")]
            found = ({"keys": below} if below else None) if "list=" in query else github.get(name)
            return (200, json.dumps({"data": found}).encode()) if found is not None else (404, b'{"errors": []}')

        def _behind(self, body: bytes, method: str, path: str) -> tuple[int, bytes]:
            with contextlib.closing(http.client.HTTPConnection("127.0.0.1", behind, timeout=15)) as connection:
                headers = {name: value for name, value in self.headers.items() if name.lower().startswith("x-vault")}
                connection.request(method, path, body=body or None, headers=headers)
                answer = connection.getresponse()
                return answer.status, answer.read()

        def _answer(self, code: int, body: bytes) -> None:
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    port = free_port()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Door)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield port
    finally:
        server.shutdown()
        server.server_close()
