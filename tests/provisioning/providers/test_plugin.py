"""The provider asks again where an answer was lost, and only there."""

from __future__ import annotations

import asyncio

import pytest

from provisioning.providers import plugin
from provisioning.providers.plugin import ProviderError, SprocketProvider
from sprocket_v2.errors import ApplyError


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plugin, "PAUSES_S", (0.01, 0.01))


class _Call:
    """Fails so many times, then answers."""

    def __init__(self, failures: int, *, transient: bool) -> None:
        self.asked, self._failures, self._transient = 0, failures, transient

    def __call__(self) -> str:
        self.asked += 1
        if self.asked <= self._failures:
            raise ApplyError("creating service web: ConnectionError", hint="is Docker still running?", transient=self._transient)
        return "s1"


def _made(call: _Call) -> str:
    return asyncio.run(SprocketProvider()._in_thread(call))


def test_a_lost_answer_is_asked_for_again() -> None:
    call = _Call(2, transient=True)
    assert (_made(call), call.asked) == ("s1", 3)


def test_it_gives_up_after_the_third_try_and_says_why() -> None:
    call = _Call(3, transient=True)
    with pytest.raises(ProviderError, match=r"creating service web: ConnectionError\nhint: is Docker still running\?"):
        _made(call)
    assert call.asked == 3


def test_a_refusal_is_not_asked_for_again() -> None:
    call = _Call(1, transient=False)
    with pytest.raises(ProviderError):
        _made(call)
    assert call.asked == 1
