"""A real OpenBao without Docker, and a layer whose only resources are what the legacy layout keeps in it, through the real engine."""

from __future__ import annotations

import contextlib
import json
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from provisioning.engine_events import Event
from provisioning.fingerprints import fingerprint_of
from provisioning.materials import find_engine
from provisioning.operations import Outcome, Request, Verb, run_operation
from tests.blueprints.test_legacy_facts import rendering
from tests.engine.ports import free_port
from tools.images.build import from_wheel

KEY = b"k" * 32
FOLDER = "layer_2/vault"
TOKEN = "legacy-vault-root-token"
STACK = {"version": "3.9", "services": {}}
EDGE = {
    "image": "traefik:v2.10",
    "networks": {"ingress": {}},
    "deploy": {"replicas": 1, "labels": {}, "restart_policy": {"condition": "any"}},
    "logging": {"driver": "json-file"},
    "x-sprocket": {"name": "traefik", "component": "edge", "stage": "edge"},
}
CONFIG = """storage "raft" {{
  path = "{folder}/data"
  node_id = "test"
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_disable = true
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "http://127.0.0.1:{other}"
"""


class Server:
    """OpenBao on a loopback port, its storage in a folder, initialised and unsealed with one key."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        config = folder / "bao.hcl"
        (folder / "data").mkdir()
        config.write_text(CONFIG.format(folder=folder, port=self.port, other=free_port()))
        with (folder / "bao.log").open("w") as log:
            self.process = subprocess.Popen([from_wheel("bao"), "server", f"-config={config}"], stdout=log, stderr=log)
        self.token = self.key = ""

    def open(self) -> None:
        """Wait until it listens, then initialise and unseal it."""
        limit = time.monotonic() + 30
        while True:
            try:
                made = self.api("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
                break
            except urllib.error.URLError:
                assert time.monotonic() < limit
                time.sleep(0.1)
        self.token, self.key = made["root_token"], made["keys"][0]
        self.unseal()

    def unseal(self) -> None:
        """Give it its key, and wait until it answers for it."""
        self.api("PUT", "sys/unseal", {"key": self.key})
        limit = time.monotonic() + 30
        while True:
            with contextlib.suppress(urllib.error.HTTPError):
                self.api("GET", "sys/health")
                return
            assert time.monotonic() < limit
            time.sleep(0.1)

    def api(self, method: str, path: str, body: Any = None) -> Any:
        """What the server answers; nothing as an empty answer."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"X-Vault-Token": self.token} if self.token else {}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/v1/{path}", data=data, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def kept(self, path: str) -> dict[str, str]:
        """The fields of a path, by the API's own path."""
        found: dict[str, str] = self.api("GET", path)["data"]["data"]
        return found

    def close(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(20)


class VaultStage:
    """The legacy layout's two folders as one layer, and operations on it.

    Attributes:
        files: of the folder, by path in the bundle.
        versions: secret -> version.
    """

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder, self.server = folder, server
        self.slug = "v" + secrets.token_hex(5)
        self.canary = "canary-" + secrets.token_hex(8)
        self.token = server.token
        self.events: list[Event] = []
        full = rendering()
        found = {path: text for path, text in full.files.items() if path.startswith(f"{FOLDER}/")}
        found |= {
            path.replace("platform/", "layer_2/", 1): text for path, text in full.files.items() if path.startswith("platform/vault/s")
        }
        # OpenBao has the auth method github as a plug-in only: test_vault.py has that it says so.
        found[f"{FOLDER}/vault.yml"] = found[f"{FOLDER}/vault.yml"].partition("auth:")[0]
        self.files: dict[str, str] = found
        self.versions = {name: int(item["version"]) for name, item in full.secrets.items()}
        (folder / "state").mkdir()

    def value(self, name: str) -> str:
        """The value of a secret in its version."""
        return f"{self.canary}-{name}-{self.versions[name]}"

    def run(self, op: Verb, **more: Any) -> Outcome:
        """One operation to its end; values are handed over as the control plane does it."""
        self.events = []
        token = {f"{self.slug}/{TOKEN}@1": self.token}
        values = {f"{self.slug}/{name}@{version}": self.value(name) for name, version in self.versions.items()}
        prints = {name: fingerprint_of(KEY, name, self.value(name)) for name in self.versions}
        request = Request(
            op=op,
            org=self.slug,
            stack=f"{self.slug}-layer_2",
            layer="layer_2",
            bundle_dir=str(self._written_bundle()),
            state_url=(self.folder / "state").as_uri(),
            run_dir=str(self.folder / "run"),
            pulumi=str(find_engine()),
            passphrase="vault-passphrase-0123456789",
            secrets={**values, **token} if op == "apply" else token,
            fingerprints=prints,
            fingerprint_key=KEY.hex(),
            **more,
        )
        return run_operation(request, on_event=self.events.append, deadline_s=120.0)

    def changed(self, **more: Any) -> dict[str, str]:
        """Resource -> what a preview would do, compared with what is there."""
        outcome = self.run("preview", refresh=True, **more)
        assert outcome.ok, outcome.error
        return {step["resource"].removeprefix("layer_2/"): step["op"] for step in outcome.steps}

    def written(self) -> str:
        """Everything that was left on disk, and every event."""
        kept = [path for path in self.folder.rglob("*") if path.is_file()]
        return "".join(path.read_bytes().decode("utf-8", "replace") for path in kept) + "".join(event.line() for event in self.events)

    def _written_bundle(self) -> Path:
        folder = self.folder / "bundle"
        edge = {**EDGE, "ports": [{"target": 80, "published": self.server.port, "protocol": "tcp", "mode": "host"}]}
        layers = [{"name": "layer_1", "file": "layer_1/stack.yml"}, {"name": "layer_2", "file": "layer_2/stack.yml", "vault": FOLDER}]
        files = {
            **self.files,
            "layer_1/stack.yml": json.dumps({**STACK, "services": {"edge": edge}, "networks": {"ingress": {"name": "ingress"}}}),
            "layer_2/stack.yml": json.dumps(STACK),
            "blueprint.json": json.dumps({"organization": {"slug": self.slug}, "files": [], "stacks": layers}),
            "blueprint.lock.json": json.dumps({"images": {}, "secrets": self.versions}),
        }
        for old in folder.rglob("*.*"):
            old.unlink()
        for path, text in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text)
        return folder


@contextlib.contextmanager
def vault_stage(server_folder: Path, folder: Path) -> Iterator[VaultStage]:
    """A stage with a server of its own."""
    server = Server(server_folder)
    try:
        server.open()
        yield VaultStage(folder, server)
    finally:
        server.close()
