"""A layer's part of Vault: read from its files, and declared as resources that hold references only."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from blueprints.compose import StackSpec
from blueprints.layers import layers_of
from blueprints.vault_files import read_vault, rules_of
from provisioning.program_vault import in_vault
from sprocket_v2.errors import PreviewError
from tests.blueprints.test_legacy_facts import rendering


def former() -> list[StackSpec]:
    return [layer.stack for layer in layers_of(rendering())][:2]


def test_the_layers_folder_is_read_as_a_whole() -> None:
    files = read_vault("layer_2/vault", rendering().files)
    assert files.host == "vault.sprocket.mlesports.gg"
    assert files.token == "legacy-vault-root-token"
    assert {name: engine.version for name, engine in files.engines.items()} == {
        "infrastructure": 2,
        "platform": 2,
        "misc": 1,
        "database": 0,
    }
    assert files.teams["maintainers"] == ("admin-team",)
    assert len(files.policies) == 6
    root = next(path for path in files.paths if path.path.endswith("postgres/root"))
    assert root.secrets == {"password": "legacy-postgres-admin-password"}


def test_resources_hold_references_and_fingerprints_and_no_value() -> None:
    files = read_vault("platform/vault", rendering().files)
    versions = dict.fromkeys(rendering().secrets, 3)
    prints = {name: f"{name}-print" for name in versions}
    declared = in_vault(files, "legacy", former(), versions, prints)
    assert [item.kind for item in declared] == ["Seal"] + ["Secret"] * len(files.paths)
    google = next(item for item in declared if item.name.endswith("oauth/google"))
    assert google.props["references"]["clientSecret"] == "legacy/legacy-google-secret@3"
    assert google.props["fingerprints"]["clientSecret"] == "legacy-google-secret-print"
    assert google.props["reach"] == {
        "url": "http://127.0.0.1:80",
        "host": "vault.sprocket.mlesports.gg",
        "token": "legacy/legacy-vault-root-token",
    }
    json.dumps([dict(item.props) for item in declared])


def test_an_open_server_comes_first_then_engines_and_only_those_stay() -> None:
    files = read_vault("layer_2/vault", rendering().files)
    declared = in_vault(files, "legacy", former(), dict.fromkeys(rendering().secrets, 1), dict.fromkeys(rendering().secrets, "x"))
    assert [item.stage for item in declared] == [0] + [1] * 4 + [2] * (len(declared) - 5)
    assert [item.name for item in declared if item.is_engine] == [f"vault-mount/{name}" for name in files.engines]


def test_keys_that_open_it_are_references_too_and_what_was_adopted_is_known() -> None:
    head = "host: vault.example.org\nsigns_in_with: token\nunseal_keys: [key-1, key-2]\n"
    head += "mounts: {misc: {type: kv, version: 1}, own: {type: kv, version: 2}}\nadopted: [vault-mount/misc]\n"
    files = read_vault("layer_2/vault", {"layer_2/vault/vault.yml": head})
    assert files.opened_by == ("token", "key-1", "key-2")
    seal, misc, own = in_vault(files, "legacy", former(), {}, {})
    assert seal.props["keys"] == ["legacy/key-1", "legacy/key-2"]
    assert (misc.props["adopted"], own.props["adopted"]) == (True, False)


def test_what_does_not_fit_is_said() -> None:
    files = read_vault("layer_2/vault", rendering().files)
    with pytest.raises(PreviewError, match="no former layer publishes the entry port"):
        in_vault(files, "legacy", [], {}, {})
    with pytest.raises(PreviewError, match="wants secret"):
        in_vault(files, "legacy", former(), {}, {})
    more = dict(files.policies) | {"wide": 'path "a" { capabilities = ["read"]\n required_parameters = ["x"] }'}
    with pytest.raises(PreviewError, match="policy wide says more than paths and capabilities"):
        in_vault(replace(files, policies=more), "legacy", former(), {}, {})
    with pytest.raises(PreviewError, match="not a part of Vault"):
        read_vault("layer_2/vault", {"layer_2/vault/vault.yml": "host: x\n"})


def test_a_policy_that_says_more_than_rules_is_not_taken_for_its_rules() -> None:
    rules, beyond = rules_of('path "a/*" {\n  capabilities = ["read", "list"]\n}\n')
    assert (rules, beyond) == ({"a/*": "list, read"}, "")
    _, more = rules_of('path "a/*" { capabilities = ["read"]\n allowed_parameters = {} }')
    assert more
