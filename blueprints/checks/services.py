"""Services as rules look at them: what kind of program, under which names, in which networks, with which files. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from blueprints.compose import STAGES, ServiceArgs
from blueprints.estate.model import Estate, Item

# The last part of an image's name -> what kind of program it is. Applications are of no family.
_FAMILIES = {
    "postgres": ("postgres", "postgresql", "timescaledb", "pgvector"),
    "mysql": ("mysql", "mariadb", "percona"),
    "mongo": ("mongo", "mongodb"),
    "redis": ("redis", "rejson", "redis-stack", "redis-stack-server", "valkey", "keydb"),
    "rabbitmq": ("rabbitmq",),
    "influxdb": ("influxdb",),
    "neo4j": ("neo4j",),
    "dgraph": ("dgraph",),
    "minio": ("minio",),
    "vault": ("vault", "openbao"),
    "traefik": ("traefik",),
    "grafana": ("grafana",),
    "loki": ("loki",),
    "telegraf": ("telegraf",),
    "fluentd": ("fluentd", "fluent-bit"),
    "gatus": ("gatus",),
    "n8n": ("n8n",),
    "socket-proxy": ("docker-socket-proxy",),
}
_BY_NAME = {name: family for family, names in _FAMILIES.items() for name in names}
DATABASES = frozenset({"postgres", "mysql", "mongo"})
WATCHERS = frozenset({"gatus", "telegraf"})
STORES = frozenset({*DATABASES, "redis", "rabbitmq", "influxdb", "neo4j", "dgraph", "minio", "vault"})


@dataclass(frozen=True, slots=True)
class Mounted:
    """A config in a container: where, and its text; None where nobody has it."""

    path: str
    name: str
    text: str | None


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """One service that stays; equal to itself only, since names may come twice in an estate.

    Attributes:
        component: what the blueprint says it is part of; empty where nothing says so.
        stage: when it starts, where the source says so.
        names: every name that others in its networks reach it by.
    """

    name: str
    args: ServiceArgs
    item: Item
    family: str
    component: str
    stage: str
    names: frozenset[str]
    networks: frozenset[str]
    configs: tuple[Mounted, ...]

    @property
    def words(self) -> str:
        """All that is said when it starts: entry point, command, environment, health check."""
        args = self.args
        health = args.healthcheck.test if args.healthcheck else ()
        environment = (f"{key}={value}" for key, value in args.environment.items())
        return "\n".join((*args.entrypoint, *args.command, *environment, *health))

    @property
    def starts_after(self) -> int | None:
        """The place of its stage in the order; None where there is no order."""
        return STAGES.index(self.stage) if self.stage in STAGES else None

    def meets(self, other: Service) -> bool:
        """They share a network."""
        return bool(self.networks & other.networks)


def family_of(image: str) -> str:
    """What kind of program an image is by its name; empty for an application."""
    return _BY_NAME.get(image_name(image).rpartition("/")[2], "")


def image_name(image: str) -> str:
    """An image without digest and tag."""
    bare = image.partition("@")[0]
    head, slash, last = bare.rpartition("/")
    return f"{head}{slash}{last.partition(':')[0]}"


def services_of(estate: Estate) -> tuple[Service, ...]:
    """Those that stay and of which more than the name is known."""
    texts = {item.name: _text(item) for item in estate.of("config")}
    return tuple(_service(item, item.service, texts) for item in estate.of("service") if item.service is not None and not item.is_leaving)


def _text(item: Item) -> str | None:
    text = item.facts.get("text")
    return str(text) if text is not None else None


def _service(item: Item, args: ServiceArgs, texts: dict[str, str | None]) -> Service:
    aliases = {alias for network in args.networks for alias in network.aliases}
    return Service(
        name=item.name,
        args=args,
        item=item,
        family=family_of(args.image),
        component=str(item.facts.get("component") or args.labels.get("sprocket.component", "")),
        stage=str(item.facts.get("stage") or args.labels.get("sprocket.stage", "")),
        names=frozenset({item.name, *aliases, *filter(None, (args.hostname,))}),
        networks=frozenset(network.name for network in args.networks),
        configs=tuple(Mounted(config.target, config.name, texts.get(config.name)) for config in args.configs),
    )


def of_family(services: Iterable[Service], *families: str) -> tuple[Service, ...]:
    """The services of these families."""
    return tuple(service for service in services if service.family in families)


def reached(service: Service, host: str, services: Iterable[Service]) -> Iterator[Service]:
    """The services that a name stands for inside a service's container."""
    return (other for other in services if host in other.names and (other is service or service.meets(other)))
