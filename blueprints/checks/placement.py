"""Rules about where services run and which ports of the machine they take: incidents 32 and 33. Pure."""

from __future__ import annotations

import re

from blueprints.checks.facts import Node
from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject

_CONSTRAINT = re.compile(r"\A\s*(?P<key>[A-Za-z0-9._/-]+)\s*(?P<sign>==|!=)\s*(?P<value>.*?)\s*\Z")


def constraints_are_satisfied(subject: Subject) -> Answer:
    """For every service at least one node that is ready and has all it asks for."""
    assert subject.target is not None  # noqa: S101 - the registry asks only with it
    constrained = [service for service in subject.services if service.args.constraints]
    if not constrained:
        return NotApplicable("nothing says on which node it runs")
    ready = [node for node in subject.target.nodes if node.is_ready]
    return tuple(
        Found(service.name, f"no ready node has {' and '.join(service.args.constraints)}")
        for service in constrained
        if not any(all(fits(node, text) for text in service.args.constraints) for node in ready)
    )


def fits(node: Node, constraint: str) -> bool:
    """Whether a node has what a constraint asks for; one that Swarm would not read fits nowhere."""
    found = _CONSTRAINT.match(constraint)
    if not found:
        return False
    is_equal = _of(node, found["key"]).lower() == found["value"].lower()
    return is_equal if found["sign"] == "==" else not is_equal


def _of(node: Node, key: str) -> str:
    system, _, architecture = node.platform.partition("/")
    known = {
        "node.id": node.id, "node.hostname": node.hostname or node.name, "node.role": node.role,
        "node.platform.os": system, "node.platform.arch": architecture,
    }  # fmt: skip
    if key.startswith("node.labels."):
        return node.labels.get(key.removeprefix("node.labels."), "")
    if key.startswith("engine.labels."):
        return node.engine_labels.get(key.removeprefix("engine.labels."), "")
    return known.get(key, "")


def ports_are_claimed_once(subject: Subject) -> Answer:
    """A port of the machine for one service only, and its update gives it back before it takes it again."""
    claims: dict[tuple[int, str], list[str]] = {}
    found = []
    for item in subject.estate.of("service"):
        if item.service is None:
            continue
        for port in item.service.ports:
            mark = " (to be deleted)" if item.is_leaving else ""
            claims.setdefault((port.published, port.protocol), []).append(f"{item.name}{mark}")
        if item.service.ports and any(p.mode == "host" for p in item.service.ports) and item.service.order == "start-first":
            found.append(Found(item.name, "has a port of the machine, and its update starts the new one before the old one lets go of it"))
    if not claims:
        return NotApplicable("it takes no port of the machine")
    found += [Found(f"port {port}/{kind}", f"claimed by {' and by '.join(who)}") for (port, kind), who in claims.items() if len(who) > 1]
    return tuple(found)


def ports_are_free(subject: Subject) -> Answer:
    """No port it wants is another's."""
    assert subject.target is not None  # noqa: S101 - the registry asks only with it
    wanted = {port.published: service.name for service in subject.services for port in service.args.ports}
    if not wanted:
        return NotApplicable("it takes no port of the machine")
    return tuple(
        Found(f"port {port}", f"{subject.target.ports[port]} has it, and {service} wants it")
        for port, service in wanted.items()
        if subject.target.ports.get(port)
    )


RULES = (
    Rule("I32-node-for-every-service", "block", "preflight", "Every service finds a node that has what it asks for.",
         "`docker node update --label-add KEY=VALUE NODE`, or take the constraint away.", constraints_are_satisfied, "target"),
    Rule("I33-port-once", "block", "lint", "No two services want one port of the machine, not even the old and the new one of an update.",
         "Give the service a fixed name and update order stop-first; remove the one that is left over.", ports_are_claimed_once),
    Rule("I33-port-is-free", "block", "preflight", "Every port it wants on the machine is free.",
         "Stop what has it, or choose another port in the needs.", ports_are_free, "target"),
)  # fmt: skip
