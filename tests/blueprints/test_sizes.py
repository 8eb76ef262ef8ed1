"""How large a machine a deployment needs, what it costs, and what happens when it does not fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from blueprints.catalog import TEMPLATES, load_catalog
from blueprints.resolve import Resolution, resolve
from blueprints.sizes import SYSTEM_MIB, read_prices
from sprocket_v2.errors import CatalogError, ResolveError
from tests.orgs.answers import needs


def _resolved(**more: Any) -> Resolution:
    return resolve(needs(**more), load_catalog())


def test_a_larger_league_needs_a_larger_machine_that_costs_more() -> None:
    sizes = [_resolved(expected_members=members).size for members in (100, 1000, 10_000)]
    assert sizes[0].needed_mib < sizes[1].needed_mib < sizes[2].needed_mib
    prices = [size.machine.monthly for size in sizes if size.machine]
    assert prices == sorted(prices)
    assert prices[0] < prices[2]


def test_the_needed_memory_is_what_all_limits_allow_and_room_for_the_system() -> None:
    resolution = _resolved()
    lasting = sum(component.memory_mib for component in resolution.components)
    assert resolution.size.memory_mib >= lasting
    assert resolution.size.needed_mib == resolution.size.memory_mib + SYSTEM_MIB


def test_what_keeps_its_state_in_memory_never_has_copies() -> None:
    resolution = _resolved(expected_members=100_000, features={"scrims": True})
    for name in ("api", "bot", "matchmaking", "postgres", "redis"):
        component = resolution.component(name)
        assert component is not None
        assert [component.replicas_of(service) for service in component.services if not service.is_job] == [1]
    web = resolution.component("web")
    assert web is not None
    assert web.replicas_of(web.services[0]) == 2


def test_a_machine_that_is_too_small_is_refused_with_the_heaviest_parts() -> None:
    with pytest.raises(ResolveError) as refused:
        _resolved(machine={"memory_mib": 1024})
    assert refused.value.where == "machine.memory_mib"
    assert "the machine has 1024 MiB" in refused.value.message
    assert "API 768 MiB" in refused.value.message


def test_a_budget_below_the_core_is_refused_with_the_price() -> None:
    with pytest.raises(ResolveError) as refused:
        _resolved(machine={"monthly_usd": 5})
    assert refused.value.where == "machine.monthly_usd"
    assert "about 24 USD a month" in refused.value.message


def test_a_size_that_is_not_in_the_table_has_an_unknown_price() -> None:
    resolution = _resolved(options={"postgres": {"memory_mib": 65536}})
    assert resolution.size.machine is None
    assert "price unknown" in replace(resolution.size).words


def test_a_price_table_that_is_none_is_named(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("machines: 3\n")
    with pytest.raises(CatalogError) as refused:
        read_prices(file)
    assert refused.value.where == "templates/prices.yaml"


def test_the_bundled_table_says_when_it_was_checked_and_where() -> None:
    prices = read_prices(TEMPLATES / "prices.yaml")
    assert prices.dated
    assert "digitalocean.com" in prices.source
