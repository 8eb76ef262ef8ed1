"""Rules about what needs what, and when: incidents 3, 8 and 16. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from itertools import pairwise

from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject
from blueprints.checks.references import Reference
from blueprints.checks.services import STORES, WATCHERS, Service, of_family, reached

_MIB = 1024 * 1024


def needs_of(subject: Subject) -> dict[str, dict[str, str]]:
    """Service -> the stores it cannot start without -> why: what its settings name, and the secret store that its secrets come from."""
    by_name = {service.name: service for service in subject.services}
    found: dict[str, dict[str, str]] = {name: {} for name in by_name}
    for reference in subject.references:
        if by_name[reference.service].family in WATCHERS:
            continue  # they ask everybody, and start without anybody
        for other in reached(by_name[reference.service], reference.host, subject.services):
            if other.family in STORES and other.name != reference.service:
                found[reference.service].setdefault(other.name, f"{reference.place} names {reference.says}")
    from_vault = {item.name: str(item.facts["vault"]) for item in subject.estate.of("secret") if item.facts.get("vault")}
    for service in subject.services:
        for secret in service.args.secrets:
            if secret.name in from_vault:
                for store in of_family(subject.services, "vault"):
                    found[service.name].setdefault(store.name, f"its secret {secret.name} is kept at {from_vault[secret.name]}")
    return found


def a_cycle(needs: Mapping[str, Mapping[str, str]]) -> tuple[str, ...]:
    """One way round, the first name again at its end; empty where there is none."""
    done: set[str] = set()

    def walk(name: str, path: tuple[str, ...]) -> tuple[str, ...]:
        if name in path:
            return (*path[path.index(name) :], name)
        if name in done:
            return ()
        for other in needs.get(name, {}):
            if found := walk(other, (*path, name)):
                return found
        done.add(name)
        return ()

    return next((found for name in needs if (found := walk(name, ()))), ())


def stores_need_each_other_one_way(subject: Subject) -> Answer:
    """No store needs, over others, itself."""
    if not of_family(subject.services, *STORES):
        return NotApplicable("it has no store of its own")
    needs = needs_of(subject)
    found = a_cycle(needs)
    if not found:
        return ()
    steps = [f"{name} needs {other} ({needs[name][other]})" for name, other in pairwise(found)]
    return (Found(" -> ".join(found), "; ".join(steps)),)


def secret_store_stands_alone(subject: Subject) -> Answer:
    """The secret store keeps its data in nothing that is deployed beside it."""
    stores = of_family(subject.services, "vault")
    if not stores:
        return NotApplicable("it has no secret store")
    needs = needs_of(subject)
    return tuple(Found(store.name, f"needs {other}: {why}") for store in stores for other, why in needs[store.name].items())


def memory_fits_the_nodes(subject: Subject) -> Answer:
    """All limits together against what the nodes have."""
    assert subject.target is not None  # noqa: S101 - the registry asks only with it
    have = sum(node.memory_bytes for node in subject.target.nodes if node.is_ready)
    if not have:
        return NotApplicable("the nodes do not say how much memory they have")
    long_lived = [service for service in subject.services if not service.args.is_job]
    unlimited = [service.name for service in long_lived if not service.args.memory_bytes]
    wanted = sum(service.args.memory_bytes * max(service.args.replicas, 1) for service in long_lived)
    found = [Found(", ".join(unlimited), "no memory limit, so that nobody can say whether it fits")] if unlimited else []
    if wanted > have:
        found.append(Found("all services", f"may use {wanted // _MIB} MiB, and the nodes have {have // _MIB} MiB"))
    return tuple(found)


def _brokered(subject: Subject) -> list[tuple[Service, Reference, Service]]:
    """Who is told about which broker of the same estate, and where."""
    by_name = {service.name: service for service in subject.services}
    return [
        (by_name[reference.service], reference, broker)
        for reference in subject.references
        if reference.scheme in ("amqp", "amqps")
        for broker in reached(by_name[reference.service], reference.host, subject.services)
        if broker.family == "rabbitmq"
    ]


def users_wait_for_the_broker(subject: Subject) -> Answer:
    """The broker says when it is ready, and starts in a stage before those who need it."""
    pairs = _brokered(subject)
    if not pairs:
        return NotApplicable("nothing is told of a broker of its own")
    brokers = {broker.name: broker for _, _, broker in pairs}
    found = [Found(name, "nothing tells when it is ready: it has no health check") for name, b in brokers.items() if not b.args.healthcheck]
    for service, _, broker in {(s.name, b.name): (s, r, b) for s, r, b in pairs}.values():
        first, then = broker.starts_after, service.starts_after
        if first is None or then is None:
            found.append(Found(service.name, f"starts in no order with {broker.name}"))
        elif then <= first:
            found.append(Found(service.name, f"starts in stage {service.stage}, and {broker.name} in {broker.stage}"))
    return tuple(found)


def heartbeat_is_set_on_both_sides(subject: Subject) -> Answer:
    """Idle connections are noticed: in every address of the broker and in its own settings."""
    pairs = _brokered(subject)
    if not pairs:
        return NotApplicable("nothing is told of a broker of its own")
    found = [Found(f"{service.name} {r.place}", f"{r.says} without heartbeat") for service, r, _ in pairs if "heartbeat=" not in r.rest]
    for broker in {broker.name: broker for _, _, broker in pairs}.values():
        if not any(re.search(r"^\s*heartbeat\s*=", config.text or "", re.MULTILINE) for config in broker.configs):
            found.append(Found(broker.name, "its own settings say nothing of a heartbeat"))
    return tuple(found)


RULES = (
    Rule("I03-dependency-cycle", "block", "lint", "No store needs itself over others.",
         "Take one of the two out of the other's way: a store whose secrets are kept elsewhere, or another place for its data.",
         stores_need_each_other_one_way),
    Rule("I08-secret-store-stands-alone", "block", "lint", "The secret store keeps its data in nothing that is deployed beside it.",
         "Let it keep its data in a volume of its own, or in a store outside whose key it does not hold.", secret_store_stands_alone),
    Rule("I08-memory-fits", "warning", "preflight", "The memory of all services fits the nodes, and each has a limit.",
         "Give every service a limit, take something out, or take a larger machine.", memory_fits_the_nodes, "target"),
    Rule("I16-waits-for-the-broker", "warning", "lint", "Whoever needs the broker starts after it says that it is ready.",
         "Give the broker a health check and an earlier stage (data) than its users (apps).", users_wait_for_the_broker),
    Rule("I16-heartbeat", "warning", "lint", "The broker and everyone who calls it send heartbeats.",
         "Add `?heartbeat=60` to the address and `heartbeat = 60` to rabbitmq.conf.", heartbeat_is_set_on_both_sides),
)  # fmt: skip
