"""Feature closure: which components the answers want, what those require, and the reason for each. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from blueprints.catalog import DEPLOYED, OPTIONS, needs_value
from blueprints.manifest import Manifest, Play, Wanted
from orgs.needs import Needs
from sprocket_v2.errors import ResolveError


@dataclass(frozen=True, slots=True)
class Closure:
    """What is in, and why.

    Attributes:
        reasons: component -> the answers that want it, and who needs it.
        through: component -> the answers behind those who need it, where no answer wants the component itself.
        plays: component -> the roles beside its own that are wanted of it or required.
        parts: every name and role that something in the deployment answers to.
    """

    reasons: Mapping[str, tuple[str, ...]]
    through: Mapping[str, tuple[str, ...]]
    plays: Mapping[str, tuple[str, ...]]
    parts: frozenset[str]


@dataclass(frozen=True, slots=True)
class _Part:
    """What can be wanted or required: a component, or a role that a component fills beside its own."""

    name: str
    title: str
    component: str
    wanted_when: tuple[Wanted, ...]
    requires: tuple[str, ...]
    requires_one_of: tuple[str, ...]
    path: str


def close(needs: Needs, candidates: Mapping[str, Manifest]) -> Closure:
    """The components that are wanted, and those they require, each with its reasons.

    Args:
        candidates: the components of the generation, by name.
    Raises:
        ResolveError: something required is not of this generation.
    """
    return _Closing(needs, candidates).closure()


_Asker = tuple[str, str]  # the part that asks, and for what in words


class _Closing:
    """One pass over the parts. `wanted` holds their own reasons, `askers` who requires them and what, both in the order they came up."""

    def __init__(self, needs: Needs, candidates: Mapping[str, Manifest]) -> None:
        self.needs, self.candidates = needs, candidates
        self.parts = {part.name: part for manifest in candidates.values() for part in _parts_of(manifest)}
        self.by_role = {manifest.role: name for name, manifest in candidates.items()}
        self.elsewhere = {name for name, manifest in candidates.items() if any_holds(needs, manifest.left_out_when, name)}
        self.wanted: dict[str, tuple[str, ...]] = {}
        self.askers: dict[str, list[_Asker]] = {}

    def closure(self) -> Closure:
        for name, part in self.parts.items():
            own = reasons_for(self.needs, part.wanted_when, part.component)
            if own and name not in self.elsewhere:
                self._add(name, own)
        todo = list(self.wanted)
        while todo or (todo := self._one_of_each()):
            part = self.parts[todo.pop(0)]
            for required in part.requires:
                name = self._named(required, part)
                if name in self.elsewhere:
                    continue
                if name not in self.wanted:
                    todo += self._add(name)
                if (part.name, "it") not in self.askers[name]:
                    self.askers[name].append((part.name, "it"))
        components = [name for name in self.wanted if name in self.candidates]
        plays = {name: tuple(sorted(role for role in self.wanted if self._is_played_by(role, name))) for name in components}
        parts = {part for name in components for part in (name, self.candidates[name].role, *plays[name])}
        reasons = {name: self._reasons(name, plays[name]) for name in components}
        through = {name: self._through(name, plays[name]) for name in components}
        return Closure(reasons, through, plays, frozenset(parts))

    def _add(self, name: str, own: tuple[str, ...] = ()) -> list[str]:
        """Take a part in, and with a role the component that fills it."""
        added = [part for part in (name, self.parts[name].component) if part not in self.wanted]
        for part in added:
            self.wanted[part] = ()
            self.askers[part] = []
        self.wanted[name] = tuple(dict.fromkeys((*self.wanted[name], *own)))
        return added

    def _find(self, name: str) -> str:
        """The part of this generation that a name or role means; empty where there is none."""
        return name if name in self.parts else self.by_role.get(name, "")

    def _named(self, required: str, asker: _Part) -> str:
        name = self._find(required)
        if not name:
            raise _not_here(asker, f"{asker.name} requires {required}, which is not of this generation")
        return name

    def _one_of_each(self) -> list[str]:
        """Bring in one part for the first that still lacks one of `requires_one_of`; nothing when none does."""
        for name in sorted(self.wanted):
            part = self.parts[name]
            choices = [found for choice in part.requires_one_of if (found := self._find(choice))]
            if part.requires_one_of and not (set(self.wanted) | self.elsewhere) & set(choices):
                if not choices:
                    one_of = ", ".join(part.requires_one_of)
                    raise _not_here(part, f"{name} requires one of {one_of}, none of which is of this generation")
                added = self._add(choices[0])
                self.askers[choices[0]].append((name, "one of its kind"))
                return added
        return []

    def _is_played_by(self, role: str, component: str) -> bool:
        part = self.parts[role]
        return part.component == component and part.name != component

    def _reasons(self, name: str, plays: tuple[str, ...]) -> tuple[str, ...]:
        """The component's own answers, those of the roles it fills, and who else needs it or them."""
        own = [reason for part in (name, *plays) for reason in self.wanted[part]]
        order = list(self.wanted)
        askers = sorted(set(self._others(name, plays)), key=lambda asker: order.index(asker[0]))
        return tuple(dict.fromkeys((*own, *(f"{self.parts[part].title} needs {what}" for part, what in askers))))

    def _others(self, name: str, plays: tuple[str, ...]) -> list[_Asker]:
        """Who asks for the component or a role it fills, beside itself."""
        return [asker for part in (name, *plays) for asker in self.askers[part] if self.parts[asker[0]].component != name]

    def _through(self, name: str, plays: tuple[str, ...]) -> tuple[str, ...]:
        """The answers at the end of every chain of those who ask; empty where an answer wants the component itself."""
        if any(self.wanted[part] for part in (name, *plays)):
            return ()
        answers: dict[str, None] = {}
        seen, todo = {name, *plays}, [part for part, _ in self._others(name, plays)]
        while todo:
            part = todo.pop(0)
            if part not in seen:
                seen.add(part)
                answers.update(dict.fromkeys(self.wanted[part]))
                todo += [] if self.wanted[part] else [asker for asker, _ in self.askers[part]]
        return tuple(answers)


