"""The steps on the estate's own services: who stops when, what is still open, and how all of it comes back. Every count is kept before it changes."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from blueprints.migration.rules import read_rules
from blueprints.migration.source import CACHE_PASSWORD
from provisioning import actions
from provisioning.clearing import clear
from provisioning.inventory import Item
from provisioning.migration.work import Evidence, Work
from provisioning.migration.workbench import running_container
from sprocket_v2.errors import ApplyError

_ASK_S = 60.0
_LAST_TASKS_S = 30.0
_COUNT_KEYS = "EVAL \"local c='0' local n=0 repeat local r=redis.call('SCAN',c,'MATCH',ARGV[1],'COUNT',1000) c=r[1] n=n+#r[2] until c=='0' return n\" 0 "


def roles_of(key: str) -> tuple[str, ...]:
    """Which roles a stopping step stops."""
    rules = read_rules()
    return {"freeze": rules.freeze, "quiesce": rules.workers, "switch": rules.entry}[key]


def stop(work: Work) -> Evidence:
    """Scale the step's services to 0, their former counts written down first."""
    names = [name for name in work.services(*roles_of(work.step.key)) if work.swarm.find("service", name) is not None]
    if "replicas" not in work.kept:
        work.keep(replicas={name: _wanted(work, name) for name in names})
    for name in work.kept["replicas"]:
        work.say(f"stopping {name}")
        work.swarm.scale(name, 0)
    work.wait_until(lambda: not _running(work, work.kept["replicas"]))
    return {"stopped": sorted(work.kept["replicas"])}


def stopped(work: Work) -> Evidence:
    """None of them runs."""
    running = _running(work, work.kept.get("replicas", {}))
    if running:
        raise ApplyError(f"{', '.join(running)} runs", hint="who started it? stop it, then resume", where=work.step.key)
    return {}


def start_again(work: Work) -> Evidence:
    """Every service gets its former number of copies, and is waited for."""
    former: dict[str, int] = dict(work.kept.get("replicas", {}))
    for name, count in former.items():
        work.say(f"starting {name} again, {count} of it")
        work.swarm.scale(name, count)
    work.wait_until(lambda: len(_running(work, [name for name, count in former.items() if count])) == sum(map(bool, former.values())))
    return {"started": former}


def would_stop(work: Work) -> Evidence:
    """What a cut-over would stop."""
    names = [name for name in work.services(*roles_of(work.step.key)) if work.swarm.find("service", name) is not None]
    work.say(f"would stop {', '.join(names) or 'nothing'}")
    return {"would_stop": {name: _wanted(work, name) for name in names}}


def _wanted(work: Work, name: str) -> int:
    mode = (work.swarm.find("service", name) or {}).get("Spec", {}).get("Mode", {})
    if "Replicated" not in mode:
        raise ApplyError(f"{name} runs on every node, and cannot be stopped by a count", hint="decide it in the ledger as drop", where=name)
    return int(mode["Replicated"].get("Replicas", 0))


def _running(work: Work, names: Any) -> list[str]:  # noqa: ANN401 - names, in any collection
    return [name for name in names if running_container(work.swarm, name)]


# --- what is still open


def drain(work: Work) -> Evidence:
    """Wait until nothing is open; what still is, is kept, so that a person can decide."""
    said = ""
    while open_now := still_open(work):
        words = ", ".join(f"{what} {count}" for what, count in open_now.items())
        work.keep(open=open_now)
        if words != said:
            work.say(f"still open: {words}")
            said = words
        if work.left_s <= 1:
            hint = "let them come to their end and resume, or accept with a reason that they are lost"
            raise ApplyError(f"still open after {work.step.limit_s} s: {words}", hint=hint, where="drain")
        work.beat()
        time.sleep(1.0)
    return {"open": {}}


def drained(work: Work) -> Evidence:
    """Nothing is open."""
    open_now = still_open(work)
    if open_now:
        raise ApplyError(f"open again: {', '.join(open_now)}", hint="who still writes? stop it, then resume", where="drain")
    return {}


def count_open(work: Work) -> Evidence:
    """What a cut-over would wait for now."""
    found = still_open(work)
    work.say("open now: " + (", ".join(f"{what} {count}" for what, count in found.items()) or "nothing"))
    return {"open": found}


def still_open(work: Work) -> dict[str, int]:
    """Messages in queues and open keys, by what they are; nothing where the estate has no broker and no cache."""
    found: dict[str, int] = {}
    for service in work.services("rabbitmq"):
        for queue, count in _queues(work, service).items():
            found[f"queue {queue}"] = found.get(f"queue {queue}", 0) + count
    password = work.secret(work.org, CACHE_PASSWORD) if work.source.cache_has_password else ""
    for service in work.services("redis"):
        for words, pattern in read_rules().open_keys.items():
            found[words] = found.get(words, 0) + _keys(work, service, pattern, password)
    return {what: count for what, count in found.items() if count}


def _queues(work: Work, service: str) -> dict[str, int]:
    container = running_container(work.swarm, service)
    if not container:
        return {}
    code, text = work.swarm.run_in(container, ["rabbitmqctl", "-q", "list_queues", "name", "messages"], timeout_s=_ASK_S)
    if code:
        last = (text.strip().splitlines() or ["it said nothing"])[-1]
        raise ApplyError(f"the queues cannot be counted: {last[:200]}", hint="is the broker healthy? then resume", where=service)
    pairs = [line.split("\t") for line in text.splitlines() if "\t" in line]
    return {pair[0].strip(): int(pair[1]) for pair in pairs if pair[1].strip().isdecimal()}


