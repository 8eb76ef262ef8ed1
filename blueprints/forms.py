"""The needs as a form: questions from `orgs.needs`, a component's own questions from its manifest. Pure; no HTML."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args, get_origin

from blueprints.brings import brought_by_features
from blueprints.catalog import Catalog
from blueprints.closure import answered_by
from blueprints.manifest import Input, Manifest
from blueprints.resolve import questions_of
from orgs.fragment import parse_fragment, write_fragment
from orgs.needs import WAYS, ExistingCache, ExistingStorage, Features, Needs

Kind = Literal["text", "number", "yes-no", "choice", "several", "list", "file", "rows", "yaml", "fragment"]


@dataclass(frozen=True, slots=True)
class Question:
    """One field of the form; `key` is the answer's dotted name."""

    key: str
    kind: Kind
    title: str
    help: str
    value: Any
    choices: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    required: bool = False
    disabled: str = ""
    error: str = ""
    minimum: int | None = None
    maximum: int | None = None
    brings: str = ""

    @property
    def id(self) -> str:
        """Id of the input element."""
        return "q-" + self.key.replace(".", "-").replace("_", "-")


@dataclass(frozen=True, slots=True)
class Group:
    """Questions that belong together; `switch` shows and hides the group's questions."""

    name: str
    title: str
    help: str
    questions: tuple[Question, ...]
    switch: Question | None = None

    @property
    def is_detail(self) -> bool:
        """Local additions, and components' own questions: their defaults are fine to begin with, so they are folded."""
        return self.name == "additions" or self.name.startswith("options-")


_SECTIONS: tuple[tuple[str, str, str, tuple[str, ...]], ...] = (
    ("league", "The league", "", ("name", "slug", "games", "expected_members")),
    ("people", "Who answers for it", "Two people should know how to reach this deployment.", ("owner.name", "owner.contact", "deputy.name", "deputy.contact")),
    ("features", "What the league does", "Each yes brings the services it needs; see beside.", tuple(f"features.{name}" for name in Features.model_fields)),
    ("discord", "Signing in and Discord", "", ("login", "discord.bot", "discord.prefix")),
    ("database", "The database", "", ("database.where", "database.managed.host", "database.managed.port", "database.managed.name",
                                      "database.managed.user", "database.starting_data.kind", "database.starting_data.file")),
    ("storage", "Object storage", "Uploaded files and pictures, when a feature stores any.",
     ("storage.where", *(f"storage.existing.{name}" for name in ExistingStorage.model_fields))),
    ("cache", "Redis", "", ("cache.where", *(f"cache.existing.{name}" for name in ExistingCache.model_fields))),
    ("run", "Where it runs, and what", "", ("host", "machine.memory_mib", "machine.monthly_usd", "applications", "profile")),
)  # fmt: skip
_EMPTY_ROWS = 3
_WAY_TITLES = {"localhost": "From this machine", "lan": "In the local network", "vpn": "Over a VPN", "public": "From the internet"}
_CHOICE_WORDS = {
    "deployment": "in the deployment", "managed": "an existing managed PostgreSQL", "existing": "an existing one", "empty": "nothing", "schema-file": "a file that makes the tables",
    "backup": "a backup (plain SQL)", "this-machine": "this machine", "real": "the real applications", "stand-in": "stand-ins, for trying out",
    "discord": "Discord", "google": "Google", "steam": "Steam", "epic": "Epic",
    "none": "none", "own": "my own", "staging": "Let's Encrypt, staging: to begin with", "live": "Let's Encrypt", "private": "an authority of my own",
    "tls": "by TLS, on port 443", "dns": "by a DNS record",
}  # fmt: skip


def groups_for(data: Mapping[str, Any], catalog: Catalog, components: tuple[str, ...], errors: Mapping[str, str]) -> tuple[Group, ...]:
    """The whole form.

    Args:
        data: the answers as plain nested data; what is missing shows its default.
        components: those in the deployment, whose own questions are shown.
        errors: dotted name -> what is wrong.
    """
    offered = catalog.of(str(data.get("profile") or Needs.model_fields["profile"].default))
    answered, brought = answered_by(offered.values()), brought_by_features(data, catalog)

    def question(key: str) -> Question:
        found = _question(key, data, errors, answered)
        if key == "profile":
            return replace(found, kind="choice", choices=tuple((name, profile.title) for name, profile in catalog.profiles.items()))
        return replace(found, brings=brought.get(key, ""))

    groups = [Group(name, title, text, tuple(question(key) for key in keys)) for name, title, text, keys in _SECTIONS]
    groups += _access_groups(data, errors)
    groups.append(_additions_group(data, errors))
    groups += [_options_group(m, data, errors) for m in catalog.components.values() if _has_options(m, components, offered)]
    return tuple(groups)


