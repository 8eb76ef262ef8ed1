"""The real client against a server that says what a test wants: what each answer means, in words, and where a token goes."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning.providers.vault.client import HvacVault, Reach, Standing, connect
from sprocket_v2.errors import ApplyError

TOKEN = "canary-token-0123456789"
NO_JSON = "404 page not found"
DENIED = (403, {"errors": ["permission denied"]})
STATUS = "sys/seal-status"


class Scripted:
    """Answers by path, the last answer again and again; `asked` is what came, with its headers."""

    def __init__(self) -> None:
        self.answers: dict[str, list[tuple[int, Any]]] = {}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def says(self, path: str, *answers: tuple[int, Any]) -> None:
        self.answers[path] = list(answers)

    def next(self, path: str) -> tuple[int, Any]:
        queue = self.answers.get(path, [(404, {"errors": []})])
        return queue.pop(0) if len(queue) > 1 else queue[0]


@pytest.fixture
def server() -> Iterator[tuple[Scripted, str]]:
    script = Scripted()

    class Handler(http.server.BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            return None

        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            path = self.path.removeprefix("/v1/")
            script.asked.append((path, dict(self.headers.items())))
            code, said = script.next(path)
            body = said.encode() if isinstance(said, str) else json.dumps(said).encode()
            self.send_response(code)
            self.send_header("Content-Type", "text/plain" if isinstance(said, str) else "application/json")
            if code == 307:
                self.send_header("Location", "http://another.example.org/v1/x")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_DELETE = _answer

    http_server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=http_server.serve_forever, daemon=True).start()
    yield script, f"http://127.0.0.1:{http_server.server_address[1]}"
    http_server.shutdown()
    http_server.server_close()


@pytest.fixture
def script(server: tuple[Scripted, str]) -> Scripted:
    return server[0]


@pytest.fixture
def vault(server: tuple[Scripted, str]) -> HvacVault:
    return connect(Reach(server[1], "vault.example.org", "demo/vault-token"), lambda _reference: TOKEN)


def test_the_servers_state_is_asked_without_a_token_and_under_its_name(vault: HvacVault, script: Scripted) -> None:
    script.says(STATUS, (200, {"initialized": True, "sealed": True, "t": 3, "progress": 1}))
    assert vault.standing() == Standing(initialized=True, sealed=True, threshold=3, progress=1)
    [(_, headers)] = script.asked
    assert headers["Host"] == "vault.example.org"
    assert "X-Vault-Token" not in headers


def test_nothing_is_taken_from_the_environment(vault: HvacVault, script: Scripted, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / ".vault-token").write_text("somebodys-own-token")
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password mine")
    for name, value in {
        "HOME": str(tmp_path),
        "VAULT_TOKEN": "somebodys",
        "VAULT_ADDR": "http://x",
        "HTTP_PROXY": "http://127.0.0.1:9",
    }.items():
        monkeypatch.setenv(name, value)
    script.says("a/b", (200, {"data": {"x": 1}}))
    assert vault.find("a/b") == {"x": 1}
    [(_, headers)] = script.asked
    assert headers["X-Vault-Token"] == TOKEN
    assert "Authorization" not in headers


def test_not_there_is_none_only_when_vault_says_so(vault: HvacVault, script: Scripted) -> None:
    assert vault.find("a/b") is None
    vault.remove("a/b")
    script.says("a/b", (404, NO_JSON))
    with pytest.raises(ApplyError, match="something that is not Vault says 404") as refused:
        vault.find("a/b")
    assert refused.value.transient


def test_a_proxy_that_has_no_route_yet_is_worth_waiting_for(vault: HvacVault, script: Scripted) -> None:
    for code in (404, 502, 503):
        script.says(STATUS, (code, NO_JSON))
        with pytest.raises(ApplyError) as refused:
            vault.standing()
        assert refused.value.transient, code


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(vault: HvacVault, script: Scripted) -> None:
    script.says("a/b", (307, {}))
    for call in (lambda: vault.find("a/b"), lambda: vault.write("a/b", {}), lambda: vault.remove("a/b")):
        with pytest.raises(ApplyError, match=r"redirects to http://another\.example\.org"):
            call()
    assert len(script.asked) == 3


def test_a_website_under_the_name_is_not_taken_for_vault(vault: HvacVault, script: Scripted) -> None:
    for path in (STATUS, "a/b", "sys/internal/ui/mounts/misc"):
        script.says(path, (200, "<html>"))
    for call in (vault.standing, lambda: vault.find("a/b"), lambda: vault.kv_version("misc")):
        with pytest.raises(ApplyError, match="answers what Vault would not"):
            call()


def test_an_engine_that_is_being_upgraded_is_waited_for(vault: HvacVault, script: Scripted) -> None:
    busy = (400, {"errors": ["Upgrading from non-versioned to versioned data. This backend will be unavailable for a brief period"]})
    script.says("kv/data/a", busy, busy, (200, {"data": {"data": {}}}))
    assert vault.find("kv/data/a") == {"data": {}}


def test_a_token_that_ended_is_told_from_one_without_the_policy(vault: HvacVault, script: Scripted) -> None:
    script.says("a/b", DENIED)
    script.says("auth/token/lookup-self", DENIED)
    with pytest.raises(ApplyError, match="the token has expired, was revoked") as ended:
        vault.find("a/b")
    assert ended.value.hint.endswith("`sprocket secret set demo vault-token`")
    script.says("auth/token/lookup-self", (200, {"data": {"policies": ["default", "elo-team"]}}))
    with pytest.raises(ApplyError, match=r"the token's policies \(default, elo-team\) do not allow it") as refused:
        vault.write("a/b", {})
    assert TOKEN not in str(ended.value) + str(refused.value)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ({"initialized": True, "sealed": True}, "Vault is sealed"),
        ({"initialized": False, "sealed": True}, "Vault is not initialised"),
        ({"initialized": True, "sealed": False}, "Vault is not ready"),
    ],
)
def test_sealed_not_initialised_and_not_ready_are_three_messages(
    vault: HvacVault, script: Scripted, status: dict[str, bool], said: str
) -> None:
    script.says("a/b", (503, {"errors": ["Vault is sealed"]}))
    script.says(STATUS, (200, status))
    with pytest.raises(ApplyError, match=said):
        vault.find("a/b")


def test_a_missing_engine_and_one_of_another_type_are_said(vault: HvacVault, script: Scripted) -> None:
    about = "sys/internal/ui/mounts/misc"
    for path in (about, "sys/mounts"):
        script.says(path, DENIED)
    script.says("auth/token/lookup-self", (200, {"data": {"policies": ["root"]}}))
    with pytest.raises(ApplyError, match=r"no secrets engine is mounted at misc, or the token's policies \(root\) hide it"):
        vault.kv_version("misc")
    script.says("sys/mounts", (200, {"data": {"own/": {"type": "kv"}}}))
    assert vault.kv_version("misc") == 0
    script.says(about, (200, {"data": {"type": "database", "options": None}}))
    with pytest.raises(ApplyError, match="misc is of type database, not kv"):
        vault.kv_version("misc")
    script.says(about, (200, {"data": {"type": "kv", "options": None}}))
    assert vault.kv_version("misc") == 1


def test_what_the_server_says_reaches_the_person_with_what_to_do(vault: HvacVault, script: Scripted) -> None:
    script.says("sys/auth/github", (400, {"errors": ["plugin not found in the catalog: github"]}))
    with pytest.raises(ApplyError, match="Vault says plugin not found in the catalog: github") as refused:
        vault.write("sys/auth/github", {"type": "github"})
    assert "OpenBao wants it as a plug-in" in refused.value.hint


def test_a_server_that_is_not_there_is_worth_another_try(vault: HvacVault) -> None:
    nobody = connect(Reach("http://127.0.0.1:9", "", "demo/vault-token"), lambda _reference: TOKEN)
    with pytest.raises(ApplyError, match="Vault does not answer") as refused:
        nobody.standing()
    assert refused.value.transient


@pytest.mark.parametrize("url", ["vault:8200", "ftp://vault", "http://me@vault", "http://vault/v1", "http://", "http://vault?x=1"])
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ApplyError, match="is not the address of a server"):
        connect(Reach(url, "", "demo/vault-token"), lambda _reference: TOKEN)
