"""What rules are told beside the blueprint: the control plane's records, the machine, the secret store, what runs. Values only.

The edges that read them are in provisioning/checks. A value of None, or an entry that is missing, was not to be seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """A restore or rebuild that was tried: how long ago, how long it took, and whether it ended well."""

    what: str
    days_ago: float
    took_s: float
    is_good: bool = True


@dataclass(frozen=True, slots=True)
class Records:
    """What the control plane knows of an organization.

    Attributes:
        is_deployed: a blueprint was applied.
        rehearsals: the newest first.
        operators: the people with an account that may apply.
        secret_problems: name -> what is wrong with its value; a secret without a problem is there with an empty text.
        missing_secrets: names that nobody has set.
        leaks: forms of a canary value that came through the masking (`base64`); None where it was not tried.
    """

    is_deployed: bool = False
    rehearsals: tuple[Rehearsal, ...] = ()
    operators: tuple[str, ...] = ()
    secret_problems: Mapping[str, str] = field(default_factory=dict)
    missing_secrets: tuple[str, ...] = ()
    leaks: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Node:
    """A node of the swarm; labels are those set by `docker node update --label-add`."""

    name: str
    role: str = "manager"
    labels: Mapping[str, str] = field(default_factory=dict)
    engine_labels: Mapping[str, str] = field(default_factory=dict)
    hostname: str = ""
    platform: str = "linux/x86_64"
    is_ready: bool = True
    memory_bytes: int = 0
    id: str = ""


@dataclass(frozen=True, slots=True)
class Token:
    """A token that somebody stored, and how long it lives; one that is endless has None."""

    name: str
    life_s: float | None
    is_renewed: bool = False


@dataclass(frozen=True, slots=True)
class Vault:
    """A secret store as its own door tells it.

    Attributes:
        has_keys: the unseal keys are where they are kept.
        policies: of the token that is used; None where the token was refused.
        paths: path -> names of its fields, of every path that can be read.
    """

    address: str
    answers: bool
    is_initialized: bool = True
    is_sealed: bool = False
    has_keys: bool = True
    policies: tuple[str, ...] | None = ()
    tokens: tuple[Token, ...] = ()
    paths: Mapping[str, tuple[str, ...]] | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """A service outside that was asked, and what is wrong with it."""

    name: str
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Target:
    """The machine or machines it would run on.

    Attributes:
        paths: path of the host -> whether it is there.
        ports: published port -> who has it already; empty for a free one.
        disk_used: part of the disk under Docker's data that is used, 0 to 1.
        log_driver, log_options: what containers get that ask for nothing.
        kept_tasks: ended tasks that Swarm keeps for each service.
        names: public host -> addresses it leads to.
        addresses: the machine's own.
    """

    nodes: tuple[Node, ...] = ()
    paths: Mapping[str, bool] = field(default_factory=dict)
    ports: Mapping[int, str] = field(default_factory=dict)
    disk_used: float | None = None
    storage_driver: str = ""
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)
    kept_tasks: int | None = None
    names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    addresses: tuple[str, ...] = ()
    vault: Vault | None = None
    peers: tuple[Peer, ...] = ()


@dataclass(frozen=True, slots=True)
class Store:
    """A secret store that runs; `restarted_s` is how long it took to come back, where a restart was tried."""

    service: str
    is_initialized: bool
    is_sealed: bool
    restarted_s: float | None = None


@dataclass(frozen=True, slots=True)
class Reach:
    """One try to open a port from inside a service's container."""

    service: str
    host: str
    port: int
    is_open: bool


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting as its file has it and as the server says it is."""

    service: str
    name: str
    wanted: str
    effective: str


@dataclass(frozen=True, slots=True)
class Running:
    """What runs, as it was seen from outside and inside.

    Attributes:
        services: names of all services that carry the organization's label.
        ways: title of a route -> what is wrong with it; empty when it answers.
        restarts: service -> tasks that ended by themselves within the last day.
        log_line_s: seconds until a line just written was found again; None when it was not; absent (-1) when nothing can be searched.
        metrics: input -> seconds since its last value; None when there never was one. None as a whole where nothing is measured.
    """

    services: tuple[str, ...] = ()
    stores: tuple[Store, ...] = ()
    ways: Mapping[str, str] = field(default_factory=dict)
    reaches: tuple[Reach, ...] = ()
    restarts: Mapping[str, int] = field(default_factory=dict)
    log_line_s: float | None = -1.0
    metrics: Mapping[str, float | None] | None = None
    settings: tuple[Setting, ...] = ()
