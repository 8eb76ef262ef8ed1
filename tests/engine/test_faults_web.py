"""The web process killed while it streams and while it asks: the run goes on without it, and a page that comes back misses nothing."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.engine.between import Snag
from tests.engine.deployed import ROOT
from tests.engine.fault_notes import PROCESSES, note
from tests.engine.fault_plane import FaultPlane, League, fault_plane
from tests.engine.ports import free_port
from tests.engine.test_faults_kills import CREATE_SERVICE, is_whole

pytestmark = pytest.mark.engine
SIGN_IN = """
from django.conf import settings
from django.test import Client
client = Client()
client.force_login(alice)
say(client.cookies[settings.SESSION_COOKIE_NAME].value)
"""
NUMBERS = "say([e.seq for e in RunEvent.objects.filter(run=ID)])"
LAST = "say([run.pk for run in Run.objects.for_org(org).filter(kind='apply')])"


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultPlane]:
    with fault_plane(tmp_path_factory.mktemp("web"), SPROCKET_LEASE_S="45") as plane:  # no worker is lost here
        yield plane


class Web:
    """A web process of its own, and a person's browser."""

    def __init__(self, faults: FaultPlane, session: str, **settings: str) -> None:
        self.port = free_port()
        self.cookies = {"sprocket_session": session}
        command = [sys.executable, "-m", "uvicorn", "sprocket_v2.asgi:application", "--port", str(self.port), "--lifespan", "off"]
        environment = {**faults.plane.environment, **settings}
        with (faults.plane.data.parent / "web.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True)
        limit = time.monotonic() + 30
        while not self._listens():
            assert time.monotonic() < limit and self.process.poll() is None
            time.sleep(0.1)

    def _listens(self) -> bool:
        with contextlib.closing(socket.socket()) as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, method: str, path: str, body: str = "", **headers: str) -> http.client.HTTPResponse:
        """Send a request; its answer may still be under way."""
        self.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        self.connection.request(method, path, body, {"Cookie": cookies, **headers})
        return self.connection.getresponse()

    def token(self, path: str) -> str:
        """The page's form token."""
        answer = self.ask("GET", path)
        assert answer.status == http.HTTPStatus.OK, answer.status
        self.cookies["sprocket_csrf"] = re.search(r"sprocket_csrf=([^;]+)", answer.headers.get("Set-Cookie", ""))[1]  # type: ignore[index]
        found = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', answer.read())
        assert found
        return found[1].decode()

    def kill(self) -> None:
        """SIGKILL to the process and all of its own."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=10)


@contextlib.contextmanager
def _web(faults: FaultPlane, league: League, **settings: str) -> Iterator[Web]:
    web = Web(faults, str(league.ask(SIGN_IN)), **settings)
    try:
        yield web
    finally:
        web.kill()


def test_a_page_that_comes_back_after_the_web_process_was_killed_goes_on_where_it_was(faults: FaultPlane) -> None:
    league = faults.league()
    plan = league.planned()
    held = Snag("POST", CREATE_SERVICE, skip=1)
    with faults.docker.snag(held), _web(faults, league) as web:
        run = league.asked_to_apply(plan)
        path = f"/o/{league.slug}/runs/{league.now(run)['number']}/events"
        held.wait()
        seen = _last_number(web.ask("GET", path))
        assert seen > 0
        began = time.monotonic()
        web.kill()
        held.let_through()
        league.ended(run)
        seconds = time.monotonic() - began
        with _web(faults, league) as again:
            text = again.ask("GET", path, **{"Last-Event-ID": str(seen)}).read().decode()
    numbers = league.ask(NUMBERS, ID=run)
    assert numbers == list(range(1, len(numbers) + 1))
    assert f"id: {numbers[-1]}\n" in text
    assert text.rstrip().endswith("data: done")
    assert is_whole(league, run)["deliveries"] == 1
    held_words = "the run goes on in its worker; the page comes back to the next event"
    note(PROCESSES, "SIGKILL of the web process while it streams", held_words, seconds)


def test_a_run_asked_of_a_web_process_that_died_while_ringing_is_carried_out(faults: FaultPlane) -> None:
    """The row is committed, the bell hangs on a broker that never answers, and the process is killed there."""
    league = faults.league()
    plan = league.planned()
    number = league.ask("say(Plan.objects.get(pk=ID).number)", ID=plan)
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        _web(faults, league, SPROCKET_BROKER_URL=f"redis://127.0.0.1:{silent.getsockname()[1]}/0") as web,
    ):
        path = f"/o/{league.slug}/plans/{number}"
        body = f"csrfmiddlewaretoken={web.token(path)}"
        with contextlib.suppress(OSError):
            web.connection.close()
        asking = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
        cookies = "; ".join(f"{name}={value}" for name, value in web.cookies.items())
        form = {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded", "Origin": f"http://127.0.0.1:{web.port}"}
        asking.request("POST", f"{path}/apply", body, form)
        limit = time.monotonic() + 30
        while not (runs := league.ask(LAST)):
            assert time.monotonic() < limit, _answer(asking)
        began = time.monotonic()
        web.kill()
        asking.close()
    [run] = runs
    done = league.ended(run)
    seconds = time.monotonic() - began
    is_whole(league, run)
    assert done["deliveries"] == 1
    note(PROCESSES, "SIGKILL of the web process while it asks for a run", "the row was there: the reconciler rings the bell again", seconds)


def _answer(asking: http.client.HTTPConnection) -> Any:
    answer = asking.getresponse()
    return answer.status, answer.read()[:2000]


def _last_number(answer: http.client.HTTPResponse) -> int:
    """The number of the first event that the stream sends."""
    for line in answer:
        if line.startswith(b"id: "):
            return int(line[4:])
    return 0
