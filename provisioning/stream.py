"""A run's events as a server-sent stream: reads the rows by number, so that a reload, a second viewer and the command line agree."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.http import HttpRequest, StreamingHttpResponse
from django.template.loader import render_to_string

from orgs.models import Organization
from provisioning.models import Run
from provisioning.states import FINISHED
from provisioning.views import _run, run_context

_POLL_S = 0.4
_PING_S = 15.0
_LONGEST_S = 600.0  # the browser comes back by itself


def run_stream(request: HttpRequest, org: Organization, number: int) -> StreamingHttpResponse:
    """The changing part of the run page, anew whenever something happened; `done` when the run has ended."""
    run = _run(org, number)
    seen = request.headers.get("Last-Event-ID", request.GET.get("after", "0"))
    response = StreamingHttpResponse(_events(run.pk, org, int(seen) if seen.isdecimal() else 0), content_type="text/event-stream")
    response["Cache-Control"] = "no-cache"
    response["X-Accel-Buffering"] = "no"
    return response


async def _events(run_id: int, org: Organization, seen: int) -> AsyncIterator[bytes]:
    begun = last_ping = time.monotonic()
    while time.monotonic() - begun < _LONGEST_S:
        news = await sync_to_async(_news, thread_sensitive=True)(run_id, org, seen)
        if news is not None:
            seen, html, finished = news
            yield _message("state", seen, html)
            if finished:
                yield _message("done", seen, "done")
                return
        if time.monotonic() - last_ping > _PING_S:
            last_ping = time.monotonic()
            yield b": ping\n\n"
        await asyncio.sleep(_POLL_S)


def _news(run_id: int, org: Organization, seen: int) -> tuple[int, str, bool] | None:
    """Last event, the page's part, whether it ended; None when nothing happened since `seen`."""
    try:
        run = Run.objects.for_org(org).select_related("plan", "organization", "requested_by").get(pk=run_id)
        finished = run.state in FINISHED
        if not finished and not run.events.filter(seq__gt=seen).exists() and seen:
            return None
        context = run_context(run)
        return max(context["last"], 1), render_to_string("provisioning/_run.html", {"org": org, **context}), finished
    finally:
        close_old_connections()


def _message(event: str, number: int, text: str) -> bytes:
    lines = "".join(f"data: {line}\n" for line in text.splitlines() if line.strip())
    return f"id: {number}\nevent: {event}\n{lines}\n".encode()
