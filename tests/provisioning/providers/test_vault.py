"""Vault's kinds against a fake server that remembers: whose a thing is, what is written in which order, and what a read may tell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from provisioning.providers.vault import auth, mount, policy, seal, secret
from provisioning.providers.vault.client import Reach, Standing
from sprocket_v2.errors import ApplyError

LABELS = {"sprocket.org": "demo", "sprocket.resource": "vault-x/x"}
REACH = Reach("http://127.0.0.1:80", "vault.example.org", "demo/token")
VALUE = "the-value-itself-0123"
SECRET = secret.SecretArgs(
    "infrastructure/data/redis",
    "infrastructure",
    LABELS,
    REACH,
    {"user": "x"},
    {"password": "demo/redis@1"},
    {"password": f"redis={VALUE}"},
)
DATA, META = "infrastructure/data/data/redis", "infrastructure/metadata/data/redis"
OURS = {"custom_metadata": dict(LABELS), "current_version": 3}


@dataclass
class FakeVault:
    """Paths and their data. `fails_at` is the path whose next write is cut off before it happens."""

    data: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, int] = field(default_factory=lambda: {"infrastructure": 2, "misc": 1})
    standings: list[Standing | ApplyError] = field(default_factory=list)
    written: list[str] = field(default_factory=list)
    fails_at: str = ""

    def standing(self) -> Standing:
        said = self.standings.pop(0) if len(self.standings) > 1 else self.standings[0]
        if isinstance(said, ApplyError):
            raise said
        return said

    def unseal(self, key: str) -> Standing:
        raise AssertionError(f"nobody gives keys here: {len(key)}")

    def find(self, path: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = self.data.get(path)
        return found

    def keys(self, path: str) -> list[str]:
        return [name.removeprefix(f"{path}/") for name in self.data if name.startswith(f"{path}/")]

    def write(self, path: str, data: Mapping[str, Any]) -> None:
        if path == self.fails_at:
            raise ApplyError("cut off", hint="", where=path)
        self.written.append(path)
        kept = dict(data)
        self.data[path] = kept
        if path.startswith(("sys/mounts/", "sys/auth/")):
            root, _, name = path.removeprefix("sys/").partition("/")
            self.data.setdefault(f"sys/{root}", {})[f"{name}/"] = kept

    def remove(self, path: str) -> None:
        self.written.append(f"-{path}")
        self.data.pop(path, None)

    def kv_version(self, mount: str) -> int:
        return self.versions.get(mount, 0)


def ask(reference: str) -> str:
    assert reference == "demo/redis@1"
    return VALUE


def fingerprint(name: str, value: str) -> str:
    return f"{name}={'the same' if value == VALUE else 'another'}"


# --- key-value secrets


def test_whose_a_path_is_stands_there_before_its_values_do() -> None:
    vault = FakeVault()
    assert secret.create(vault, SECRET, ask) == "infrastructure/data/redis"
    assert vault.written == [META, DATA]
    assert vault.data[DATA] == {"data": {"user": "x", "password": VALUE}, "options": {"cas": 0}}


def test_a_run_cut_off_between_the_two_is_taken_up_by_the_next() -> None:
    vault = FakeVault(fails_at=DATA)
    with pytest.raises(ApplyError, match="cut off"):
        secret.create(vault, SECRET, ask)
    vault.fails_at = ""
    secret.create(vault, SECRET, ask)
    assert vault.data[DATA]["data"]["password"] == VALUE


def test_a_write_names_the_version_it_saw_and_keeps_what_others_noted() -> None:
    vault = FakeVault({META: {**OURS, "custom_metadata": {**LABELS, "note": "kept"}}})
    secret.update(vault, SECRET, ask)
    assert vault.data[DATA]["options"] == {"cas": 3}
    assert vault.data[META] == {"custom_metadata": {**LABELS, "note": "kept"}}


@pytest.mark.parametrize("write", [secret.create, secret.update])
def test_a_strangers_path_is_refused_and_nothing_is_written(write: Any) -> None:
    theirs = {"custom_metadata": {"sprocket.org": "other", "sprocket.resource": "vault-secret/x"}, "current_version": 1}
    vault = FakeVault({META: theirs})
    with pytest.raises(ApplyError, match="belongs to other"):
        write(vault, SECRET, ask)
    assert vault.written == []


def test_the_older_engine_takes_a_path_that_is_free_or_holds_just_this() -> None:
    args = replace(SECRET, path="misc/redis", mount="misc")
    vault = FakeVault()
    secret.create(vault, args, ask)
    secret.create(vault, args, ask)
    assert vault.data["misc/redis"] == {"user": "x", "password": VALUE}
    vault.data["misc/redis"] = {"password": "somebody-elses"}
    with pytest.raises(ApplyError, match="misc/redis exists and holds something else") as refused:
        secret.create(vault, args, ask)
    assert "somebody-elses" not in str(refused.value)


def test_a_read_tells_what_is_not_as_wished_by_its_fingerprint_only() -> None:
    args = replace(SECRET, fingerprints={"password": "redis=the same"})
    vault = FakeVault({DATA: {"data": {"user": "x", "password": VALUE}}})
    assert secret.read(vault, args, fingerprint) == ("infrastructure/data/redis", args)
    vault.data[DATA] = {"data": {"user": "theirs", "password": "theirs", "note": "theirs"}}
    found = secret.read(vault, args, fingerprint)
    assert found is not None
    assert found[1].plain == {"user": "changed: user=another", "note": "changed: note=another"}
    assert found[1].fingerprints == {"password": "redis=another"}
    vault.data[DATA] = {"data": {"user": "x"}}
    found = secret.read(vault, args, fingerprint)
    assert found is not None
    assert found[1].fingerprints == {"password": "missing"}


def test_a_value_that_was_not_there_when_it_was_planned_is_no_drift() -> None:
    args = replace(SECRET, fingerprints={"password": "0" * 64})
    vault = FakeVault({DATA: {"data": {"user": "x", "password": VALUE}}})
    assert secret.read(vault, args, fingerprint) == ("infrastructure/data/redis", args)


def test_without_its_engine_a_path_is_gone_and_a_write_says_what_is_missing() -> None:
    vault = FakeVault(versions={})
    assert secret.read(vault, SECRET, fingerprint) is None
    secret.delete(vault, SECRET)
    with pytest.raises(ApplyError, match="no secrets engine is mounted at infrastructure"):
        secret.create(vault, SECRET, ask)
    assert vault.written == []


def test_removing_leaves_what_is_somebody_elses_by_now() -> None:
    vault = FakeVault({META: OURS})
    secret.delete(vault, SECRET)
    assert vault.written == [f"-{META}"]
    vault = FakeVault({META: {"custom_metadata": None}})
    secret.delete(vault, SECRET)
    assert vault.written == []


# --- the server's own standing


def seal_args(deadline_s: float = 60) -> seal.SealArgs:
    return seal.SealArgs("vault.example.org", LABELS, REACH, deadline_s)


def test_it_waits_for_a_server_that_comes_up_and_is_opened() -> None:
    later = ApplyError("no answer", hint="", where="", transient=True)
    vault = FakeVault(standings=[later, Standing(False, True), Standing(True, True, 3, 1), Standing(True, False)])
    paused: list[float] = []
    assert seal.create(vault, seal_args(), ask, pause=paused.append) == "vault.example.org"
    assert len(paused) == 3


@pytest.mark.parametrize(
    ("standing", "said"),
    [
        (Standing(True, True, 3, 1), r"Vault is sealed \(1 of 3 keys given\) after 0 s"),
        (Standing(False, True), "Vault is not initialised after 0 s"),
        (ApplyError("Vault does not answer", hint="", where="", transient=True), "Vault does not answer"),
    ],
)
def test_it_ends_with_what_is_wrong_at_the_deadline(standing: Standing | ApplyError, said: str) -> None:
    with pytest.raises(ApplyError, match=said):
        seal.create(FakeVault(standings=[standing]), seal_args(0), ask, pause=lambda _: None)


def test_what_no_waiting_mends_is_said_at_once() -> None:
    vault = FakeVault(standings=[ApplyError("redirects to another place", hint="", where="")])
    with pytest.raises(ApplyError, match="redirects"):
        seal.create(vault, seal_args(), ask, pause=lambda _: pytest.fail("it waited"))


def test_a_sealed_server_is_drift() -> None:
    found = seal.read(FakeVault(standings=[Standing(True, True)]), seal_args())
    assert found is not None
    assert found[1].state == "sealed"


# --- engines, policies, auth methods


def test_an_engine_of_another_version_is_brought_up_and_never_down() -> None:
    args = mount.MountArgs("infrastructure", LABELS, REACH, "kv", 2)
    vault = FakeVault()
    mount.create(vault, replace(args, version=1))
    mount.create(vault, args)
    assert vault.written == ["sys/mounts/infrastructure", "sys/mounts/infrastructure/tune"]
    vault.data["sys/mounts"]["infrastructure/"]["options"] = {"version": "2"}
    with pytest.raises(ApplyError, match="is kv version 2, wanted is kv version 1"):
        mount.update(vault, replace(args, version=1))


def test_a_strangers_engine_policy_and_auth_method_are_refused() -> None:
    theirs = {"type": "kv", "description": "made by hand", "options": {"version": "2"}}
    vault = FakeVault(
        {"sys/mounts": {"x/": theirs}, "sys/auth": {"x/": {**theirs, "type": "github"}}, "sys/policies/acl/x": {"policy": "# by hand"}}
    )
    with pytest.raises(ApplyError, match="secrets engine x exists and was not made by Sprocket"):
        mount.create(vault, mount.MountArgs("x", LABELS, REACH, "kv", 2))
    with pytest.raises(ApplyError, match="policy x exists and was not made by Sprocket"):
        policy.create(vault, policy.PolicyArgs("x", LABELS, REACH, {"a/*": "read"}))
    with pytest.raises(ApplyError, match="auth method x exists and was not made by Sprocket"):
        auth.create(vault, auth.AuthArgs("x", LABELS, REACH, "github", "SprocketBot", {}))
    assert vault.written == []


def test_a_policy_is_read_as_its_rules_whatever_its_text_looks_like() -> None:
    args = policy.PolicyArgs("team", LABELS, REACH, {"a/*": "list, read", "b": "none"})
    vault = FakeVault()
    policy.create(vault, args)
    policy.create(vault, args)
    assert vault.written == ["sys/policies/acl/team"]
    assert policy.read(vault, args) == ("team", args)
    assert vault.data["sys/policies/acl/team"]["policy"].startswith("# sprocket.org=demo sprocket.resource=vault-x/x\n")


def test_teams_get_their_policies_and_a_team_nobody_wished_loses_them() -> None:
    args = auth.AuthArgs("github", LABELS, REACH, "github", "SprocketBot", {"elo": "elo-team"})
    vault = FakeVault({"auth/github/map/teams/strangers": {"value": "admin-team"}})
    auth.create(vault, args)
    assert vault.written == ["sys/auth/github", "auth/github/config", "auth/github/map/teams/elo", "-auth/github/map/teams/strangers"]
    assert auth.read(vault, args) == ("github", args)
    vault.data["auth/github/map/teams/elo"] = {"value": "admin-team"}
    found = auth.read(vault, args)
    assert found is not None
    assert found[1].teams == {"elo": "admin-team"}
