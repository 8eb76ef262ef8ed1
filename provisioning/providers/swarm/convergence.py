"""Waiting until a service is what it should be: healthy, or finished, within its deadline; else why not, in its own last words."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from blueprints.compose import ServiceArgs
from provisioning.providers.swarm.client import ORG, Swarm
from provisioning.providers.swarm.owner import RESOURCE
from sprocket_v2.errors import ApplyError

MAX_FAILURES = 3
STEADY_S = 2.0  # of a service of an estate that Docker asks nothing about its health
UNPLACED_S = 15.0
LOG_LINES = 20
_FAILED = frozenset({"failed", "rejected", "orphaned"})
_ENDED_BADLY = frozenset({"paused", "rollback_paused", "rollback_completed"})
Mask = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Waiting:
    """How a wait stands: done, or a reason it never will be, or neither."""

    done: bool = False
    failure: str = ""


def wait_until_there(swarm: Swarm, args: ServiceArgs, mask: Mask, *, is_update: bool, sleep: Callable[[float], None] = time.sleep) -> None:
    """Poll a service until it runs as wanted.

    Raises:
        ApplyError: not within the deadline, or sooner when it is plain that it never will be. Swarm has rolled an update back by then.
    """
    begun, pause = time.monotonic(), 0.1
    steady, unplaced = Steady(args), Unplaced()
    while True:
        service = swarm.find("service", args.name)
        if service is None:
            raise ApplyError(f"{args.name} was removed meanwhile", hint="apply again", where=args.name)
        tasks = swarm.tasks(args.name)
        waiting = standing(args, service, steady.those_that_last(tasks), is_update=is_update)
        if waiting.done:
            return
        nowhere = unplaced.reason_that_lasts(tasks)
        if nowhere:  # nothing is rolled back: the previous version would find no node either
            raise _no_node(args, nowhere)
        # Swarm rolls back by itself; it is given as long again, so that the message can say how that ended.
        rolling_back = (service.get("UpdateStatus") or {}).get("State") == "rollback_started"
        late = time.monotonic() - begun > args.deadline_s * (2 if rolling_back else 1) + (30 if rolling_back else 0)
        if waiting.failure or late:
            reason = waiting.failure or f"not {'finished' if args.is_job else 'healthy'} within {args.deadline_s} s"
            if is_update and not waiting.failure:
                reason += "; " + _roll_back(swarm, args, service, sleep)
            elif is_update and not args.is_job:
                reason += _healthy_again(swarm, args, sleep)
            raise _gave_up(swarm, args, reason, mask)
        sleep(pause)
        pause = min(pause * 1.3, 0.5)


class Steady:
    """Tells tasks that run from tasks that have only begun to, where no health check does: a program that ends at once ran as well.

    Only for services of an estate, known by a name that is not made of the organization's and their own: each of ours is asked about its
    health, or its manifest says why not. The time is that of seeing it run: the clocks of engine and control plane may differ.
    """

    def __init__(self, args: ServiceArgs, clock: Callable[[], float] = time.monotonic) -> None:
        ours = f"{args.labels.get(ORG, '')}_{args.labels.get(RESOURCE, '').removeprefix('service/')}"
        self._is_asked = args.healthcheck is not None or args.is_job or args.name == ours
        self._clock, self._seen = clock, dict[str, float]()

    def those_that_last(self, tasks: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The tasks, a running one called `starting` until it was seen running for long enough."""
        if self._is_asked:
            return tasks
        now = self._clock()
        running = [str(task["ID"]) for task in tasks if task["Status"]["State"] == "running"]
        self._seen = {task: self._seen.get(task, now) for task in running}
        young = {task for task, since in self._seen.items() if now - since < STEADY_S}
        return [{**task, "Status": {**task["Status"], "State": "starting"}} if task.get("ID") in young else task for task in tasks]


class Unplaced:
    """Tells that Swarm has no node for a service, once that has lasted: a task may wait for a moment until the one before it is gone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._since = clock, float("inf")

    def reason_that_lasts(self, tasks: Sequence[Mapping[str, Any]]) -> str:
        """Swarm's own words; empty while there is a node, or was a moment ago."""
        words = next((str(task["Status"].get("Err") or "") for task in tasks if task["Status"]["State"] == "pending"), "")
        if "no suitable node" not in words:
            self._since = float("inf")
            return ""
        self._since = min(self._since, self._clock())
        return words if self._clock() - self._since >= UNPLACED_S else ""


