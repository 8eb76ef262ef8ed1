"""An estate goes into JSON and comes back equal; what is not an estate is refused with its place."""

from __future__ import annotations

import json

import pytest

from blueprints.estate.compose_files import read_compose
from blueprints.estate.exports import read_export
from blueprints.estate.gather import gather
from blueprints.estate.model import Estate
from blueprints.estate.store import MAX_ESTATE, read_estate, write_estate
from sprocket_v2.errors import EstateError
from tests.blueprints.estate.made_exports import layer_1_of_2022, layer_2, platform
from tests.blueprints.estate.test_compose_files import LONG, SHORT

KEY = b"k" * 32


def whole() -> Estate:
    """All three exports and two Compose files."""
    exports = [read_export(made.json(), made.project, KEY) for made in (layer_1_of_2022(), layer_2(3), platform())]
    return gather([*exports, read_compose(LONG.encode(), "a.yml", KEY), read_compose(SHORT.encode(), "b.yml", KEY)])


def test_an_estate_comes_back_equal_and_twice_the_same() -> None:
    estate = whole()
    text = write_estate(estate)
    assert write_estate(read_estate(text)) == text
    again = read_estate(text)
    assert again.items == estate.items
    assert (again.sources, again.rows_in_source, again.remarks, again.structure) == (
        estate.sources,
        estate.rows_in_source,
        estate.remarks,
        estate.structure,
    )
    assert len(text) < 400 * 1024


def test_configuration_files_can_be_left_out() -> None:
    text = write_estate(whole(), with_texts=False)
    assert "gem install" not in text
    assert "gem install" in write_estate(whole())


@pytest.mark.parametrize(
    ("change", "place", "message"),
    [
        ({"surprise": 1}, "estate.json", "surprise"), ({"format": 2}, "estate.json", "format 1"), ({"items": 7}, "estate.json.items", "a list"), ({"items": [{}]}, "estate.json.items[0]", "kind is missing"),
        ({"items": [{"kind": "planet", "name": "x", "origin": {"source": "live", "name": "a", "address": "b"}}]}, "estate.json.items[0].kind", "planet"),
        ({"items": [{"kind": "service", "name": 7, "origin": {"source": "live", "name": "a", "address": "b"}}]}, "estate.json.items[0].name", "no str"),
        ({"rows_in_source": {"a": {"service": True}}}, "estate.json.rows_in_source.a.service", "no int"),
    ],
)  # fmt: skip
def test_what_is_no_estate_is_refused_with_its_place(change: dict[str, object], place: str, message: str) -> None:
    data = {**json.loads(write_estate(Estate(()))), **change}
    with pytest.raises(EstateError, match=message) as caught:
        read_estate(json.dumps(data))
    assert caught.value.where == place


@pytest.mark.parametrize("text", ["", "[]", "{}", "7", "[" * 100_000, " " * (MAX_ESTATE + 1)])
def test_other_text_is_refused(text: str) -> None:
    with pytest.raises(EstateError):
        read_estate(text)
