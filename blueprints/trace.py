"""Where each line of one rendered file comes from: component, template line, reasons, needs. Pure.

The file is rendered anew with marks, so that normal rendering carries nothing of this.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from blueprints.catalog import LOCAL, Catalog
from blueprints.closure import reasons_for
from blueprints.local_lines import MARK
from blueprints.marks import Mark, marks_of
from blueprints.render import render_marked
from blueprints.rendering import LOCK, MANIFEST, SECRETS
from blueprints.resolve import Resolution, profile_reason
from sprocket_v2.errors import RenderError

_HEADER = re.compile(r"\A *(?:#|<!--) templates/(\S+\.j2)(?: -->)?\Z")
_JSON_KEY = re.compile(r'"((?:[^"\\]|\\.)*)": ')
# A name that templates print, or a key of our JSON files -> the need it was made of. `inputs` and memory are options: see _needs.
_NEEDS = {
    "org.slug": "slug", "queues": "slug", "network.name": "slug", "volume.name": "slug", "config.name": "slug", "service.name": "slug",
    "secret.swarm_name": "slug", "org.name": "name", "owner": "owner", "deputy": "deputy", "stand_ins": "applications", "database": "database", "storage": "storage", "cache": "cache", "metrics": "features.match_statistics",
    "access": "access", "ways": "access", "cors_origins": "access", "public_urls": "access", "routers": "access", "entry_ports": "access",
    "service.ports": "access", "certificates": "access", "routes": "access", "discord.bot": "discord.bot", "discord.prefix": "discord.prefix",
    "organization.slug": "slug", "organization.name": "name", "profile": "profile", "contract": "profile", "images": "applications",
    "generation": "profile", "part": "profile", "verify.generation": "profile",
    "verify.bot": "discord.bot", "verify.database": "database", "verify.starting_data": "database.starting_data",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LineOrigin:
    """Where one line comes from.

    Attributes:
        line: from 1.
        component: that brings the line; empty for a line about the whole deployment.
        template: `templates/...`, or empty where a file is written without one (starting data, the JSON files about the bundle).
        template_line: from 1; None for a header, which names its template, and where there is no template.
        called_from: for a line of a shared macro, the line that calls it: `templates/...:7`.
        reasons: the need behind the component, or behind the one service of it; else the profile.
        needs: keys of the answers that stand in the line, or that the line is there for: `slug`, `options.redis.memory_mib`.
        local: it is of the organization's own additions, not of the release.
    """

    line: int
    text: str
    component: str
    template: str
    template_line: int | None
    called_from: str
    reasons: tuple[str, ...]
    needs: tuple[str, ...]
    local: bool = False

    @property
    def place(self) -> str:
        """`templates/...:12`; without line for a header, empty without template."""
        return f"{self.template}:{self.template_line}" if self.template_line else self.template

    @property
    def words(self) -> str:
        """All of it on one line."""
        parts = [self.component or "whole deployment", self.place, f"because {'; '.join(self.reasons)}"]
        parts[0] += " (local)" if self.local else ""
        parts.insert(2, self.called_from and f"called from {self.called_from}")
        parts.append("needs " + ", ".join(self.needs) if self.needs else "")
        return " · ".join(filter(None, parts))


def trace(resolution: Resolution, catalog: Catalog, path: str) -> tuple[LineOrigin, ...]:
    """The origin of every line of one file of a rendering, in order; their texts joined are the file.

    Raises:
        RenderError: no such file, or it cannot be rendered.
    """
    text = render_marked(resolution, catalog, path)
    if path in (MANIFEST, LOCK, SECRETS):
        return tuple(_of_data(resolution, text))
    if path.endswith("/starting-data.sql"):
        owner = _Owner(path.split("/")[1])
        lines = enumerate(text.split("\n")[:-1], start=1)
        return tuple(_origin(resolution, number, line, owner, needs=("database.starting_data",)) for number, line in lines)
    return tuple(_Reader(resolution).read(text))


def line_of(origins: tuple[LineOrigin, ...], number: str, path: str) -> LineOrigin:
    """The origin of one line, by its number as somebody wrote it.

    Raises:
        RenderError: no number, or none of a line of this file.
    """
    found = next((origin for origin in origins if str(origin.line) == number), None)
    if found is None:
        problem = f"there is no line {number}" if number else "which line?"
        raise RenderError(problem, hint=f"name one from 1 to {len(origins)}, as {path}:1", where=path)
    return found


@dataclass(frozen=True, slots=True)
class _Owner:
    """Whose a line is: its component, the service of it, and the component a loop's item is about."""

    component: str = ""
    service: str = ""
    about: str = ""


