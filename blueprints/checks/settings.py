"""Rules about settings that are wrong, unread or unsafe: incidents 18, 25, 29, 30 and 35. Pure."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject
from blueprints.checks.services import DATABASES, Service, of_family, reached

KINDS = frozenset({"production", "staging", "development", "test"})
_KIND_KEYS = ("NODE_ENV", "ENV", "ENVIRONMENT", "APP_ENV", "RAILS_ENV")
_DATABASE_HOST = re.compile(r"\A(?P<prefix>(?:\w+_)?(?:DATABASE|POSTGRES|POSTGRESDB|DB|PG|MYSQL)_?)HOST(?:NAME)?\Z")
FRESH_S = 300.0
# What a program reads by itself, without being told: image family -> folders and files.
_OWN_FILES = {
    "traefik": ("/etc/traefik/traefik.yml", "/etc/traefik/traefik.yaml", "/etc/traefik/traefik.toml"),
    "rabbitmq": ("/etc/rabbitmq/",),
    "grafana": ("/etc/grafana/",),
    "gatus": ("/config/config.yaml",),
    "telegraf": ("/etc/telegraf/",),
    "influxdb": ("/etc/influxdb2/", "/docker-entrypoint-initdb.d/"),
    "loki": ("/etc/loki/local-config.yaml",),
    "fluentd": ("/fluentd/etc/fluent.conf",),
    "vault": ("/vault/config/", "/openbao/config/"),
    "postgres": ("/docker-entrypoint-initdb.d/",),
    "mysql": ("/etc/mysql/", "/docker-entrypoint-initdb.d/"),
    "mongo": ("/docker-entrypoint-initdb.d/",),
    "neo4j": ("/conf/", "/var/lib/neo4j/conf/"),
    "": ("/app/",),  # an application's own folder: the generation's contract says what is read there
}
_INPUT_FAMILIES = {
    "rabbitmq": "rabbitmq",
    "redis": "redis",
    "postgresql": "postgres",
    "postgresql_extensible": "postgres",
    "influxdb": "influxdb",
}
_UNVERIFIED = re.compile(
    r"(?i)[\"']?(?:rejectUnauthorized|ssl_verify|verify_ssl|tls_verify|verify_certs)[\"']?\s*[:=]\s*[\"']?(?:false|0|off|no)\b"
    r"|[\"']?(?:insecureSkipVerify|insecure_skip_verify|tls_?skip_?verify(?:_insecure)?|tlsSkipVerify)[\"']?\s*[:=]\s*[\"']?(?:true|1|on|yes)\b"
)
_UNVERIFIED_VARIABLES = {
    "NODE_TLS_REJECT_UNAUTHORIZED": "0",
    "PYTHONHTTPSVERIFY": "0",
    "GIT_SSL_NO_VERIFY": "true",
    "VAULT_SKIP_VERIFY": "true",
    "BAO_SKIP_VERIFY": "true",
}


def databases_are_addressed_fully(subject: Subject) -> Answer:
    """Whoever is told a database's host is told its port, and for one outside whether to speak TLS."""
    found: list[Found] = []
    seen = False
    for service in subject.services:
        for place, host, port, has_tls in _connections(service):
            seen = True
            if not port:
                found.append(Found(f"{service.name} {place}", f"names {host} without a port"))
            inside = any(other.family in DATABASES for other in reached(service, host, subject.services))
            if not inside and "." in host and not has_tls:
                found.append(Found(f"{service.name} {place}", f"names {host}, and nothing says whether to speak TLS"))
    return tuple(found) if seen else NotApplicable("no service is told of a database")


def _connections(service: Service) -> Iterator[tuple[str, str, bool, bool]]:
    """Place, host, whether a port is said, whether TLS is said anywhere in the service's settings."""
    environment = service.args.environment
    texts = [config.text or "" for config in service.configs]
    tls = any(re.search(r"(?i)SSL|TLS", key) for key in environment) or any(re.search(r"(?i)\bssl|\btls|sslmode", text) for text in texts)
    for key, value in environment.items():
        found = _DATABASE_HOST.match(key)
        if found and value and "://" not in value:
            host, _, port = value.partition(":")
            yield key, host, bool(port or environment.get(f"{found['prefix']}PORT")), tls
    for config in service.configs:
        part = _json(config.text, config.path).get("db")
        if isinstance(part, Mapping) and part.get("host"):
            yield f"{config.path} db", str(part["host"]), bool(part.get("port")), tls


