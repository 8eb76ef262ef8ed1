"""What an engine operation is handed: every value where something is made, and the way into a secret server where one is looked at."""

from __future__ import annotations

from pathlib import Path

import pytest

from blueprints.rendering import Rendering
from orgs.models import Organization
from provisioning import secret_store
from provisioning.materials import Material
from tests.layered import COLLECTED, LayeredBundle

pytestmark = pytest.mark.usefixtures("data_dir")
SUPPLIED = {"title": "Key", "kind": "supplied", "version": 1}
VAULT = 'host: "vault.example.org"\nsigns_in_with: token\n'


def material_of(org: Organization, folder: Path, *, token: dict[str, object], vault: bool = True) -> Material:
    bundle = LayeredBundle("demo", secrets={"token": dict(token), "key": dict(SUPPLIED)})
    if vault:
        bundle.stacks[1]["vault"] = "layer_2/vault"
    rendering = Rendering({**bundle.rendering().files, "layer_2/vault/vault.yml": VAULT})
    return Material(org, rendering, tuple(secret_store.wanted_secrets(rendering.secrets)), folder)


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request names the engine; nothing is started here."""
    monkeypatch.setenv("SPROCKET_PULUMI", str(tmp_path / "pulumi"))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("token", [COLLECTED, SUPPLIED], ids=["collected", "typed in"])
def test_a_look_gets_what_signs_in_and_no_other_value(demo: Organization, tmp_path: Path, token: dict[str, object]) -> None:
    material = material_of(demo, tmp_path, token=token)
    for name in ("token", "key"):
        secret_store.set_secret(org=demo, name=name, value=f"value-of-{name}-0123", actor=None)
    for op in ("preview", "refresh", "destroy"):
        request = material.request(op, layer="layer_2")  # type: ignore[arg-type]
        assert request.secrets == {"demo/token@1": "value-of-token-0123"}
        assert request.fingerprint_key
    assert set(material.request("apply", layer="layer_2").secrets) == {"demo/token@1", "demo/key@1"}


@pytest.mark.usefixtures("engine")
def test_before_anybody_has_the_token_a_look_goes_without(demo: Organization, tmp_path: Path) -> None:
    assert material_of(demo, tmp_path, token=SUPPLIED).request("preview", layer="layer_2").secrets == {}


@pytest.mark.usefixtures("engine")
def test_without_a_secret_server_no_value_and_no_key_leaves_for_a_look(demo: Organization, tmp_path: Path) -> None:
    material = material_of(demo, tmp_path, token=COLLECTED, vault=False)
    secret_store.set_secret(org=demo, name="token", value="value-of-token-0123", actor=None)
    request = material.request("preview", layer="layer_2")
    assert (request.secrets, request.fingerprint_key) == ({}, "")
