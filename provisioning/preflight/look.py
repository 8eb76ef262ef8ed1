"""The whole look before deploying: what is known to bite, and every service outside that the blueprint leans on, all at once.

Reads secret values from the store, hands each to the check that needs it, and forgets it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from blueprints.rendering import Rendering
from orgs.models import Organization
from provisioning import secret_store
from provisioning.preflight.cache import check_cache
from provisioning.preflight.database import check_database
from provisioning.preflight.known import findings
from provisioning.preflight.network import Peer
from provisioning.preflight.result import Preflight, Result, gathered, refuse_blocks
from provisioning.preflight.storage import check_storage

Check = Callable[[], Iterator[Result]]
_FIELDS = {"database": "database.managed", "cache": "cache.existing", "storage": "storage.existing"}
_TITLES = {"database": "Database", "cache": "Redis", "storage": "Object storage"}


def look(org: Organization, rendering: Rendering) -> Preflight:
    """Everything a person should know before a rendering is deployed. Changes nothing, beside one small object written and deleted."""
    return gathered([*existing(org, rendering), *findings(rendering)])


def refuse_what_blocks(org: Organization, rendering: Rendering) -> None:
    """Before a plan is made or applied: the services outside have to be fit. Asks nobody where there are none.

    Raises:
        PreviewError: what blocks, in the preflight's own words.
    """
    refuse_blocks(gathered(existing(org, rendering)))


def existing(org: Organization, rendering: Rendering) -> list[Result]:
    """The services outside, each looked at beside the others."""
    facts: Mapping[str, Mapping[str, Any]] = rendering.blueprint.get("existing", {})
    if not facts:
        return []
    values, results = _values(org, rendering, facts)
    with ThreadPoolExecutor(max_workers=len(facts)) as pool:
        waiting = [pool.submit(lambda check: list(check()), check) for check in _checks(facts, values)]
    return [*results, *(result for done in waiting for result in done.result())]


def _checks(facts: Mapping[str, Mapping[str, Any]], values: Mapping[str, str]) -> Iterator[Check]:
    for kind, about in facts.items():
        peer = peer_of(kind, about)
        names = _secrets_of(about)
        if not all(name in values for name in names):
            continue
        given = [values[name] for name in names]
        if kind == "database":
            yield partial(check_database, about, given[0], peer)
        elif kind == "cache":
            yield partial(check_cache, about, given[0], peer)
        elif kind == "storage":
            yield partial(check_storage, about, given[0], given[1], peer)


def peer_of(kind: str, about: Mapping[str, Any]) -> Peer:
    """An existing service by what the blueprint says of it."""
    return Peer(kind, _TITLES[kind], about["host"], int(about["port"]), _FIELDS[kind])


def _secrets_of(about: Mapping[str, Any]) -> list[str]:
    return list(about["secrets"]) if "secrets" in about else [about["secret"]]


def _values(org: Organization, rendering: Rendering, facts: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, str], list[Result]]:
    """The values the checks need, and a result for each that nobody has brought yet."""
    wanted = {item.name: item for item in secret_store.wanted_secrets(rendering.secrets)}
    found: dict[str, str] = {}
    missing = []
    absent = {item.name for item in secret_store.missing_secrets(org, wanted.values())}
    for kind, about in facts.items():
        for name in _secrets_of(about):
            if name in absent or name not in wanted:
                title = wanted[name].title if name in wanted else name
                sentence = f"{_TITLES[kind]}: it was not asked, since nobody has set the secret {name} ({title})."
                missing.append(Result(f"{kind}/secret-{name}", "block", sentence, f"Set {name} on the Secrets page.", _FIELDS[kind]))
            else:
                [value] = secret_store.values_for(org, [wanted[name]]).values()
                found[name] = value
    return found, missing