def _not_here(part: _Part, message: str) -> ResolveError:
    return ResolveError(message, hint="leave out what brings it in, or choose another profile", where=part.path)


def _parts_of(manifest: Manifest) -> Iterable[_Part]:
    requires, one_of = manifest.requires, manifest.requires_one_of
    yield _Part(manifest.name, manifest.title, manifest.name, manifest.wanted_when, requires, one_of, manifest.path)
    for play in manifest.plays:
        yield _Part(play.role, play.title, manifest.name, play.wanted_when, play.requires, (), manifest.path)


def required_by(manifest: Manifest, plays: Iterable[str]) -> tuple[str, ...]:
    """What a component requires while it fills these roles beside its own."""
    filled = set(plays)
    return (*manifest.requires, *(name for play in manifest.plays if play.role in filled for name in play.requires))


def answered_by(manifests: Iterable[Manifest]) -> frozenset[str]:
    """The needs that want something of these components."""
    lines = [line for manifest in manifests for line in (*manifest.wanted_when, *_lines(manifest.plays))]
    return frozenset(wanted.need for wanted in lines)


def _lines(plays: tuple[Play, ...]) -> Iterable[Wanted]:
    return (wanted for play in plays for wanted in play.wanted_when)


def reasons_for(needs: Needs, lines: Iterable[Wanted], component: str) -> tuple[str, ...]:
    """Which of these `wanted_when` lines hold, in the words of their questions."""
    return tuple(dict.fromkeys(_reason(wanted) for wanted in lines if holds(needs, wanted, component)))


def holds(needs: Needs, wanted: Wanted, component: str, deployed: frozenset[str] = frozenset()) -> bool:
    """Whether one line holds. `deployed` has the names and roles that are there, for `deployed: <name>`."""
    if wanted.need == "always":
        return bool(wanted.value)
    if wanted.need == DEPLOYED:
        return wanted.value in deployed
    if wanted.need == "component_option":
        return bool(needs.options.get(component, {}).get("enabled", False)) == wanted.value
    answer = needs_value(needs, wanted.need)
    return wanted.value in answer if isinstance(answer, tuple) else answer == wanted.value


def any_holds(needs: Needs, lines: Iterable[Wanted], component: str, deployed: frozenset[str] = frozenset()) -> bool:
    """Whether one of these lines holds."""
    return any(holds(needs, wanted, component, deployed) for wanted in lines)


def _reason(wanted: Wanted) -> str:
    """The need in the words of its own question."""
    if wanted.need == "always":
        return "every deployment of this generation has it"
    if wanted.need == "component_option":
        return "switched on under Options"
    if wanted.need.startswith(OPTIONS):
        _, component, question = wanted.need.split(".", 2)
        return f"Options, {component}: {question.replace('_', ' ')} = yes"
    model: type = Needs
    title = wanted.need
    for part in wanted.need.split("."):
        info = model.model_fields[part]  # type: ignore[attr-defined]
        title = info.title or title
        model = info.annotation if isinstance(info.annotation, type) else Needs
    value = {True: "yes", False: "no"}.get(wanted.value, wanted.value) if isinstance(wanted.value, bool) else wanted.value
    return f"{title} = {value}"
