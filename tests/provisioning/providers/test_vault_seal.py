"""A server's keys where the secret store has them, and the life of the token: what is done, and what is said when it is not enough."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from provisioning.providers.vault import seal
from provisioning.providers.vault.client import Standing
from sprocket_v2.errors import ApplyError
from tests.provisioning.providers.test_vault import FakeVault, seal_args

KEYS = {f"demo/key-{number}": f"canary-key-{number}" for number in range(5)}
ARGS = replace(seal_args(0), keys=tuple(KEYS))
OPEN = Standing(initialized=True, sealed=False)
TOKEN = {"expire_time": "2026-12-01T00:00:00Z", "ttl": 3600, "renewable": False}


@dataclass
class Sealed(FakeVault):
    """Opens when it has been given three of its keys."""

    given: list[str] = field(default_factory=list)

    def standing(self) -> Standing:
        return Standing(True, len(set(self.given) & set(KEYS.values())) < 3, 3, len(self.given))

    def unseal(self, key: str) -> Standing:
        self.given.append(key)
        return self.standing()


def store(*numbers: int) -> Any:
    """A run that was given these keys."""
    have = {reference: KEYS[reference] for reference in (f"demo/key-{number}" for number in numbers)}

    def ask(reference: str) -> str:
        if reference not in have:
            raise ApplyError(f"this run has no secret {reference}", hint="", where="")
        return have[reference]

    return ask


@pytest.mark.parametrize("numbers", [(0, 1, 2, 3, 4), (1, 3, 4)])
def test_a_sealed_server_is_given_the_keys_there_are_and_no_more_than_it_needs(numbers: tuple[int, ...]) -> None:
    vault = Sealed()
    assert seal.create(vault, ARGS, store(*numbers)) == ARGS.name
    assert vault.given == [KEYS[f"demo/key-{number}"] for number in numbers[:3]]


def test_one_sealed_since_is_opened_again_by_an_update() -> None:
    vault = Sealed()
    found = seal.read(vault, ARGS)
    assert found is not None
    assert found[1] == replace(ARGS, state="sealed")
    seal.update(vault, ARGS, store(0, 1, 2))
    assert seal.read(vault, ARGS) == (ARGS.name, ARGS)


def test_too_few_keys_end_it_at_once_and_none_is_named() -> None:
    with pytest.raises(ApplyError, match="still sealed after 2 keys of the secret store") as refused:
        seal.create(Sealed(), replace(ARGS, deadline_s=60), store(0, 1), pause=lambda _: pytest.fail("it waited"))
    said = str(refused.value) + refused.value.hint
    assert not [key for key in KEYS.values() if key in said]


def test_initialised_and_nobody_has_keys_is_refused_and_never_initialised_again() -> None:
    vault = Sealed()
    with pytest.raises(ApplyError, match="Vault is sealed") as refused:
        seal.create(vault, ARGS, store())
    assert "never initialise it again" in refused.value.hint
    assert (vault.given, vault.written) == ([], [])


def test_a_server_that_is_not_initialised_gets_no_key() -> None:
    vault = FakeVault(standings=[Standing(initialized=False, sealed=True)])
    with pytest.raises(ApplyError, match="not initialised"):
        seal.create(vault, ARGS, store(0, 1, 2))


def signed_in(**facts: Any) -> FakeVault:
    return FakeVault({"auth/token/lookup-self": {**TOKEN, **facts}}, standings=[OPEN])


def test_a_token_that_ends_during_the_run_is_refused_and_named() -> None:
    with pytest.raises(ApplyError, match="the token ends in 120 s") as refused:
        seal.create(signed_in(ttl=120), ARGS, store())
    assert "sprocket secret set demo token" in refused.value.hint


@pytest.mark.parametrize("facts", [{"ttl": 8 * 24 * 3600, "renewable": True}, {"ttl": 0, "expire_time": None}, {"ttl": 3600}])
def test_a_token_that_lasts_is_left_as_it_is(facts: dict[str, Any]) -> None:
    vault = signed_in(**facts)
    seal.create(vault, ARGS, store())
    assert vault.written == []


def test_a_renewable_token_that_ends_this_week_is_renewed() -> None:
    vault = signed_in(ttl=3 * 24 * 3600, renewable=True)
    seal.create(vault, ARGS, store())
    assert vault.written == ["auth/token/renew-self"]
