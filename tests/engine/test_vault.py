"""Vault's objects against a real server (OpenBao): made, found the same, seen drifting, rotated, refused to strangers, removed."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from blueprints.catalog import TEMPLATES, load_catalog
from blueprints.render import render
from blueprints.resolve import resolve
from blueprints.vault_files import read_vault, rules_of
from orgs.needs_file import parse_needs
from provisioning.fingerprints import fingerprint_of
from provisioning.providers.kinds import KINDS
from provisioning.providers.vault.client import HvacVault, Reach, connect
from provisioning.providers.vault.secret import SecretArgs
from sprocket_v2.errors import ApplyError
from tests.engine.ports import free_port

pytestmark = pytest.mark.engine
KEY = b"f" * 32
LABELS = {"sprocket.org": "estate", "sprocket.resource": "vault-secret/x"}


class Socket:
    """Answers as a run's secret socket does."""

    def __init__(self) -> None:
        self.values = {f"estate/{name}@1": f"value-of-{name}-0123456789" for name in ("a", "b")}

    def get(self, reference: str) -> str:
        return self.values.get(reference) or f"value-of-{reference.rpartition('/')[2]}"

    def fingerprint(self, name: str, value: str) -> str:
        return fingerprint_of(KEY, name, value)


@dataclass
class Server:
    url: str
    token: str

    def client(self, token: str = "") -> HvacVault:
        return connect(Reach(self.url, "", "estate/token"), lambda _reference: token or self.token)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        data = json.dumps(body).encode() if body is not None else None
        request = urllib.request.Request(f"{self.url}/v1/{path}", data=data, method=method, headers={"X-Vault-Token": self.token})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    port, token, name = free_port(), "root-" + secrets.token_hex(8), "vault-test-" + secrets.token_hex(4)
    command = ["docker", "run", "-d", "--rm", "--name", name, "-p", f"127.0.0.1:{port}:8200", "-e", f"BAO_DEV_ROOT_TOKEN_ID={token}",
               "openbao/openbao:2.7.2", "bao", "server", "-dev", "-dev-no-store-token", "-dev-listen-address=0.0.0.0:8200"]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    found = Server(f"http://127.0.0.1:{port}", token)
    try:
        limit = time.monotonic() + 30
        while True:
            try:
                found.api("GET", "sys/health")
                break
            except OSError:
                assert time.monotonic() < limit
                time.sleep(0.2)
        yield found
    finally:
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False, timeout=60)


def made(server: Server, kind: str, props: dict[str, Any], socket: Socket | None = None) -> Any:
    """Create by the table of kinds, as the plug-in does; its arguments."""
    entry = KINDS[f"sprocket:vault:{kind}"]
    reach = {"url": server.url, "host": "", "token": "estate/token"}
    args = entry.parse({"labels": LABELS, "reach": reach, "adopted": False, **props})
    entry.create(server.client(), args, socket or Socket())  # type: ignore[arg-type]
    return args


def now(server: Server, kind: str, args: Any) -> Any:
    """How it is, as a refresh reads it; None when it is gone."""
    found = KINDS[f"sprocket:vault:{kind}"].read(server.client(), args, Socket())  # type: ignore[arg-type]
    return found[1] if found else None


def test_the_estates_part_of_vault_is_made_and_found_the_same(server: Server) -> None:
    """Every engine, policy and path of the rendered legacy layout, with its doubled `data`."""
    catalog = load_catalog()
    rendering = render(resolve(parse_needs((TEMPLATES.parent / "orgs" / "legacy.yaml").read_text()), catalog), catalog)
    engines, policies, paths = {}, {}, {}
    for layer in ("layer_2", "platform"):
        files = read_vault(f"{layer}/vault", rendering.files)
        engines |= files.engines
        policies |= files.policies
        paths |= {path.path: path for path in files.paths}
    assert (len(engines), len(policies), len(paths)) == (4, 6, 24)

    before = [made(server, "Mount", {"path": name, "type": e.type, "version": e.version}) for name, e in engines.items()]
    texts = [(name, rules_of(text)) for name, text in policies.items()]
    written = [made(server, "Policy", {"name": name, "rules": rules, "beyond": beyond}) for name, (rules, beyond) in texts]
    socket = Socket()
    kept = []
    for path in paths.values():
        references = {field: f"estate/{name}@1" for field, name in path.secrets.items()}
        prints = {field: socket.fingerprint(name, socket.get(f"estate/{name}@1")) for field, name in path.secrets.items()}
        props = {"path": path.path, "mount": path.mount, "plain": dict(path.plain), "references": references, "fingerprints": prints}
        kept.append(made(server, "Secret", props, socket))
    assert [now(server, "Mount", args) for args in before] == before
    assert [now(server, "Policy", args) for args in written] == written
    assert [now(server, "Secret", args) for args in kept] == kept
    stored = server.api("GET", "infrastructure/data/data/postgres/root")["data"]["data"]
    assert stored["username"] == "doadmin"
    assert stored["password"] == socket.get("estate/legacy-postgres-admin-password@1")


