"""Rules about names that have to mean something elsewhere: hosts, buckets, databases, queues, ids: incidents 14, 27, 28, 37, 39. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject
from blueprints.checks.routers import parsed
from blueprints.checks.services import Service, of_family, reached

_LITERAL_ID = re.compile(r"\A[a-z0-9]{25}\Z")
_DATABASE_KEYS = re.compile(r"\A(?:\w+_)?(?:DATABASE|DB_NAME|DBNAME|PGDATABASE|POSTGRESDB_DATABASE|DATABASE_NAME)\Z")
_BUCKETS_MADE = re.compile(r"\bfor bucket in ((?:\s*'[^']+')+)")


def hosts_are_known(subject: Subject) -> Answer:
    """Every name without a dot that a service is told is a service it shares a network with."""
    inside = [reference for reference in subject.references if reference.is_inside]
    if not inside:
        return NotApplicable("no service is told of another")
    by_name = {service.name: service for service in subject.services}
    found = []
    for reference in inside:
        service = by_name[reference.service]
        if any(reached(service, reference.host, subject.services)):
            continue
        elsewhere = [other.name for other in subject.services if reference.host in other.names]
        why = f"is {elsewhere[0]}, which is in none of its networks" if elsewhere else "is no service of this deployment"
        found.append(Found(f"{service.name} {reference.place}", f"{reference.says} {why}"))
    return tuple(found)


def ports_open_from_inside(subject: Subject) -> Answer:
    """From a container of each service, every host and port it is told."""
    assert subject.running is not None  # noqa: S101 - the registry asks only with it
    if not subject.running.reaches:
        return NotApplicable("no service that runs is told of a port that could be tried from its container")
    return tuple(
        Found(reach.service, f"does not reach {reach.host}:{reach.port}") for reach in subject.running.reaches if not reach.is_open
    )


def monitors_follow_the_deployment(subject: Subject) -> Answer:
    """What is watched is what is deployed: no name of somewhere else, and no name of this one left out."""
    monitors = [service for service in of_family(subject.services, "gatus") if any(config.text for config in service.configs)]
    if not monitors:
        return NotApplicable("nothing watches it, or what it watches is not to be seen")
    own = {host for router in subject.routers for host in router.hosts if router.protocol == "http"}
    found = []
    for monitor in monitors:
        watched = _watched(monitor)
        for title, host in watched:
            if "." in host and host not in own:
                found.append(Found(monitor.name, f"watches {host} ({title}), which is no name of this deployment"))
        missing = sorted(own - {host for _, host in watched})
        found += [Found(monitor.name, f"does not watch {host}") for host in missing]
    return tuple(found)


def _watched(monitor: Service) -> list[tuple[str, str]]:
    endpoints = [e for config in monitor.configs for e in parsed(config.text or "").get("endpoints") or () if isinstance(e, Mapping)]
    return [(str(e.get("name", "")), urlsplit(str(e.get("url", ""))).hostname or str(e.get("url", ""))) for e in endpoints]


@dataclass(frozen=True, slots=True)
class _Use:
    """A bucket, database or queue as a service names it."""

    kind: str
    name: str
    service: Service
    place: str
    host: str = ""
    key: str = ""


def named_things_exist(subject: Subject) -> Answer:
    """Buckets and databases that services use are made by somebody; a queue has one name at all its ends."""
    uses = [use for service in subject.services for use in _uses(service)]
    if not uses:
        return NotApplicable("no service names a bucket, a database or a queue")
    found: list[Found] = []
    for kind in ("metrics bucket", "bucket", "database"):
        found += _not_made(subject, kind, [use for use in uses if use.kind == kind])
    return (*found, *_torn_queues([use for use in uses if use.kind == "queue"]))


def _not_made(subject: Subject, kind: str, uses: list[_Use]) -> Iterator[Found]:
    families, made_by = _MAKERS[kind]
    listed = {item.name for item in subject.estate.of("bucket" if kind == "bucket" else "database")} if kind != "metrics bucket" else set()
    for use in dict.fromkeys(uses):
        makers = [other for other in reached(use.service, use.host, subject.services) if other.family in families]
        made = {name for maker in makers for name in made_by(subject, maker)} | listed
        if made and use.name not in made:
            found = f"uses the {kind} {use.name}, which nothing makes (made: {', '.join(sorted(made))})"
            yield Found(f"{use.service.name} {use.place}", found)


def _metrics_buckets(_subject: Subject, maker: Service) -> set[str]:
    return {maker.args.environment.get("DOCKER_INFLUXDB_INIT_BUCKET", "")} - {""}


def _databases(_subject: Subject, maker: Service) -> set[str]:
    environment = maker.args.environment
    name = environment.get("POSTGRES_DB") or environment.get("MYSQL_DATABASE") or environment.get("MARIADB_DATABASE")
    return {name, "postgres"} if name else set()


def _buckets(subject: Subject, maker: Service) -> set[str]:
    texts = [config.text or "" for service in subject.services if service.meets(maker) for config in service.configs]
    return {name for text in texts for group in _BUCKETS_MADE.findall(text) for name in re.findall(r"'([^']+)'", group)}


_MAKERS: dict[str, tuple[tuple[str, ...], Any]] = {
    "metrics bucket": (("influxdb",), _metrics_buckets),
    "bucket": (("minio",), _buckets),
    "database": (("postgres", "mysql"), _databases),
}


def _torn_queues(uses: list[_Use]) -> Iterator[Found]:
    names: dict[str, dict[str, str]] = {}
    for use in uses:
        names.setdefault(use.key, {}).setdefault(use.name, use.service.name)
    for key, by in names.items():
        if len(by) > 1:
            yield Found(key, " and ".join(f"{name} in {service}" for name, service in by.items()))


def _uses(service: Service) -> Iterator[_Use]:
    environment = service.args.environment
    for key, value in environment.items():
        if _DATABASE_KEYS.match(key) and value:
            prefix = re.sub(r"(DATABASE|DB_NAME|DBNAME|POSTGRESDB_DATABASE|DATABASE_NAME)\Z", "", key)
            host = environment.get(f"{prefix}HOST") or environment.get("PGHOST", "")
            yield _Use("database", value, service, key, host.partition(":")[0])
        if key == "INFLUX_BUCKET":
            yield _Use("metrics bucket", value, service, key, urlsplit(environment.get("INFLUX_URL", "")).hostname or "")
    for config in service.configs:
        if config.text and config.path.endswith(".json"):
            try:
                data = json.loads(config.text)
            except ValueError:
                continue
            yield from _in_json(service, config.path, data)
        elif config.text:
            yield from _in_text(service, config.path, config.text)


def _in_json(service: Service, path: str, data: Any) -> Iterator[_Use]:  # noqa: ANN401 - plain data
    if not isinstance(data, Mapping):
        return
    part = data.get("influx")
    if isinstance(part, Mapping) and part.get("bucket"):
        yield _Use("metrics bucket", str(part["bucket"]), service, path, urlsplit(str(part.get("address", ""))).hostname or "")
    part = data.get("minio")
    if isinstance(part, Mapping):
        host = str(part.get("endPoint") or part.get("hostname") or part.get("endpoint") or "").partition(":")[0]
        names = part.get("bucketNames")
        for name in (*(names.values() if isinstance(names, Mapping) else ()), part.get("bucket")):
            if isinstance(name, str) and name:
                yield _Use("bucket", name, service, path, host)
    part = data.get("db")
    if isinstance(part, Mapping) and part.get("database"):
        yield _Use("database", str(part["database"]), service, path, str(part.get("host", "")))
    part = data.get("transport")
    if isinstance(part, Mapping):
        for key, name in part.items():
            if key.endswith("_queue") and isinstance(name, str) and name:
                yield _Use("queue", name, service, path, key=key)


def _in_text(service: Service, path: str, text: str) -> Iterator[_Use]:
    for source in parsed(text).get("datasources") or ():
        if isinstance(source, Mapping) and source.get("type") == "influxdb":
            bucket = (source.get("jsonData") or {}).get("defaultBucket")
            if bucket:
                yield _Use("metrics bucket", str(bucket), service, path, urlsplit(str(source.get("url", ""))).hostname or "")
    output = re.search(r"\[\[outputs\.influxdb_v2\]\](.*?)(?:\n\[\[|\Z)", text, re.DOTALL)
    if output:
        bucket, url = re.search(r"^\s*bucket\s*=\s*\"([^\"]+)\"", output[1], re.MULTILINE), re.search(r"https?://([\w.-]+)", output[1])
        if bucket:
            yield _Use("metrics bucket", bucket[1], service, path, url[1] if url else "")


def nothing_is_taken_by_id(subject: Subject) -> Answer:
    """Every network, config, secret and volume that a service names is one of the estate."""
    if not subject.services:
        return NotApplicable("no service is known")
    there = {(item.kind, item.name) for item in subject.estate.items if not item.is_leaving}
    found = []
    for service in subject.services:
        args = service.args
        wanted = [("config", config.name) for config in args.configs] + [("secret", secret.name) for secret in args.secrets]
        wanted += [("network", network.name) for network in args.networks]
        wanted += [("volume", mount.source) for mount in args.mounts if mount.type == "volume" and mount.source]
        for kind, name in wanted:
            if (kind, name) not in there:
                what = f"the literal id {name}" if _LITERAL_ID.match(name) else name
                found.append(Found(service.name, f"uses {kind} {what}, which nothing here makes"))
    return tuple(found)


def the_export_hangs_together(subject: Subject) -> Answer:
    """Every parent, dependency and provider of an export is in it."""
    if not any(item.origin.source == "export" for item in subject.estate.items) and not subject.estate.remarks:
        return NotApplicable("nothing of it was read from an export")
    return tuple(
        Found(remark.where, remark.message)
        for remark in subject.estate.all_remarks()
        if remark.rule.startswith(("export.dangling", "export.cyclic", "export.integrity", "export.pending-operation"))
    )


RULES = (
    Rule("I14-host-is-known", "block", "lint", "Every host a service is told by a bare name is a service in one of its networks.",
         "Use the service's name or alias, and put both into one network; a name with a random suffix changes with every deployment.",
         hosts_are_known),
    Rule("I14-port-opens", "block", "probe", "Every service reaches what it is told, from inside its own container.",
         "Look whether the other runs and listens on that port, then at the networks of both.", ports_open_from_inside, "running"),
    Rule("I27-monitoring-follows", "warning", "lint", "What is watched are the names of this deployment, and all of them.",
         "Make the watcher's list from the blueprint, not by hand.", monitors_follow_the_deployment),
    Rule("I28-named-things-exist", "warning", "lint", "Buckets, databases and queues have the same name at both ends.",
         "Write the name once and use it at both ends, or make what is used.", named_things_exist),
    Rule("I37-nothing-by-id", "block", "lint", "No service uses something that nothing here makes.",
         "Bring it into the blueprint, or declare it external with its owner.", nothing_is_taken_by_id),
    Rule("I39-export-hangs-together", "warning", "lint", "An export names nothing that is not in it.",
         "The state was cut by hand: import the live swarm beside it, which shows what is really there.", the_export_hangs_together),
)  # fmt: skip
