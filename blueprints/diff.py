"""Two renderings (and, where known, the needs behind them) -> what changes, at three levels: needs, components, files. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from blueprints.disruption import DISRUPTIONS, ServiceEffect, effects_of
from blueprints.local_lines import differs_locally
from blueprints.rendering import LOCK, MANIFEST, SECRETS, STACK, Rendering
from blueprints.strict_yaml import load
from orgs.needs import Needs

_DERIVED = frozenset({MANIFEST, LOCK, SECRETS, "RUNBOOK.md", "fill.sh", "deploy.sh", "own-ports.yml"})


@dataclass(frozen=True, slots=True)
class NeedChange:
    """One answer that differs; `key` is its dotted name, `title` the question."""

    key: str
    title: str
    old: str
    new: str

    @property
    def local(self) -> bool:
        """It is about the organization's own additions."""
        return self.key.startswith("additions.")


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field of a service that differs, in words, with its values; a secret has none. `local`: not the release's doing."""

    service: str
    field: str
    old: str
    new: str
    local: bool = False


@dataclass(frozen=True, slots=True)
class ComponentChange:
    """What happens to one component.

    Attributes:
        change: added, removed or changed.
        disruption: one of `DISRUPTIONS`.
        interruption: what stops working meanwhile, a sentence; empty for nothing.
        noticed_by: nobody, staff or players.
        gap_s: how long, in seconds.
        keeps: volumes that stay although the component goes.
        effects: the same for each of its services, with the fields that cause it.
    """

    name: str
    title: str
    change: str
    fields: tuple[FieldChange, ...]
    disruption: str
    interruption: str
    noticed_by: str
    gap_s: int
    keeps: tuple[str, ...]
    effects: tuple[ServiceEffect, ...] = ()

    @property
    def local(self) -> bool:
        """All of it is the organization's own additions."""
        return self.name == "local" or (bool(self.fields) and all(change.local for change in self.fields))


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file that differs; `change` is added, removed or changed; a derived file follows from the others."""

    path: str
    change: str
    derived: bool
    old: str
    new: str

    @property
    def local(self) -> bool:
        """Lines of local additions are among those that differ."""
        return self.path == STACK and differs_locally(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Everything that differs between two renderings. `needs` is None where the needs of a side are not known."""

    old_digest: str
    new_digest: str
    needs: tuple[NeedChange, ...] | None
    components: tuple[ComponentChange, ...]
    files: tuple[FileChange, ...]

    @property
    def is_same(self) -> bool:
        """No file differs."""
        return not self.files

    @property
    def disruption(self) -> str:
        """The worst of the components'."""
        return max((c.disruption for c in self.components), key=DISRUPTIONS.index, default="none")


EMPTY = Rendering({MANIFEST: "{}\n", STACK: "{}\n", SECRETS: '{"secrets": {}}\n', LOCK: "{}\n"})


def compare(
    old: Rendering | None,
    new: Rendering,
    old_needs: Needs | None = None,
    new_needs: Needs | None = None,
    option_titles: Mapping[str, str] | None = None,
) -> Comparison:
    """Compare two renderings.

    Args:
        old: what is there; None for nothing yet.
        new: what would be.
        old_needs, new_needs: the answers behind them, where known.
        option_titles: from the catalog, the words of components' own questions.
    Returns:
        Comparison: components in start order; files by consequence, derived ones last.
    """
    before = old or EMPTY
    components = tuple(_components(before, new)) if before.files[STACK] != new.files[STACK] else ()
    needs = None
    if new_needs is not None and (old_needs is not None or old is None):
        needs = tuple(_need_changes(old_needs, new_needs, option_titles or {}))
    return Comparison(
        old_digest=old.digest if old else "",
        new_digest=new.digest,
        needs=needs,
        components=components,
        files=file_changes(old.files if old else {}, new.files, components),
    )