def secret_of(server: Server, path: str, version: int = 1) -> SecretArgs:
    socket = Socket()
    reference = f"estate/a@{version}"
    socket.values[reference] = f"value-{version}-of-a-0123456789"
    prints = {"password": socket.fingerprint("a", socket.get(reference))}
    props = {"path": path, "mount": "own", "plain": {"user": "x"}, "references": {"password": reference}, "fingerprints": prints}
    args: SecretArgs = made(server, "Secret", props, socket)
    return args


def test_a_value_that_somebody_changed_shows_as_another_fingerprint_and_never_as_itself(server: Server) -> None:
    made(server, "Mount", {"path": "own", "type": "kv", "version": 2})
    args = secret_of(server, "own/app")
    assert now(server, "Secret", args) == args
    server.api("POST", "own/data/app", {"data": {"user": "x", "password": "changed-by-hand-0123"}})
    drifted = now(server, "Secret", args)
    assert drifted != args
    assert drifted.fingerprints["password"] == fingerprint_of(KEY, "a", "changed-by-hand-0123")
    assert "changed-by-hand" not in repr(drifted)


def test_a_rotated_value_is_a_new_version(server: Server) -> None:
    made(server, "Mount", {"path": "own", "type": "kv", "version": 2})
    secret_of(server, "own/rotated", 1)
    rotated = secret_of(server, "own/rotated", 2)
    assert now(server, "Secret", rotated) == rotated
    assert server.api("GET", "own/data/rotated")["data"]["metadata"]["version"] == 2


def test_a_policy_that_somebody_widened_is_seen_and_put_back(server: Server) -> None:
    args = made(server, "Policy", {"name": "team", "rules": {"platform/*": "list, read"}})
    server.api("POST", "sys/policies/acl/team", {"policy": f'# {args.labels}\npath "*" {{ capabilities = ["sudo"] }}\n'})
    assert now(server, "Policy", args).rules == {"*": "sudo"}
    KINDS["sprocket:vault:Policy"].update(server.client(), args, Socket())  # type: ignore[misc, arg-type]
    assert now(server, "Policy", args) == args


def test_what_somebody_else_wrote_is_refused_and_named(server: Server) -> None:
    made(server, "Mount", {"path": "own", "type": "kv", "version": 2})
    server.api("POST", "own/data/theirs", {"data": {"password": "somebody-elses-0123"}})
    with pytest.raises(ApplyError, match="own/theirs exists and was not made by Sprocket") as refused:
        secret_of(server, "own/theirs")
    assert "somebody-elses" not in str(refused.value)
    assert server.api("GET", "own/data/theirs")["data"]["data"]["password"] == "somebody-elses-0123"


def test_removing_takes_ours_only_and_something_gone_is_no_error(server: Server) -> None:
    made(server, "Mount", {"path": "own", "type": "kv", "version": 2})
    args = secret_of(server, "own/removed")
    delete = KINDS["sprocket:vault:Secret"].delete
    delete(server.client(), args)
    assert now(server, "Secret", args) is None
    delete(server.client(), args)
    server.api("POST", "own/data/removed", {"data": {"password": "somebody-elses-0123"}})
    delete(server.client(), replace(args))
    assert server.api("GET", "own/data/removed")["data"]["data"]


def test_a_wrong_token_and_a_missing_engine_are_said_in_words(server: Server) -> None:
    with pytest.raises(ApplyError, match="the token has expired, was revoked, or is another server's"):
        server.client("hvs.nobodys").write("sys/policies/acl/x", {"policy": ""})
    with pytest.raises(ApplyError, match="no secrets engine is mounted at nowhere"):
        made(server, "Secret", {"path": "nowhere/x", "mount": "nowhere", "plain": {"a": "b"}})
    with pytest.raises(ApplyError, match="does not answer"):
        connect(Reach("http://127.0.0.1:9", "", "x/y"), lambda _: "token").find("sys/mounts")


def test_teams_of_github_want_a_server_that_has_the_method(server: Server) -> None:
    """OpenBao has it as a plug-in only, and says so; HashiCorp's server has it built in."""
    props = {"path": "github", "type": "github", "organization": "SprocketBot", "teams": {"elo": "elo-team"}}
    with pytest.raises(ApplyError, match="plugin not found in the catalog") as refused:
        made(server, "AuthMethod", props)
    assert "OpenBao wants it as a plug-in" in refused.value.hint


def test_a_sealed_server_says_so_and_what_to_do(server: Server) -> None:
    """The last one: nothing opens it again."""
    server.api("PUT", "sys/seal")
    with pytest.raises(ApplyError, match="Vault is sealed") as refused:
        server.client().find("sys/mounts")
    assert "unseal" in refused.value.hint