def _access_groups(data: Mapping[str, Any], errors: Mapping[str, str]) -> Iterator[Group]:
    canonical = _question("access.canonical", data, errors, frozenset())
    shared = _question("access.shared", data, errors, frozenset())
    lane = _question("access.entry_lane", data, errors, frozenset())
    yield Group("access", "How it is reached", "Signing in works on exactly one way; the others can read.", (canonical, shared, lane))
    for way in WAYS:
        model = _model_of(_model_of(Needs.model_fields["access"].annotation).model_fields[way].annotation)
        in_use = _value(data, f"access.{way}") is not None
        switch = Question(
            f"access.{way}.in_use", "yes-no", _WAY_TITLES[way], (model.__doc__ or "").strip(), in_use, error=errors.get(f"access.{way}", "")
        )
        questions = tuple(_question(f"access.{way}.{field}", data, errors, frozenset()) for field in model.model_fields)
        yield Group(f"access-{way}", _WAY_TITLES[way], "", questions, switch)


def _additions_group(data: Mapping[str, Any], errors: Mapping[str, str]) -> Group:
    """Environment values as rows, some of them empty, so that it works without script; services as the text of a fragment."""
    added = _value(data, "additions.environment") or {}
    rows = [(key, name, value) for key, values in added.items() for name, value in values.items()]
    services = _value(data, "additions.services") or {}
    fragment = services if isinstance(services, str) else write_fragment(services)
    kinds: tuple[tuple[Kind, str, Any], ...] = (
        ("rows", "additions.environment", [*rows, *[("", "", "")] * _EMPTY_ROWS]),
        ("yaml", "additions.services", fragment),
        ("fragment", "additions.file", _value(data, "additions.file") or ""),
    )
    questions = []
    for kind, key, value in kinds:
        info = _info(key)
        wrong = " ".join(text for name, text in errors.items() if name == key or name.startswith(f"{key}."))
        questions.append(Question(key, kind, info.title or key, info.description or "", value, error=wrong))
    help_text = (
        "For what the release does not bring. Marked local wherever it shows; a change in a file of the release needs a template release."
    )
    return Group("additions", "Local additions", help_text, tuple(questions))


def _put_additions(data: dict[str, Any], posted: Mapping[str, list[str]]) -> None:
    """What was filled in under local additions; a row without service, name and value is none."""
    parts = [posted.get(f"additions.environment.{part}", []) for part in ("service", "name", "value")]
    environment: dict[str, dict[str, str]] = {}
    for service, name, value in zip(*parts, strict=False):
        if service.strip() or name.strip() or value.strip():
            environment.setdefault(service.strip(), {})[name.strip()] = value.strip()
    given = {
        "environment": environment,
        "services": "".join(posted.get("additions.services", [])[-1:]).replace("\r\n", "\n").strip("\n"),
        "file": "".join(posted.get("additions.file", [])[-1:]).strip(),
    }
    if additions := {key: value for key, value in given.items() if value}:
        data["additions"] = additions


def with_fragment_read(data: dict[str, Any]) -> dict[str, Any]:
    """Answers whose services are plain data, where a form sent them as text.

    Raises:
        NeedsError: the text is no fragment; each problem has its line.
    """
    text = _value(data, "additions.services")
    if not isinstance(text, str):
        return data
    services = {name: service.model_dump(mode="json") for name, service in parse_fragment(text, "additions.services").items()}
    return {**data, "additions": {**data["additions"], "services": services}}


def _has_options(manifest: Manifest, components: tuple[str, ...], offered: Mapping[str, Manifest]) -> bool:
    by_hand = any(wanted.need == "component_option" for wanted in manifest.wanted_when)
    return manifest.name in components or (by_hand and manifest.name in offered)


def _options_group(manifest: Manifest, data: Mapping[str, Any], errors: Mapping[str, str]) -> Group:
    questions = tuple(_option(manifest, item, data, errors) for item in questions_of(manifest))
    return Group(f"options-{manifest.name}", manifest.title, manifest.summary, questions)


def _option(manifest: Manifest, item: Input, data: Mapping[str, Any], errors: Mapping[str, str]) -> Question:
    key = f"options.{manifest.name}.{item.name}"
    kind: Kind = {"integer": "number", "text": "text", "boolean": "yes-no"}[item.type]  # type: ignore[assignment]
    value = _value(data, key)
    return Question(key, kind, item.title, item.help, item.default if value is None else value, unit=item.unit, error=errors.get(key, ""),
                    minimum=item.minimum, maximum=item.maximum)  # fmt: skip