def standing(args: ServiceArgs, service: Mapping[str, Any], tasks: Sequence[Mapping[str, Any]], *, is_update: bool) -> Waiting:
    """How a service stands. Pure.

    Args:
        tasks: newest first.
    """
    status = (service.get("UpdateStatus") or {}).get("State", "")
    if is_update and status in _ENDED_BADLY:
        went = "rolled back to the previous version" if status == "rollback_completed" else "the rollback did not work either"
        return Waiting(failure=f"{_last_error(tasks)}; {went}")
    current = [task for task in tasks if _same_version(task, service)]
    if args.is_job:
        return _job(current)
    running = [t for t in current if t["Status"]["State"] == "running" and t["DesiredState"] == "running"]
    if len(running) >= args.replicas and status in ("", "completed"):
        leftover = [t for t in tasks if t["DesiredState"] == "running" and t not in current]
        return Waiting(done=not leftover)
    failed = [task for task in current if task["Status"]["State"] in _FAILED]
    if not is_update and (len(failed) >= MAX_FAILURES or any(task["Status"]["State"] == "rejected" for task in failed)):
        return Waiting(failure=_last_error(failed))
    return Waiting()


def _job(tasks: Sequence[Mapping[str, Any]]) -> Waiting:
    if not tasks:
        return Waiting()
    state = tasks[0]["Status"]["State"]
    if state == "complete":
        return Waiting(done=True)
    return Waiting(failure=_last_error(tasks[:1]) if state in _FAILED else "")


def _same_version(task: Mapping[str, Any], service: Mapping[str, Any]) -> bool:
    """Whether a task was made from the specification the service has now."""
    return _canonical(task["Spec"]) == _canonical(service["Spec"]["TaskTemplate"])


def _canonical(template: Mapping[str, Any]) -> str:
    return json.dumps({key: template.get(key) for key in ("ContainerSpec", "Resources", "ForceUpdate")}, sort_keys=True)


def _last_error(tasks: Sequence[Mapping[str, Any]]) -> str:
    return next((str(t["Status"]["Err"]) for t in tasks if t["Status"].get("Err")), "a task failed")


def _roll_back(swarm: Swarm, args: ServiceArgs, service: Mapping[str, Any], sleep: Callable[[float], None]) -> str:
    """Give the service its previous specification back, and wait for it as long again."""
    previous = service.get("PreviousSpec")
    if not previous:
        return "there is no previous version"
    swarm.update_service(str(service["ID"]), int(service["Version"]["Index"]), _with_modes(previous))
    limit = time.monotonic() + args.deadline_s
    while time.monotonic() < limit:
        now = swarm.find("service", args.name) or {}
        if (now.get("UpdateStatus") or {}).get("State") in ("completed", "rollback_completed"):
            return "rolled back to the previous version" + _healthy_again(swarm, args, sleep)
        sleep(0.5)
    return "the previous version is not back yet either"


def _healthy_again(swarm: Swarm, args: ServiceArgs, sleep: Callable[[float], None]) -> str:
    """Wait for the version that was put back: Swarm says that a rollback is complete before its task is healthy."""
    begun = time.monotonic()
    while time.monotonic() - begun < args.deadline_s:
        service = swarm.find("service", args.name) or {"Spec": {"TaskTemplate": {}}}
        current = [task for task in swarm.tasks(args.name) if task["DesiredState"] == "running" and task["Status"]["State"] == "running"]
        if any(_same_version(task, service) for task in current):
            return ", which is healthy again"
        sleep(0.5)
    return f", which is not healthy again after {args.deadline_s} s"


def _with_modes(spec: Mapping[str, Any]) -> dict[str, Any]:
    return {"UpdateConfig": {}, "RollbackConfig": {}, "EndpointSpec": {"Mode": "dnsrr"}, **spec}


def _gave_up(swarm: Swarm, args: ServiceArgs, reason: str, mask: Mask) -> ApplyError:
    lines = _last_words(swarm, args.name)
    said = mask("\n".join(lines)) if lines else "(it wrote nothing)"
    return ApplyError(
        f"{reason}. Its last lines:\n{said}",
        hint=f"mend what the lines name, then apply again; `docker service logs {args.name}` shows more",
        where=args.name,
    )


def _no_node(args: ServiceArgs, words: str) -> ApplyError:
    return ApplyError(
        f"no node takes {args.name}: {words}",
        hint="`docker node ls` shows which are drained or down; `docker node update --availability active NODE`, then apply again",
        where=args.name,
    )


def _last_words(swarm: Swarm, service: str) -> list[str]:
    """What the newest task that failed wrote last; a service's own log mixes it with the version that was put back."""
    for task in swarm.tasks(service):
        container = str((task["Status"].get("ContainerStatus") or {}).get("ContainerID", ""))
        if task["Status"]["State"] in _FAILED and container:
            lines = swarm.container_lines(container, LOG_LINES)
            if lines:
                return lines
    return swarm.last_lines(service, LOG_LINES)
