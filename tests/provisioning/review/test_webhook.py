"""The webhook against real receivers on this machine: what arrives, what is refused, what is tried again."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.conf import LazySettings
from django.utils import timezone

from blueprints.models import Blueprint
from orgs.models import Organization
from provisioning import actions
from provisioning.models import Plan
from provisioning.reconcile import reconcile
from provisioning.review import announcing, decisions, webhook
from provisioning.review.rows import Announcement
from sprocket_v2.errors import ApplyError
from tests.certificates import make_authority

PATH = "/api/webhooks/1/canary-webhook-token"


@dataclass
class Receiver:
    """A server that remembers, and answers as it is told."""

    answers: list[int] = field(default_factory=list)
    got: list[tuple[str, dict[str, str], dict[str, Any]]] = field(default_factory=list)
    sleep_s: float = 0.0
    port: int = 0

    def handler(self) -> type[BaseHTTPRequestHandler]:
        stage = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                stage.got.append((self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                time.sleep(stage.sleep_s)
                self.send_response(stage.answers.pop(0) if stage.answers else 204)
                self.send_header("Location", f"http://127.0.0.1:{stage.port}/elsewhere")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Quiet."""

        return Handler


def _served(receiver: Receiver, context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), receiver.handler())
    if context:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    receiver.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    stage = Receiver()
    server = _served(stage)
    yield stage
    server.shutdown()
    server.server_close()


@pytest.fixture
def plan(
    make_blueprint: Callable[..., Blueprint], demo: Organization, alice: Any, receiver: Receiver, settings: LazySettings, token: None
) -> Plan:
    """A plan that waits, announced to the receiver."""
    settings.SPROCKET_WEBHOOK_LOCAL = True
    settings.SPROCKET_BASE_URL = "https://control.example"
    decisions.set_webhook(org=demo, actor=alice, url=f"http://127.0.0.1:{receiver.port}{PATH}")
    return actions.propose(org=demo, blueprint=make_blueprint(), actor=alice)


def _due_again() -> None:
    Announcement.objects.filter(sent=None).update(due=timezone.now())


def test_a_waiting_plan_arrives_in_discords_format_with_its_link(plan: Plan, receiver: Receiver) -> None:
    assert receiver.got == []  # no run waited for it
    reconcile()
    [(path, headers, body)] = receiver.got
    assert path == PATH
    assert headers["content-type"] == "application/json"
    assert headers["host"] == f"127.0.0.1:{receiver.port}"
    assert body["allowed_mentions"] == {"parse": []}
    assert body["content"].startswith("**Demo League**: plan 1 waits for a yes.")
    assert body["content"].endswith("https://control.example/o/demo/plans/1")
    row = Announcement.objects.get()
    assert (row.sent is not None, row.attempts, row.problem) == (True, 1, "")
    reconcile()
    assert len(receiver.got) == 1


def test_what_somebody_wrote_calls_nobody_and_stays_short(plan: Plan, receiver: Receiver, alice: Any) -> None:
    decisions.send_back(plan=plan, actor=alice, at="service/web", text="@everyone **look** " + "x" * 1900)
    announcing.deliver_due()
    text = receiver.got[-1][2]["content"]
    assert "@everyone" not in text
    assert "**look**" not in text
    assert len(text) <= 2000
    assert text.endswith("/o/demo/plans/1")


def test_what_may_get_better_is_tried_again_later_and_no_more_than_six_times(plan: Plan, receiver: Receiver) -> None:
    receiver.answers = [500, 429, 503, 500, 500, 500, 204]
    announcing.deliver_due()
    row = Announcement.objects.get()
    assert (row.attempts, row.problem) == (1, "the webhook answered 500")
    assert timedelta(seconds=10) < row.due - timezone.now() < timedelta(seconds=20)
    announcing.deliver_due()
    assert len(receiver.got) == 1, "not before it is due"
    for _ in range(8):
        _due_again()
        announcing.deliver_due()
    assert len(receiver.got) == announcing.MAX_ATTEMPTS
    assert Announcement.objects.get().sent is None


@pytest.mark.parametrize("status", [301, 307, 401, 404])
def test_what_will_not_get_better_is_given_up_and_no_redirect_is_followed(plan: Plan, receiver: Receiver, status: int) -> None:
    receiver.answers = [status]
    announcing.deliver_due()
    _due_again()
    announcing.deliver_due()
    assert [path for path, *_ in receiver.got] == [PATH]
    assert f"answered {status}" in Announcement.objects.get().problem


def test_a_silent_receiver_costs_a_short_time(plan: Plan, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook, "TIMEOUT_S", 0.3)
    receiver.sleep_s = 2.0
    begun = time.monotonic()
    announcing.deliver_due()
    assert time.monotonic() - begun < 1.5
    assert Announcement.objects.get().problem == "the webhook did not answer in time"


def test_a_receiver_that_is_gone_is_no_fault_of_the_pass(plan: Plan, receiver: Receiver, demo: Organization, alice: Any) -> None:
    decisions.set_webhook(org=demo, actor=alice, url="http://127.0.0.1:1/canary-webhook-token")
    reconcile()
    row = Announcement.objects.get()
    assert row.problem == "the webhook could not be reached"
    assert "canary" not in repr(Announcement.objects.values().get())


def test_old_news_is_not_told(plan: Plan, receiver: Receiver) -> None:
    Announcement.objects.update(created=timezone.now() - timedelta(days=2))
    announcing.deliver_due()
    assert receiver.got == []


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "10.0.0.5", "192.168.1.1", "169.254.169.254", "100.64.0.1", "::1", "fd00::1", "224.0.0.1", "2002:7f00:1::"]
)
def test_a_name_that_leads_into_a_private_network_is_refused(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setattr(webhook, "addresses_of", lambda _host: (address,))
    with pytest.raises(ApplyError, match="private or local network"):
        webhook.post(webhook.target_of("https://discord.example/x", local=False), {}, local=False)


def test_the_address_that_was_checked_is_the_one_that_is_called(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name is asked for once; a second answer, which could be another one, is never heard."""
    asked: list[str] = []
    monkeypatch.setattr(webhook, "addresses_of", lambda host: (asked.append(host), ("127.0.0.1",))[1])
    webhook.post(webhook.target_of(f"http://discord.example:{receiver.port}/x", local=True), {}, local=True)
    assert asked == ["discord.example"]
    assert receiver.got[0][1]["host"] == f"discord.example:{receiver.port}"


def test_a_certificate_has_to_hold_for_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = make_authority(tmp_path, ["discord.example"])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.certificate, authority.key)
    stage = Receiver()
    server = _served(stage, context)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.root))
    monkeypatch.setattr(webhook, "addresses_of", lambda _host: ("127.0.0.1",))
    try:
        webhook.post(webhook.target_of(f"https://discord.example:{stage.port}/x", local=True), {"content": "hello"}, local=True)
        with pytest.raises(ApplyError, match="certificate does not hold"):
            webhook.post(webhook.target_of(f"https://other.example:{stage.port}/x", local=True), {}, local=True)
    finally:
        server.shutdown()
        server.server_close()
    assert [body for *_, body in stage.got] == [{"content": "hello"}]