def _json(text: str | None, path: str) -> Mapping[str, Any]:
    if not text or not path.endswith(".json"):
        return {}
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if isinstance(data, Mapping) else {}


def services_outside_answer(subject: Subject) -> Answer:
    """Databases and other services outside, asked before anything is deployed."""
    assert subject.target is not None  # noqa: S101 - the registry asks only with it
    if not subject.target.peers:
        return NotApplicable("it leans on nothing outside, or what there is was not asked")
    return tuple(Found(peer.name, peer.problem) for peer in subject.target.peers if peer.problem)


def one_kind_of_environment(subject: Subject) -> Answer:
    """One kind out of four for the whole deployment, and nothing of development in production."""
    kinds: dict[str, list[str]] = {}
    found = []
    for service in subject.services:
        for key in _KIND_KEYS:
            value = service.args.environment.get(key)
            if value:
                kinds.setdefault(value, []).append(service.name)
                if value not in KINDS:
                    found.append(Found(f"{service.name} {key}", f"{value!r} is none of {', '.join(sorted(KINDS))}"))
    if not kinds:
        return NotApplicable("no service asks which kind of environment it is")
    if len(kinds) > 1:
        found.append(Found("deployment", "; ".join(f"{kind}: {', '.join(sorted(set(who)))}" for kind, who in kinds.items())))
    if set(kinds) == {"production"}:
        found += [found_ for service in subject.services for found_ in _debugging(service)]
    return tuple(found)


def _debugging(service: Service) -> Iterator[Found]:
    levels = service.args.environment.get("LOGGER_LEVELS", "")
    if re.search(r"debug|verbose|trace", levels, re.IGNORECASE):
        yield Found(f"{service.name} LOGGER_LEVELS", "writes debugging lines in production")
    for config in service.configs:
        data = _json(config.text, config.path)
        given = (data.get("logger") or {}).get("levels") if isinstance(data.get("logger"), Mapping) else None
        if isinstance(given, list) and {"debug", "verbose"} & {str(level) for level in given}:
            yield Found(f"{service.name} {config.path}", "writes debugging lines in production")
        for part, key in (("gql", "playground"), ("db", "enable_logs")):
            if isinstance(data.get(part), Mapping) and data[part].get(key) is True:
                yield Found(f"{service.name} {config.path}", f"{part}.{key} is on in production")


def _inputs(collector: Service) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for config in collector.configs:
        try:
            data = tomllib.loads(config.text or "")
        except tomllib.TOMLDecodeError:
            continue
        for kind, given in (data.get("inputs") or {}).items():
            for part in given if isinstance(given, list) else [given]:
                if isinstance(part, Mapping):
                    yield kind, part


def _addresses(part: Mapping[str, Any]) -> list[str]:
    values = [part.get(key) for key in ("address", "url", "server", "servers", "urls")]
    return [str(v) for value in values for v in (value if isinstance(value, list) else [value]) if v]


def inputs_point_at_something(subject: Subject) -> Answer:
    """No input of the metrics asks the collector's own container for a store, nor a database outside without port and TLS."""
    collectors = of_family(subject.services, "telegraf")
    inputs = [(collector, kind, part) for collector in collectors for kind, part in _inputs(collector)]
    if not inputs:
        return NotApplicable("it collects no metrics, or what it collects is not to be seen")
    found = []
    for collector, kind, part in inputs:
        if kind not in _INPUT_FAMILIES:
            continue
        for address in _addresses(part) or [""]:
            if not address or re.search(r"(?:localhost|127\.0\.0\.1|//:)", address):
                found.append(Found(f"{collector.name} inputs.{kind}", f"asks {_hostless(address)}, which is the collector itself"))
            elif kind.startswith("postgresql") and "sslmode" not in address and not re.search(r"host=[a-z0-9_-]+(\s|\Z)", address):
                found.append(Found(f"{collector.name} inputs.{kind}", "says nothing of TLS"))
    return tuple(found)


def _hostless(address: str) -> str:
    return "localhost" if "localhost" in address else "127.0.0.1" if address else "its default, localhost"