@dataclass(frozen=True, slots=True)
class _Block:
    """A block of a template: the names it is there for, and whom its item belongs to."""

    names: tuple[str, ...] = ()
    owner: _Owner = _Owner()


@dataclass(slots=True)
class _Line:
    """A line being read: its text, the first place that printed some of it, that place's caller, and all names."""

    text: str = ""
    place: Mark | None = None
    caller: Mark | None = None
    block: _Block = _Block()
    names: list[str] = field(default_factory=list)


class _Reader:
    """Reads a marked text."""

    def __init__(self, resolution: Resolution) -> None:
        self.resolution = resolution
        self.blocks = [_Block()]
        self.place: Mark | None = None  # the last one
        self.caller: Mark | None = None  # the last one outside the shared macros
        self.service = ""  # of the component's services, the last one its template named

    def read(self, text: str) -> Iterator[LineOrigin]:
        line, number = _Line(), 1
        for mark in marks_of(text):
            self._note(mark)
            *ended, rest = mark.text.split("\n")
            for part in ended:
                self._add(line, part)
                yield self._end(line, number)
                line, number = _Line(), number + 1
            if rest:
                self._add(line, rest)

    def _note(self, mark: Mark) -> None:
        if mark.kind == "enter":
            self.blocks.append(replace(self.blocks[-1], names=(*self.blocks[-1].names, *mark.names)))
        elif mark.kind == "leave":
            self.blocks.pop()
        elif mark.kind == "item":
            self.blocks[-1] = replace(self.blocks[-1], owner=self._owner_of(mark.names) or self.blocks[-1].owner)
        elif mark.kind == "place":
            self.place = mark
            if not mark.template.startswith("components/_shared/"):
                self.caller = mark
        self.service = next((n.partition(".")[2] for n in mark.names if n.startswith("services.") and n.count(".") == 1), self.service)

    def _owner_of(self, names: Iterable[str]) -> _Owner | None:
        """Whom a loop's item belongs to, by what it says about itself."""
        component = service = ""
        for name in names:
            kind, _, key = name.rpartition("/")
            if not kind and self.resolution.component(key):
                component = component or key
            elif key in self.resolution.secrets:
                component = component or self.resolution.secrets[key].component
            service = key if kind == "service" else service
        return _Owner(component, service) if component else None

    def _add(self, line: _Line, text: str) -> None:
        if line.place is None:
            line.place, line.caller, line.block = self.place, self.caller, self.blocks[-1]
        line.text += text
        line.names += [*self.blocks[-1].names, *(self.place.names if self.place else ())]

    def _end(self, line: _Line, number: int) -> LineOrigin:
        header = _HEADER.match(line.text)
        if header or line.place is None:  # what render.py itself writes at the head of a file or of a component's services
            self.service = ""
            template = header[1] if header else ""
            return _origin(self.resolution, number, line.text, _Owner(_component_of(template)), template)
        caller = line.caller or line.place
        own, item = _component_of(caller.template), line.block.owner
        owner = item  # also of a local line: it is about a service of its own, or one of the release's that gets a value
        if own not in ("", LOCAL):
            owner = _Owner(own, self.service, item.component if item.component != own else "")
        called_from = "" if caller is line.place else f"templates/{caller.template}:{caller.line}"
        needs = _needs(self.resolution, line.names, owner)
        return _origin(self.resolution, number, line.text, owner, line.place.template, line.place.line, called_from, needs)


