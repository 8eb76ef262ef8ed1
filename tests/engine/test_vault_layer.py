"""A layer's part of Vault through the real engine, against a real server: the legacy layout's own mounts, policies and paths."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.vault_stage import FOLDER, VaultStage, vault_stage

pytestmark = pytest.mark.engine
ALL = 1 + 4 + 6 + 24  # the server's own standing, engines, policies, paths
REDIS = "infrastructure/data/data/redis"  # the estate's own path begins with `data`, and so does the API's


@pytest.fixture(scope="module")
def applied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VaultStage]:
    with vault_stage(tmp_path_factory.mktemp("server"), tmp_path_factory.mktemp("stage")) as stage:
        first = stage.run("preview")
        assert (first.ok, first.changes) == (True, {"create": ALL}), first.error
        outcome = stage.run("apply")
        assert outcome.ok, outcome.error
        yield stage


@pytest.fixture
def stage(applied: VaultStage) -> Iterator[VaultStage]:
    """The same, with its files, versions, token and what it keeps put back afterwards."""
    files, versions, token = dict(applied.files), dict(applied.versions), applied.token
    yield applied
    applied.files, applied.versions, applied.token = files, versions, token
    for op in ("refresh", "apply"):
        outcome = applied.run(op)  # type: ignore[arg-type]
        assert outcome.ok, outcome.error


def test_everything_of_the_legacy_layout_is_there_and_a_second_look_changes_nothing(stage: VaultStage) -> None:
    assert stage.run("preview").changes == {"same": ALL}
    assert stage.changed() == {}
    assert stage.server.kept(REDIS) == {"username": "default", "password": stage.value("legacy-redis-password")}
    mounts = stage.server.api("GET", "sys/mounts")["data"]
    assert {path: (mounts[f"{path}/"]["options"] or {}).get("version") for path in ("infrastructure", "platform", "misc", "database")} == {
        "infrastructure": "2",
        "platform": "2",
        "misc": "1",
        "database": None,
    }
    policy = stage.server.api("GET", "sys/policies/acl/readonly-team")["data"]["policy"]
    assert f"sprocket.org={stage.slug}" in policy.splitlines()[0]
    assert 'path "database/creds/developer_main"' in policy


def test_what_somebody_changed_by_hand_is_found_named_and_put_back_and_never_shown(stage: VaultStage) -> None:
    theirs = "theirs-" + stage.canary
    stage.server.api("POST", REDIS, {"data": {"username": theirs, "password": theirs, "note": theirs}})
    stage.server.api("POST", "sys/policies/acl/elo-team", {"policy": 'path "*" { capabilities = ["sudo"] }'})
    outcome = stage.run("preview", refresh=True)
    steps = {step["resource"]: step for step in outcome.steps}
    assert {name: step["op"] for name, step in steps.items()} == {
        "layer_2/vault-policy/elo-team": "update",
        "layer_2/vault-secret/infrastructure/data/redis": "update",
    }
    assert set(steps["layer_2/vault-secret/infrastructure/data/redis"]["fields"]) >= {"fingerprints.password", "plain.username"}
    assert stage.run("refresh").ok
    assert theirs not in stage.written()
    assert stage.run("apply").ok
    assert stage.server.kept(REDIS) == {"username": "default", "password": stage.value("legacy-redis-password")}
    assert stage.changed() == {}


def test_a_rotated_secret_is_written_where_it_is_used_and_nowhere_else(stage: VaultStage) -> None:
    stage.versions["legacy-redis-password"] = 2
    assert stage.changed() == {
        "vault-secret/infrastructure/data/redis": "update",
        "vault-secret/platform/main/redis": "update",
    }
    assert stage.run("apply").ok
    assert stage.server.kept(REDIS)["password"].endswith("-legacy-redis-password-2")
    assert stage.server.api("GET", REDIS)["data"]["metadata"]["custom_metadata"]["sprocket.org"] == stage.slug


def test_what_left_the_files_is_removed_but_an_engine_stays(stage: VaultStage) -> None:
    del stage.files[f"{FOLDER}/policies/elo-team.hcl"], stage.files[f"{FOLDER}/secrets/infrastructure.data.smtp.yml"]
    stage.files[f"{FOLDER}/vault.yml"] = stage.files[f"{FOLDER}/vault.yml"].replace("  misc: {type: kv, version: 1}\n", "")
    outcome = stage.run("apply")
    assert outcome.ok, outcome.error
    assert "elo-team" not in stage.server.api("GET", "sys/policies/acl?list=true")["data"]["keys"]
    assert "smtp" not in stage.server.api("GET", "infrastructure/metadata/data?list=true")["data"]["keys"]
    assert "misc/" in stage.server.api("GET", "sys/mounts")["data"]


def test_an_engine_that_somebody_unmounted_is_made_again_with_all_that_was_in_it(stage: VaultStage) -> None:
    stage.server.api("DELETE", "sys/mounts/platform")
    lost = stage.changed()
    assert lost["vault-mount/platform"] == "create"
    assert set(lost.values()) == {"create"}
    assert len(lost) == 1 + sum(f"{FOLDER}/secrets/platform." in path for path in stage.files)
    assert stage.run("refresh").ok
    assert stage.run("apply").ok
    assert stage.server.kept("platform/data/main/redis")["password"] == stage.value("legacy-redis-password")


def test_a_strangers_path_is_refused_and_stays_as_it_is(stage: VaultStage) -> None:
    stage.server.api("POST", "platform/data/theirs", {"data": {"password": "nobody-may-lose-this"}})
    stage.files[f"{FOLDER}/secrets/platform.theirs.yml"] = "path: platform/theirs\nmount: platform\nfields:\n  a: {value: x}\n"
    outcome = stage.run("apply")
    assert outcome.error is not None
    assert "secret path platform/theirs exists and was not made by Sprocket" in outcome.error["message"]
    assert outcome.error["where"] == "layer_2/vault-secret/platform/theirs"
    assert stage.server.kept("platform/data/theirs") == {"password": "nobody-may-lose-this"}
    assert "nobody-may-lose-this" not in stage.written()


def test_a_sealed_server_and_a_wrong_token_are_said_in_words(stage: VaultStage) -> None:
    stage.server.api("PUT", "sys/seal")
    sealed = stage.run("refresh")
    stage.server.unseal()
    assert sealed.error is not None
    assert "Vault is sealed" in sealed.error["message"]
    assert "unseal" in sealed.error["hint"]
    stage.token = "s.not-the-token"
    wrong = stage.run("preview", refresh=True)
    assert wrong.error is not None
    assert "the token has expired, was revoked, or is another server's" in wrong.error["message"]
    assert f"sprocket secret set {stage.slug}" in wrong.error["hint"]


def test_no_value_and_no_token_is_in_state_events_or_journal(stage: VaultStage) -> None:
    assert stage.run("preview", refresh=True).ok
    written = stage.written()
    assert '"vault-secret/infrastructure/data/redis"' in written  # it is the state that was looked at
    assert stage.canary not in written
    assert stage.server.token not in written
    assert stage.server.key not in written


def test_removing_the_layer_takes_paths_and_policies_and_leaves_the_engines(stage: VaultStage) -> None:
    outcome = stage.run("destroy")
    assert outcome.ok, outcome.error
    kept = stage.server.api("GET", "sys/policies/acl?list=true")["data"]["keys"]
    assert "admin-team" not in kept
    mounts = stage.server.api("GET", "sys/mounts")["data"]
    assert {"infrastructure/", "platform/", "misc/", "database/"} <= set(mounts)