def _question(key: str, data: Mapping[str, Any], errors: Mapping[str, str], answered: frozenset[str] | set[str]) -> Question:
    info = _info(key)
    kind, choices = _kind(key, info.annotation)
    value = _value(data, key)
    if value is None and not info.is_required():
        value = info.get_default(call_default_factory=True)
    is_offered = not key.startswith("features.") or key in answered
    disabled = "" if is_offered or value else "not offered by this generation"  # a yes from before can still be taken back
    if kind == "list":
        value = ", ".join(value or ())
    return Question(key, kind, info.title or key, info.description or "", value, choices, required=info.is_required() and kind in ("text", "number"),
                    disabled=disabled, error=errors.get(key, ""))  # fmt: skip


def _info(key: str) -> Any:  # noqa: ANN401 - pydantic's field
    model: Any = Needs
    *parents, last = key.split(".")
    for part in parents:
        model = _model_of(model.model_fields[part].annotation)
    return model.model_fields[last]


def _model_of(annotation: Any) -> Any:  # noqa: ANN401 - a type expression
    return next(choice for choice in (annotation, *get_args(annotation)) if hasattr(choice, "model_fields"))


def _kind(key: str, annotation: Any) -> tuple[Kind, tuple[tuple[str, str], ...]]:  # noqa: ANN401 - a type expression
    if key == "database.starting_data.file":
        return "file", ()
    if get_origin(annotation) is Literal:
        words = {**_CHOICE_WORDS, **_WAY_TITLES}
        return "choice", tuple((choice, words.get(choice, choice)) for choice in get_args(annotation))
    if get_origin(annotation) is tuple:
        item = get_args(annotation)[0]
        if get_origin(item) is Literal:
            return "several", tuple((choice, _CHOICE_WORDS.get(choice, choice)) for choice in get_args(item))
        return "list", ()
    if annotation is bool:
        return "yes-no", ()
    # An answer that may be left out, with limits: Annotated[int, ...] | None.
    kinds = [annotation, *get_args(annotation), *(inner for part in get_args(annotation) for inner in get_args(part)[:1])]
    return ("number" if int in kinds else "text"), ()


def _value(data: Mapping[str, Any], key: str) -> Any:  # noqa: ANN401 - plain data
    found: Any = data
    for part in key.split("."):
        if not isinstance(found, Mapping) or part not in found:
            return None
        found = found[part]
    return found


def answers_from(posted: Mapping[str, list[str]], groups: tuple[Group, ...]) -> dict[str, Any]:
    """Plain nested data from what a browser sent; text that is no number stays text, so that its error names it.

    Args:
        posted: field name -> values, as a browser sends them.
        groups: the form's questions; their values do not matter.
    """
    data: dict[str, Any] = {}
    for group in groups:
        if group.switch is not None and not posted.get(group.switch.key):
            continue
        for question in group.questions:
            if not question.disabled and group.name != "additions":
                _put(data, question, posted.get(question.key, []))
    _put_additions(data, posted)
    _tidy(data)
    return data


def _put(data: dict[str, Any], question: Question, values: list[str]) -> None:
    text = values[-1].strip() if values else ""
    value: Any
    if question.kind == "yes-no":
        value = bool(values)
    elif question.kind == "several":
        value = values
    elif question.kind == "list":
        value = [part.strip() for part in text.split(",") if part.strip()]
    elif question.kind == "number":
        value = int(text) if text.lstrip("-").isdecimal() else text or None
    else:
        value = text or None
    if value is None and not question.required:
        return
    place = data
    *parents, last = question.key.split(".")
    for part in parents:
        place = place.setdefault(part, {})
    place[last] = "" if value is None else value


def _tidy(data: dict[str, Any]) -> None:
    """Parts that were left empty on purpose are left out, and options that are at their default too are kept: they are answers."""
    if not (data.get("deputy") or {}).get("name"):
        data.pop("deputy", None)
    database = data.get("database") or {}
    if database.get("where") != "managed":
        database.pop("managed", None)
    if (database.get("starting_data") or {}).get("kind") == "empty":
        database["starting_data"].pop("file", None)
    for part in ("storage", "cache"):
        if (data.get(part) or {}).get("where") != "existing":
            (data.get(part) or {}).pop("existing", None)
    for way in WAYS:
        if way in (data.get("access") or {}) and data["access"][way] == {}:
            data["access"].pop(way)


def without_defaults(data: dict[str, Any], catalog: Catalog, components: tuple[str, ...]) -> dict[str, Any]:
    """Answers without those options that equal their default, or whose component is not there: the revision stays short."""
    options: dict[str, dict[str, Any]] = {}
    for name, answers in (data.get("options") or {}).items():
        manifest = catalog.components.get(name)
        if manifest is None:
            continue
        defaults = {question.name: question.default for question in questions_of(manifest)}
        kept = {key: value for key, value in answers.items() if value != defaults.get(key)}
        if name not in components:
            kept = {key: value for key, value in kept.items() if key == "enabled"}
        if kept:
            options[name] = kept
    return {**{key: value for key, value in data.items() if key != "options"}, **({"options": options} if options else {})}
