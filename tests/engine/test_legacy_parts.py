"""What decides by itself in the older layout, each alone in a container: Vault's start script, and Redis without the modules it is told to load."""

from __future__ import annotations

import json
import secrets
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from blueprints.catalog import load_catalog
from blueprints.render import render
from blueprints.resolve import resolve
from orgs.needs_file import parse_needs
from tests.engine.deployed import ROOT
from tests.engine.docker_cli import docker

pytestmark = pytest.mark.engine
VAULT, REDIS = "vault:1.10-standin", "redislabs/rejson:2.0-standin"
LIMIT_S = 30.0
_OPTIONS = "options: {legacy-vault: {storage: file}}\n"
_NO_KEYS = "there is data and no key in /vault/unseal-tokens: put unseal_keys and root_token back; nothing was initialised"
_NO_DATA = "there are keys in /vault/unseal-tokens and no data: they belong to another storage; move them away first"


class Vault:
    """The start script and settings of the release, in one container after another, on one folder of keys and data.

    The folder is a Docker volume: what is in it belongs to root.
    """

    def __init__(self, settings: Path, folder: str) -> None:
        self.settings, self.folder = settings, folder

    def start(self) -> str:
        """What the script has decided, in its own words; the container goes on where it did not give up."""
        self.stop()
        files = ("vault.hcl", "auto-initialize.sh")
        mounts = [word for name in files for word in ("-v", f"{self.settings / name}:/{name}:ro")]
        volume = f"{self.folder}:/vault/unseal-tokens"
        docker(
            "run", "-d", "--name", self.folder, "-e", "VAULT_START_LIMIT_S=20", "-v", volume, *mounts, VAULT, "sh", "/auto-initialize.sh"
        )
        limit = time.monotonic() + LIMIT_S
        while time.monotonic() < limit:
            said = [line.removeprefix("vault: ") for line in self.log().splitlines() if line.startswith("vault: ")]
            if said and (said[-1] == "unsealed" or not self.runs()):
                return said[-1]
            time.sleep(0.2)
        raise AssertionError(self.log())

    def stop(self) -> float:
        """Seconds until it has ended by itself, as Docker asks it to."""
        begun = time.monotonic()
        subprocess.run(["docker", "stop", self.folder], capture_output=True, timeout=60, check=False)
        took = time.monotonic() - begun
        subprocess.run(["docker", "rm", "-f", self.folder], capture_output=True, timeout=60, check=False)
        return took

    def runs(self) -> bool:
        return docker("inspect", self.folder, "--format", "{{.State.Running}}").strip() == "true"

    def log(self) -> str:
        done = subprocess.run(["docker", "logs", self.folder], capture_output=True, text=True, timeout=60, check=True)
        return done.stdout + done.stderr

    def inside(self, script: str) -> str:
        """A few lines of shell in the folder, in a container of their own."""
        return docker("run", "--rm", "-v", f"{self.folder}:/keys", "-w", "/keys", VAULT, "sh", "-euc", script)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The release's files for storage on the machine."""
    catalog, folder = load_catalog(), tmp_path_factory.mktemp("vault")
    files = render(resolve(parse_needs((ROOT / "orgs" / "legacy.yaml").read_text() + _OPTIONS), catalog), catalog).files
    for name in ("vault.hcl", "auto-initialize.sh"):
        (folder / name).write_text(files[f"config/legacy-vault/{name}"])
    return folder


@pytest.fixture
def vault(settings: Path) -> Iterator[Vault]:
    """Nothing there yet."""
    vault = Vault(settings, f"sprocket-test-{secrets.token_hex(5)}")
    yield vault
    vault.stop()
    docker("volume", "rm", "-f", vault.folder)


