"""Rules about logs: kept within a limit, and found again: incidents 17 and 19. Pure."""

from __future__ import annotations

import re

from blueprints.checks.model import Answer, Found, NotApplicable, Rule, Subject
from blueprints.checks.services import of_family

_FILE_DRIVERS = frozenset({"", "json-file"})
_SHIPPING = frozenset({"fluentd", "syslog", "gelf", "loki", "splunk", "awslogs", "gcplogs", "journald"})
FOUND_WITHIN_S = 60.0


def logs_have_a_limit(subject: Subject) -> Answer:
    """Every service's driver drops old lines; the engine's own default has none unless it was given one."""
    if not subject.services:
        return NotApplicable("no service is known")
    engine = subject.target
    engine_limits = engine is not None and (engine.log_driver not in _FILE_DRIVERS or "max-size" in engine.log_options)
    return tuple(
        Found(
            service.name,
            "says nothing about its log, and the engine keeps all of it" if not service.args.log_driver else "its log has no max-size",
        )
        for service in subject.services
        if service.args.log_driver in _FILE_DRIVERS
        and "max-size" not in service.args.log_options
        and not (not service.args.log_driver and engine_limits)
    )


def patterns_match_the_tags(subject: Subject) -> Answer:
    """What the collector filters by is as long as the tags that are sent."""
    tags = {service.name: service.args.log_options.get("tag", "") for service in subject.services if service.args.log_driver == "fluentd"}
    patterns = [
        (collector.name, kind, pattern)
        for collector in of_family(subject.services, "fluentd")
        for config in collector.configs
        for kind, pattern in re.findall(r"<(match|filter)\s+([^>]+)>", config.text or "")
    ]
    if not tags or not patterns:
        return NotApplicable("no collector filters by tags here")
    found = []
    for tag in dict.fromkeys(tags.values()):
        sample = _sample(tag)
        outputs = [pattern for _, kind, pattern in patterns if kind == "match"]
        if not any(_fits(part, sample) for pattern in outputs for part in pattern.split()):
            found.append(
                Found(
                    patterns[0][0],
                    f"no match pattern ({', '.join(outputs) or 'none'}) takes the tag {tag}, which has {sample.count('.') + 1} parts",
                )
            )
        for name, kind, pattern in patterns:
            if kind == "filter" and not any(_fits(part, sample) for part in pattern.split()):
                found.append(Found(name, f"filter {pattern.strip()} does not take the tag {tag}, which has {sample.count('.') + 1} parts"))
    return tuple(found)


def _sample(tag: str) -> str:
    """A tag as it is sent: a Swarm container is called service.slot.task."""
    return re.sub(r"\{\{\s*\.Name\s*\}\}", "service.1.task", re.sub(r"\{\{\s*\.(?!Name)[^}]*\}\}", "x", tag)) or "x"


def _fits(pattern: str, tag: str) -> bool:
    """fluentd's patterns: * is one part, ** any number of parts, also none."""
    text = re.escape(pattern).replace(r"\.\*\*", r"(?:\..*)?").replace(r"\*\*", ".*").replace(r"\*", "[^.]*")
    return bool(re.fullmatch(text, tag))


def everybody_ships(subject: Subject) -> Answer:
    """Where logs can be searched, every service sends its own there."""
    if not of_family(subject.services, "loki"):
        return NotApplicable("its logs cannot be searched")
    return tuple(
        Found(service.name, f"keeps its log to itself (driver {service.args.log_driver or 'of the engine'})")
        for service in subject.services
        if service.args.log_driver not in _SHIPPING
    )


def a_line_is_found_again(subject: Subject) -> Answer:
    """A line written now, asked for through the log search."""
    assert subject.running is not None  # noqa: S101 - the registry asks only with it
    seconds = subject.running.log_line_s
    if seconds is not None and seconds < 0:
        return NotApplicable("its logs cannot be searched")
    if seconds is None:
        return (Found("log search", f"a line just written was not found within {FOUND_WITHIN_S:.0f} s"),)
    return (Found("log search", f"a line just written was found after {seconds:.0f} s"),) if seconds > FOUND_WITHIN_S else ()


RULES = (
    Rule("I17-log-limit", "warning", "lint", "Every service's log has a limit.",
         "Set logging options max-size and max-file, for the service or in the engine's daemon.json.", logs_have_a_limit),
    Rule("I19-tags-match", "warning", "lint", "The log collector's patterns take the tags that are sent.",
         "Let the patterns end in ** and the tags begin with one fixed word.", patterns_match_the_tags),
    Rule("I19-everybody-ships", "warning", "lint", "Where logs can be searched, every service sends its own.",
         "Give the services the collector's log driver.", everybody_ships),
    Rule("I19-line-is-found", "warning", "probe", "A line just written is found by the log search within a minute.",
         "Follow the line: the service's driver, the collector's own log, the search's log.", a_line_is_found_again, "running"),
)  # fmt: skip