def _component_of(template: str) -> str:
    if template.startswith("components/_local/"):
        return LOCAL
    return template.split("/")[1] if template.startswith("components/") else ""


def _origin(
    resolution: Resolution, number: int, text: str, owner: _Owner, template: str = "", line: int | None = None,
    called_from: str = "", needs: tuple[str, ...] = (),
) -> LineOrigin:  # fmt: skip
    shown = f"templates/{template}" if template else ""
    is_local = owner.component == LOCAL or text.endswith(f" {MARK}")
    reasons = _reasons(resolution, owner)
    if is_local and owner.component != LOCAL:
        reasons = (f"added by this organization to {owner.service or owner.component}",)
        needs = (f"additions.environment.{owner.service}", *needs)
    return LineOrigin(number, text, owner.component, shown, line, called_from, reasons, needs, is_local)


def _reasons(resolution: Resolution, owner: _Owner) -> tuple[str, ...]:
    component = resolution.component(owner.component)
    if component is None:
        return (profile_reason(resolution.needs),)
    about = resolution.component(owner.about)
    service = next((s for s in component.services if s.key == owner.service), None)
    own = reasons_for(resolution.needs, service.wanted_when, component.name) if service else ()
    return (*(own or component.reasons), *((f"{about.manifest.title} is in this deployment",) if about else ()))


def _needs(resolution: Resolution, names: Iterable[str], owner: _Owner) -> tuple[str, ...]:
    component = resolution.component(owner.component)
    if owner.component == LOCAL:
        return (f"additions.services.{owner.service.removeprefix('local_')}" if owner.service else "additions.services",)
    found: dict[str, None] = {}
    for name in names:
        if name in _NEEDS:
            found[_NEEDS[name]] = None
        elif component and name == "service.image" and component.manifest.image.stand_in:
            found["applications"] = None
        elif component and name.startswith("inputs."):
            found[f"options.{component.name}.{name.removeprefix('inputs.')}"] = None
        elif component and name in ("service.memory_bytes", "service.memory_mib", "memory_mib"):
            asked = {s.memory: None for s in component.services if owner.service in ("", s.key)}
            found.update({f"options.{component.name}.{key}": None for key in asked})
    return tuple(found)


def _of_data(resolution: Resolution, text: str) -> Iterator[LineOrigin]:
    """Lines of a JSON file as `json_text` writes it, by the keys that lead to them."""
    path: list[str | int] = []
    for number, line in enumerate(text.split("\n")[:-1], start=1):
        body = line.lstrip(" ")
        depth = (len(line) - len(body)) // 2
        before = path[depth] if len(path) > depth else -1
        key = _JSON_KEY.match(body)
        if body[0] in "}]":
            del path[depth + 1 :]  # it closes what these keys opened
        else:
            path[depth:] = [key[1] if key else before + 1 if isinstance(before, int) else 0]
        keys = path[1:]
        owner = _Owner(_component_at(resolution, keys))
        names = [str(part) for part in (keys[2:] if owner.component else keys)]
        prefixes = [".".join(names[:end]) for end in range(1, len(names) + 1)]
        yield _origin(resolution, number, line, owner, needs=_needs(resolution, prefixes, owner))


def _component_at(resolution: Resolution, keys: list[str | int]) -> str:
    """The component that data at these keys is about; empty for the whole deployment."""
    if len(keys) < 2:
        return ""
    kind, key = keys[:2]
    if kind == "components" and isinstance(key, int):
        return resolution.components[key].name
    if kind == "secrets" and key in resolution.secrets:
        return resolution.secrets[str(key)].component
    return str(key).partition("_")[0] if kind == "images" else ""