def metrics_are_fresh(subject: Subject) -> Answer:
    """Every input brought a value within five minutes."""
    assert subject.running is not None  # noqa: S101 - the registry asks only with it
    if subject.running.metrics is None:
        return NotApplicable("it keeps no metrics")
    return tuple(
        Found(f"input {name}", "never brought a value" if age is None else f"brought its last value {age:.0f} s ago")
        for name, age in subject.running.metrics.items()
        if age is None or age > FRESH_S
    )


def mounted_files_are_read(subject: Subject) -> Answer:
    """Every mounted config is one that the program reads by itself, or is named by what starts it or by a file that is."""
    mounting = [service for service in subject.services if service.configs]
    if not mounting:
        return NotApplicable("no service mounts a file")
    return tuple(
        Found(f"{service.name} {config.path}", "is mounted, and nothing makes the program read it")
        for service in mounting
        for config in service.configs
        if not _is_read(service, config.path)
    )


def _is_read(service: Service, path: str) -> bool:
    own = _OWN_FILES.get(service.family, ())
    if any(path == known or (known.endswith("/") and path.startswith(known)) for known in own):
        return True
    first = next(iter((*service.args.entrypoint, *service.args.command)), "")
    if any(mount.type == "bind" and mount.target == first for mount in service.args.mounts):
        return True  # a script of the machine starts it, and nobody here can see what that reads
    others = "\n".join(config.text or "" for config in service.configs if config.path != path)
    said = f"{service.words}\n{others}"
    folder = path.rpartition("/")[0]
    return path in said or (folder.count("/") > 1 and re.search(rf"{re.escape(folder)}(?:/?(?:\s|\"|'|$))", said) is not None)


def settings_take_effect(subject: Subject) -> Answer:
    """What the file says and what the server says."""
    assert subject.running is not None  # noqa: S101 - the registry asks only with it
    if not subject.running.settings:
        return NotApplicable("no server was asked for its settings")
    return tuple(
        Found(f"{s.service} {s.name}", f"the file says {s.wanted}, the server {s.effective or 'nothing'}")
        for s in subject.running.settings
        if s.wanted != s.effective
    )


def certificates_are_verified(subject: Subject) -> Answer:
    """Nobody switches off what tells a database from somebody between."""
    if not subject.services:
        return NotApplicable("no service is known")
    found = []
    for service in subject.services:
        for key, value in _UNVERIFIED_VARIABLES.items():
            if service.args.environment.get(key, "").lower() == value:
                found.append(Found(f"{service.name} {key}", f"is {value}: no certificate is verified"))
        for config in service.configs:
            for number, line in enumerate((config.text or "").splitlines(), 1):
                if _UNVERIFIED.search(line) and not line.lstrip().startswith(("#", "//", ";")):
                    found.append(Found(f"{service.name} {config.path}:{number}", "switches the verification of certificates off"))
    return tuple(found)


RULES = (
    Rule("I18-database-address", "block", "lint", "Every database address has its port, and one outside says whether to speak TLS.",
         "Add the port and the TLS mode (sslmode=require, *_SSL_MODE).", databases_are_addressed_fully),
    Rule("I18-services-outside-answer", "block", "preflight", "Every service outside answers as the needs say.",
         "`sprocket preflight ORG` says of each what to do.", services_outside_answer, "target"),
    Rule("I25-one-kind", "warning", "lint", "The whole deployment is one kind of environment, and production does not debug.",
         "Use production, staging, development or test for every service; take debugging levels and playgrounds out.", one_kind_of_environment),
    Rule("I29-inputs-point-somewhere", "warning", "lint", "Every metrics input asks a store by its address.",
         "Write the service's name, its port and its TLS mode instead of localhost.", inputs_point_at_something),
    Rule("I29-metrics-are-fresh", "warning", "probe", "Every metrics input brought a value within five minutes.",
         "The collector's log says what it could not reach.", metrics_are_fresh, "running"),
    Rule("I30-file-is-read", "warning", "lint", "Every file that is mounted is read by the program.",
         "Name the file in the command, or mount it where the program looks for it.", mounted_files_are_read),
    Rule("I30-setting-takes-effect", "warning", "probe", "What a file sets is what the server says is set.",
         "Restart the service; where that changes nothing the file is not read.", settings_take_effect, "running"),
    Rule("I35-certificates-are-verified", "block", "lint", "Nobody switches the verification of certificates off.",
         "Give the program the authority's certificate as a config, and take the switch out.", certificates_are_verified),
)  # fmt: skip
