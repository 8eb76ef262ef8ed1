"""A profile: one generation of the applications, and what only it knows. Checked against `_example.yaml`, which is the schema. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blueprints.manifest import Wanted, wanted_lines
from blueprints.schema import Path_, Rule, checked

PUBLIC, INSIDE = "public", "inside"


@dataclass(frozen=True, slots=True)
class Login:
    """How people sign in: by whom, and the API's paths for it; `start` is empty where it is not known.

    Attributes:
        callbacks: provider -> path it sends people back to; some are registered though nobody can sign in by them.
    """

    providers: tuple[str, ...]
    start: str
    callbacks: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Site:
    """How the web answers, and how it asks the API itself: at its public address, or inside the deployment.

    Attributes:
        ask: a command in its container that ends with 0 when `{url}` answers 200; `{scheme}` is the URL's.
    """

    page: str
    redirects: bool
    marker: str
    calls: str
    ask: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Api:
    """How the API answers beside its health, which its manifest knows. A status of 0 is not looked at."""

    graphql: str
    bare_query_status: int
    checks_origin: bool


@dataclass(frozen=True, slots=True)
class Tables:
    """Where the database shows that the league can be used: a table with the organization, and tables of people. Empty: not looked at."""

    organization: str
    people: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """A known limit of the generation, a finding when all of `only_when` hold."""

    severity: str
    only_when: tuple[Wanted, ...]
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class Stack:
    """One of several stacks of a generation.

    Attributes:
        outputs: what later stacks may ask for: name -> `network/<key>`, `volume/<key>`, or `fact/<name>` of the profile's facts.
        references: what it asks former stacks for, by stack.
    """

    name: str
    title: str
    outputs: Mapping[str, str]
    references: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Shared:
    """A network, or a volume that no service mounts any more, of a generation with several stacks."""

    key: str
    stack: str
    name: str
    why: str


@dataclass(frozen=True, slots=True)
class Profile:
    """A named starting set of components for one application generation.

    Attributes:
        components: the starting set; they belong to the generation whatever their own `profiles` say.
        queues: names of the applications' message queues; each organization has its own under them.
        stacks: in the order they are applied; none where one stack is all there is.
        networks: of a generation with several stacks; the others have edge, data and outbound.
        left_volumes: volumes of services that are gone, which stay.
        hosts: name -> how it is made of the domain, for generations whose routes stand in labels.
    """

    name: str
    title: str
    summary: str
    contract: str
    components: tuple[str, ...]
    login: Login
    site: Site
    api: Api
    queues: tuple[str, ...]
    tables: Tables
    findings: tuple[Limit, ...]
    stacks: tuple[Stack, ...] = ()
    networks: tuple[Shared, ...] = ()
    left_volumes: tuple[Shared, ...] = ()
    hosts: Mapping[str, str] = field(default_factory=dict)

    @property
    def has_layers(self) -> bool:
        """It is several stacks, applied one after the other."""
        return bool(self.stacks)

    def hosts_at(self, site: str, hostname: str) -> dict[str, str]:
        """Every name of such a layout: `site` is where the web answers, `hostname` what the tools' names are made of."""
        return {name: pattern.format(web=site, hostname=hostname) for name, pattern in self.hosts.items()}


def read_profile(file: Path, rules: Mapping[Path_, Rule]) -> Profile:
    """One profile of a release.

    Args:
        file: `<name>.yaml`.
        rules: `schema.schema` of the profiles' example.
    Raises:
        CatalogError: the first thing wrong, with file and line.
    """
    where = f"templates/profiles/{file.name}"
    data = checked(file, rules, where, "templates/profiles/_example.yaml")
    login, site, api, tables = data["login"], data["site"], data["api"], data.get("tables") or {}
    return Profile(
        name=file.stem,
        title=data["title"],
        summary=data["summary"],
        contract=data["contract"],
        components=tuple(data["components"]),
        login=Login(tuple(login["providers"]), login.get("start", ""), login["callbacks"]),
        site=Site(site["page"], site["redirects"], site.get("marker", ""), site["calls"], tuple(site["ask"])),
        api=Api(api["graphql"], api.get("bare_query_status", 0), api["checks_origin"]),
        queues=tuple(data.get("queues", ())),
        tables=Tables(tables.get("organization", ""), tuple(tables.get("people", ()))),
        findings=tuple(_limit(item) for item in data.get("findings", ())),
        stacks=tuple(_stack(name, item) for name, item in (data.get("stacks") or {}).items()),
        networks=tuple(_shared(key, item) for key, item in (data.get("networks") or {}).items()),
        left_volumes=tuple(_shared(key, item) for key, item in (data.get("left_volumes") or {}).items()),
        hosts=data.get("hosts") or {},
    )


def _stack(name: str, item: dict[str, Any]) -> Stack:
    references = {stack: tuple(outputs) for stack, outputs in (item.get("references") or {}).items()}
    outputs = dict(line.split(" = ", 1) for line in item.get("outputs") or ())
    return Stack(name, item["title"], outputs, references)


def _shared(key: str, item: dict[str, Any]) -> Shared:
    return Shared(key, item["stack"], item.get("name", key), item["why"])


def _limit(item: dict[str, Any]) -> Limit:
    return Limit(item["severity"], wanted_lines(item.get("only_when", [])), item["message"], item["hint"])