def test_vault_is_initialised_once_and_unsealed_after_every_start(vault: Vault) -> None:
    assert vault.start() == "unsealed"
    assert "initialised; five keys and the root token are in the folder of keys" in vault.log()
    keys = vault.inside("cat unseal_keys; stat -c %a unseal_keys root_token").split()
    assert (len(keys), keys[5:]) == (7, ["600", "600"])
    token = vault.inside("cat root_token")
    assert token == token.strip() != ""
    assert not any(value in vault.log() for value in [*keys[:5], token])
    signed_in = docker("exec", "-e", f"VAULT_TOKEN={token}", "-e", "VAULT_ADDR=http://127.0.0.1:8200", vault.folder, "vault", "token", "lookup",
                       "-format=json")  # fmt: skip
    assert json.loads(signed_in)["data"]["policies"] == ["root"]
    assert vault.stop() < 8, "it ends when it is told to"
    assert vault.start() == "unsealed"
    assert "initialised" not in [line.removeprefix("vault: ").partition(";")[0] for line in vault.log().splitlines()]
    assert vault.inside("cat root_token") == token


def test_vault_is_not_initialised_again_when_the_keys_are_gone(vault: Vault) -> None:
    assert vault.start() == "unsealed"
    vault.stop()
    vault.inside("mkdir away; mv unseal_keys root_token away")
    assert vault.start() == _NO_KEYS
    assert vault.inside("ls").split() == ["away", "data"]
    vault.inside("mv away/* .; rmdir away")
    assert vault.start() == "unsealed"


def test_vault_is_not_initialised_over_the_keys_of_another_storage(vault: Vault) -> None:
    vault.inside("mkdir data; echo c29tZWJvZHkncyBrZXk= > unseal_keys; echo token > root_token")
    assert vault.start() == _NO_DATA
    assert vault.inside("cat unseal_keys root_token").split() == ["c29tZWJvZHkncyBrZXk=", "token"]


def test_vault_says_that_the_keys_are_not_its_own(vault: Vault) -> None:
    assert vault.start() == "unsealed"
    vault.stop()
    vault.inside("for n in 1 2 3 4 5; do head -c 33 /dev/urandom | base64; done > unseal_keys")
    assert vault.start() == "still sealed: the keys in /vault/unseal-tokens are not this storage's"


def test_vault_waits_for_nobody_who_was_cut_off_while_initialising(vault: Vault) -> None:
    vault.inside("mkdir .initialising data")
    assert vault.start() == "another task is initialising, or was cut off while it did: look at /vault/unseal-tokens/.initialising"


def test_vault_whose_settings_are_wrong_ends_and_says_so(vault: Vault, tmp_path: Path) -> None:
    (tmp_path / "vault.hcl").write_text((vault.settings / "vault.hcl").read_text().replace('"raft"', '"papyrus"'))
    (tmp_path / "auto-initialize.sh").write_text((vault.settings / "auto-initialize.sh").read_text())
    vault.settings = tmp_path
    assert vault.start() == "the server ended"


@pytest.mark.parametrize(
    "command",
    [
        [
            "--requirepass",
            "canary password",
            "--loadmodule",
            "/usr/lib/redis/modules/rejson.so",
            "--loadmodule",
            "/x.so",
            "--databases",
            "3",
        ],
        [
            "sh",
            "-c",
            'exec redis-server - <<END\nloadmodule /usr/lib/redis/modules/rejson.so\nrequirepass "canary password"\ndatabases 3\nEND',
        ],
    ],
    ids=["by options, as the estate", "on standard input, as here"],
)
def test_redis_starts_without_the_modules_it_is_told_to_load(command: list[str]) -> None:
    name = f"sprocket-test-{secrets.token_hex(5)}"
    docker("run", "-d", "--name", name, REDIS, *command)
    try:
        limit = time.monotonic() + LIMIT_S
        while "Ready to accept" not in docker("logs", name):
            assert time.monotonic() < limit, docker("logs", name)
            time.sleep(0.1)
        assert "NOAUTH" in docker("exec", name, "redis-cli", "ping")
        assert docker("exec", "-e", "REDISCLI_AUTH=canary password", name, "redis-cli", "config", "get", "databases").split() == [
            "databases",
            "3",
        ]
    finally:
        docker("rm", "-f", "-v", name)
