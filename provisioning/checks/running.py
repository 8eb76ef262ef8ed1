"""What runs, as rules see it: asked from inside the containers and through the routes.

Changes nothing, but that one log line is written where logs can be searched, and that a secret store is restarted when somebody asks for it.
"""

from __future__ import annotations

import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from urllib.parse import quote

from blueprints.checks.facts import Reach, Running, Setting, Store
from blueprints.checks.logs import FOUND_WITHIN_S
from blueprints.checks.model import Subject
from blueprints.checks.services import Service, of_family, reached
from provisioning.checks.answers import ages_in, size_of, store_in
from provisioning.live import LiveReader, LiveService
from provisioning.probe import Patience, probe
from sprocket_v2.errors import SprocketError

MAX_REACHES = 200
REACH_S = 5.0
_MISSING = re.compile(r"executable file not found|no such file or directory|not found", re.IGNORECASE)
_NOT_RUN = (126, 127)


class Hands(LiveReader, Protocol):
    """The reader, and what else is asked of Docker here."""

    def tasks(self, service: str) -> Sequence[Mapping[str, Any]]:
        """All tasks of a service, in Docker's own JSON."""
        ...

    def run_again(self, service: str) -> None:
        """Give a service new tasks."""
        ...


class Deployment:
    """A running deployment of a subject's organization."""

    def __init__(self, subject: Subject, hands: Hands, org: str, on_step: Callable[[str], None]) -> None:
        self.subject, self.hands, self.org, self.on_step = subject, hands, org, on_step
        self.live: dict[str, LiveService] = {service.name: service for service in hands.live_services(org)}

    def container(self, service: Service) -> str:
        """A running container of a service; empty when there is none."""
        live = self.live.get(service.name)
        return live.running[0].container if live and live.running else ""

    def run(self, service: Service, command: Sequence[str], *, timeout_s: float = 10.0) -> tuple[int, str] | None:
        """Exit code and output of a command in a service's container; None where it does not run or has no such program."""
        container = self.container(service)
        if not container:
            return None
        try:
            code, output = self.hands.run_in(container, command, timeout_s=timeout_s)
        except SprocketError:
            return None
        return None if code in _NOT_RUN and _MISSING.search(output) else (code, output)

    def first(self, service: Service, *commands: Sequence[str], timeout_s: float = 10.0) -> tuple[int, str] | None:
        """The answer of the first of several programs that is there."""
        return next((answer for command in commands if (answer := self.run(service, command, timeout_s=timeout_s))), None)


def running_of(
    subject: Subject,
    hands: Hands,
    org: str,
    *,
    address: str = "127.0.0.1",
    restart_s: float = 0,
    on_step: Callable[[str], None] = lambda _step: None,
) -> Running:
    """Look at everything that runs of an organization.

    Args:
        restart_s: also restart each secret store and see whether it opens again within so many seconds; 0 leaves it alone.
        on_step: told what is being looked at.
    Raises:
        ApplyError: Docker cannot be read.
    """
    deployment = Deployment(subject, hands, org, on_step)
    on_step("asking the secret store")
    stores = tuple(store for service in of_family(subject.services, "vault") for store in _store(deployment, service, restart_s))
    on_step("asking every way in")
    ways = (
        {check.title: check.detail if check.state == "failed" else "" for check in probe(subject.blueprint, address, Patience(5.0))}
        if subject.blueprint
        else {}
    )
    on_step("opening ports from inside the containers")
    reaches = tuple(_reaches(deployment))
    on_step("counting restarts, reading settings, searching for a line and for figures")
    return Running(
        services=tuple(deployment.live),
        stores=stores,
        ways=ways,
        reaches=reaches,
        restarts={name: ended_within_a_day(hands.tasks(name), datetime.now(UTC)) for name in deployment.live},
        log_line_s=_log_line(deployment),
        metrics=_metrics(deployment),
        settings=tuple(_settings(deployment)),
    )


def _store(deployment: Deployment, service: Service, restart_s: float) -> Iterator[Store]:
    """A secret store as it is, or as it is once it was restarted and given this long to open."""
    begun = time.monotonic()
    is_restarted = bool(restart_s) and service.name in deployment.live
    if is_restarted:
        deployment.on_step(f"restarting {service.name}")
        _restart(deployment, service, restart_s)
    commands = [[program, "status", "-address=http://127.0.0.1:8200", "-format=json"] for program in ("bao", "vault")]
    while True:
        answer = deployment.first(service, *commands)
        elapsed = time.monotonic() - begun
        seen = store_in(service.name, answer[1], elapsed if is_restarted else None) if answer else None
        if (seen and not seen.is_sealed) or not is_restarted or elapsed >= restart_s:
            break
        time.sleep(1)
    if seen:
        yield seen


def _restart(deployment: Deployment, service: Service, within_s: float) -> None:
    """Give a service a new task and wait until that runs."""
    before = {task.id for task in deployment.live[service.name].running}
    limit = time.monotonic() + within_s
    deployment.hands.run_again(service.name)
    while time.monotonic() < limit:
        live = {found.name: found for found in deployment.hands.live_services(deployment.org)}
        deployment.live.update(live)
        running = live[service.name].running if service.name in live else ()
        if running and not before & {task.id for task in running}:
            return
        time.sleep(0.5)