def _need_changes(old: Needs | None, new: Needs, option_titles: Mapping[str, str]) -> Iterator[NeedChange]:
    before = dict(_answers(old.model_dump(mode="json"))) if old else {}
    after = dict(_answers(new.model_dump(mode="json")))
    for key in dict.fromkeys((*before, *after)):
        if before.get(key) != after.get(key):
            unanswered = "the default" if key.startswith("options.") else None
            title = option_titles.get(key) or question_title(key)
            yield NeedChange(key, title, _word(before.get(key, unanswered)), _word(after.get(key, unanswered)))


def _answers(data: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - plain JSON data
    if isinstance(data, dict):
        for key, value in data.items():
            yield from _answers(value, f"{path}.{key}" if path else key)
    elif data is not None and data != []:
        yield path, data


def question_title(key: str) -> str:
    """The question behind a dotted name, in an admin's words."""
    titles = []
    model: type | None = Needs
    for part in key.split("."):
        info = getattr(model, "model_fields", {}).get(part)
        if info is None:
            titles.append(part)
            continue
        titles.append(info.title or part)
        model = _model_of(info.annotation)
    return titles[-1] if key.startswith("features.") else ": ".join(dict.fromkeys(titles))


def _model_of(annotation: Any) -> type | None:  # noqa: ANN401 - a type expression
    for choice in (annotation, *getattr(annotation, "__args__", ())):
        if isinstance(choice, type) and hasattr(choice, "model_fields"):
            return choice
    return None


def _word(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return " ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    return ", ".join(_word(item) for item in value) if isinstance(value, list) else str(value)


def _components(old: Rendering, new: Rendering) -> Iterator[ComponentChange]:
    before, after = _by_component(old), _by_component(new)
    facts = {**_facts(old), **_facts(new)}
    added = _added_environment(old) | _added_environment(new)
    for name in dict.fromkeys((*after, *before)):
        change = _component_change(name, facts[name], before.get(name, {}), after.get(name, {}), added)
        if change is not None:
            yield change


def _facts(rendering: Rendering) -> dict[str, dict[str, Any]]:
    return {component["name"]: component for component in rendering.blueprint.get("components", ())}


def _added_environment(rendering: Rendering) -> set[tuple[str, str]]:
    """(service key, field) of every value that local additions give to a service of the release."""
    added: dict[str, list[str]] = rendering.blueprint.get("local", {}).get("environment", {})
    return {(key, f"environment.{name}") for key, names in added.items() for name in names}


def _by_component(rendering: Rendering) -> dict[str, dict[str, dict[str, Any]]]:
    """Component -> service key -> its effective specification: names of configs and secrets stand for their content."""
    stack = load(rendering.files[STACK], STACK) or {}
    result: dict[str, dict[str, dict[str, Any]]] = {}
    for key, service in (stack.get("services") or {}).items():
        labels = service["deploy"]["labels"]
        spec = {k: v for k, v in service.items() if k not in ("secrets", "configs", "volumes", "deploy", "networks")}
        deploy = {k: v for k, v in service["deploy"].items() if k != "labels"}
        spec["deploy"] = {**deploy, "stage": labels["sprocket.stage"], "kind": labels["sprocket.kind"]}
        spec["networks"] = {n: {"name": stack["networks"][n]["name"], **item} for n, item in service["networks"].items()}
        for part in ("secrets", "configs"):
            spec[part] = {item["source"]: {"name": stack[part][item["source"]]["name"], **item} for item in service.get(part, ())}
        spec["volumes"] = {
            item.get("source", item["target"]): {
                **item, **({"name": stack["volumes"][item["source"]]["name"]} if item["type"] == "volume" else {})}
            for item in service.get("volumes", ())
        }  # fmt: skip
        result.setdefault(labels["sprocket.component"], {})[key] = spec
    return result


def _component_change(
    name: str,
    facts: Mapping[str, Any],
    old: Mapping[str, dict[str, Any]],
    new: Mapping[str, dict[str, Any]],
    added: set[tuple[str, str]],
) -> ComponentChange | None:
    if old == new:
        return None
    change = "changed" if old and new else "added" if new else "removed"
    found = _fields(old, new) if change == "changed" else ()
    fields = tuple(replace(field, local=name == "local" or (field.service, field.field) in added) for field in found)
    kept = {v["name"] for s in old.values() for v in s["volumes"].values() if "name" in v}
    still = {v["name"] for s in new.values() for v in s["volumes"].values() if "name" in v}
    effects = tuple(effects_of(old, new))
    disruption = _disruption(change, effects)
    interrupts = disruption not in ("none", "rolling update")
    return ComponentChange(
        name=name,
        title=facts["title"],
        change=change,
        fields=fields,
        disruption=disruption,
        interruption=facts["interruption"] if interrupts and change == "changed" else "",
        noticed_by=facts["noticed_by"] if interrupts else "nobody",
        gap_s=facts["gap_s"] if interrupts and change == "changed" else 0,
        keeps=tuple(sorted(kept - still)),
        effects=effects,
    )


def _disruption(change: str, effects: tuple[ServiceEffect, ...]) -> str:
    if change == "added":
        return "none"
    if change == "removed":
        return "recreate"
    return max((effect.disruption for effect in effects), key=DISRUPTIONS.index, default="none")


def _fields(old: Mapping[str, dict[str, Any]], new: Mapping[str, dict[str, Any]]) -> Iterator[FieldChange]:
    for key in dict.fromkeys((*new, *old)):
        if key not in old or key not in new:
            yield FieldChange(key, "service", "there" if key in old else "", "there" if key in new else "")
            continue
        yield from _service_fields(key, old[key], new[key])


def _service_fields(key: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[FieldChange]:
    before, after = dict(_flat(old)), dict(_flat(new))
    for path in dict.fromkeys((*after, *before)):
        was, will = before.get(path), after.get(path)
        if was == will:
            continue
        part, _, rest = path.partition(".")
        if part in ("secrets", "configs"):
            source, _, what = rest.rpartition(".")
            if what == "name" or path not in before or path not in after:
                word = "secret" if part == "secrets" else "config"
                if what == "name":
                    yield FieldChange(key, f"{word} {source}", _known(was), _known(will))
            else:
                yield FieldChange(key, f"{part[:-1]} {source} {what}", _show(was), _show(will))
        elif path == "ports":
            yield FieldChange(key, "ports", _ports(was), _ports(will))
        elif path == "deploy.resources.limits.memory":
            yield FieldChange(key, "memory", _mib(was), _mib(will))
        else:
            yield FieldChange(key, path, _show(was), _show(will))


def _known(name: object) -> str:
    """The version at the end of a Docker name; empty when there was none."""
    return str(name).rpartition("_")[2] if name else ""


def _mib(value: object) -> str:
    return f"{int(str(value)) // (1024 * 1024)} MiB" if value else ""


def _ports(value: Any) -> str:  # noqa: ANN401 - plain data
    return ", ".join(str(port["published"]) for port in value or ())


def _show(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)
    return "" if value is None else str(value)


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - plain data
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}" if path else key)
    else:
        yield path, value


def file_changes(old: Mapping[str, str], new: Mapping[str, str], components: tuple[ComponentChange, ...]) -> tuple[FileChange, ...]:
    """The files that differ, in order of what their component's change costs; derived ones last."""
    rank = {c.name: DISRUPTIONS.index(c.disruption) for c in components}
    changes = []
    for path in dict.fromkeys((*old, *new)):
        before, after = old.get(path), new.get(path)
        if before == after:
            continue
        change = "changed" if before is not None and after is not None else "added" if after is not None else "removed"
        derived = path in _DERIVED or path.startswith("hold-")
        changes.append(FileChange(path, change, derived, before or "", after or ""))

    def consequence(file: FileChange) -> tuple[bool, int, bool, str]:
        parts = file.path.split("/")
        own = rank.get(parts[1], 0) if parts[0] == "config" and len(parts) > 2 else max(rank.values(), default=0)
        return file.derived, -own, file.path != STACK, file.path

    return tuple(sorted(changes, key=consequence))
