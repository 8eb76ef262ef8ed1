"""The remarks a reader of sources may make: how bad each is, and what to do about it. Pure; the rules of checks are elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from blueprints.estate.model import Remark, Severity

MAX_OF_ONE_RULE = 200  # remarks kept of one rule and source; the rest is counted

RULES: dict[str, tuple[Severity, str]] = {
    # Secrets
    "secret.plaintext": ("warning", "rotate it: whoever had this file has the value; the import kept a fingerprint only"),
    "secret.in-clear": ("warning", "rotate it and give it as a secret; the import kept a fingerprint only"),
    "secret.in-config": ("warning", "rotate it and take it out of the file; the import kept nothing of the content"),
    "secret.encrypted": ("info", "the value is not here; import the live swarm beside the export, or bring it when it is needed"),
    # What holds an export together
    "export.dangling-parent": ("warning", "the state was cut by hand: import the live swarm beside it, which shows what is really there"),
    "export.dangling-dependency": (
        "warning",
        "the state was cut by hand: import the live swarm beside it, which shows what is really there",
    ),
    "export.dangling-provider": ("warning", "the state was cut by hand: import the live swarm beside it, which shows what is really there"),
    "export.cyclic-parent": ("warning", "no engine writes this: ask where the file comes from"),
    "export.duplicate-urn": ("warning", "only the first is taken; find out which of the two is real"),
    "export.pending-operation": ("warning", "the engine was cut off in the middle: look whether the object is there before anything else"),
    "export.pending-delete": ("info", "an update left it to be deleted; look whether it is still running"),
    "export.unreadable": ("warning", "look at this place of the file; it is counted and not in the ledger"),
    "export.unknown-type": ("warning", "decide about it by hand: this release does not know what it is"),
    "export.other-project": ("info", "check that this is an export of the estate that is meant"),
    "export.other-organization": ("warning", "check that this is an export of the estate that is meant"),
    "export.mixed-stacks": ("warning", "export each stack for itself"),
    "export.secrets-shown": ("warning", "rotate every one of them, and export without --show-secrets"),
    "export.integrity": ("warning", "rows may be missing that no source names; import the live swarm as well"),
    # Services, of any source
    "service.reference": ("info", "import the source that holds it as well, or the live swarm"),
    "service.unread": ("info", "look at it by hand when the service is made anew"),
    "config.unreadable": ("warning", "look at it by hand: only its name was taken"),
    # Compose files
    "compose.extends": ("warning", "import the output of `docker compose config`, where everything is written out"),
    "compose.anchor": ("info", "nothing: the anchor was followed; write it out to see the same in a review"),
    "compose.refused": ("warning", "correct it, or import the output of `docker compose config`"),
    "compose.interpolation": (
        "warning",
        "the value is not here: import the output of `docker compose config`, or bring it when it is needed",
    ),
    "compose.profile": ("info", "find out whether the service runs"),
    "compose.host-network": ("warning", "give it a network of its own and publish the ports it needs"),
    "compose.engine-socket": ("warning", "whoever gets into this container owns the machine: put a socket proxy between, or take it away"),
    "compose.privileged": (
        "warning",
        "whoever gets into this container owns the machine: take it away, or give the one capability it needs",
    ),
    "compose.env-file": ("warning", "import the output of `docker compose config`, or bring the values when they are needed"),
    "compose.build": ("warning", "build it and name the image: a swarm has to pull it"),
    "compose.include": ("warning", "import the output of `docker compose config`, where everything is written out"),
    "compose.unread": ("info", "look at it by hand when the service is made anew"),
}


def remark(rule: str, message: str, where: str) -> Remark:
    """A remark by its rule."""
    severity, hint = RULES[rule]
    return Remark(rule, severity, message, hint, where)


def capped(remarks: Iterable[Remark], where: str) -> tuple[Remark, ...]:
    """At most so many of each rule, then one that counts the rest: a hostile source cannot fill the database with remarks."""
    kept: list[Remark] = []
    seen: Counter[str] = Counter()
    for item in remarks:
        seen[item.rule] += 1
        if seen[item.rule] <= MAX_OF_ONE_RULE:
            kept.append(item)
    more = {rule: number - MAX_OF_ONE_RULE for rule, number in seen.items() if number > MAX_OF_ONE_RULE}
    return (*kept, *(remark(rule, f"and {number} more of the same kind", where) for rule, number in more.items()))