def _keys(work: Work, service: str, pattern: str, password: str) -> int:
    container = running_container(work.swarm, service)
    if not container:
        return 0
    sign_in = f"AUTH {json.dumps(password)}\n" if password else ""
    _, text = work.swarm.run_with(container, ["redis-cli"], f"{sign_in}{_COUNT_KEYS}{json.dumps(pattern)}\n".encode(), timeout_s=_ASK_S)
    last = (text.strip().splitlines() or ["nothing"])[-1].strip()
    if not last.isdecimal():
        raise ApplyError(f"open keys cannot be counted: {last[:200]}", hint="a password? say cache_has_password, and set it", where=service)
    return int(last)


# --- the estate as a whole


def parts_of(work: Work, services: list[str]) -> dict[str, list[str]]:
    """What services are made of, by kind: read from their own specifications, for a swarm may hold more than an estate."""
    found: dict[str, set[str]] = {"config": set(), "secret": set(), "network": set(), "volume": set()}
    for name in services:
        task = (work.swarm.find("service", name) or {}).get("Spec", {}).get("TaskTemplate", {})
        container = task.get("ContainerSpec", {})
        found["config"] |= {str(item["ConfigName"]) for item in container.get("Configs") or ()}
        found["secret"] |= {str(item["SecretName"]) for item in container.get("Secrets") or ()}
        found["network"] |= {work.swarm.network_name(str(item["Target"])) for item in task.get("Networks") or ()}
        found["volume"] |= {str(m["Source"]) for m in container.get("Mounts") or () if m.get("Type") == "volume" and m.get("Source")}
    return {kind: sorted(names) for kind, names in found.items()}


def fingerprint(work: Work) -> dict[str, str]:
    """Every object of the estate -> its id and version: equal when nobody touched it."""
    services = work.services()
    found = {}
    for kind, names in {"service": services, **parts_of(work, services)}.items():
        for name in names:
            item = work.swarm.find(kind, name)
            if item is not None:
                version = (item.get("Version") or {}).get("Index", 0) if kind in ("service", "config", "secret") else 0
                found[f"{kind} {name}"] = f"{item.get('ID') or item.get('Id') or item.get('Name')} {version}"
    return found


def digest_of(found: dict[str, str]) -> str:
    """SHA-256 of a fingerprint."""
    return "sha256:" + hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def retire(work: Work) -> Evidence:
    """Remove the old services: by the ordinary destroy what we made, by the names in the plan what we did not; then nobody looks after it
    any more. Volumes stay.

    A service that somebody decided to keep, and that v2 does not have, goes on running.
    """
    from provisioning.importing.actions import is_taken_over, un_adopt  # it brings the Docker SDK along, which a worker does not hold

    found: Evidence = {}
    if actions.is_deployed(work.org):
        run = actions.run_here(actions.destroy(org=work.org, actor=work.actor, ring=False))
        if run.state != "succeeded":
            message = (run.error or {}).get("message", "the run failed")
            raise ApplyError(f"run {run.number}: {message}", hint=f"`sprocket run show {work.org.slug}/{run.number}`", where=work.org.slug)
        found = {"run": run.number}
        if not is_taken_over(work.org):
            return found
    found |= _removed_by_name(work)
    if is_taken_over(work.org):  # a destroy leaves what was taken over
        un_adopt(org=work.org, actor=work.actor)
    return found


def _removed_by_name(work: Work) -> Evidence:
    if "parts" not in work.kept:
        work.keep(parts=parts_of(work, _leaving(work)))
    clear(work.swarm, [Item("service", name) for name in _leaving(work)], beat=work.beat, say=work.say)
    left = [
        f"{kind} {name}" for kind in ("config", "secret", "network") for name in work.kept["parts"][kind] if not _removed(work, kind, name)
    ]
    return {"removed": _leaving(work), "in_use_by_others": left}


def _leaving(work: Work) -> list[str]:
    outcomes = [outcome for outcome in work.migration.plan["outcomes"] if outcome["row"]["kind"] == "service"]
    return [o["row"]["name"] for o in outcomes if not (o["decided"] and o["fate"] == "keep" and not o["into"])]


def _removed(work: Work, kind: str, name: str) -> bool:
    """Whether it is gone; what tasks still use goes with the last of them, and what others use stays."""
    try:
        clear(work.swarm, [Item(kind, name)], limit_s=_LAST_TASKS_S, beat=work.beat)
    except ApplyError as error:
        if error.transient:  # Docker did not answer, which says nothing about who uses it
            raise
        return False
    return True


def retired(work: Work) -> Evidence:
    """None of the services that leave is there, every volume that was there is."""
    left = [name for name in _leaving(work) if work.swarm.find("service", name) is not None]
    if left:
        raise ApplyError(f"{', '.join(left)} is still there", hint="resume removes it", where="retire")
    volumes = work.kept.get("parts", {}).get("volume", work.rows("volume"))
    gone = [name for name in volumes if work.swarm.find("volume", name) is None]
    return {"volumes_kept": [name for name in volumes if name not in gone]}
