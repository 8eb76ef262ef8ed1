"""Two organizations of one control plane behind one port, and a watch that asks one of them again and again."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provisioning.asking import request
from provisioning.providers.swarm.client import connect
from provisioning.purge import remove_leftovers
from tests.engine.deployed import ControlPlane
from tests.engine.removal import remove_everything

# In the control plane's process: everything one organization needs to be applied, and its run's end.
ORGANIZATION = """
org = org_actions.create_organization(slug=WHO, name="Engine League", actor=alice)
org_actions.attach(org=org, name="demo-schema.sql", content=open("orgs/demo-schema.sql", "rb").read(), actor=alice)
for name, value in SECRETS.items(): secret_store.set_secret(org=org, name=name, value=value, actor=alice)
say(None)
"""
PLAN = """
org = Organization.objects.get(slug=WHO)
if NEEDS: org_actions.set_needs(org=org, actor=alice, text=NEEDS, message="again")
plan = actions.propose(org=org, blueprint=newest(), actor=alice)
say({"id": plan.pk, "edge": plan.edge, "steps": [step["resource"] for step in plan.steps if step["op"] != "same"]})
"""
APPLY = """
plan = Plan.objects.get(pk=ID)
if plan.state == "proposed": plan = actions.approve(plan=plan, actor=alice, reason="stand-ins are fine here")
run = actions.run_here(actions.apply(plan=plan, actor=alice, ring=False))
said = [event.message for event in run.events.order_by("seq") if event.kind == "stage"]
say({**brief(run), "said": said})
"""
DESTROY = """
org = Organization.objects.get(slug=WHO)
run = actions.run_here(actions.destroy(org=org, actor=alice, ring=False))
say(brief(run))
"""


class SharedHost:
    """The control plane, and short names for what a test does with its organizations."""

    def __init__(self, data: Path) -> None:
        self.plane = ControlPlane(data)
        self.one, self.two = self.plane.slug, self.plane.slug[:-1] + "x"
        self.port = self.plane.port

    def set_up(self) -> None:
        """Database, both organizations, nothing deployed."""
        self.plane.set_up()
        self.plane.ask(ORGANIZATION, WHO=self.two)

    def needs(self, slug: str, **changes: str) -> str:
        """The demo's needs under a slug, sharing the port."""
        text = self.plane.needs().replace(self.plane.slug, slug)
        for old, new in {"access:\n": "access:\n  shared: true\n", **changes}.items():
            assert old in text, old
            text = text.replace(old, new)
        return text

    def plan(self, slug: str, needs: str = "") -> Any:
        """A plan of these needs, or of the newest."""
        return self.plane.ask(PLAN, WHO=slug, NEEDS=needs)

    def apply(self, plan: int) -> Any:
        """The end of an apply."""
        return self.plane.ask(APPLY, ID=plan)

    def destroy(self, slug: str) -> Any:
        """The end of a destroy."""
        return self.plane.ask(DESTROY, WHO=slug)

    @property
    def edge(self) -> str:
        """The edge's name."""
        return str(self.plane.ask("from provisioning.host_edge.lease import edge_row\nsay(edge_row().name)"))

    def get(self, host: str, path: str = "/", **headers: str) -> int:
        """The status of one request through the shared port."""
        return request("127.0.0.1", self.port, "GET", host, path, body=None, headers=headers, tls=False).status

    def container(self, slug: str, component: str) -> str:
        """The container of a component that runs one copy."""
        return next(s.running[0].container for s in connect().live_services(slug) if s.name == f"{slug}_{component}")

    def clean_up(self) -> None:
        """Remove the edge first: it is on the organizations' networks."""
        with contextlib.suppress(AssertionError):  # the database was never made
            remove_leftovers(self.edge)
        for slug in (self.one, self.two):
            remove_everything(slug)


class Watch:
    """Asks an address twenty times a second, from another thread; knows the longest time without a good answer."""

    def __init__(self, host: SharedHost, name: str, good: int = 302) -> None:
        self._host, self._name, self._good = host, name, good
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)
        self.answers: list[tuple[float, int]] = []

    def _ask(self) -> None:
        while not self._stop.is_set():
            self.answers.append((time.monotonic(), self._host.get(self._name)))
            self._stop.wait(0.05)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(timeout=15)

    @property
    def longest_gap_s(self) -> float:
        """From the last good answer before it to the first good one after it."""
        good = [at for at, status in self.answers if status == self._good]
        return max((later - sooner for sooner, later in itertools.pairwise(good)), default=0.0)


class Outside:
    """A machine beside this one: a network namespace with an address of its own."""

    def __init__(self, name: str) -> None:
        self._name = name

    def get(self, port: int, host: str, *headers: str) -> int:
        """The status of a request that comes from there."""
        command = ["ip", "netns", "exec", self._name, "curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}"]
        command += ["-H", f"Host: {host}", *(word for header in headers for word in ("-H", header)), f"http://203.0.113.1:{port}/"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
        return int(done.stdout)


@contextlib.contextmanager
def neighbour() -> Iterator[Outside]:
    """A neighbour's machine, for root."""
    if os.geteuid() != 0 or not shutil.which("ip"):
        pytest.skip("only root can make a neighbour's machine")
    name = f"n{os.getpid()}"
    try:
        _ip("netns", "add", name)
        _ip("link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
        _ip("addr", "add", "203.0.113.1/30", "dev", name)
        _ip("link", "set", name, "up")
        _ip("-n", name, "addr", "add", "203.0.113.2/30", "dev", "eth0")
        _ip("-n", name, "link", "set", "eth0", "up")
        yield Outside(name)
    finally:
        subprocess.run(["ip", "netns", "del", name], check=False, timeout=10)  # the pair of links goes with it


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, timeout=10)


@contextlib.contextmanager
def shared_host(folder: Path) -> Iterator[SharedHost]:
    """A control plane with two organizations; leaves nothing behind."""
    host = SharedHost(folder / "data")
    try:
        host.set_up()
        yield host
    finally:
        host.clean_up()
