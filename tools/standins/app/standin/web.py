"""The web application's stand-in: redirect, sign-in page, and the one link players follow."""

from __future__ import annotations

import html
import json
import ssl
import urllib.request

from standin.serve import Answer, Ask, as_json, make_server, until_told
from standin.settings import MissingSetting, Settings, fail

PAGE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sprocket (stand-in)</title></head>
<body><h1>Sprocket</h1><p>This is a stand-in: it keeps no league.</p><p><a href="{link}">Sign in with Discord</a></p></body></html>
"""


class Web:
    """The web application."""

    def __init__(self, settings: Settings) -> None:
        address = settings.value("CLIENT_GQL_URL", "client.gqlUrl")
        if "/" in address or not address:
            raise MissingSetting("client.gqlUrl has to be a bare host[:port]")
        forced = settings.environ.get("CLIENT_SECURE") == "true"
        secure = forced or json.loads(settings.value("CLIENT_SECURE_IN_FILE", "client.secure"))
        self.api = f"{'https' if secure else 'http'}://{address}"
        self.extra_authorities = settings.environ.get("NODE_EXTRA_CA_CERTS", "")

    def handle(self, ask: Ask) -> Answer:
        if ask.path == "/":
            return Answer(302, b"", {"location": "/auth/login"})
        if ask.path == "/auth/login":
            return Answer(200, PAGE.format(link=html.escape(f"{self.api}/login")).encode(), {"content-type": "text/html; charset=utf-8"})
        if ask.path == "/auth/callback":
            return Answer(200, b"signed in", {"content-type": "text/plain"})
        if ask.path == "/__standin/api":
            return self.ask_api()
        return Answer(404, b"not found", {"content-type": "text/plain"})

    def ask_api(self) -> Answer:
        """As a server-side call does: the API by its public name."""
        try:
            with urllib.request.urlopen(f"{self.api}/healthz", timeout=5, context=self.trusting()) as answer:
                return as_json({"asked": f"{self.api}/healthz", "status": answer.status})
        except OSError as error:
            return as_json({"asked": f"{self.api}/healthz", "error": str(error)}, 502)

    def trusting(self) -> ssl.SSLContext:
        """The system's authorities, and as in Node those of one more file."""
        context = ssl.create_default_context()
        if self.extra_authorities:
            context.load_verify_locations(self.extra_authorities)
        return context


def web() -> None:
    """Run until told to stop."""
    settings = Settings()
    try:
        role = Web(settings)
        port = settings.number("PORT", "", "3000")
    except MissingSetting as error:
        fail(str(error))
    settings.report()
    until_told(make_server(("0.0.0.0", port), role.handle))