def _reaches(deployment: Deployment) -> Iterator[Reach]:
    """Every port that a service is told of another, from its own container. Where no program can open a port, nothing is said."""
    by_name = {service.name: service for service in deployment.subject.services}
    wanted: dict[tuple[str, str, int], None] = {}
    for reference in deployment.subject.references:
        service = by_name[reference.service]
        others = [other for other in reached(service, reference.host, by_name.values()) if other is not service and not other.args.is_job]
        if reference.is_inside and reference.port and others:
            wanted[service.name, reference.host, reference.port] = None
    for name, host, port in list(wanted)[:MAX_REACHES]:
        is_open = _opens(deployment, by_name[name], host, port)
        if is_open is not None:
            yield Reach(name, host, port, is_open)


def _opens(deployment: Deployment, service: Service, host: str, port: int) -> bool | None:
    answer = deployment.first(
        service,
        ["bash", "-c", 'exec 3<>"/dev/tcp/$0/$1"', host, str(port)],
        ["python3", "-c", "import socket,sys; socket.create_connection((sys.argv[1], int(sys.argv[2])), 4).close()", host, str(port)],
        ["nc", "-z", "-w", "4", host, str(port)],
        ["node", "-e", f"require('net').connect({port},'{host}',()=>process.exit(0)).on('error',()=>process.exit(1))"],
        timeout_s=REACH_S,
    )
    return None if answer is None else answer[0] == 0


def ended_within_a_day(tasks: Sequence[Mapping[str, Any]], now: datetime) -> int:
    """How many of a service's tasks ended by themselves within the last day; those that somebody ended are not counted."""
    since = (now - timedelta(days=1)).isoformat()[:19]
    return sum(
        1 for task in tasks if task["Status"]["State"] in ("failed", "rejected") and str(task["Status"].get("Timestamp", ""))[:19] >= since
    )


def _log_line(deployment: Deployment) -> float | None:
    """Seconds until a line just written is found; -1 where nothing can be searched, or nobody can write or ask."""
    searches = of_family(deployment.subject.services, "loki")
    senders = [
        s
        for s in deployment.subject.services
        if s.args.log_driver in ("syslog", "fluentd", "loki") and not s.args.is_job and deployment.container(s)
    ]
    if not searches or not senders or not deployment.container(searches[0]):
        return -1.0
    mark = f"sprocket-check-{secrets.token_hex(6)}"
    if not any(deployment.run(sender, ["sh", "-c", f"echo {mark} > /proc/1/fd/1"]) == (0, "") for sender in senders[:5]):
        return -1.0
    query = quote(f'{{org="{deployment.org}"}} |= "{mark}"')
    url = f"http://127.0.0.1:3100/loki/api/v1/query_range?query={query}"
    begun = time.monotonic()
    while time.monotonic() - begun < FOUND_WITHIN_S:
        answer = deployment.first(searches[0], ["wget", "-q", "-O", "-", url], ["curl", "-fsS", url], ["curl", url])
        if answer is None:
            return -1.0
        if _has_result(answer[1]):
            return time.monotonic() - begun
        time.sleep(1)
    return None


def _has_result(text: str) -> bool:
    try:
        return bool(json.loads(text)["data"]["result"])
    except (ValueError, KeyError, TypeError):
        return False


def _metrics(deployment: Deployment) -> dict[str, float | None] | None:
    """Input -> age of its last value; None where no metrics are kept, or the store does not answer such a question."""
    stores = of_family(deployment.subject.services, "influxdb")
    bucket = stores[0].args.environment.get("DOCKER_INFLUXDB_INIT_BUCKET", "") if stores else ""
    if not bucket or not re.fullmatch(r"[\w.-]+", bucket):
        return None
    flux = f'from(bucket: "{bucket}") |> range(start: -1h) |> group(columns: ["_measurement"]) |> last()'
    script = 'INFLUX_TOKEN="$(cat /run/secrets/influx-token)" INFLUX_ORG="$1" exec influx query --raw "$2"'
    organization = stores[0].args.environment.get("DOCKER_INFLUXDB_INIT_ORG", "")
    answer = deployment.run(stores[0], ["sh", "-c", script, "sh", organization, flux], timeout_s=20)
    if answer is None or answer[0] != 0 or "_measurement" not in answer[1]:
        return None
    ages = ages_in(answer[1], datetime.now(UTC))
    collectors = of_family(deployment.subject.services, "telegraf")
    inputs = {
        name for c in collectors for config in c.configs for name in re.findall(r"^\[\[inputs\.(\w+)\]\]", config.text or "", re.MULTILINE)
    }
    return {name: ages.get(name) for name in sorted(inputs - {"syslog"})}


def _settings(deployment: Deployment) -> Iterator[Setting]:
    """What a Redis says of the settings that its file has. The password goes by environment, inside the container."""
    script = 'REDISCLI_AUTH="$(cat /run/secrets/redis-password 2>/dev/null)" exec redis-cli --no-auth-warning CONFIG GET "$1"'
    for cache in of_family(deployment.subject.services, "redis"):
        text = "\n".join(config.text or "" for config in cache.configs)
        for name in ("maxmemory", "maxmemory-policy", "appendonly"):
            found = re.search(rf"^\s*{name}\s+(\S+)", text, re.MULTILINE)
            answer = deployment.run(cache, ["sh", "-c", script, "sh", name]) if found else None
            if found and answer and answer[0] == 0:
                lines = answer[1].split()
                yield Setting(cache.name, name, size_of(found[1]), lines[1] if len(lines) > 1 else "")
