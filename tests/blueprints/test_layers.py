"""The layers of a bundle, and what they tell each other."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from blueprints.layers import Told, layers_of, path_beside, stack_name, told_otherwise
from sprocket_v2.errors import PreviewError
from tests.layered import LayeredBundle


def test_the_layers_come_in_order_with_what_they_tell_and_are_told() -> None:
    one, two, three = layers_of(LayeredBundle("bench").rendering())
    assert [layer.name for layer in (one, two, three)] == ["layer_1", "layer_2", "platform"]
    assert one.outputs == {"ingress_network": "ingress-bench", "realm": "main"}
    assert one.told == ()
    assert two.told == (Told("layer_1", "ingress_network", "ingress-bench"), Told("layer_1", "realm", "main"))
    assert three.told == (Told("layer_1", "ingress_network", "ingress-bench"), Told("layer_2", "store", "store-bench"))
    assert [part.external for part in three.stack.networks] == [True]


def test_the_stack_of_a_layer_carries_its_name_and_a_single_one_does_not() -> None:
    assert (stack_name("bench", "layer_1"), stack_name("bench", "")) == ("bench-layer_1", "bench")


def _rename(bundle: LayeredBundle, index: int, name: str) -> None:
    bundle.stacks[index]["name"] = name


WRONG: list[tuple[Callable[[LayeredBundle], Any], str]] = [
    (lambda b: b.stacks[1].update(references={"platform": ["x"]}), "layer_2 asks platform, which is not applied before it"),
    (lambda b: b.stacks[1].update(references={"layer_1": ["vault_token"]}), "layer_1 does not tell 'vault_token'"),
    (lambda b: b.stacks[0].update(outputs={"x": {"resource": "network/other"}}), "layer_1 makes no network/other"),
    (lambda b: b.stacks[1].update(outputs={"x": {"resource": "network/ingress"}}), "layer_2 makes no network/ingress"),
    (lambda b: b.stacks[0].update(outputs={"x": {"resource": "service/edge", "attribute": "id"}}), "attribute 'id' is not known"),
    (lambda b: _rename(b, 1, "../up"), r"a stack is called '\.\./up'"),
    (lambda b: _rename(b, 1, "layer_1"), "a stack is called 'layer_1'"),
]


@pytest.mark.parametrize(("spoil", "message"), WRONG, ids=[message[:30] for _, message in WRONG])
def test_what_does_not_fit_is_refused_before_any_engine_starts(spoil: Callable[[LayeredBundle], Any], message: str) -> None:
    bundle = LayeredBundle("bench")
    spoil(bundle)
    with pytest.raises(PreviewError, match=message):
        layers_of(bundle.rendering())


def test_a_network_that_no_former_layer_has_is_refused() -> None:
    made = LayeredBundle("bench").rendering()
    files = {**made.files, "platform/stack.yml": made.files["platform/stack.yml"].replace("ingress-bench", "somewhere-else")}
    with pytest.raises(PreviewError, match="platform is on network 'somewhere-else', which no former layer has"):
        layers_of(type(made)(files))


TOLD = [Told("layer_1", "net", "ingress")]
HEARD = [
    ({"net": "ingress"}, False, ""),
    ({"net": "other"}, False, "layer_1 tells 'other' for 'net', where this layer's files say 'ingress'"),
    ({}, False, "layer_1 tells nothing for 'net', where this layer's files say 'ingress'"),
    ({}, True, ""),
    ({"net": "other"}, True, ""),
]


@pytest.mark.parametrize(("outputs", "is_preview", "said"), HEARD)
def test_what_a_former_layer_tells_has_to_be_what_the_files_say_once_it_is_applied(
    outputs: dict[str, str], is_preview: bool, said: str
) -> None:
    assert told_otherwise(TOLD, outputs, is_preview=is_preview) == said


@pytest.mark.parametrize(
    ("stack", "file", "path"),
    [("layer_1/stack.yml", "../config/a", "config/a"), ("stack.yml", "./app.conf", "app.conf"), ("layer_1/stack.yml", "a", "layer_1/a")],
)
def test_a_file_is_found_beside_the_stack_that_names_it(stack: str, file: str, path: str) -> None:
    assert path_beside(stack, file) == path


@pytest.mark.parametrize("file", ["../../etc/passwd", "/etc/passwd"])
def test_a_file_outside_of_the_bundle_is_refused(file: str) -> None:
    with pytest.raises(PreviewError, match="leaves the bundle"):
        path_beside("layer_1/stack.yml", file)
