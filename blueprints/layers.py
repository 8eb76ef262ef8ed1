"""The layers of a bundle: its stacks by name, what each tells the later ones, and what each is told. Pure; reads files, compares texts.

A bundle with one unnamed stack has one layer called "". What a layer is told by a former one (its *references*) is never put into its
own files: the files already say it. It is compared with them, so that a plan stays true whatever the former layer's apply brings.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from blueprints.compose import Part, StackSpec, read_stack
from blueprints.estate.adoption import CONTRACT
from blueprints.rendering import STACK, Rendering
from sprocket_v2.errors import PreviewError

_NAME = re.compile(r"\A[a-z][a-z0-9_]{0,19}\Z")


@dataclass(frozen=True, slots=True)
class Told:
    """One thing a layer is told by a former one: from which layer, by which name, and what its own files expect it to be."""

    layer: str
    output: str
    value: str


@dataclass(frozen=True, slots=True)
class Layer:
    """One stack of a bundle.

    Attributes:
        file: path of its stack.yml in the bundle; the files it names are relative to that.
        outputs: what later layers may ask for, by name; never a secret.
        told: what former layers have to say, and its value.
    """

    name: str
    file: str
    stack: StackSpec
    outputs: Mapping[str, str]
    told: tuple[Told, ...]


def path_beside(stack_file: str, file: str) -> str:
    """A file that a stack.yml names, as a path in the bundle: `../config/a` of `layer_1/stack.yml` is `config/a`.

    Raises:
        PreviewError: it leaves the bundle.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(stack_file), file))
    if path.startswith(("../", "/")):
        raise PreviewError(f"{file} leaves the bundle", hint="render the bundle again", where=stack_file)
    return path


def stack_name(slug: str, layer: str) -> str:
    """What the engine calls the stack of a layer."""
    return f"{slug}-{layer}" if layer else slug


def layers_of(rendering: Rendering) -> tuple[Layer, ...]:
    """The layers of a rendering, in the order they are applied.

    Raises:
        PreviewError: a file or a reference that does not fit; names layer and output.
    """
    return read_layers(rendering.blueprint, rendering.lock, rendering.files)


def read_layers(blueprint: Mapping[str, Any], lock: Mapping[str, Any], files: Mapping[str, str]) -> tuple[Layer, ...]:
    """As `layers_of`, from the three files and the stacks' texts by path."""
    slug = str(blueprint["organization"]["slug"])
    image_ids = {key: str(image["local_id"]) for key, image in lock["images"].items()}
    entries = blueprint.get("stacks")
    if not entries:
        return (Layer("", STACK, read_stack(files[STACK], slug, image_ids), {}, ()),)
    _refuse_names([str(entry["name"]) for entry in entries])
    found: list[Layer] = []
    for entry in entries:
        stack = read_stack(files[str(entry["file"])], slug, image_ids, is_estate=True)
        name = str(entry["name"])
        outputs = {output: _value(name, output, said, stack) for output, said in (entry.get("outputs") or {}).items()}
        if blueprint.get("contract") != CONTRACT:  # somebody else's services may be on networks that nobody looks after
            _refuse_unknown_networks(name, stack, found)
        found.append(Layer(name, str(entry["file"]), stack, outputs, _told(name, entry.get("references") or {}, found)))
    return tuple(found)


def told_otherwise(told: Iterable[Told], outputs: Mapping[str, object], *, is_preview: bool) -> str:
    """What a former layer tells that is not what this layer's files say, in words; empty when all of it fits.

    Args:
        outputs: what its stack holds now.
        is_preview: then it may not be applied yet, or still be as the last release had it: the apply of the former layer comes first.
    """
    if is_preview:
        return ""
    for item in told:
        have = outputs.get(item.output)
        if have != item.value:
            tells = f"tells {have!r}" if item.output in outputs else "tells nothing"
            return f"{item.layer} {tells} for {item.output!r}, where this layer's files say {item.value!r}"
    return ""


def _refuse_names(names: list[str]) -> None:
    bad = [name for name in names if not _NAME.match(name)] or [name for name in names if names.count(name) > 1]
    if bad:
        raise PreviewError(
            f"a stack is called {bad[0]!r}", hint="letters a-z, digits and _, at most 20, each name once", where="blueprint.json stacks"
        )


def _value(layer: str, output: str, said: Any, stack: StackSpec) -> str:  # noqa: ANN401 - JSON
    """What an output is: a text as it stands, or the name of an object the layer itself makes."""
    where = f"blueprint.json stacks.{layer}.outputs.{output}"
    if isinstance(said, str):
        return said
    kind, _, key = str(said["resource"]).partition("/")
    if said.get("attribute", "name") != "name":
        raise PreviewError(f"attribute {said['attribute']!r} is not known before it is made", hint="name is the one there is", where=where)
    name = stack.services[key].name if kind == "service" and key in stack.services else _part_name(_parts(stack, kind), key)
    if not name:
        raise PreviewError(f"{layer} makes no {said['resource']}", hint="name a resource of this layer's own stack.yml", where=where)
    return name


def _parts(stack: StackSpec, kind: str) -> Iterable[Part]:
    return {"network": stack.networks, "volume": stack.volumes, "config": stack.configs, "secret": stack.secrets}.get(kind, ())


def _part_name(parts: Iterable[Part], key: str) -> str:
    return next((part.name for part in parts if part.key == key and not part.external), "")


def _told(name: str, references: Mapping[str, Iterable[str]], former: list[Layer]) -> tuple[Told, ...]:
    before = {layer.name: layer for layer in former}
    found: list[Told] = []
    for layer, outputs in references.items():
        where = f"blueprint.json stacks.{name}.references.{layer}"
        if layer not in before:
            raise PreviewError(f"{name} asks {layer}, which is not applied before it", hint="only a former layer can be asked", where=where)
        for output in outputs:
            if output not in before[layer].outputs:
                known = ", ".join(before[layer].outputs) or "nothing"
                raise PreviewError(f"{layer} does not tell {output!r}", hint=f"it tells {known}", where=where)
            found.append(Told(layer, output, before[layer].outputs[output]))
    return tuple(found)


def _refuse_unknown_networks(name: str, stack: StackSpec, former: list[Layer]) -> None:
    """A network that is not the layer's own is a former layer's; one that nobody makes would be noticed in the middle of an apply."""
    made = {part.name for layer in former for part in layer.stack.networks}
    for part in stack.networks:
        if part.external and part.name not in made and former:
            raise PreviewError(
                f"{name} is on network {part.name!r}, which no former layer has",
                hint=f"they have {', '.join(sorted(made)) or 'none'}",
                where=f"{name} networks.{part.key}",
            )
