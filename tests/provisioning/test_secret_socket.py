"""The last hop of a secret: one connection a token, our own session only, masked in every form."""

from __future__ import annotations

import base64
import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest

from provisioning.fingerprints import fingerprint_of
from provisioning.secret_socket import MASK, SOCKET, TOKEN_FILE, SecretClient, SecretServer
from sprocket_v2.errors import ApplyError

VALUES = {"demo/jwt-secret@1": 'va"lue/one+two'}


def test_a_client_gets_what_it_asks_for_and_an_error_for_anything_else(tmp_path: Path) -> None:
    with SecretServer(VALUES, tmp_path) as server:
        client = SecretClient(server.environment())
        assert client.get("demo/jwt-secret@1") == VALUES["demo/jwt-secret@1"]
        with pytest.raises(ApplyError, match="this run has no secret demo/jwt-secret@2"):
            client.get("demo/jwt-secret@2")


def test_what_a_secret_server_holds_is_told_by_fingerprint_and_masked_from_then_on(tmp_path: Path) -> None:
    key, found = b"k" * 32, "found-in-a-secret-server"
    with SecretServer(VALUES, tmp_path, fingerprint_key=key) as server:
        client = SecretClient(server.environment())
        assert client.fingerprint("jwt-secret", found) == fingerprint_of(key, "jwt-secret", found)
        assert client.mask(f"it says {found}") == f"it says {MASK}"
    with SecretServer(VALUES, tmp_path) as server, pytest.raises(ApplyError, match="no key for fingerprints"):
        SecretClient(server.environment()).fingerprint("jwt-secret", found)


def test_a_reference_without_a_version_is_the_newest_that_the_run_has(tmp_path: Path) -> None:
    with SecretServer({f"demo/token@{version}": f"token-{version}" for version in (9, 10)}, tmp_path) as server:
        client = SecretClient(server.environment())
        assert client.get("demo/token") == "token-10"
        with pytest.raises(ApplyError, match="this run has no secret demo/tok"):
            client.get("demo/tok")


def test_socket_and_token_are_private_and_gone_afterwards(tmp_path: Path) -> None:
    with SecretServer(VALUES, tmp_path) as server:
        modes = [os.stat(server.environment()[name]).st_mode & 0o777 for name in (SOCKET, TOKEN_FILE)]
        assert modes == [0o600, 0o600]
    assert not list(tmp_path.iterdir())


def test_a_token_opens_one_connection(tmp_path: Path) -> None:
    with SecretServer(VALUES, tmp_path) as server:
        token = Path(server.environment()[TOKEN_FILE]).read_text()
        SecretClient(server.environment()).get("demo/jwt-secret@1")
        answers = []
        for given in (token, "", "guess"):
            with socket.socket(socket.AF_UNIX) as connection:
                connection.connect(server.environment()[SOCKET])
                connection.sendall(json.dumps({"token": given}).encode() + b"\n")
                answers.append(json.loads(connection.makefile().readline()))
        assert answers == [{"ok": False}] * 3


def test_a_process_of_another_session_is_refused(tmp_path: Path) -> None:
    code = (
        "from provisioning.secret_socket import SecretClient\n"
        "try: print(SecretClient().get('demo/jwt-secret@1'))\n"
        "except Exception as error: print(type(error).__name__)"
    )
    with SecretServer(VALUES, tmp_path) as server:
        environment = {**os.environ, **server.environment()}
        root = Path(__file__).resolve().parents[2]
        ours = subprocess.run([sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True, check=True)
        theirs = subprocess.run(
            [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True, check=True, start_new_session=True
        )
    assert ours.stdout.strip() == VALUES["demo/jwt-secret@1"]
    assert theirs.stdout.strip() == "ApplyError"


def test_values_are_masked_in_every_form(tmp_path: Path) -> None:
    value = VALUES["demo/jwt-secret@1"]
    forms = [value, base64.b64encode(value.encode()).decode(), quote(value, safe=""), json.dumps({"k": value})]
    with SecretServer(VALUES, tmp_path) as server:
        client = SecretClient(server.environment())
        for form in forms:
            masked = client.mask(f"before {form} after")
            assert value not in masked
            assert MASK in masked
        assert client.mask("nothing to hide") == "nothing to hide"


def test_a_deep_data_folder_gets_a_socket_of_its_own_place(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    with SecretServer(VALUES, deep) as server:
        assert len(server.environment()[SOCKET]) < 108
        assert SecretClient(server.environment()).get("demo/jwt-secret@1")
    assert not Path(server.environment()[SOCKET]).parent.exists()


def test_without_a_run_there_is_a_clear_error_and_no_log_line() -> None:
    client = SecretClient({})
    with pytest.raises(ApplyError, match="secret socket does not answer"):
        client.get("demo/x@1")
    assert "left out" in client.mask("could be a secret")
