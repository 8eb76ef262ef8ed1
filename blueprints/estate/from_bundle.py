"""A bundle as an estate: what is rendered, in the same words as what was imported. Pure, beside reading a folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from blueprints.compose import Part, StackSpec, read_stack
from blueprints.estate.model import Estate, Item, Kind, Origin
from blueprints.rendering import Rendering, read_bundle

_PARTS: tuple[tuple[Kind, str], ...] = (("network", "networks"), ("volume", "volumes"), ("config", "configs"), ("secret", "secrets"))


def estate_from_folder(folder: Path) -> Estate:
    """The estate of a bundle folder.

    Raises:
        RenderError: not a bundle, or changed by hand. PreviewError: a stack.yml with a key nobody knows.
    """
    return estate_from_bundle(read_bundle(folder), str(folder))


def estate_from_bundle(rendering: Rendering, name: str = "") -> Estate:
    """The estate of a rendering, layer by layer; every item is complete.

    Args:
        name: what to call the source; the organization's slug where nothing is said.
    Raises:
        PreviewError: a stack.yml with a key nobody knows.
    """
    slug = str(rendering.blueprint["organization"]["slug"])
    name = name or slug
    reader = _Reader(rendering, slug, name)
    items = tuple(item for layer, path in rendering.stacks for item in reader.layer(layer, path))
    routes = tuple(reader.routes())
    counts: dict[str, int] = {}
    for item in (*items, *routes):
        counts[item.kind] = counts.get(item.kind, 0) + 1
    return Estate((*items, *routes), (name,), {name: counts})


class _Reader:
    def __init__(self, rendering: Rendering, slug: str, name: str) -> None:
        self.rendering, self.slug, self.name = rendering, slug, name
        self.ids = {key: str(image["local_id"]) for key, image in rendering.lock.get("images", {}).items() if image.get("local_id")}
        self.about = {str(part["name"]): part for part in rendering.blueprint["components"]}
        self.references = {str(entry["swarm_name"]): (name, entry) for name, entry in rendering.secrets.items()}

    def layer(self, layer: str, path: str) -> Iterator[Item]:
        """The items of one stack.yml."""
        spec = read_stack(self.rendering.files[path], self.slug, self.ids, is_estate=bool(layer))
        volumes = {mount.source: key for key, args in spec.services.items() for mount in args.mounts if mount.type == "volume"}
        for key, args in spec.services.items():
            note = spec.notes[key]
            yield Item(
                "service",
                args.name,
                self._origin(f"{path} services.{key}"),
                layer,
                service=args,
                facts={"component": note.component, "stage": note.stage, "key": key},
            )
        for kind, plural in _PARTS:
            for part in getattr(spec, plural):
                if part.external and not part.withheld:
                    continue  # another layer's, which has it
                yield Item(
                    kind, part.name, self._origin(f"{path} {plural}.{part.key}"), layer, part=part,
                    facts=self._facts(kind, part, path, spec, volumes),
                )  # fmt: skip

    def _facts(self, kind: Kind, part: Part, path: str, spec: StackSpec, volumes: Mapping[str, str]) -> dict[str, Any]:
        if kind == "config":
            text = self._file(part.file, path)
            return {} if text is None else {"text": text, "file": part.file}
        if kind == "secret":
            # A layer that mounts another's value has a Docker secret of its own for it, under the same key.
            known = (part.key, self.rendering.secrets.get(part.key, {}))
            name, entry = self.references.get(part.name) or (known if known[1] else ("", {}))
            return {"reference": entry.get("reference", ""), "secret": name, "kind": entry.get("kind", "")}
        if kind == "volume" and part.name in volumes:
            component = spec.notes[volumes[part.name]].component
            return {"component": component, "backup": str(self.about.get(component, {}).get("backup", ""))}
        return {}

    def _file(self, file: str, stack: str) -> str | None:
        """A config's text: its path is relative to the stack.yml that names it."""
        folder = Path(stack).parent
        for path in (folder / file, Path(file)):
            parts: list[str] = []
            for step in path.parts:
                if step == "..":
                    parts = parts[:-1]
                elif step != ".":
                    parts.append(step)
            found = self.rendering.files.get("/".join(parts))
            if found is not None:
                return found
        return None

    def routes(self) -> Iterator[Item]:
        """The rows of the route matrix that can be reached."""
        for row in self.rendering.blueprint.get("routes", ()):
            if row["router"]:
                facts = {
                    "protocol": "http", "rule": f"Host(`{row['host']}`)", "hosts": [row["host"]], "entrypoints": [row["entry_point"]],
                    "port": row["port"], "tls": row["tls"], "service": row["component"], "way": row["way"],
                }  # fmt: skip
                yield Item("route", str(row["router"]), self._origin(f"blueprint.json {row['router']}"), facts=facts)

    def _origin(self, address: str) -> Origin:
        return Origin("bundle", self.name, address)
